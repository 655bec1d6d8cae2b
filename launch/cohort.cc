// The `cohort` program: picks the subcommand and applies the rules of commands.h.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "common/nearest.h"
#include "launch/commands/command_line.h"
#include "launch/commands/commands.h"

namespace cohort {
namespace {

constexpr const char* kVersion = "cohort " COHORT_VERSION;

bool WantsJson(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) return true;
  }
  return false;
}

// To each command, and to those below it: what a command takes, its own --help lists.
void AddJson(CLI::App& program, bool* json) {
  for (CLI::App* command : program.get_subcommands(nullptr)) {
    command->add_flag("--json", *json, "print exactly one JSON object to stdout");
    AddJson(*command, json);
  }
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Multi-task models of the user lifecycle, trained and scored by a cluster of parameter servers.",
      "cohort");
  app.set_version_flag("--version", kVersion);
  app.footer(
      "Exit codes: 0 done; 2 your input (usage, configuration, data) is at fault; the message names the "
      "place and the mend; 1 anything else.");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Commands commands;
  AddGenerate(app, commands);
  AddPrepare(app, commands);
  AddTrain(app, commands);
  AddEvaluate(app, commands);
  AddScore(app, commands);
  AddBaseline(app, commands);
  AddCompare(app, commands);
  AddUplift(app, commands);
  AddProfile(app, commands);
  AddLookalike(app, commands);
  AddStrategy(app, commands);
  AddRecommend(app, commands);
  AddExplain(app, commands);
  AddExport(app, commands);
  AddVerify(app, commands);
  AddInspect(app, commands);
  AddDiff(app, commands);
  AddReshard(app, commands);
  AddPseudonyms(app, commands);
  AddErase(app, commands);
  AddReport(app, commands);
  AddCluster(app, commands);
  AddKey(app, commands);
  AddWatch(app, commands);
  AddTop(app, commands);
  AddBench(app, commands);
  AddSimulate(app, commands);
  AddScale(app, commands);
  AddPlan(app, commands);
  AddDoctor(app, commands);
  AddMan(app, commands);
  AddCompletion(app, commands);
  bool json = WantsJson(argc, argv);
  AddJson(app, &json);
  CheckValues(app);

  Console console(json);
  const auto finish = [&console](const Status& status) {
    console.Finish(status);
    return status.ok() ? console.exit_code() : status.exit_code();
  };
  // Commands, and those of a command that has some, are looked up here: a mistyped one is named with its nearest.
  const CLI::App* named = &app;
  std::string path = "cohort";
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* command : named->get_subcommands(nullptr)) {
      names.push_back(command->get_name());
      if (command->get_name() == argv[i]) next = command;
    }
    if (names.empty()) break;
    if (next == nullptr) {
      return finish({ErrorCode::kInvalidInput, "unknown command \"" + std::string(argv[i]) + "\"" +
                                                   DidYouMean(argv[i], names) + " (see `" + path +
                                                   " --help`)"});
    }
    named = next;
    path += " " + named->get_name();
  }
  if (const Status status = CheckWords(argc, argv); !status.ok()) return finish(status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return finish({ErrorCode::kInvalidInput, WhyRefused(*named, error) + " (see `" + path + " --help`)"});
  }
  const CLI::App* chosen = app.get_subcommands().front();
  const CLI::App* last = chosen;
  while (!last->get_subcommands().empty()) last = last->get_subcommands().front();
  if (const Status status = CheckOutputs(*last); !status.ok()) return finish(status);
  return finish(commands.at(chosen)(console));
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) { return cohort::Main(argc, argv); }
