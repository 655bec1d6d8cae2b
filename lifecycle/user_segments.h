// UserSegments: users with the same values of some attributes of [users]; a number counts by the third of the users that it lies in.
#ifndef COHORT_LIFECYCLE_USER_SEGMENTS_H_
#define COHORT_LIFECYCLE_USER_SEGMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "lifecycle/shop_history.h"

namespace cohort {

struct UserSegments {
  std::vector<std::string> attributes;  // their names; none: all users are one segment
  std::vector<std::uint32_t> of_user;
  std::uint32_t count = 1;

  // kInvalidInput: no such attribute.
  static Result<UserSegments> Make(const ShopHistory& history, const std::vector<std::string>& attributes);
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_USER_SEGMENTS_H_
