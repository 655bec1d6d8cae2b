// LifecycleCounts: the users of a shop counted three ways: how far they came (the funnel), how many of those who came in a month were
// active so many months later (retention), and who moved from which stage of life to which between the last two snapshots.
#ifndef COHORT_LIFECYCLE_LIFECYCLE_COUNTS_H_
#define COHORT_LIFECYCLE_LIFECYCLE_COUNTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "lifecycle/event.h"
#include "lifecycle/shop_rows.h"
#include "lifecycle/shop_schema.h"
#include "lifecycle/user_profile.h"

namespace cohort {

struct LifecycleCounts {
  // "visited": signed up, or any event; "viewed": a view or a favourite; "cart"; "bought"; "bought again": purchases at two different
  // times, whatever came back. Contacts are no events of the user. Whoever has reached a step has reached all before it, logged or not.
  struct Step {
    std::string name;
    std::uint64_t reached = 0, furthest = 0;  // users; furthest: and no further
  };
  // Users by the calendar month of their first activity: any event but a return.
  struct Newcomers {
    int month = 0;  // MonthOf
    std::vector<std::uint64_t>
        active;  // users with an activity so many months later, to the last month of the logs; [0]: all
  };
  // Of all whom the logs before `to` know, as LifeStageRule tells their stage without a prediction of churn.
  struct StageMoves {
    Time from = 0, to = 0;  // the last two snapshots
    // By the stage at `from`, then those who came in between; by the stage at `to`.
    std::array<std::array<std::uint64_t, kLifeStageNames.size()>, kLifeStageNames.size() + 1> users{};
  };

  static constexpr std::size_t kMostMonths = 24;

  std::vector<Step> funnel;          // of the kinds of events that the logs have
  std::vector<Newcomers> retention;  // ascending, months without any left out; of the last kMostMonths
  std::uint64_t earlier = 0;         // users who came before those months
  bool last_month_whole = false;     // the logs end with the end of a month
  std::optional<StageMoves> moves;   // nothing: one snapshot, or no purchases
};

// Months since the year 0 of the shop's calendar, and "2011-03".
int MonthOf(Time time);
std::string MonthText(int month);

// One pass over the users, in memory that does not grow with them. `stages`: nothing, and no moves are counted.
// REQUIRES: rows.Clean was called.
Result<LifecycleCounts> CountLifecycles(const ShopSchema& schema, const ShopRows& rows,
                                        const std::optional<LifeStageRule>& stages,
                                        const ShopRows::Progress& progress = nullptr);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_LIFECYCLE_COUNTS_H_
