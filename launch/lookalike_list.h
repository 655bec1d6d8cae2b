// A list of prospects beside a shop's users: which of its values users can answer for, and which they cannot.
#ifndef COHORT_LAUNCH_LOOKALIKE_LIST_H_
#define COHORT_LAUNCH_LOOKALIKE_LIST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "launch/lookalike_users.h"
#include "lifecycle/prospect_list.h"

namespace cohort {

// Of one attribute: its values on the list, and what users cannot answer for.
struct ListedAttribute {
  // `names`: of the dataset, to find the nearest to a value that no user has.
  static ListedAttribute Of(const ProspectList& list, std::size_t attribute, const UserValues& users,
                            const DatasetNames& names);

  std::vector<float> inputs;          // of the model, by value
  std::vector<std::uint8_t> unknown;  // by value: 1 if it is empty, or no user has it
  std::uint64_t missing = 0;          // prospects with an empty cell
  std::uint64_t alien = 0;            // with a value that no user has
  std::uint64_t outside = 0;          // with a number below or above those of all users
  std::string alien_value;            // the most frequent one, "; did you mean ...?" and what
  float least = 0, most = 0;          // of the users
  bool no_user = false;               // has it
};

// What the list has that is not used, or that users cannot answer for, a line each. `listed`: by attribute.
std::vector<std::string> WarningsOf(const ProspectList& list, const std::vector<ListedAttribute>& listed);

}  // namespace cohort

#endif  // COHORT_LAUNCH_LOOKALIKE_LIST_H_
