// The options of a run file, one by one: how each is called, described, read and written. What they mean is config.h's.
#ifndef COHORT_COMMON_CONFIG_OPTION_H_
#define COHORT_COMMON_CONFIG_OPTION_H_

#include <functional>
#include <string>
#include <vector>

#include "common/config.h"

namespace toml::inline v3 {
class node;  // toml++ itself stays inside the .cc files
}

namespace cohort {

struct Option {
  std::string name;      // "train.batch_size"
  std::string expected;  // "a whole number from 1 to 1048576"
  std::string unit;
  std::string help;
  // False: the value is not what is expected.
  std::function<bool(const toml::node&, RunConfig&)> set;
  std::function<std::string(const RunConfig&)> get;  // as TOML
  bool required = false;
  std::vector<std::string> words{};  // one of them is expected; none: something else
};

// Those of sections that every run file may have, in the order in which they are written.
const std::vector<Option>& Options();
// Sections of tables that carry names of the data: [task.NAME], [sequence.NAME], [feature.NAME].
bool IsNamed(const std::string& section);
// Makes room for such a table, with what it is where it says nothing; one that is there stays as it is.
void AddNamed(const std::string& section, const std::string& name, RunConfig* config);
// The options of such a table; those of a table within it have its name before theirs.
std::vector<Option> NamedOptions(const std::string& section, const std::string& name);

// A text as a TOML string.
std::string Quoted(const std::string& text);
// As short as it can be to be read again as the same.
std::string Number(double value);
std::string Number(float value);

// Options that each are as they should be, and do not go together. Errors: kInvalidInput.
Status CheckTogether(const RunConfig& config);

}  // namespace cohort

#endif  // COHORT_COMMON_CONFIG_OPTION_H_
