#include "prepare/group_numbers.h"

#include <xxhash.h>

namespace cohort {

std::optional<std::uint64_t> GroupNumbers::Next(std::string_view group) {
  if (count_ == 0 || group != group_) {
    if (!seen_.insert(XXH3_64bits(group.data(), group.size())).second) return std::nullopt;
    group_ = group;
    ++count_;
  }
  return count_ - 1;
}

}  // namespace cohort
