// Where predictions go: evaluation, the score file, or a test. The coordinator puts the workers' blocks in
// order first.
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
  // Rows of the split, each exactly once, in order from row 0, whatever the number of workers. Sizes are
  // checked.
  virtual Status OnBlock(const ScoreBlock& block) = 0;
  // Every row of the split has been handed over.
  virtual Status OnPhaseEnd() = 0;
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_SCORE_SINK_H_
