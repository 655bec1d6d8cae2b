// Where predictions go, and what evaluation sums them up to: the score file, the metrics, or a test. The coordinator puts
// the workers' blocks in order first.
#ifndef COHORT_SCHEDULER_SCORE_SINK_H_
#define COHORT_SCHEDULER_SCORE_SINK_H_

#include "common/message.h"
#include "common/status.h"

namespace cohort {

class ScoreSink {
 public:
  virtual ~ScoreSink() = default;
  // A phase of kind kEvaluate or kScore begins.
  virtual Status OnPhase(const PhaseOrder& order) = 0;
  // kScore: rows of the split, each exactly once, in order from row 0, whatever the number of workers. Sizes are
  // checked.
  virtual Status OnBlock(const ScoreBlock& block) = 0;
  // kEvaluate: what the rows of one worker come to, once for each worker (message.h, PhaseDone).
  virtual Status OnEvaluation(const Buffer& sums) = 0;
  // kScore: every row of the split has been handed over. kEvaluate: every worker's sums have; whether they cover the
  // split is the sink's to check.
  virtual Status OnPhaseEnd() = 0;

  // Early stopping. Whether the newest evaluation of the valid split is the best so far: steps that are only for the best
  // (PlanStep::only_if_best) are then taken.
  virtual bool BestSoFar() const { return true; }
  // Whether no further epoch is to be trained: the run ends well before the next one.
  virtual bool TrainedEnough() const { return false; }
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_SCORE_SINK_H_
