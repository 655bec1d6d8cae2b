// RunPosition: where a run is in its plan and in its data. With the rows and states of the shards (their parts of a
// checkpoint) it is all that is needed to go on.
#ifndef COHORT_SCHEDULER_RUN_POSITION_H_
#define COHORT_SCHEDULER_RUN_POSITION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/types.h"
#include "scheduler/leases.h"

namespace cohort {

struct RunPosition {
  std::uint64_t number = 0;  // of the checkpoint; bsp: the first clock that is not done
  std::uint64_t step = 0;    // of RunPlan::steps: a training phase
  std::uint32_t phase = 0;   // that it is
  Clock first_clock = 0;     // of the phase
  std::uint32_t workers = 0;  // of the run at its start
  // ssp, asp: by worker, also of those who came later, the highest clock that is closed at every shard; and all leases of the phase.
  std::vector<Clock> closed;
  LeaseJournal leases;
  std::uint64_t acknowledged = 0;  // parts of pushes, about
};

std::string ToJson(const RunPosition& position);
// kCorrupt: not what ToJson writes.
Result<RunPosition> PositionFromJson(const std::string& text);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_RUN_POSITION_H_
