// A run's state as JSON: what GET /state answers, and `cohort top --json` prints (docs/watching.md).
#ifndef COHORT_LAUNCH_WATCH_STATE_JSON_H_
#define COHORT_LAUNCH_WATCH_STATE_JSON_H_

#include <string>

#include "launch/watch/run_state.h"

namespace cohort {

// One object. What is not known is null; a worker's clock without end is "end". The history has five digits.
std::string StateToJson(const RunState& state);

}  // namespace cohort

#endif  // COHORT_LAUNCH_WATCH_STATE_JSON_H_
