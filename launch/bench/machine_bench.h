// cohort bench machine: what the protocol costs on this processor, for simulated clusters (launch/simulate).
#ifndef COHORT_LAUNCH_BENCH_MACHINE_BENCH_H_
#define COHORT_LAUNCH_BENCH_MACHINE_BENCH_H_

#include "common/status.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"

namespace cohort::bench {

// Pulls and pushes of batches between a worker and a server, in three ways: in large messages, in small ones, with wide
// rows. Of a repetition's three CPU times of a side, what a message, a row and a byte cost follows. And what a change of process costs a
// core (switch_cost.h). Writes the medians to options.out.
Result<Report> RunMachine(const Options& options, const Progress& progress);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_MACHINE_BENCH_H_
