// SampledRun: what a plan knows of a run from its own data: each kind of worker rehearsed (rehearsal.h), the rows that its tables will
// have, counted, and what the sums of its evaluations take. traffic.h and memory.h make bytes of it.
#ifndef COHORT_LAUNCH_PLAN_SAMPLED_RUN_H_
#define COHORT_LAUNCH_PLAN_SAMPLED_RUN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/plan/evaluation_rehearsal.h"
#include "launch/plan/rehearsal.h"
#include "launch/run_plan.h"

namespace cohort {

// Workers that do the same work but for the rows: in bsp those with as many slices, cut into sub-trees of the same sizes.
struct WorkerKind {
  std::vector<std::uint32_t> workers;  // the first one is rehearsed
  Rehearsal rehearsal;
};

struct SampledRun {
  std::vector<WorkerKind> kinds;     // evaluations: in the first one's rehearsal
  std::vector<double> rows;          // by embedding table: different keys of the train split
  std::vector<double> index;         // by embedding table: bytes of its index, over all shards
  bool exact_rows = true;            // else a sample's: DistinctCount
  EvaluationMemory evaluation;       // of the largest split that is evaluated; zeros: none is
  EvaluationMemory rehearsed;        // of as many rows as the rehearsal had
  std::uint64_t evaluated_rows = 0;  // of that split, of one worker

  const Rehearsal& first() const { return kinds.front().rehearsal; }
};

// Of what is counted, to be scaled.
inline double Real(std::uint64_t n) { return static_cast<double>(n); }

using PlanProgress = std::function<void(const std::string&)>;

// Each kind of worker, rehearsed. REQUIRES: this process has one thread.
Result<std::vector<WorkerKind>> RehearseWorkers(const RunInputs& inputs, const RunPlan& plan,
                                                std::uint64_t sample_rows, const PlanProgress& progress);

// `sample_rows`: of training, over all workers. The whole train split is read once for its keys. REQUIRES: this process has one thread.
// Errors: the data's, a stop signal.
Result<SampledRun> TakeSample(const RunInputs& inputs, const RunPlan& plan, std::uint64_t sample_rows,
                              const PlanProgress& progress);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_SAMPLED_RUN_H_
