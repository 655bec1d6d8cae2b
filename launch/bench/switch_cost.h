// What a change of process costs a core, beyond the change itself: caches that the other one has filled with its own.
#ifndef COHORT_LAUNCH_BENCH_SWITCH_COST_H_
#define COHORT_LAUNCH_BENCH_SWITCH_COST_H_

#include <cstdint>
#include <vector>

#include "common/status.h"

namespace cohort::bench {

// What a process pays that finds nothing in the second-level cache of what it had there. Two processes, both on one core: one follows a chain
// through memory of its own of half the size of that cache, line by line, the other through the whole size. CPU seconds that this takes the first when
// the other has just done so, less what it takes when nobody has, times two: `repetitions` times. Not below 0. REQUIRES: this process has
// one thread.
Result<std::vector<double>> SwitchSeconds(std::uint32_t repetitions);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_SWITCH_COST_H_
