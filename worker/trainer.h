// START HERE. Trainer: a worker's share of a training phase. Step() reads like the algorithm: pull, forward
// and backward slice by slice, push, close the clock.
#ifndef COHORT_WORKER_TRAINER_H_
#define COHORT_WORKER_TRAINER_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/config.h"
#include "common/duration_histogram.h"
#include "common/message.h"
#include "common/status.h"
#include "worker/batch_reader.h"
#include "worker/model/model.h"
#include "worker/object_pool.h"
#include "worker/occurrences.h"
#include "worker/pulled_batch.h"
#include "worker/slice_sum.h"
#include "worker/worker_loop.h"

namespace cohort {

// Cuts the time of a training phase into parts, one behind the other: nothing is counted twice, and the parts add up to
// the time from Start to the last Lap.
//   read, distinct   waiting for the reader's next batch, divided as the reader's own time on it was: rows read and
//                    encoded, keys made distinct. What it does while the worker computes costs nothing and is not here.
//   pull_wait        asking for rows, and waiting for them
//   forward          the dense weights taken over, forward passes and losses
//   backward         backward passes, the sums over slices, and messages moved between them; a slow worker's handicap
//   push_wait        handing over pushes, closing clocks, and waiting at the end until all is acknowledged
class StepTimer {
 public:
  using Time = std::chrono::steady_clock::time_point;
  void Start(Time now = std::chrono::steady_clock::now()) { last_ = step_began_ = now; }
  // The time since the last lap went into `part`.
  void Lap(StepPart part, Time now = std::chrono::steady_clock::now());
  // Read and distinct; null: no batch came.
  void LapOfBatch(const Batch* batch, Time now = std::chrono::steady_clock::now());
  // A step ends with the last lap; the next one begins.
  void EndStep();
  const auto& seconds() const { return seconds_; }
  const DurationHistogram& steps() const { return steps_; }  // from the end of one to the end of the next
  double Sum(StepPart part) const { return seconds_[static_cast<std::size_t>(part)]; }

 private:
  Time last_{}, step_began_{};
  DurationHistogram steps_;
  std::array<double, static_cast<std::size_t>(StepPart::kCount)> seconds_{};
};

// What a training phase has done so far.
struct TrainProgress {
  Clock clock = 0;
  std::uint64_t samples = 0;
  std::vector<double> loss_sum, loss_weight;  // by model task, of this phase
  StepTimer timer;
};

// One thread.
class Trainer {
 public:
  // `spec` and `config` must outlive the trainer.
  // `workers`: at the run's start.
  Trainer(const ModelSpec& spec, const RunConfig& config, std::uint32_t worker, std::uint32_t workers);

  // Takes part in a training phase until it ends: in bsp all clocks of the epoch, in ssp and asp leases while
  // there are any. Returns the first clock not used.
  Result<Clock> Train(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader);

  const TrainProgress& progress() const { return progress_; }
  std::uint64_t clipped_values() const { return sum_.clipped(); }
  std::uint64_t clipped_gradients() const { return clipped_gradients_; }  // of slices, by train.clip_norm

 private:
  Result<Clock> TrainBsp(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader);
  Result<Clock> TrainLeased(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader);
  // Begins the pull of a batch's rows.
  void StartPull(PulledBatch* pulled, std::unique_ptr<Batch> batch, WorkerLoop& loop);
  // Computes the gradients of a pulled batch, clips them, pushes them and closes its clock.
  Status Step(const PulledBatch& pulled, WorkerLoop& loop);
  void Push(const PulledBatch& pulled, const SliceSum::Part& part, WorkerLoop& loop);
  // An experiment's handicap (cluster.slow_worker): waits as if computing had taken slow_factor times as
  // long.
  Status SlowDown(Duration computed, WorkerLoop& loop);

  const ModelSpec& spec_;
  const RunConfig& config_;
  const std::uint32_t worker_;
  const std::uint32_t slices_;             // of a batch: all workers' (bsp), or our own
  std::uint32_t place_ = 0, workers_ = 1;  // among those who take part in the phase
  Model<float> model_;
  SliceSum sum_;
  Occurrences occurrences_;
  Buffer dense_keys_;
  std::vector<ObjectPool<std::vector<Key>>> keys_pools_;  // of pushes by keys, by table
  std::vector<double> slice_loss_;
  std::vector<std::span<float>> gradient_pieces_;  // of a slice: the dense weights', then each table's
  TrainProgress progress_;
  std::uint64_t clipped_gradients_ = 0;
};

// Rows of a slice in training, at most: of the global batch (bsp), or of the worker's share of it.
std::uint32_t SliceRows(const RunConfig& config, std::uint32_t workers);

}  // namespace cohort

#endif  // COHORT_WORKER_TRAINER_H_
