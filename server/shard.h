// START HERE. Shard: the rows of some slot groups, and the rules by which workers read and change them. A
// plain state machine (node.h): it sees no socket, thread, clock or file.
//
// The life of a training step here (DESIGN 2.1):
//   PullRequest   checked (request_check.h); answered at once if the clocks allow it (clocks.h), else parked:
//                 the puller is told for whom, and answered when that worker has closed.
//   PushRequest   checked whole; parts seen before are counted and dropped (applied_pushes.h). Its rows are named
//                 by keys, or by their places in the worker's own pull (kept_pulls.h).
//                 ssp, asp: applied on arrival. bsp: held (held_pushes.h) until all members have closed the
//                 clock, then summed in tree order and applied: the same bits for any number of workers.
//   CloseRequest  moves the clocks; applies what may be applied, in clock order; answers pulls that waited.
// Every other message is the scheduler's, and SchedulerClient's affair: joining, phases, snapshots.
//
// With a tier (ShardOptions::cold_rows, shard_tier.cc), a pull, a push (ssp, asp) or a clock (bsp) whose rows are partly on
// disk waits for them, and of the others only those that must: in bsp the pulls that have to see that clock. Nothing is
// acknowledged before it is applied or held.
//
// Checkpoints (shard_checkpoint.h) are written while the shard serves, each of one instant: in bsp the state after a clock, and
// nothing of the next one; else whenever the scheduler orders one. A shard that begins from a checkpoint takes over what
// the former shards of its groups were.
//
// With a backup (shard_replica.cc), what changes the shard goes there too, and replies wait until it has arrived. A backup is
// a Shard as well, which follows its shard until the scheduler makes it that shard.
//
// A phase order is confirmed when all members have closed what comes before it. Evaluation and scoring
// neither push nor wait for clocks.
#ifndef COHORT_SERVER_SHARD_H_
#define COHORT_SERVER_SHARD_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/buffer_pool.h"
#include "common/gradient_tree.h"
#include "common/message.h"
#include "common/node.h"
#include "common/scheduler_client.h"
#include "common/status.h"
#include "server/applied_pushes.h"
#include "server/checkpoint_chain.h"
#include "server/clocks.h"
#include "server/held_pushes.h"
#include "server/kept_pulls.h"
#include "server/parked_pulls.h"
#include "server/pushed_rows.h"
#include "server/replica_stream.h"
#include "server/shard_checkpoint.h"
#include "server/shard_table.h"
#include "server/snapshot_store.h"

