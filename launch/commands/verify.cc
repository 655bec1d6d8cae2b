// cohort verify: checks a model offline (common/model_files.h).
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/model_files.h"
#include "launch/commands/commands.h"

namespace cohort {

void AddVerify(CLI::App& app, Commands& commands) {
  auto path = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "verify", "check every byte of a model or checkpoint against its manifest and print its hash");
  command->add_option("path", *path, "a run's directory, a model's or a checkpoint's")->required();
  commands[command] = [path](Console& console) -> Status {
    COHORT_ASSIGN_OR_RETURN(
        const ModelManifest manifest, VerifyModel(*path, [&](std::uint64_t rows, std::uint64_t total) {
          console.Progress("verifying: " + std::to_string(rows) + " of " + std::to_string(total) + " rows");
        }));
    nlohmann::json tables = nlohmann::json::array();
    for (const TableSpec& table : manifest.tables) {
      tables.push_back(
          {{"name", table.name}, {"dim", table.dim}, {"optimizer", OptimizerName(table.optimizer.kind)}});
    }
    console.Print("hash " + ToHex(*manifest.hash) + "\nrows " + std::to_string(manifest.rows()) + " in " +
                  std::to_string(manifest.parts.size()) + " parts\nkernels " + manifest.kernels +
                  "\nnot damaged");
    console.SetJson(nlohmann::json{{"status", "done"},
                                   {"hash", ToHex(*manifest.hash)},
                                   {"rows", manifest.rows()},
                                   {"parts", manifest.parts.size()},
                                   {"kernels", manifest.kernels},
                                   {"seed", manifest.seed},
                                   {"tables", std::move(tables)}}
                        .dump());
    return {};
  };
}

}  // namespace cohort
