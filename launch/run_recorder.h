// RunRecorder: what the scheduler keeps of a run: metrics.jsonl as it goes, evaluations, predictions to be written, and
// the numbers of result.json.
#ifndef COHORT_LAUNCH_RUN_RECORDER_H_
#define COHORT_LAUNCH_RUN_RECORDER_H_

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/run_plan.h"
#include "scheduler/evaluation.h"
#include "scheduler/result.h"
#include "scheduler/run_observer.h"
#include "scheduler/score_sink.h"
#include "scheduler/score_writer.h"

namespace cohort {

class RunRecorder : public ScoreSink, public RunObserver {
 public:
  // Files go to `folder`, which exists.
  RunRecorder(const RunInputs& inputs, Job job, std::string folder);
  ~RunRecorder() override;

  // An error later on (a full disk) ends up in failure().
  Status Open();

  Status OnPhase(const PhaseOrder& order) override;
  Status OnBlock(const ScoreBlock& block) override;
  Status OnPhaseEnd() override;
  void OnSample(const MetricsSample& sample) override;
  void OnPhaseEnd(const PhaseSummary& summary) override;
  void OnEvent(const std::string& text) override;
  void OnWarning(const std::string& text) override;

  const Status& failure() const { return failure_; }
  RunResult& result() { return result_; }
  const std::vector<SpilledScores>& spilled() const { return spilled_; }

 private:
  struct FileCloser {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, FileCloser>;

  std::vector<TaskInfo> tasks_;
  const std::string folder_;
  File metrics_;
  File spill_;
  PhaseOrder order_;
  std::optional<Evaluation> evaluation_;
  std::vector<SpilledScores> spilled_;
  RunResult result_;
  std::uint64_t samples_ = 0;
  double phase_seconds_ = 0;
  Status failure_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_RUN_RECORDER_H_