namespace cohort {

// What happened, counted: tests and simulations see which paths were taken.
enum class ShardEvent : std::uint8_t {
  kPullAnswered = 0,
  kPullParked,       // at its first arrival
  kPullParkedAgain,  // repeated while parked
  kPullReleased,     // answered after having been parked
  kPushApplied,      // messages with at least one new part, applied on arrival (ssp, asp)
  kPushHeld,         // messages with at least one new part, held until all have closed (bsp)
  kPushDuplicate,    // messages with at least one part that came again
  kPushByRows,       // messages that named their rows by a pull
  kClockApplied,     // bsp: clocks summed and applied
  kClose,
  kCloseRepeated,  // changed nothing
  kPhaseBegun,
  kPhaseDelayed,  // an order that came before all had closed
  kSnapshot,
  kCheckpointBegun,
  kCheckpointIncremental,  // of those begun: rows that have changed since a former one
  kCheckpointWritten,
  kCheckpointFailed,
  kCheckpointSkipped,  // was due or ordered while another one was being written
  kRowCopied,          // into checkpoints
  kRowSaved,           // of these, rows that were about to change before it was their turn
  kPullFetched,        // pulls that waited for rows on disk
  kPushFetched,        // pushes (ssp, asp)
  kClockFetched,       // clocks (bsp)
  kFetchedAgain,       // pulls and pushes repeated while they waited
  kDiskFull,           // messages after which rows stayed in memory that had no place there
  kNotAdmitted,        // gradients dropped, one a row: their keys have no row (row_policy.h)
  kEvictedIdle,        // rows
  kEvictedMemory,      // rows
  kMalformed,
  kUnknownTable,
  kUnknownPull,  // pushes that named a pull which is not kept, or no longer
  kNonFinite,    // pushes refused for NaN or infinite gradients
  kWrongShard,
  kStaleGeneration,
  kFutureGeneration,
  kStaleIncarnation,
  kStalePhase,
  kFuturePhase,
  kFence,        // orders, repeated ones too
  kJoin,         // workers that came in the middle of a phase
  kBackupBegun,  // states sent to new backups
  kBackupWhole,  // a backup: it has everything
  kPromoted,     // a backup: it is the shard now
  kNotReady,
  kWrongRun,
  kUnexpected,  // a message that no shard receives: dropped
  kCount
};
const char* ShardEventName(ShardEvent event);  // "pull_parked"

struct ShardOptions {
  Register registration;  // server, endpoint, host, pid, kernels
  SchedulerClient::Options scheduler;
  // Adds what only the process knows to a heartbeat's counters: bytes on the wire, memory, CPU time. May be
  // empty.
  std::function<void(Counters*)> add_process_counters;
  // Takes down keys refused and rows evicted. Null: nobody wants to know. Must outlive the shard.
  RowLog* row_log = nullptr;
  // Memory for rows. Null: from the kernel when it is needed. Must outlive the shard.
  SlabSource* slabs = nullptr;
  std::uint64_t kept_pull_bytes = 64u << 20;  // of row lists for pushes by position (kept_pulls.h)
  // Makes the disk for a sparse table whose rows are so many words; empty: all rows stay in memory.
  std::function<Result<std::unique_ptr<ColdRows>>(std::uint32_t row_words)> cold_rows;
  std::uint64_t tier_bytes = 0;  // of rows in memory, of all tables, with cold_rows; about
  // Of checkpoints: rows copied in one turn, and handed to the writer at a time, about.
  std::size_t checkpoint_turn_bytes = 256u << 10, checkpoint_block_bytes = 1u << 20;
  std::uint32_t checkpoint_full_every = 1;  // CheckpointChain
  // Whether rows that a full disk does not take can stay in memory no longer. Empty: never.
  std::function<bool()> memory_is_short;
};

class Shard : public Node {
 public:
  // `store` must outlive the shard. REQUIRES: self is a shard, or a backup of one.
  Shard(NodeId self, ShardOptions options, SnapshotStore& store);

  void Start(TimePoint now, Outbox& out);
  void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) override;
  void OnTimer(TimePoint now, Outbox& out) override;
  TimePoint NextTimer() const override;
  Stamp stamp() const override { return client_.stamp(); }

  // Ends the run: what the process (a signal, a log that cannot be written) has to say. The scheduler is told.
  void Fail(const Status& why, TimePoint now, Outbox& out);
  // Why the shard cannot go on; ok while it can.
  const Status& failure() const { return failure_.ok() ? client_.failure() : failure_; }
  // The stop order came and is confirmed; nothing is left to be said.
  bool stopped() const { return stopped_ && client_.outstanding() == 0; }
  // Why the run ends, from the stop order; empty when all is well.
  const std::string& stop_reason() const { return phase_.reason; }

  Counters counters() const;
  std::uint64_t count(ShardEvent event) const;
  // Null before Welcome, and for a table that the model does not have.
  const EmbeddingTable* table(TableId id) const;
  const Clocks& clocks() const { return clocks_; }
  const PhaseOrder& phase() const { return phase_; }
  // A backup that its shard's place has not been given to.
  bool following() const { return following_; }

 protected:
  // Seams at which tests plant bugs, to show that the simulation finds them.
  // Whether a part is new: notes it. In bsp, a shard that lets parts in twice needs its own Sum as well.
  virtual bool CountOnce(std::uint32_t worker, const PushName& push, int group);
  // Sends it when the backup, if there is one, has all that it speaks of.
  virtual void Reply(NodeId to, Message message, Outbox& out);
  // Sums the parts of one slot group, in tree order, each node rounded to `type`; returns how many values were
  // clipped. `nodes` and `parts` are in order of arrival.
  virtual std::size_t Sum(FloatType type, std::uint32_t dim, std::span<const std::uint16_t> nodes,
                          std::span<const GradientView> parts, GradientRows* out);

 private:
  // An operation that waits for rows from disk.
  struct Waiting {
    std::size_t rows = 0;  // still to come
    std::uint32_t worker = 0;
    RequestId id = 0;
    std::variant<std::monostate, PullRequest, PushRequest> request;  // none: closing_ waits
    std::shared_ptr<const KeptPull> pull;                            // that a push names
  };

