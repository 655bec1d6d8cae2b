// GroupNumbers: numbers the groups of a split in the order of its rows, and sees that the rows of each follow each other.
#ifndef COHORT_PREPARE_GROUP_NUMBERS_H_
#define COHORT_PREPARE_GROUP_NUMBERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

namespace cohort {

// Memory: about 50 bytes per group, for the groups that have been left. Two of n groups are taken for one another with
// probability n^2 / 2^65.
class GroupNumbers {
 public:
  // The number of the next row's group; nothing: the group has been left before.
  std::optional<std::uint64_t> Next(std::string_view group);

 private:
  std::string group_;  // of the row before
  std::uint64_t count_ = 0;
  std::unordered_set<std::uint64_t> seen_;  // hashes
};

}  // namespace cohort

#endif  // COHORT_PREPARE_GROUP_NUMBERS_H_
