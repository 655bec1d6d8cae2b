// The tree of a program's commands, which man pages and shell completion are made of, so that they say what --help says.
#ifndef COHORT_LAUNCH_COMMANDS_COMMAND_TREE_H_
#define COHORT_LAUNCH_COMMANDS_COMMAND_TREE_H_

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace cohort {

// The program, its commands and those below them; each stands before what is below it.
std::vector<const CLI::App*> CommandTree(const CLI::App& program);

// The words that call a command: "cohort bench pull".
std::string WordsOf(const CLI::App& command);

}  // namespace cohort

#endif  // COHORT_LAUNCH_COMMANDS_COMMAND_TREE_H_
