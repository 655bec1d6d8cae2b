#include "worker/worker_job.h"

#include <memory>
#include <optional>
#include <utility>

#include "common/config.h"
#include "common/dataset.h"
#include "common/model_files.h"
#include "worker/model/kernels.h"
#include "worker/scorer.h"
#include "worker/trainer.h"
#include "worker/worker_loop.h"

namespace cohort {
namespace {

// All that lives as long as the worker takes part.
class Job {
 public:
  Job(WorkerLoop& loop, std::uint32_t index, std::function<void(Counters*)> measure)
      : loop_(loop), index_(index), measure_(std::move(measure)) {}
  ~Job() { loop_.scheduler().SetHeartbeat(nullptr); }  // it refers to this

  Status Run() {
    COHORT_RETURN_IF_ERROR(loop_.WaitUntil([&] { return loop_.scheduler().welcome() != nullptr; }));
    COHORT_RETURN_IF_ERROR(Prepare(*loop_.scheduler().welcome()));
    loop_.scheduler().SetHeartbeat([this] { return MakeHeartbeat(); });
    for (;;) {
      COHORT_ASSIGN_OR_RETURN(const PhaseOrder order, loop_.NextPhase());
      if (order.kind == PhaseKind::kStop) return Stop(order);
      phase_ = order.phase;
      loop_.parameters().BeginPhase(order.phase);
      loop_.scheduler().ConfirmPhase(order, loop_.Now(), loop_.out());
      PhaseDone done;
      done.phase = order.phase;
      COHORT_RETURN_IF_ERROR(Take(order, &done));
      done.counters = MakeCounters();
      loop_.scheduler().SendReliably(std::move(done), loop_.Now(), loop_.out());
    }
  }

  // Confirms the end and gives the confirmation a moment to leave.
  Status Stop(const PhaseOrder& order) {
    loop_.scheduler().ConfirmPhase(order, loop_.Now(), loop_.out());
    (void)loop_.Breathe();
    if (order.reason.empty()) return Status();
    return Status(ErrorCode::kUnavailable, "the run ends: " + order.reason);
  }

 private:
  Status Prepare(const Welcome& welcome) {
    workers_ = welcome.worker_count;
    COHORT_ASSIGN_OR_RETURN(config_,
                            ParseRunConfig(welcome.run_config, "the scheduler's run configuration", ""));
    if (!UseKernels(welcome.kernels.c_str())) {
      return Status(ErrorCode::kUnavailable,
                    "this host cannot run the kernels '" + welcome.kernels + "' that the job uses");
    }
    COHORT_ASSIGN_OR_RETURN(std::unique_ptr<DatasetReader> dataset, DatasetReader::Open(config_.data));
    DatasetInfo trained_on = dataset->info();
    // A run that goes on has the data that it had; its checkpoint may be gone when a dead worker's place is taken.
    if (!welcome.model_path.empty() && !welcome.resume) {
      COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(welcome.model_path));
      COHORT_ASSIGN_OR_RETURN(trained_on, DatasetInfoFromJson(manifest.dataset_info));
    }
    COHORT_ASSIGN_OR_RETURN(spec_, BuildModelSpec(config_, trained_on));
    COHORT_ASSIGN_OR_RETURN(Encoder encoder, Encoder::Create(spec_, dataset->info()));
    reader_ = std::make_unique<BatchReader>(std::move(dataset), std::move(encoder), spec_.tasks.size(),
                                            config_.seed);
    return Status();
  }

  Status Take(const PhaseOrder& order, PhaseDone* done) {
    if (order.kind == PhaseKind::kTrain) {
      if (!trainer_) trainer_ = std::make_unique<Trainer>(spec_, config_, index_, workers_);
      COHORT_ASSIGN_OR_RETURN(done->next_clock, trainer_->Train(order, loop_, *reader_));
      return Status();
    }
    if (!scorer_) scorer_ = std::make_unique<Scorer>(spec_, config_.evaluation.top);
    // In training an absent row is a new one; in scoring it is a default, and counted.
    absent_before_ = loop_.parameters().counters().absent_rows;
    scoring_ = true;
    COHORT_ASSIGN_OR_RETURN(done->evaluation, scorer_->Score(order, loop_, *reader_));
    scoring_ = false;
    absent_scored_ += loop_.parameters().counters().absent_rows - absent_before_;
    done->next_clock = order.first_clock;
    return Status();
  }

  Counters MakeCounters() {
    Counters counters;
    if (trainer_) {
      const TrainProgress& progress = trainer_->progress();
      counters.clock = progress.clock;
      counters.samples = progress.samples;
      counters.loss_sum = progress.loss_sum;
      counters.loss_weight = progress.loss_weight;
      counters.clipped_gradients = trainer_->clipped_gradients();
      const auto& seconds = progress.timer.seconds();
      counters.step_seconds.assign(seconds.begin(), seconds.end());
      counters.step_times = progress.timer.steps().counts();
    }
    if (scorer_) counters.samples += scorer_->samples();
    const ParameterClientCounters& client = loop_.parameters().counters();
    counters.retries = client.retries + loop_.scheduler().retries();
    counters.absent_rows = absent_scored_ + (scoring_ ? client.absent_rows - absent_before_ : 0);
    counters.cached_rows = client.cached_rows;
    counters.clipped_values = client.clipped_values + (trainer_ ? trainer_->clipped_values() : 0);
    counters.queue_depth = loop_.parameters().outstanding();
    if (measure_) measure_(&counters);
    return counters;
  }

  Heartbeat MakeHeartbeat() { return {0, phase_, MakeCounters(), loop_.parameters().Waiting(loop_.Now())}; }

  WorkerLoop& loop_;
  const std::uint32_t index_;
  const std::function<void(Counters*)> measure_;
  std::uint32_t workers_ = 1;
  std::uint32_t phase_ = 0;
  RunConfig config_;
  ModelSpec spec_;
  std::unique_ptr<BatchReader> reader_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Scorer> scorer_;
  bool scoring_ = false;
  std::uint64_t absent_before_ = 0, absent_scored_ = 0;
};

}  // namespace

Status RunWorker(Worker& worker, Pump& pump, std::uint32_t index, std::function<void(Counters*)> measure) {
  WorkerLoop loop(worker, pump);
  worker.scheduler().Start(loop.Now(), loop.out());
  Job job(loop, index, std::move(measure));
  Status status = job.Run();
  if (status.ok() || !worker.scheduler().failure().ok()) return status;
  // The scheduler decides what a failure means for the run; it answers with the stop.
  if (status.code() != ErrorCode::kUnavailable) {
    worker.scheduler().SendReliably(Failure{0, ToString(WorkerNode(index)) + ": " + status.text()},
                                    loop.Now(), loop.out());
  }
  if (const std::optional<PhaseOrder> stop = loop.WaitForStop(std::chrono::seconds(5))) (void)job.Stop(*stop);
  return status;
}

}  // namespace cohort
