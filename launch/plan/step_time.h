// How long a step, an epoch and a run take, from what they move (traffic.h) and what a machine needs for it (StepCosts); which
// resource binds; and the smallest cluster that meets a deadline.
//
// A step, if every process had cores and a link of its own:
//   bsp       the slowest worker computes, then rows and gradients are exchanged: worker's CPU + the slower of servers' CPU and links,
//             + three round trips (pull, push, close)
//   ssp, asp  the exchange goes on beside the computing: the slowest of a worker's CPU, a server's CPU, a link
// and, where StepCosts::cores says how many there are, never less than all CPU time over all cores.
#ifndef COHORT_LAUNCH_PLAN_STEP_TIME_H_
#define COHORT_LAUNCH_PLAN_STEP_TIME_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "launch/plan/memory.h"
#include "launch/plan/sampled_run.h"
#include "launch/plan/traffic.h"

namespace cohort {

// What a machine needs. CPU seconds of one core; the defaults are of the machine of docs/plan.md. This is where a file of measured costs
// comes in.
struct StepCosts {
  double worker_sample = 0;       // reading, forward, backward; 0: as rehearsed here
  double worker_request = 36e-6;  // a pull, push or close with its answer
  double worker_byte = 0.9e-9;    // sent or received
  double server_request = 40e-6;
  double server_byte = 1.5e-9;
  double write_byte = 2.5e-9;        // of a model or a checkpoint
  double round_trip = 200e-6;        // between two processes
  double link_bytes_per_second = 0;  // each way, of each process; 0: no limit
  double disk_bytes_per_second = 0;  // of each server; 0: no limit
  std::uint32_t cores = 0;           // of all processes together; 0: as many as there are threads that work
};

// A resource, and the seconds of a step that it is busy for.
struct ResourceTime {
  std::string resource;
  double seconds = 0;
};

struct StepTime {
  std::vector<ResourceTime> parts;
  std::string binds;                      // the resource that a step waits for longest
  double step = 0;                        // seconds: bsp, of all workers; else until each worker has done one
  double epoch = 0;                       // of training
  double evaluation = 0;                  // of the whole run
  double run = 0;                         // all epochs, evaluation, start, writing the model
  double checkpoint = 0;                  // until all servers have written one
  std::uint32_t cores = 0;                // that were counted on
  double worker_cpu = 0, server_cpu = 0;  // seconds of the whole run, of all of them
};

StepTime PlanStepTime(const RunInputs& inputs, const RunPlan& plan, const SampledRun& sample,
                      const Traffic& traffic, const MemoryPlan& memory, const StepCosts& costs);

struct ClusterSize {
  std::uint32_t servers = 0, workers = 0;
  StepTime time;
  MemoryPlan memory;
};

// The fewest processes, up to 64 workers, whose run takes at most `deadline` seconds; servers: 0: none does, and time.run is what every one takes
// at least. Each candidate that might is rehearsed on a few batches. REQUIRES: this process has one thread. Errors: as TakeSample's.
Result<ClusterSize> SmallestCluster(const RunInputs& inputs, const SampledRun& sample, const StepCosts& costs,
                                    double deadline, const PlanProgress& progress);

// The costs scaled by what a run has measured: its result.json's cpu_seconds over those that are planned for it, for workers and
// servers. Errors (kInvalidInput): no result of a training that ended well; it was too short to tell.
Result<StepCosts> CostsLike(const std::string& run_folder, StepCosts costs, std::uint64_t sample_rows,
                            const PlanProgress& progress);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_STEP_TIME_H_
