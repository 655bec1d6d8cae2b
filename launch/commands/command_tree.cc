#include "launch/commands/command_tree.h"

#include <CLI/CLI.hpp>

namespace cohort {

std::vector<const CLI::App*> CommandTree(const CLI::App& program) {
  std::vector<const CLI::App*> tree = {&program};
  for (const CLI::App* command : program.get_subcommands(nullptr)) {
    const std::vector<const CLI::App*> below = CommandTree(*command);
    tree.insert(tree.end(), below.begin(), below.end());
  }
  return tree;
}

std::string WordsOf(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : WordsOf(*parent) + " ") + command.get_name();
}

}  // namespace cohort
