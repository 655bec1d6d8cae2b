// Cohort reads five kinds of TOML files. Somebody who hands one command the file of another should be told so.
#ifndef COHORT_COMMON_INPUT_FILE_KIND_H_
#define COHORT_COMMON_INPUT_FILE_KIND_H_

#include <string>
#include <string_view>

namespace cohort {

enum class InputFileKind { kSchema, kShop, kRun, kActions, kExperiment };

// For the message about a key that the outermost table of a file of kind `expected` does not have: what other kind of file it
// is of, to stand behind the message; "" if it is of none.
std::string OtherKindOfFile(std::string_view key, InputFileKind expected);

}  // namespace cohort

#endif  // COHORT_COMMON_INPUT_FILE_KIND_H_