  // ---- control (shard.cc)
  void FollowScheduler(TimePoint now, Outbox& out);
  void Join(const Welcome& welcome, TimePoint now, Outbox& out);
  void BeginPhaseIfReady(TimePoint now, Outbox& out);
  void WriteSnapshotIfReady(TimePoint now, Outbox& out);
  void PutUpFence(const FenceOrder& order, Outbox& out);
  Heartbeat MakeHeartbeat() const;
  std::string WaitingFor() const;

  // ---- backups (shard_replica.cc)
  void OnBackupOrder(BackupOrder order, Outbox& out);
  void StartStreamIfReady(Outbox& out);
  void ReplicatePush(std::uint32_t worker, const PushRequest& push, const KeptPull* pull, Outbox& out);
  void ReplicateClose(std::uint32_t worker, Clock clock, Outbox& out);
  void ReplicateFence(std::uint32_t worker, Outbox& out);
  void ReplicateJoin(std::uint32_t worker, Outbox& out);
  void ReplicatePhase(Outbox& out);
  void OnReplicaAck(const Stamp& from, const ReplicaAck& ack, Outbox& out);
  void ConfirmPhase(Outbox& out);
  void ConfirmHeldPhase(Outbox& out);
  void SendTransfer(Outbox& out);
  bool OnReplica(const Stamp& from, Message& message, Outbox& out);
  void TakeReplica(Message message, Outbox& out);
  Status TakeRows(const ReplicaRows& rows);
  Status TakeState(const ReplicaState& message, Outbox& out);
  Status Redo(Message& message);
  void Promote(const PromoteOrder& order, Outbox& out);

  // ---- checkpoints (shard_checkpoint.cc)
  Status Resume(const Welcome& welcome, std::span<EmbeddingTable* const> tables);
  void TakeOverClocks();
  void BeginCheckpoint(std::uint64_t number);
  void BeginDueCheckpoints(Clock clock);
  void OnCheckpointOrder(const CheckpointOrder& order);
  void FollowCheckpoint(TimePoint now, Outbox& out);
  TimePoint NextCheckpointStep() const;
  ShardState StateBesideRows() const;

  // ---- data (shard_data.cc)
  // Its place among those who take part in the phase; nothing: it does not.
  std::optional<std::uint32_t> PlaceOf(std::uint32_t worker) const;
  // It takes part in the phase from now on.
  void AddWorker(std::uint32_t worker);
  // There may be workers with numbers below `count`.
  void CountWorkers(std::uint32_t count);
  // Whether a worker's message may be looked at; if not, the error is sent.
  bool Admit(const Stamp& from, RequestId id, std::uint32_t phase, Outbox& out);
  void OnPull(std::uint32_t worker, PullRequest request, Outbox& out);
  void OnPush(std::uint32_t worker, PushRequest request, Outbox& out);
  void CountPush(std::uint32_t worker, PushRequest request, std::shared_ptr<const KeptPull> pull,
                 Outbox& out);
  void OnClose(std::uint32_t worker, const CloseRequest& request, Outbox& out);
  void CloseClock(std::uint32_t worker, Clock clock, Outbox& out);
  bool MayAnswer(Clock pull_clock) const { return !applying_ && clocks_.MayAnswer(pull_clock); }
  void ServePull(std::uint32_t worker, PullRequest request, Outbox& out);
  // `found`: the rows, as far as they are known (EmbeddingTable::ForEach).
  void AnswerPull(std::uint32_t worker, const PullRequest& request, std::span<float* const> found,
                  Outbox& out);
  void SendParked(std::uint32_t worker, RequestId id, Outbox& out);
  void ApplyClosedClocks();
  void ApplyHeld(HeldPushes::OneClock& held);
  void ApplyNow(ShardTable& table, const PushRequest& push, const PushedRows& rows);
  // `gradients`: of `type`, the rows' one after the other. `counts`: the rows', or none.
  void Apply(ShardTable& table, const PushedRows& rows, FloatType type, const std::byte* gradients,
             std::span<const std::uint32_t> counts, Clock clock);
  void EndClock(Clock clock);
  void FinishClosing();
  // ---- rows on disk (shard_tier.cc)
  // Whether a request has to wait for rows; then it is moved into waiting_.
  bool WaitsForDisk(std::uint32_t worker, PullRequest& request);
  bool WaitsForDisk(std::uint32_t worker, PushRequest& request, const std::shared_ptr<const KeptPull>& pull);
  bool ClosingWaitsForDisk();
  bool AlreadyWaiting(std::uint32_t worker, RequestId id) const;  // a repetition
  void Await(std::uint64_t use, Waiting waiting, ShardEvent event);
  void FollowDisk(TimePoint now, Outbox& out);
  void ShareMemory();
  void TrimTables(TimePoint now, Outbox& out);
  void KeepInMemory(const EmbeddingTable& rows, TimePoint now, Outbox& out);
  TimePoint NextArrival() const;
  void ReleasePulls(Outbox& out);
  void Refuse(NodeId to, RequestId id, ErrorReason reason, ShardEvent event, std::string text, Outbox& out);
  ShardTable* FindTable(TableId id) const;
  void Count(ShardEvent event) { ++events_[static_cast<std::size_t>(event)]; }

