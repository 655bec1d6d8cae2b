// SimulatedWorker: a worker in virtual time. Its conversations are the real ones (SchedulerClient, ParameterClient); reading
// and computing are CPU seconds that the driver spends for it (worker/trainer.h, batch_reader.h are what it stands for).
//
// A table's rows are represented by few: one key for each slot group, or for each run of neighbouring dense rows, so that
// requests are cut as a run's are and a push has as many parts. How many rows a message stands for, RowsOf says.
#ifndef COHORT_LAUNCH_SIMULATE_SIMULATED_WORKER_H_
#define COHORT_LAUNCH_SIMULATE_SIMULATED_WORKER_H_

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "common/gradient_tree.h"
#include "common/node.h"
#include "common/scheduler_client.h"
#include "launch/simulate/simulated_workload.h"
#include "worker/parameter_client.h"

namespace cohort {

// The same for all workers of a run.
struct SimulatedJob {
  SimulatedWorkload workload;
  Consistency consistency = Consistency::kBsp;
  std::uint32_t slices = 1;
  std::uint32_t batch_size = 1;  // global
  std::uint64_t rows = 0;        // of an epoch

  // The tables as the run has them (one float a row), and by table how many rows a key of it stands for.
  std::vector<TableSpec> tables;
  std::vector<double> rows_of_key;
  std::vector<Buffer> keys;        // of a pull, by table
  std::uint32_t request_rows = 1;  // ParameterClient's, of these keys

  // `request_rows`: of the run (cluster.request_rows).
  static SimulatedJob Make(const SimulatedWorkload& workload, Consistency consistency, std::uint32_t slices,
                           std::uint32_t batch_size, std::uint64_t rows, std::uint32_t request_rows,
                           std::uint32_t shards);
};

// Where a worker's time goes.
enum class Activity : std::uint8_t { kStarting = 0, kReadWait, kPullWait, kCompute, kEndWait, kCount };

class SimulatedWorker : public Node {
 public:
  // `job` must outlive the worker.
  SimulatedWorker(std::uint32_t index, const SimulatedJob& job, SchedulerClient::Options scheduler,
                  ParameterClient::Options parameters, std::uint64_t pid);

  void Start(TimePoint now, Outbox& out) { scheduler_.Start(now, out); }
  void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) override;
  void OnTimer(TimePoint now, Outbox& out) override;
  TimePoint NextTimer() const override;
  Stamp stamp() const override { return scheduler_.stamp(); }

  // CPU seconds to be spent on the reader's thread, then OnRead; nothing: it has nothing to do now.
  std::optional<double> TakeReading();
  void OnRead(TimePoint now, Outbox& out);
  // The same of the main thread, then OnComputed.
  std::optional<double> TakeComputing();
  void OnComputed(TimePoint now, Outbox& out);

  // By how much a push of this sub-tree of slices holds less than all rows of the worker's batch.
  double ShareOf(std::uint16_t node) const;
  // Rows of the batch that it is on, over the usual number.
  double Fullness() const { return fullness_; }

  const Status& failure() const {
    return scheduler_.failure().ok() ? parameters_.failure() : scheduler_.failure();
  }
  bool stopped() const { return stopped_; }
  std::uint64_t samples() const { return samples_; }
  std::uint64_t steps() const { return steps_; }
  // Seconds by Activity, in training phases.
  double seconds(Activity activity) const { return seconds_[static_cast<std::size_t>(activity)]; }
  const ParameterClient& parameters() const { return parameters_; }

 private:
  struct Batch {
    Clock clock = 0;
    std::uint32_t rows = 0;  // own
    std::uint32_t global_rows = 0;
  };
  struct Pulled {
    Batch batch;
    std::vector<ParameterClient::Ticket> tickets;
    std::vector<std::vector<float>> values;
    bool computing = false;
  };

  void Advance(TimePoint now, Outbox& out);
  bool BeginPhase(TimePoint now, Outbox& out);
  bool KeepLeasesComing(TimePoint now, Outbox& out);
  bool NextToRead(Batch* batch);
  bool Fetch(TimePoint now, Outbox& out);
  bool Train(TimePoint now, Outbox& out);
  void Push(const Pulled& pulled, TimePoint now, Outbox& out);
  void Recycle();
  void Note(TimePoint now);
  bool Bsp() const { return job_.consistency == Consistency::kBsp; }
  bool PullsDone(const Pulled& pulled) const;

  const std::uint32_t index_;
  const SimulatedJob& job_;
  SchedulerClient scheduler_;
  ParameterClient parameters_;
  Buffer gradients_;  // zeros, for the widest push

  bool has_view_ = false, training_ = false, stopped_ = false;
  PhaseOrder phase_;
  SliceRange mine_;
  std::vector<std::uint16_t> nodes_;
  Clock next_clock_ = 0;
  // What is still to be read: rows of the epoch (bsp), or of the lease.
  std::uint64_t unread_ = 0;
  Clock read_clock_ = 0;
  std::uint32_t read_rows_ = 0;  // of a batch
  bool asked_ = false, exhausted_ = false, closing_ = false;
  std::optional<Batch> being_read_;
  bool read_taken_ = false;
  std::deque<Batch> ready_;
  std::deque<std::unique_ptr<Pulled>> pulled_;  // at most one in bsp, else two
  std::vector<std::unique_ptr<Pulled>> free_;
  bool compute_taken_ = false;
  double fullness_ = 1;
  std::uint64_t samples_ = 0, steps_ = 0;

  Activity activity_ = Activity::kStarting;
  TimePoint since_{};
  std::array<double, static_cast<std::size_t>(Activity::kCount)> seconds_{};
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_SIMULATED_WORKER_H_
