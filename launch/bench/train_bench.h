// cohort bench train: how fast whole jobs train, beside the arithmetic of their model.
#ifndef COHORT_LAUNCH_BENCH_TRAIN_BENCH_H_
#define COHORT_LAUNCH_BENCH_TRAIN_BENCH_H_

#include "common/status.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"

namespace cohort::bench {

// In each repetition, one after the other: the model's matrix products in one thread and in two; training steps in one
// thread with the table beside them; the same job by a cluster of processes through `cohort train`'s own code, all traffic
// over tcp. The data are drawn into a folder under options.folder, which is removed at the end.
Result<Report> RunTrain(const Options& options, const Progress& progress);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_TRAIN_BENCH_H_
