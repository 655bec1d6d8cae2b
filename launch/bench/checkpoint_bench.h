// The benchmark of a shard that writes its part of a checkpoint while it serves.
#ifndef COHORT_LAUNCH_BENCH_CHECKPOINT_BENCH_H_
#define COHORT_LAUNCH_BENCH_CHECKPOINT_BENCH_H_

#include "common/status.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"

namespace cohort::bench {

// One shard in this process, without network: pushes as fast as it can, before, while and after a checkpoint is written to
// options.folder at options.core_share; then a checkpoint while it idles, as fast as its writer can, with `dd` before and after
// it: as many bytes written to the same folder and synced. options.measure chooses one of the two. Errors: kInvalidInput, no folder; kUnavailable, no dd; kIo, the
// disk is full.
Result<Report> RunCheckpoint(const Options& options, const Progress& progress);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_CHECKPOINT_BENCH_H_
