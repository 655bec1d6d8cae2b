// START HERE. Coordinator: the scheduler's state machine. It gathers the members, tells them what the run is
// (Welcome), leads everyone through the plan's steps, hands out leases, collects predictions and counters,
// and decides how the run ends. It sees no socket, thread, clock or file: launch/scheduler_main.cc drives it
// with ZeroMQ, tests with messages.
//
// A phase: the order goes to all shards; when all have confirmed, to all workers; when all workers are done
// (and, in scoring, every row's prediction is here) the next step begins, at the highest
// next_clock of the workers. Anything that goes wrong (a Failure, a limit passed) decides the run as failed:
// everyone is told to stop, and those who confirm within RunPlan::stop are waited for.
//
// A worker that dies, or is silent for too long, is replaced if the plan allows it (coordinator_recovery.cc): every shard
// refuses its messages from then on, and tells how far it came; another process registers in its place and goes on
// from the lowest clock that is not closed at some shard. A shard's place is taken by its backup (coordinator_backup.cc);
// without, its death ends the run, and whoever started it may start it again from its last checkpoint. Another coordinator may
// take this one's place (coordinator_takeover.cc).
#ifndef COHORT_SCHEDULER_COORDINATOR_H_
#define COHORT_SCHEDULER_COORDINATOR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/message.h"
#include "common/node.h"
#include "common/status.h"
#include "scheduler/cluster_change.h"
#include "scheduler/leases.h"
#include "scheduler/membership.h"
#include "scheduler/placement.h"
#include "scheduler/plan.h"
#include "scheduler/row_order.h"
#include "scheduler/run_journal.h"
#include "scheduler/run_observer.h"
#include "scheduler/score_sink.h"

namespace cohort {

class Coordinator : public Node {
 public:
  // `sink` and `observer` may be null and must outlive the coordinator.
  Coordinator(RunPlan plan, ScoreSink* sink, RunObserver* observer);

  void Start(TimePoint now);
  void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) override;
  void OnTimer(TimePoint now, Outbox& out) override;
  TimePoint NextTimer() const override;
  Stamp stamp() const override;

  // Ends the run as failed: a signal, a full disk.
  void Abort(const Status& reason, TimePoint now, Outbox& out);
  // The operating system says that a member's process is gone: no need to wait for its silence.
  void OnProcessDeath(NodeId node, TimePoint now, Outbox& out);
  // Begins a change of who takes part; one at a time. kInvalidInput: why not, and what to do.
  Status BeginChange(const ClusterChange& change, TimePoint now, Outbox& out);
  // What the change under way still waits for; nothing: none is under way.
  std::optional<std::string> ChangeWaitsFor() const;
  // How the newest change that is over has ended.
  const Status& change_verdict() const { return change_verdict_; }
  // It has been told to stop, on purpose.
  bool Leaves(NodeId node) const { return leaving_.contains(node); }

  // Writes down what happens from now on (coordinator_takeover.cc). `journal` must outlive the coordinator.
  void KeepJournal(RunJournal* journal) { journal_ = journal; }
  // In the place of a dead scheduler, after Start and before anything else: what that one wrote down, in order; then
  // TakeOver, once. `sink` and `observer` hear all of it again. REQUIRES: the plan of the dead one, but for a higher term.
  void Replay(JournalEntry entry);
  void TakeOver(TimePoint now);

  // The verdict is known; members may still be ending.
  bool decided() const { return state_ >= State::kStopping; }
  const Status& verdict() const { return verdict_; }
  // The verdict is the death of a process: the run can go on from its last checkpoint.
  bool recoverable() const { return recoverable_; }
  std::uint32_t replaced() const { return replaced_; }  // workers
  std::uint32_t failovers() const { return failovers_; }  // shards whose backups took their places
  bool BackupIsReady(std::uint32_t shard) const { return ready_backups_.contains(shard); }
  std::uint32_t moved() const { return moved_; }                  // shards, on purpose
  std::uint32_t backups_built() const { return backups_built_; }  // the first ones included
  // Everyone has confirmed the end, or had the time to.
  bool finished() const { return state_ == State::kFinished; }

