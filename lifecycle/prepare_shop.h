// `cohort prepare SHOP.toml`: the logs of a shop to a dataset that `cohort train` takes as it is. START HERE.
//
//   ShopSchema   what SHOP.toml says                       UserPast      a user's events so far
//   ShopReader   CSV files -> records                      UserFeatures  ... as features
//   ShopRows     records -> rows of (user, snapshot)       UserLabels    what came after, as labels
//   EventStore   records by user, on disk if many          ItemTable     what was known of items at each snapshot
//   LogsSince    which logs a former night has read        ShopRecordsReader   what it has kept of them, for `options.since`
//   ShopParts    rows made part by part, by several processes
//   LifecycleCounts   funnel, retention and moves between stages of all users, for a report
#ifndef COHORT_LIFECYCLE_PREPARE_SHOP_H_
#define COHORT_LIFECYCLE_PREPARE_SHOP_H_

#include <functional>
#include <set>
#include <string>

#include "common/partitions.h"
#include "common/status.h"
#include "lifecycle/lifecycle_counts.h"
#include "prepare/prepare.h"

namespace cohort {

// `options.schema` is a shop description. As Prepare: the output appears under its name only when all went well; wrong
// description or data, an output that exists (without overwrite), or a finding under strict: kInvalidInput. The events wait in
// a temporary file beside the output when there are many. With `counts`, for the page `options.report`, one more pass over the users
// fills it; a page that must not be written is refused as the output is. With `partitions` rows are made as parts (ShopParts): the same
// bytes; in a worker of a job nothing is written, and it returns errors only.
// With `options.since` the logs that this records file knows are not read again, and it is written anew, after the output: what is made
// is the same, byte for byte, as without. `without` must be empty then.
// The key of the users' pseudonyms is made, where the description names one and there is none.
// `without`: users whose records count as if they were not there; the report has their number.
Result<PrepareReport> PrepareShop(const PrepareOptions& options, LifecycleCounts* counts = nullptr,
                                  Partitions* partitions = nullptr,
                                  const std::set<std::string, std::less<>>& without = {});

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_PREPARE_SHOP_H_
