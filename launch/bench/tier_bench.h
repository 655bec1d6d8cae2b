// The benchmark of a table that is larger than its memory, beside what its disk allows and a table that fits.
#ifndef COHORT_LAUNCH_BENCH_TIER_BENCH_H_
#define COHORT_LAUNCH_BENCH_TIER_BENCH_H_

#include "common/status.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"

namespace cohort::bench {

// Pulls from a cluster with a tier in options.tier and from one without, and random reads of the same disk, in turns. One
// worker pulls batches by Zipf's law; a second one pulls batches of rows that are in memory, alone and while the first is at
// work. REQUIRES: a process of one thread (fork). Errors: as RunDataPlane's, and the disk's.
Result<Report> RunTier(Options options, const Progress& progress);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_TIER_BENCH_H_
