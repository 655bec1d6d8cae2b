// RunRecorder: what the scheduler keeps of a run: metrics.jsonl as it goes, evaluations, predictions to be written, the
// model's manifest, and the numbers of result.json.
#ifndef COHORT_LAUNCH_RUN_RECORDER_H_
#define COHORT_LAUNCH_RUN_RECORDER_H_

#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/evaluation_sums.h"
#include "common/model_files.h"
#include "common/status.h"
#include "launch/checkpoints.h"
#include "launch/run_plan.h"
#include "scheduler/early_stopping.h"
#include "scheduler/evaluation.h"
#include "scheduler/metrics_json.h"
#include "scheduler/result.h"
#include "scheduler/run_observer.h"
#include "scheduler/score_sink.h"
#include "scheduler/score_writer.h"

namespace cohort {

class RunRecorder : public ScoreSink, public RunObserver {
 public:
  // Files go to `folder`, which exists. `inputs` must outlive the recorder.
  RunRecorder(const RunInputs& inputs, Job job, std::string folder);
  ~RunRecorder() override;

  // An error later on (a full disk) ends up in failure().
  Status Open();
  // The run goes on from a checkpoint (checkpoints.h): takes over what it had come to before the epoch that it
  // is in. Before Open.
  Status Resume(const RunProgress& progress, std::uint32_t epoch);
  // What it hears from here to EndReplay is what another scheduler has heard before (Coordinator::Replay): it comes to the same
  // numbers, but files, which are there, are left alone; EndReplay makes good what that one did not come to do. Before Open.
  void BeginReplay() { replaying_ = true; }
  Status EndReplay();

  Status OnPhase(const PhaseOrder& order) override;
  Status OnBlock(const ScoreBlock& block) override;
  Status OnEvaluation(const Buffer& sums) override;
  Status OnPhaseEnd() override;
  bool BestSoFar() const override { return !stopping_ || stopping_->improved(); }
  bool TrainedEnough() const override { return stopping_ && stopping_->exhausted(); }
  void OnSample(const MetricsSample& sample) override;
  void OnPhaseEnd(const PhaseSummary& summary) override;
  // Makes the parts the model: writes its manifest, then removes the parts that a former one named.
  void OnSnapshot(const std::string& directory, const std::vector<SnapshotDone>& parts,
                  const std::string& kernels) override;
  // Makes the parts a checkpoint, and removes those that are too many.
  void OnCheckpoint(const RunPosition& position, const std::vector<CheckpointDone>& parts,
                    const std::string& kernels) override;
  void OnHang(const std::string& page) override;
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

  // The thresholds of this evaluation; the train job's valid split, or a model without any, chooses them.
  void ChooseThresholds();
  std::map<std::string, double> Thresholds() const;  // by task, of those that have one

  ModelManifest Manifest(const std::string& kernels) const;  // without parts
  Status WriteModel(const std::string& directory, const std::vector<SnapshotDone>& parts,
                    const std::string& kernels);

  const RunInputs& inputs_;
  const std::vector<TaskInfo> tasks_;
  const std::string folder_;
  File metrics_;
  File spill_;
  PhaseOrder order_;
  std::optional<EvaluationSums> sums_;
  std::vector<double> thresholds_;  // by task, NaN: none
  std::vector<SpilledScores> spilled_;
  std::string model_folder_;
  std::optional<ModelManifest> manifest_;  // of the model that was written last
  std::optional<EarlyStopping> stopping_;
  RunResult result_;
  bool resumed_ = false;
  bool replaying_ = false;
  std::vector<std::string> replaced_parts_;  // files of former models, while replaying
  struct HeardCheckpoint {
    RunPosition position;
    std::vector<CheckpointDone> parts;
    std::string kernels;
  };
  std::optional<HeardCheckpoint> newest_checkpoint_;  // while replaying
  int hangs_ = 0;  // reported
  std::vector<EpochEvaluation> evaluated_;                          // since the last line of metrics.jsonl
  std::uint32_t workers_replaced_ = 0, failovers_ = 0, moved_ = 0;  // as of the newest sample
  std::uint64_t samples_ = 0;
  double phase_seconds_ = 0;
  Status failure_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_RUN_RECORDER_H_
