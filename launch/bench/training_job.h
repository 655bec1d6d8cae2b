// The two jobs of `cohort bench train`: their run file and their data, drawn at random, with labels that can be learned.
//
//   gemm       26 ids, 13 numbers; mmoe of 4 experts (128, 64), towers (64, 32); one squared-error and three cross-entropy
//              tasks: most of the time goes to matrix products
//   embedding  40 bags of 8 ids on average; a network 640 -> 64 -> 1 for each of two tasks: most goes to embedding rows
//
// Ids follow Zipf's law, in the gemm job with exponents from 1.05 to 1.2 over its fields.
#ifndef COHORT_LAUNCH_BENCH_TRAINING_JOB_H_
#define COHORT_LAUNCH_BENCH_TRAINING_JOB_H_

#include <string>

#include "common/config.h"
#include "common/dataset.h"
#include "common/status.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"

namespace cohort::bench {

// The run file, but for `data`. REQUIRES: options.job is "gemm" or "embedding".
RunConfig ConfigOf(const Options& options);

// Writes options.samples rows of the train split, over options.rows ids. Errors: the disk's; a stop signal.
Result<DatasetInfo> WriteTrainingData(const Options& options, const std::string& path,
                                      const Progress& progress);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_TRAINING_JOB_H_
