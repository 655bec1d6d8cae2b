// The benchmark of a shard that writes its part of a checkpoint while it serves.
#ifndef COHORT_LAUNCH_BENCH_CHECKPOINT_BENCH_H_
#define COHORT_LAUNCH_BENCH_CHECKPOINT_BENCH_H_

#include "common/status.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"

namespace cohort::bench {

// One shard in this process, without network: pushes as fast as it can, without a checkpoint and while one is written to
// options.folder; a checkpoint while it idles; and a file of as many bytes written and synced. In turns. Errors:
// kInvalidInput, no folder; kIo, the disk is full.
Result<Report> RunCheckpoint(const Options& options, const Progress& progress);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_CHECKPOINT_BENCH_H_
