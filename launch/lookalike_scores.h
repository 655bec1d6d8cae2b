// Prospects, as scored: how much each looks like the users that are wanted, what that is worth, what it costs, and what moves the score.
#ifndef COHORT_LAUNCH_LOOKALIKE_SCORES_H_
#define COHORT_LAUNCH_LOOKALIKE_SCORES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/lookalike_list.h"
#include "launch/lookalike_users.h"
#include "lifecycle/calibration.h"
#include "lifecycle/lookalike_model.h"
#include "lifecycle/prospect_list.h"

namespace cohort {

// What moves a score.
struct Reason {
  std::uint32_t attribute = 0;
  float share = 0;  // of the log odds
};

// A prospect, as scored.
struct ScoredProspect {
  static constexpr std::size_t kMostReasons = 3;
  std::uint32_t prospect = 0;  // of the list
  float raw = 0;               // log odds
  double score = 0, value = 0, cost = 0;
  std::array<Reason, kMostReasons> reasons;  // the largest share first; after the last one share 0
};

// What a score comes to.
struct ScoreMeaning {
  const Calibration& probability;  // of being wanted, by log odds
  const Calibration* value;        // of the same; null: it is not asked for
  const GroupCosts* costs;         // null: likewise
  std::optional<std::size_t> by;   // the attribute that costs are told apart by
};
// The best first: by value less cost where there are costs; equal ones by score, then by id, as the list is. `listed`: by attribute.
std::vector<ScoredProspect> ScoreProspects(const LookalikeModel& model, const ProspectList& list,
                                           const std::vector<ListedAttribute>& listed,
                                           const ScoreMeaning& meaning);

// A CSV file, a line a prospect, in their order.
std::string ProspectLines(const std::vector<ScoredProspect>& order, const ProspectList& list,
                          const std::vector<ListedAttribute>& listed, bool with_value, bool with_cost);

}  // namespace cohort

#endif  // COHORT_LAUNCH_LOOKALIKE_SCORES_H_
