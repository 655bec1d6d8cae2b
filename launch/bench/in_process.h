// The benchmarks inside one process and thread: the table, the memory below it, a training step.
#ifndef COHORT_LAUNCH_BENCH_IN_PROCESS_H_
#define COHORT_LAUNCH_BENCH_IN_PROCESS_H_

#include "common/status.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"

namespace cohort::bench {

// All errors: not enough memory (kInvalidInput: what to lower), a stop signal.

// memcpy, random gathers of rows from 2 MB and from 4 KB pages, and the first use of 2 MB of fresh memory.
Result<Report> RunMemory(const Options& options, const Progress& progress);
// Lookups and additions of one shard's table in batches, beside the random gather of as many rows, in turns; the memory
// it takes; and how long single requests take while it grows to options.grow_to rows (0: left out).
Result<Report> RunTable(const Options& options, const Progress& progress);
// A worker's training step on a mid-size MMoE, without reading and network, beside its matrix products alone.
// options.batch: samples of a step, cut into options.slices.
Result<Report> RunStep(const Options& options, const Progress& progress);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_IN_PROCESS_H_
