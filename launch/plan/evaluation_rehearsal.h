// What the sums of an evaluation take (common/evaluation_sums.h), at the worker that makes them and at the scheduler that merges
// them: measured, in processes of their own, on rows drawn at random. So a split need not be predicted to know it.
#ifndef COHORT_LAUNCH_PLAN_EVALUATION_REHEARSAL_H_
#define COHORT_LAUNCH_PLAN_EVALUATION_REHEARSAL_H_

#include <cstdint>
#include <vector>

#include "common/dataset.h"
#include "common/score_sketch.h"
#include "common/status.h"

namespace cohort {

struct EvaluationMemory {
  double worker = 0;     // bytes, at their highest
  double scheduler = 0;  // with all workers' messages waiting at once
  double message = 0;    // bytes that a worker sends
};

// `rows`: of a worker; `splits`: that are evaluated, 1 to 3. `distinct`: different predictions with their labels, as a share of the rows. REQUIRES: this process has
// one thread (it forks).
Result<EvaluationMemory> RehearseEvaluation(const std::vector<TaskInfo>& tasks,
                                            const std::vector<std::uint32_t>& top, std::uint64_t rows,
                                            std::uint32_t workers, std::uint32_t splits, double distinct);

// How many cells `rows` rows of these tasks fill, if each fills its own, and the bytes of one.
std::size_t SketchesOf(const std::vector<TaskInfo>& tasks);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_EVALUATION_REHEARSAL_H_
