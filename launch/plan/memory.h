// The memory that each process of a run takes at its highest, as result.json's peak_memory_bytes measures it (the highest resident
// size, of ru_maxrss): in parts, so that one sees which of them binds.
#ifndef COHORT_LAUNCH_PLAN_MEMORY_H_
#define COHORT_LAUNCH_PLAN_MEMORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "launch/plan/sampled_run.h"
#include "launch/run_plan.h"

namespace cohort {

struct MemoryPart {
  std::string name;
  double bytes = 0;
};

struct ProcessMemory {
  std::string process;  // as result.json names it: "scheduler", "server 0", "worker 1"
  std::vector<MemoryPart> parts;
  double bytes() const;
};

struct MemoryPlan {
  ProcessMemory scheduler;
  std::vector<ProcessMemory> servers, workers;
  double model_rows = 0;        // of the embeddings
  double model_bytes = 0;       // the model's files
  double checkpoint_bytes = 0;  // one checkpoint, with all rows
  double total() const;
  double largest_server() const;
  double largest_worker() const;
};

MemoryPlan PlanMemory(const RunInputs& inputs, const RunPlan& plan, const SampledRun& sample);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_MEMORY_H_