  // Messages of other runs, of replaced processes and of nodes that are no members: dropped.
  std::uint64_t ignored_messages() const { return ignored_messages_; }
  const Membership& membership() const { return membership_; }
  const Leases& leases() const { return leases_; }
  const std::string& kernels() const { return kernels_; }  // the common path; empty until all have registered
  Clock next_clock() const { return next_clock_; }
  // What the run waits for now: "phase 2 (train, epoch 1): worker 0, worker 3".
  std::string WaitingFor() const;
  // The state of the run at `now`, for the sample of each second and for the end.
  MetricsSample Sample(TimePoint now) const;

 private:
  static constexpr Duration kSampleInterval = std::chrono::seconds(1);

  enum class State : std::uint8_t {
    kRegistering,
    kOrderingShards,
    kRunning,
    kSnapshot,
    kStopping,
    kFinished
  };
  struct PendingOrder {
    Message message;
    RequestId id = 0;
    TimePoint next_retry{};
    TimePoint deadline{};
  };
  // A training phase that was ordered.
  struct TrainPhase {
    std::uint32_t phase = 0;
    std::size_t step = 0;
    Clock first_clock = 0;
    LeaseJournal leases;  // when it had ended; of the last one only
  };
  // Between the death of a worker and the first order to its replacement.
  struct Fence {
    RequestId id = 0;
    std::set<std::uint32_t> shards;  // that have not confirmed
    TimePoint next_retry{};
    TimePoint deadline{};
    bool in_training = false;       // it had a part of the training phase left
    Clock closed = kClockInfinity;  // the lowest of the shards'
    // Or between the arrival of a worker in the middle of a phase and its first order (coordinator_workers.cc).
    bool joins = false;
    Clock highest = -1;  // of the shards' closed clocks
    Clock from = -1;     // that it is to count as having closed
  };

  void OnRegister(const Stamp& from, Member* member, Register message, TimePoint now, Outbox& out);
  void OnHeartbeat(Member& member, Heartbeat message, TimePoint now, Outbox& out);
  void OnPhaseReply(Member& member, const PhaseReply& message, TimePoint now, Outbox& out);
  void OnPhaseDone(Member& member, PhaseDone message, TimePoint now, Outbox& out);
  void OnLeaseRequest(const Member& member, const LeaseRequest& message, Outbox& out);
  void OnScoreBlock(Member& member, ScoreBlock message, TimePoint now, Outbox& out);
  void OnSnapshotDone(Member& member, SnapshotDone message, TimePoint now, Outbox& out);
  void OnCheckpointDone(const Member& member, CheckpointDone message, Outbox& out);
  void OnFenceDone(const Member& member, const FenceDone& message, TimePoint now, Outbox& out);

  void SendWelcome(NodeId node, RequestId id, Outbox& out) const;
  void NextStep(TimePoint now, Outbox& out);
  void OrderWorkers(TimePoint now, Outbox& out);
  void FinishPhaseIfDone(TimePoint now, Outbox& out);
  void GrantWaitingLeases(Outbox& out);
  bool MayGrant() const;
  // A member is dead: replaces it, or ends the run.
  void OnDeath(Member& member, const std::string& how, TimePoint now, Outbox& out);
  void FailMember(const Member& member, const std::string& how, TimePoint now, Outbox& out);
  bool Replaceable(const Member& member) const;
  void Replace(Member& member, TimePoint now, Outbox& out);
  // Where the run was when the checkpoint of these parts was made; nothing: nowhere that it could go on from.
  std::optional<RunPosition> PositionOf(const std::vector<CheckpointDone>& parts) const;
  // ssp, asp: orders a checkpoint when it is time.
  void OrderCheckpoint(TimePoint now, Outbox& out);
  void ResumePhase();
  // ---- backups (coordinator_backup.cc)
  void Notify(NodeId to, Message message, TimePoint now, Outbox& out);
  void DropNotices(NodeId to);
  void OrderBackup(std::uint32_t shard, TimePoint now, Outbox& out);
  void AdmitBackup(Member& member, TimePoint now, Outbox& out);
  void OnBackupReady(const Member& member, const BackupReady& message, TimePoint now, Outbox& out);
  bool CanFailOver(const Member& shard) const;
  void FailOver(Member& shard, TimePoint now, Outbox& out);
  void PromoteBackup(Member& shard, TimePoint now, Outbox& out);
  void LoseBackup(Member& backup, const std::string& how, TimePoint now, Outbox& out);
  void AdmitPromoted(Member& member, TimePoint now, Outbox& out);
  void FollowBackups(TimePoint now, Outbox& out);
  void OrderSnapshot(Member& member, TimePoint now, Outbox& out);

