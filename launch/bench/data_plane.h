// The benchmarks of the data plane: pulls and pushes between processes, and their ceiling, in turns.
#ifndef COHORT_LAUNCH_BENCH_DATA_PLANE_H_
#define COHORT_LAUNCH_BENCH_DATA_PLANE_H_

#include "common/status.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"

namespace cohort::bench {

// pull, push or pull-push: rounds of the cluster and of the bare transport take turns, several times in each
// repetition. REQUIRES: a process of one thread (fork). Errors: an operating system that refuses, a process that dies, a stop signal.
Result<Report> RunDataPlane(const Options& options, Operation operation, const Progress& progress);
// The bare transport alone, all three operations.
Result<Report> RunTransport(const Options& options, const Progress& progress);

// What of the options describes a benchmark of the data plane.
Settings DataPlaneSettings(const Options& options);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_DATA_PLANE_H_
