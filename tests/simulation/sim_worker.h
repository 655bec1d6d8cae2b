// A worker as events: what worker/trainer.h and worker/scorer.h do with blocking calls, on the same SchedulerClient and
// ParameterClient, with the workload's gradients in place of a model.
#ifndef COHORT_TESTS_SIMULATION_SIM_WORKER_H_
#define COHORT_TESTS_SIMULATION_SIM_WORKER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/gradient_tree.h"
#include "common/node.h"
#include "common/random.h"
#include "common/scheduler_client.h"
#include "tests/support/workload.h"
#include "worker/parameter_client.h"

namespace cohort {

// What the run is about; the same for all workers.
struct SimPlan {
  Workload workload;
  std::uint32_t workers = 1, slices = 1, batch_size = 1;
  std::uint32_t more_workers = 0;  // that may come later
  Consistency consistency = Consistency::kBsp;
  std::uint32_t staleness = 0;
  std::uint64_t train_rows = 0, test_rows = 0;
  bool positions = false;  // pushes name their rows by positions of the batch's pulls

  std::uint64_t BatchesPerEpoch() const { return (train_rows + batch_size - 1) / batch_size; }
};

// Each owner (bsp: a slice; else a worker) adds 1 to its marker rows with every clock in which it has data. What a pull
// shows of them tells which clocks it reflects. Whole-number workloads only, and tables whose rows stay.
class Markers {
 public:
  // `none`: nobody adds anything, and nothing is judged.
  explicit Markers(const SimPlan& plan, bool none = false);

  std::vector<Key> KeysOfOwner(std::uint32_t owner) const;
  const std::vector<Key>& all() const { return all_; }
  void Issued(std::uint32_t owner, Clock clock) {
    std::vector<Clock>& clocks = owners_[owner].clocks;
    if (clocks.empty() || clocks.back() < clock)
      clocks.push_back(clock);  // else a replaced worker's, done once more
  }
  // A worker has no more data in this phase; a new phase begins for it.
  void Exhausted(std::uint32_t worker, bool exhausted) { owners_[worker].exhausted = exhausted; }
  std::size_t CountOf(std::uint32_t owner) const { return owners_[owner].clocks.size(); }
  // Whether the rows that a pull at `clock` has brought may be what it brought. Empty: yes. `increase` is how often the
  // owner's marker has been counted in the row.
  std::string Judge(Clock clock, std::uint32_t owner, float increase) const;
  std::uint32_t owners() const { return static_cast<std::uint32_t>(owners_.size()); }

 private:
  struct Owner {
    std::vector<Clock> clocks;
    bool exhausted = false;
  };
  const SimPlan& plan_;
  std::vector<Owner> owners_;
  std::vector<Key> all_;
};

// What each worker has pushed at each clock, and in which phase, outside bsp.
struct JournalledPush {
  std::uint32_t phase = 0;
  PlainTables gradients;
};
using PushJournal = std::map<std::pair<std::uint32_t, Clock>, JournalledPush>;

// What an evaluation comes to in the simulation: the rows themselves.
struct EvaluatedRow {
  std::uint64_t row = 0;
  float prediction = 0;
  std::uint32_t unused = 0;
};

class SimWorker : public Node {
 public:
  SimWorker(std::uint32_t index, const SimPlan& plan, Markers* markers, SchedulerClient::Options scheduler,
            ParameterClient::Options parameters, ParameterClientFaults faults, Duration max_compute,
            std::uint64_t seed, bool replaces, std::uint64_t pid);

  void Start(TimePoint now, Outbox& out) { scheduler_.Start(now, out); }
  void KeepJournal(PushJournal* journal) { journal_ = journal; }
  void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) override;
  void OnTimer(TimePoint now, Outbox& out) override;
  TimePoint NextTimer() const override;
  Stamp stamp() const override { return scheduler_.stamp(); }

  std::uint64_t pid() const { return pid_; }
  bool stopped() const { return state_ == State::kStopped; }
  const std::string& violation() const { return violation_; }
  const Status& failure() const;
  const ParameterClient& parameters() const { return client_; }
  std::string Waiting(TimePoint now) const;
  std::uint64_t clocks_without_data() const { return clocks_without_data_; }

 private:
  enum class State : std::uint8_t { kIdle, kTraining, kScoring, kStopped };
  struct Batch {
    Clock clock = 0;
    std::uint64_t begin = 0, end = 0;  // rows; bsp: of the whole global batch
    std::uint64_t lease = 0;           // scoring
    bool last_of_lease = false;
    bool has_data = true;
    std::vector<Key> keys;
    std::vector<float> rows, dense;
    ParameterClient::Ticket tickets[2] = {};
    bool computing = false;
    TimePoint computed = kNever;
  };

  void Advance(TimePoint now, Outbox& out);
  bool BeginPhase(TimePoint now, Outbox& out);
  bool ContinueTraining(TimePoint now, Outbox& out);
  bool ContinueScoring(TimePoint now, Outbox& out);
  bool AskForData(TimePoint now, Outbox& out);
  bool Fetch(AbsentRow absent, TimePoint now, Outbox& out);
  void PushGradients(const Batch& batch, TimePoint now, Outbox& out);
  void PushOne(const Batch& batch, std::uint16_t node, TableId table, const GradientRows& rows,
               std::span<const PlainRows* const> summed, TimePoint now, Outbox& out);
  void CheckMarkers(const Batch& batch);
  // Scoring: sends them; evaluation: keeps them for the end of the phase.
  void TakePredictions(const Batch& batch, TimePoint now, Outbox& out);
  void FinishPhase(TimePoint now, Outbox& out);
  Lookup LookupOf(const Batch& batch) const;
  // Its slices in this phase, in bsp.
  SliceRange Mine() const;
  bool Bsp() const { return plan_.consistency == Consistency::kBsp; }

  const std::uint32_t index_;
  const bool replaces_;  // a dead one
  const std::uint64_t pid_;
  const SimPlan& plan_;
  Markers* const markers_;
  const Duration max_compute_;
  RandomStream random_;
  SchedulerClient scheduler_;
  ParameterClient client_;
  bool has_view_ = false;
  State state_ = State::kIdle;
  PhaseOrder phase_;
  Clock next_clock_ = 0;
  // bsp: batches of the epoch not yet fetched; else what is left of the lease.
  std::uint64_t next_row_ = 0, end_row_ = 0;
  std::uint32_t batch_rows_ = 0;
  std::uint64_t lease_ = 0;
  bool asked_ = false, exhausted_ = false, closing_ = false;
  std::deque<std::unique_ptr<Batch>> batches_;
  std::uint64_t clocks_without_data_ = 0, rows_done_ = 0;
  std::vector<EvaluatedRow> evaluated_;
  PushJournal* journal_ = nullptr;
  std::string violation_;
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_WORKER_H_
