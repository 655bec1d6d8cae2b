// cohort reshard: a model or checkpoint in another number of parts (launch/reshard.h).
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"
#include "launch/reshard.h"

namespace cohort {

void AddReshard(CLI::App& app, Commands& commands) {
  struct Options {
    std::string path, out;
    std::uint32_t shards = 0;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("reshard", "write a model or checkpoint once more, in another number of parts");
  command->add_option("path", options->path, "a run's directory, a model's or a checkpoint's")->required();
  command->add_option("--shards", options->shards, "parts to write")
      ->required()
      ->check(Between(1, kSlotGroupCount));
  command->add_option("--out", options->out, "folder to make")->required();
  commands[command] = [options](Console& console) -> Status {
    COHORT_ASSIGN_OR_RETURN(
        const ModelManifest manifest,
        Reshard(options->path, options->shards, options->out, [&](std::uint64_t rows, std::uint64_t total) {
          console.Progress("resharding: " + std::to_string(rows) + " of " + std::to_string(total) + " rows");
        }));
    console.Print("wrote " + std::to_string(manifest.rows()) + " rows to " + options->out + " in " +
                  std::to_string(manifest.parts.size()) + " parts\nhash " + ToHex(*manifest.hash));
    console.SetJson(nlohmann::json{{"status", "done"},
                                   {"out", options->out},
                                   {"rows", manifest.rows()},
                                   {"parts", manifest.parts.size()},
                                   {"hash", ToHex(*manifest.hash)}}
                        .dump());
    return {};
  };
}

}  // namespace cohort