  const NodeId self_;
  const ShardOptions options_;
  SnapshotStore& store_;
  SchedulerClient client_;
  Status failure_;
  TimePoint now_{};  // of the call being handled

  // From Welcome.
  bool joined_ = false;
  std::uint32_t worker_count_ = 0;  // their numbers are below
  std::uint32_t slices_ = 1;
  Consistency consistency_ = Consistency::kBsp;
  std::uint32_t generation_ = 0;
  OwnedGroups owned_;
  std::vector<std::unique_ptr<ShardTable>> tables_;  // as in Welcome

  PhaseOrder phase_;                             // phase 0: none yet
  std::optional<PhaseOrder> next_phase_;         // ordered, not begun
  std::optional<SnapshotOrder> next_snapshot_;   // ordered, not written
  std::uint64_t next_checkpoint_ = 0;            // bsp: the number that is due next
  std::optional<std::uint64_t> newest_begun_;    // checkpoint
  std::unique_ptr<ShardCheckpoint> checkpoint_;  // under way; null: none
  CheckpointChain chain_;                        // of those before it
  std::vector<Message> about_checkpoints_;       // for the scheduler, to be sent
  bool warned_of_checkpoint_ = false;
  std::vector<ShardState> former_;  // shards whose clocks are to be taken over when the first phase begins
  std::shared_ptr<ReplicaStream> stream_;   // to the backup; null: there is none
  std::optional<BackupOrder> next_backup_;  // ordered, its state not begun
  ReplicaWriter* transfer_ = nullptr;       // checkpoint_'s writer, if that is for a new backup
  std::optional<RequestId>
      confirm_at_;                      // of the stream: the phase is to be confirmed when it is acknowledged
  bool following_;                      // a backup
  std::uint32_t followed_ = 0;          // the shard's incarnation
  RequestId received_;                  // of the shard's stream, without a gap
  std::map<RequestId, Message> early_;  // beyond a gap
  bool whole_ = false;                  // the state has come
  std::vector<Message> since_;          // what is to be done when it has
  bool stopped_ = false;
  std::vector<std::uint32_t> incarnations_;  // by worker: the newest seen
  Clocks clocks_;
  AppliedPushes applied_;
  HeldPushes held_;
  KeptPulls kept_;
  ParkedPulls parked_pulls_;
  bool tiered_ = false;                       // at least one table
  std::map<std::uint64_t, Waiting> waiting_;  // by the operation's number
  std::uint64_t next_use_ = 1;                // numbers operations
  bool applying_ = false;                     // closing_ waits for rows
  bool warned_of_disk_ = false;
  std::uint64_t next_memory_check_ = 0;  // bytes of a table whose disk is full
  TimePoint parked_since_{};             // when parked_pulls_ was last empty

  std::array<std::uint64_t, static_cast<std::size_t>(ShardEvent::kCount)> events_{};
  ShardCounts counted_;
  std::uint64_t rows_pulled_ = 0;

  // Memory reused from step to step.
  BufferPool replies_;
  HeldPushes::OneClock closing_;
  TreeSum tree_sum_;
  GradientRows sum_;
  std::vector<std::uint64_t> positions_;
  std::vector<float> floats_;  // what travels as 16 bits, widened
  PushedRowsFinder finder_;
  std::vector<GroupRun> new_runs_;
  std::vector<std::uint16_t> nodes_;
  std::vector<GradientView> views_;
  std::vector<std::uint32_t> counts_;
  std::vector<std::uint64_t> ready_;
};

}  // namespace cohort

#endif  // COHORT_SERVER_SHARD_H_
