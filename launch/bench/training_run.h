// A training run for its figures: a whole cluster of processes, through `cohort train`'s own code.
#ifndef COHORT_LAUNCH_BENCH_TRAINING_RUN_H_
#define COHORT_LAUNCH_BENCH_TRAINING_RUN_H_

#include <string>

#include "common/config.h"
#include "common/status.h"
#include "launch/bench/report.h"

namespace cohort::bench {

// Trains in `folder`, which is emptied first and then holds what a RUN_DIR holds. What the run says goes to `progress`; its notes stand
// behind the error that it ends with.
Status RunTraining(const RunConfig& config, const std::string& folder, const Progress& progress);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_TRAINING_RUN_H_
