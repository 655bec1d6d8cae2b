// The `cohort` program: picks the subcommand and applies the rules of commands.h.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "common/nearest.h"
#include "launch/commands/commands.h"

namespace cohort {
namespace {

constexpr const char* kVersion = "cohort 0.1.0";

bool WantsJson(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) return true;
  }
  return false;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Multi-task models of the user lifecycle, trained and scored by a cluster of parameter servers.",
      "cohort");
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Commands commands;
  AddGenerate(app, commands);
  AddPrepare(app, commands);
  AddTrain(app, commands);
  AddEvaluate(app, commands);
  AddScore(app, commands);
  AddExport(app, commands);
  AddVerify(app, commands);
  AddReport(app, commands);
  AddDoctor(app, commands);
  bool json = WantsJson(argc, argv);
  for (CLI::App* command : app.get_subcommands(nullptr)) {
    command->add_flag("--json", json, "print exactly one JSON object to stdout");
  }

  Console console(json);
  const auto finish = [&console](const Status& status) {
    console.Finish(status);
    return status.exit_code();
  };
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  if (argc > 1 && argv[1][0] != '-' && std::find(names.begin(), names.end(), argv[1]) == names.end()) {
    return finish({ErrorCode::kInvalidInput, "unknown command \"" + std::string(argv[1]) + "\"" +
                                                 DidYouMean(argv[1], names) + " (see `cohort --help`)"});
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    std::string name = "cohort";
    for (const CLI::App* command : app.get_subcommands()) name += " " + command->get_name();
    return finish({ErrorCode::kInvalidInput, std::string(error.what()) + " (see `" + name + " --help`)"});
  }
  const CLI::App* chosen = app.get_subcommands().front();
  return finish(commands.at(chosen)(console));
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) { return cohort::Main(argc, argv); }
