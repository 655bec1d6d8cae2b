// A run's state as lines for a terminal: `cohort top`.
#ifndef COHORT_LAUNCH_WATCH_TOP_TABLE_H_
#define COHORT_LAUNCH_WATCH_TOP_TABLE_H_

#include <cstddef>
#include <string>

#include "launch/watch/run_state.h"

namespace cohort {

// Whole lines, none longer than `width` characters; 0: as long as they come. Nothing that files say can move the cursor: control
// characters become "?".
std::string TopTable(const RunState& state, std::size_t width);

}  // namespace cohort

#endif  // COHORT_LAUNCH_WATCH_TOP_TABLE_H_
