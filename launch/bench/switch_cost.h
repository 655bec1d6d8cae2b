// What a change of process costs a core, beyond the change itself: caches that the other one has filled with its own.
#ifndef COHORT_LAUNCH_BENCH_SWITCH_COST_H_
#define COHORT_LAUNCH_BENCH_SWITCH_COST_H_

#include <cstdint>
#include <vector>

#include "common/status.h"

namespace cohort::bench {

// Two processes, both on one core, each with memory of its own of the size of a core's second-level cache. CPU seconds that it takes to follow a
// chain through all of that memory, one line after the other, when the other process has just done the same, less what it takes when nobody has:
// `repetitions` times. Not below 0. REQUIRES: this process has one thread.
Result<std::vector<double>> SwitchSeconds(std::uint32_t repetitions);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_SWITCH_COST_H_
