// A worker of a benchmark: the worker of a run (worker/worker.h) that, instead of training, does the rounds
// it is told to.
#ifndef COHORT_LAUNCH_BENCH_BENCH_WORKER_H_
#define COHORT_LAUNCH_BENCH_BENCH_WORKER_H_

#include <cstdint>
#include <string>

#include "common/scheduler_client.h"
#include "common/status.h"
#include "launch/bench/child_processes.h"
#include "launch/bench/options.h"

namespace cohort::bench {

// Draws its keys, takes part in the run, says so on the channel, then does rounds until told to stop.
Status RunBenchWorker(Channel& channel, const Options& options, std::uint32_t index,
                      const std::string& scheduler_endpoint, const SchedulerClient::Options& scheduler);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_BENCH_WORKER_H_
