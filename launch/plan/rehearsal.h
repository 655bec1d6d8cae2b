// Rehearsal: a worker of the run as it is (worker_job.h), in a process of its own, on a sample of its own batches, against a
// stand-in for the others (stand_in.h). What is learned: the bytes of a batch on each link, the memory that the worker's work
// takes, and the CPU time of a sample. Nothing of it is a model of the worker: it is the worker.
#ifndef COHORT_LAUNCH_PLAN_REHEARSAL_H_
#define COHORT_LAUNCH_PLAN_REHEARSAL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/plan/stand_in.h"
#include "launch/run_plan.h"

namespace cohort {

// One split that is evaluated, as far as it was rehearsed.
struct EvaluationRehearsal {
  Split split = Split::kValid;
  WorkLoad blocks;            // without `once`
  WorkLoad once;              // the dense weights: once for a worker and phase
  std::uint64_t sums = 0;     // bytes of the message at its end
  std::uint64_t control = 0;  // with the scheduler, otherwise; most of it by lease
  std::uint64_t growth = 0;   // memory at its end, at its highest, since the rehearsal began
};

struct Rehearsal {
  std::uint32_t worker = 0;
  WorkLoad whole;                   // training: whole batches; ssp, asp: of leases, all of them
  WorkLoad last;                    // bsp: the epoch's last batch, when it is shorter than the others
  std::vector<double> batch_bytes;  // bsp: of each batch in `whole`, over all links
  std::uint64_t control = 0;        // training: with the scheduler
  double cpu_seconds = 0;           // training: of all its threads, without the stand-in's
  double trained_rows = 0;
  std::uint64_t growth = 0;  // memory in training at its highest
  std::uint64_t raw_bytes =
      0;  // ssp, asp, bsp: of raw rows that a full window would take beyond those that were read
  std::vector<EvaluationRehearsal> evaluations;
  std::uint64_t welcome = 0, heartbeat = 0;  // bytes of messages
};

// Rows of a split of which the fullest worker makes an evaluation: its share of the leases.
std::uint64_t EvaluationShare(const RunPlan& plan, Split split);

// Rehearses `worker` with about sample_rows rows of training over all workers, and as many of each split that is evaluated. REQUIRES:
// this process has one thread (it forks). Errors: the data's; the process ended early; a stop signal.
Result<Rehearsal> Rehearse(const RunInputs& inputs, const RunPlan& plan, std::uint32_t worker,
                           std::uint64_t sample_rows);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_REHEARSAL_H_
