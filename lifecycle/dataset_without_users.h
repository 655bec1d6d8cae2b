// The dataset of a shop as if some users had never been there, beside the one with them: what has changed of everyone else.
#ifndef COHORT_LIFECYCLE_DATASET_WITHOUT_USERS_H_
#define COHORT_LIFECYCLE_DATASET_WITHOUT_USERS_H_

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "common/dataset.h"
#include "common/status.h"
#include "common/types.h"
#include "prepare/prepare.h"

namespace cohort {

struct DatasetChange {
  std::array<std::uint64_t, kSplitCount> rows_gone{};  // by split
  std::array<std::uint64_t, kSplitCount> rows{};       // that stay
  std::uint64_t rows_changed = 0;                      // of those that stay
  std::map<std::string, std::uint64_t> changed;        // rows by feature
  // Of categorical values and items of bags and sequences: in rows that are gone, and in no row that stays.
  std::set<Key> keys_gone;
  std::uint64_t records_left_out = 0;  // of the logs
  DatasetInfo before, after;
};

// Features of a shop's user that others enter: statistics of items (popularity, usual prices, price bands) and the forecast, which
// is fitted on everybody's orders. All others are of the user's own events (user_features.h).
bool IsItemStatistic(std::string_view feature);
bool IsFittedOnEveryone(std::string_view feature);

// Prepares `options` (a shop's, with another output than `former`) without the users and compares it with the dataset `former`, made
// of the same logs with these users. Errors: as PrepareShop; kInvalidInput, where anything of another user differs that the users
// cannot have entered: the logs or the description are not those that `former` was made of. The new dataset is removed then.
Result<DatasetChange> PrepareWithoutUsers(const PrepareOptions& options,
                                          const std::set<std::string, std::less<>>& users,
                                          const std::string& former);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_DATASET_WITHOUT_USERS_H_
