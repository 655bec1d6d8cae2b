// cohort key: a key for a run whose hosts share no folder (common/run_key.h).
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/run_key.h"
#include "launch/commands/commands.h"

namespace cohort {

void AddKey(CLI::App& app, Commands& commands) {
  auto file = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "key", "make a key for runs between hosts that share no folder: copy it to each, and give --key FILE");
  command->add_option("file", *file, "the file to write, for its owner alone; must not exist")
      ->required()
      ->type_name(kOutputType);
  commands[command] = [file](Console& console) -> Status {
    COHORT_ASSIGN_OR_RETURN(const RunKey key, RunKey::New());
    COHORT_RETURN_IF_ERROR(key.Write(*file));
    console.Print("wrote " + *file + "; its public half is " + key.public_key());
    console.SetJson(nlohmann::json{{"status", "done"}, {"out", *file}, {"public", key.public_key()}}.dump());
    return {};
  };
}

}  // namespace cohort