  // ---- the journal (coordinator_takeover.cc)
  bool Repeats(NodeId from, const Message& message) const;
  void Record(const Stamp& from, const Message& message, TimePoint now);
  void RecordDeath(const Member& member, const std::string& how, TimePoint now);
  void RecordChange(JournalEntry::Kind kind, NodeId node, const std::string& text, TimePoint now);
  // ---- changes of who takes part (coordinator_elastic.cc)
  void NotePlaces();
  std::uint32_t SeatOf(std::uint32_t shard) const;
  void SeatBackup(std::uint32_t shard);
  void NotePromotion(std::uint32_t shard);
  bool InPlace(std::uint32_t shard) const;
  void FollowChange(TimePoint now, Outbox& out);
  void MoveOn(std::uint32_t shard, TimePoint now, Outbox& out);
  void TellToLeave(const Member& member, TimePoint now, Outbox& out);
  void HasLeft(Member& member, TimePoint now, Outbox& out);
  void GiveUpChange(const std::string& why, TimePoint now);
  void EndChange(Status verdict);

  // ---- workers that come and go (coordinator_workers.cc)
  void NoteWorkers(TimePoint now);
  Status BeginWorkerChange(const ClusterChange& change, TimePoint now, Outbox& out);
  Status MayAddWorker() const;
  Status MayRemoveWorker(std::uint32_t worker) const;
  void FollowWorkerChange(TimePoint now, Outbox& out);
  std::string WorkerChangeWaitsFor() const;
  // A worker that was added, and takes part in nothing yet.
  bool IsComing(NodeId node) const;
  bool JoinsAtOnce(NodeId node) const;
  void CountIn(std::uint32_t worker, TimePoint now, Outbox& out);
  void TakeInWorker();
  bool Stays(std::uint32_t worker) const;
  // A worker, in the current phase, or the newest one.
  bool TakesPart(NodeId node) const;
  // It does, and has not finished.
  bool HasWork(std::uint32_t worker) const;
  // The phase has leases, which are given to whoever asks.
  bool Leased() const;

  void BeginFence(std::uint32_t worker, TimePoint now, Outbox& out);
  void SendFence(std::uint32_t worker, TimePoint now, Outbox& out);
  void AdmitReplacement(Member& member, TimePoint now, Outbox& out);
  void FollowFences(TimePoint now, Outbox& out);
  void Stop(Status verdict, TimePoint now, Outbox& out);
  void TakeSample(TimePoint now);
  void ReportHang(const std::string& why, TimePoint now);
  // A death is being made up for; and whether steps have gone on since.
  void BeginRecovery(TimePoint now);
  void FollowRecovery(TimePoint now);
  Clock LowestWorkerClock() const;
  void Event(const std::string& text);
  std::string StepName() const;
  bool Scoring() const;
  double SecondsSinceStart(TimePoint now) const;
  void UpdateCounters(Member& member, std::uint32_t phase, Counters counters, TimePoint now);
  void Losses(std::vector<double>* sum, std::vector<double>* weight) const;
  std::uint64_t PhaseSamples() const;
  void SendOrder(const Member& member, PhaseOrder order, TimePoint now, Outbox& out);

