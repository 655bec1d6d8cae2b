// What every command's line keeps to, whichever the command: launch/cohort.cc applies it.
#ifndef COHORT_LAUNCH_COMMANDS_COMMAND_LINE_H_
#define COHORT_LAUNCH_COMMANDS_COMMAND_LINE_H_

#include <string>

#include "common/status.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace cohort {

// From now on the parser refuses, of any option, an empty value, which is what a script's variable that is not set leaves, and a number that
// is not finite, or not whole where it must be; and of a flag any value but true. And of an output the name of a standard
// stream: it would not go there.
void CheckValues(CLI::App& program);
// The same of `--option=`, for whose value the parser would take the next word.
Status CheckWords(int count, const char* const* words);

// Why the parser has refused a line: in its own words, but of an option that there is not, with its nearest, and of one that was given more often
// than once.
std::string WhyRefused(const CLI::App& command, const CLI::ParseError& error);

// Whether a command may write what its options of kOutputType name (commands.h): CheckOutput of each, where the inputs are what its
// other options name, what the TOML files among that name, and the run and model in a folder among it; and no two of them are one file.
Status CheckOutputs(const CLI::App& command);

}  // namespace cohort

#endif  // COHORT_LAUNCH_COMMANDS_COMMAND_LINE_H_
