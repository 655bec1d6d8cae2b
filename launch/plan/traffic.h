// What a run sends, as result.json's traffic_bytes counts it: the frames of all messages, each once, without the transport's own
// bytes. From a rehearsed sample, whose messages the protocol itself has cut.
#ifndef COHORT_LAUNCH_PLAN_TRAFFIC_H_
#define COHORT_LAUNCH_PLAN_TRAFFIC_H_

#include <string>
#include <vector>

#include "launch/plan/sampled_run.h"
#include "launch/run_plan.h"

namespace cohort {

// Bytes of a process.
struct Flow {
  double sent = 0, received = 0;
};

struct Traffic {
  // Bytes of the whole run.
  double training = 0;     // pulls, pushes, closes and their answers, of all epochs
  double replication = 0;  // shards to their backups, and what those answer
  double evaluation = 0;   // rows that are pulled, and the sums
  double control = 0;      // with the scheduler, but for heartbeats
  double total() const { return training + replication + evaluation + control; }
  double heartbeats_per_second = 0;  // of all members, with their answers

  // Of one training step: in bsp of all workers; else of one, and of the servers while each worker does one.
  std::vector<Flow> workers, servers;
  double largest_link = 0;  // between one worker and one server, both ways
  double step_messages = 0;

  double steps = 0;  // of an epoch: clocks; else batches of all workers
  double sampling_error =
      0;  // standard error of `training`, as a share of it; 0: no sample, everything was rehearsed
};

Traffic PlanTraffic(const RunInputs& inputs, const RunPlan& plan, const SampledRun& sample);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_TRAFFIC_H_