  const RunPlan plan_;
  ScoreSink* const sink_;
  RunObserver* const observer_;
  RunJournal* journal_ = nullptr;
  TimePoint replayed_to_{};
  bool replaying_ = false;
  Membership membership_;
  SlotMap slot_map_;
  State state_ = State::kRegistering;
  Status verdict_;
  TimePoint started_at_{};
  RequestId next_id_ = 1;
  std::string kernels_;
  std::uint64_t ignored_messages_ = 0;
  bool recoverable_ = false;
  std::uint32_t replaced_ = 0;
  std::map<std::uint32_t, Fence> fences_;  // by worker
  std::map<std::uint32_t, Clock>
      resume_clocks_;  // by worker, of the current phase, where it is not the first
  std::vector<TrainPhase> trained_;
  std::map<std::uint64_t, std::map<std::uint32_t, CheckpointDone>>
      checkpoints_;                                  // not whole yet: by number and shard
  std::uint64_t newest_checkpoint_ = 0;              // whole, or ordered
  std::uint64_t whole_checkpoint_ = 0;               // the newest whose parts were all there
  std::map<std::uint32_t, TimePoint> wanted_until_;  // by worker: its replacement is to register
  // Orders beside phases, snapshots and fences, until they are acknowledged.
  struct Notice {
    NodeId to;
    Message message;
    TimePoint next_retry;
  };
  std::map<RequestId, Notice> notices_;
  std::set<std::uint32_t> ready_backups_;              // by shard
  std::map<std::uint32_t, TimePoint> promoted_until_;  // by shard: its backup is to register in its place
  std::uint32_t failovers_ = 0, backups_built_ = 0;
  struct Recovery {
    TimePoint since;
    Clock clock = 0;  // the lowest of the workers'
  };
  std::optional<Recovery> recovery_;
  Placement placement_;            // where shards and backups belong; empty without backups
  std::uint32_t next_server_ = 0;  // the number of the next one
  std::vector<std::uint32_t>
      workers_;  // who takes part from the next phase on; in this one, who gets leases. Ascending
  std::uint32_t next_worker_ = 0;
  struct Change {
    ClusterChange what;
    Placement before;   // of servers
    TimePoint since{};  // it has last gone on
  };
  std::optional<Change> change_;
  Status change_verdict_;
  std::uint32_t moved_ = 0;
  struct Leaving {
    RequestId id = 0;  // of the order
    TimePoint deadline{};
  };
  std::map<NodeId, Leaving> leaving_;

  // The current step.
  std::size_t step_ = 0;     // index in plan_.steps
  std::uint32_t phase_ = 0;  // number of the current phase
  PhaseOrder order_;
  Clock next_clock_ = 0;
  TimePoint phase_started_{};
  TimePoint last_progress_{};
  std::map<NodeId, PendingOrder> orders_;  // not confirmed yet
  std::set<std::uint32_t> workers_done_;
  std::set<std::uint32_t> shards_written_;
  std::map<std::uint32_t, RequestId> newest_written_;  // by shard: the newest SnapshotDone taken
  std::vector<SnapshotDone> snapshots_;                // of the newest snapshot, by shard
  Leases leases_;
  std::uint64_t next_lease_ = 1;
  std::vector<std::pair<std::uint32_t, LeaseRequest>> waiting_leases_;
  RowOrder row_order_;
  TimePoint stop_deadline_ = kNever;

  // For the differences between samples.
  TimePoint next_sample_ = kNever;
  TimePoint last_sample_{};
  std::map<std::uint32_t, std::uint64_t> samples_before_phase_;  // by worker
  std::uint64_t last_samples_ = 0;
  std::uint32_t last_sample_phase_ = 0;
  std::vector<double> last_loss_sum_, last_loss_weight_;
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_COORDINATOR_H_
