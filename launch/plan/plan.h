// START HERE for `cohort plan`: what a run will take, from its run file and its data, before it is begun. docs/plan.md says what is
// predicted, how, and how well.
//
//   SampledRun    each kind of worker is rehearsed on a sample of its batches, keys are counted      sampled_run.h
//   Traffic      bytes of the run, and of a step on each link                                       traffic.h
//   MemoryPlan   each process's memory at its highest, in parts                                     memory.h
//   StepTime     how long that takes on a machine of given costs, and what binds                    step_time.h
#ifndef COHORT_LAUNCH_PLAN_PLAN_H_
#define COHORT_LAUNCH_PLAN_PLAN_H_

#include <cstdint>
#include <string>

#include "common/config.h"
#include "common/status.h"
#include "launch/plan/memory.h"
#include "launch/plan/sampled_run.h"
#include "launch/plan/step_time.h"
#include "launch/plan/traffic.h"

namespace cohort {

struct PlanOptions {
  std::uint64_t sample_rows = 65536;  // of training, rehearsed over all workers
  StepCosts costs;
  double price_per_hour = 0;  // of a core; 0: nobody asks
  double deadline = 0;        // seconds, of the whole run; 0: none
};

struct Forecast {
  RunInputs inputs;
  RunPlan plan;
  SampledRun sample;
  Traffic traffic;
  MemoryPlan memory;
  StepTime time;
  double price_per_hour = 0, deadline = 0;
  ClusterSize smallest;  // with a deadline
  bool missed() const { return deadline > 0 && smallest.servers == 0; }  // by every cluster that was tried
  double CostOf(const StepTime& of) const {
    return of.epoch / 3600 * of.cores * price_per_hour;
  }  // of an epoch
};

// REQUIRES: this process has one thread (it forks). Errors: the run file's or the data's (kInvalidInput); a stop signal.
Result<Forecast> ForecastRun(const RunConfig& config, const PlanOptions& options,
                             const PlanProgress& progress);

// Bytes of memory that the fullest of `hosts` hosts needs for the run's processes, dealt out in turn: the scheduler, then
// servers, then workers. REQUIRES: hosts > 0.
double MemoryPerHost(const MemoryPlan& memory, std::uint32_t hosts);

// For people: tables; for programs: one JSON object.
std::string ToText(const Forecast& forecast);
std::string ToJson(const Forecast& forecast);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_PLAN_H_
