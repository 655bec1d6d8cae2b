// cohort completion: what a shell needs to complete commands, options and their values, as --help has them.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "launch/commands/command_tree.h"
#include "launch/commands/commands.h"

namespace cohort {
namespace {

// The words to choose from, each with a blank before it: CLI11 shows them as "TEXT:{tcp,ipc}". None: anything may stand there.
std::string ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t begin = type.find('{'), end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return "";
  std::string choices = type.substr(begin, end - begin);
  std::replace(choices.begin(), choices.end(), ',', ' ');
  choices.front() = ' ';
  return choices;
}

// A function that looks up a line's command and options. Where it offers nothing, bash offers files.
std::string BashCompletion(const CLI::App& program) {
  const std::string name = program.get_name();
  std::string commands, values, offers;
  for (const CLI::App* command : CommandTree(program)) {
    const std::string words = WordsOf(*command);
    if (command != &program) commands += (commands.empty() ? "" : "|") + ("'" + words + "'");
    std::string names, below;
    for (const CLI::App* next : command->get_subcommands(nullptr)) below += " " + next->get_name();
    for (const CLI::Option* option : command->get_options({})) {
      std::vector<std::string> own;
      for (const std::string& each : option->get_snames()) own.push_back("-" + each);
      for (const std::string& each : option->get_lnames()) own.push_back("--" + each);
      if (own.empty()) below += ChoicesOf(*option);
      for (const std::string& each : own) {
        names += " " + each;
        if (option->get_items_expected_max() > 0)
          values += "    '" + words + " " + each + "') offered='" + ChoicesOf(*option) + "' ;;\n";
      }
    }
    offers += "        '" + words + "') options='" + names + "' offered='" + below + "' ;;\n";
  }
  return "# Completion of " + name + " for bash, written by `" + name + " completion bash`.\n_" + name +
         R"(() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options= offered= i
  # --option=value comes as three words
  if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi
  local command=)" +
         name + R"(
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${COMP_WORDS[i]}" in
      )" +
         commands + R"() command+=" ${COMP_WORDS[i]}" ;;
    esac
  done
  case "$command $before" in
)" + values +
         R"(    *)
      case $command in
)" + offers +
         R"(      esac
      if [[ $word == -* ]]; then offered=$options; fi ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$word")
}
complete -o default -F _)" +
         name + " " + name + "\n";
}

}  // namespace

void AddCompletion(CLI::App& app, Commands& commands) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "completion", "print what a shell needs to complete commands: source <(cohort completion bash)");
  command->add_option("SHELL", *shell, "whose")->required()->check(CLI::IsMember({"bash"}));
  commands[command] = [&app, shell](Console& console) -> Status {  // the parser writes to `shell`
    const std::string script = BashCompletion(app);
    console.Print(script);
    console.SetJson(nlohmann::json{{"status", "done"}, {"script", script}}.dump());
    return {};
  };
}

}  // namespace cohort
