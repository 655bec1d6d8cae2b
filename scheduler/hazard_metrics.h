// Metrics of hazard tasks (discrete time to an event, with censoring), from the merged sums of a split. Definitions and
// sources: docs/metrics.md.
//
// What happened to a censored row after it was last seen is not known. The metrics at the horizon (the end of the last
// period) are over the rows whose state there is known, each counted 1 / G times: G is the share of rows that are not
// censored before that state is known, from the split's own rows. Without it, events would be too frequent among them.
#ifndef COHORT_SCHEDULER_HAZARD_METRICS_H_
#define COHORT_SCHEDULER_HAZARD_METRICS_H_

#include <vector>

#include "common/evaluation_sums.h"
#include "scheduler/rank_metrics.h"

namespace cohort {

// By period (from 0): G of an event in it, the share of rows that are not censored before it. The last is also that of the rows
// seen to the end. 0: nobody was seen so far.
std::vector<double> SeenShares(const TaskSums& sums);

struct HorizonMetrics {
  // (P(event by the end), did it happen), weights over G. Empty: not defined, for nobody is seen to the end.
  std::vector<Tie> ties;
  double brier = 0;  // NaN: not defined
};
// REQUIRES: the sums of a hazard task.
HorizonMetrics AtHorizon(const TaskSums& sums);

// Harrell's c: of the pairs of rows of which the one is known to have had its event first, the share in which it had the
// higher P(event by the end); equal ones count 1/2. By products of weights.
Bounded Concordance(const TaskSums& sums);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_HAZARD_METRICS_H_
