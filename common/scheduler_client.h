// SchedulerClient: a node's side of the conversation with the scheduler: register, heartbeats, phase and
// snapshot orders, leases, and requests that are sent again until they are answered. A part of a Shard and of
// a worker's node, not a Node itself: its owner forwards messages and timers to it. A plain state machine
// (node.h): one thread, virtual or real time.
//
// Life: Start sends Register until Welcome arrives (RegisterPending says who is missing). From then on there
// are heartbeats, and any message of the scheduler is a sign of its life. failure() tells when the owner has
// to give up; it never becomes ok again.
#ifndef COHORT_COMMON_SCHEDULER_CLIENT_H_
#define COHORT_COMMON_SCHEDULER_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "common/message.h"
#include "common/node.h"
#include "common/status.h"
#include "common/types.h"

namespace cohort {

// Of the stop of one node while the run goes on without it: beyond all phases, so that whoever leaves hears nothing of the
// others' any more.
inline constexpr std::uint32_t kPhaseOfLeaving = ~0u;

class SchedulerClient {
 public:
  struct Options {
    Duration heartbeat = std::chrono::milliseconds(500);  // between two heartbeats
    Duration retry = std::chrono::seconds(1);             // until a request without reply is sent again
    Duration dead_after = std::chrono::seconds(60);       // of silence: the scheduler is given up
    Duration startup = std::chrono::seconds(60);          // from Start until Welcome
    std::uint64_t run_id = 0;                             // of the stamp; messages of other runs are ignored
    std::uint32_t incarnation = 0;
    std::uint32_t term = 0;  // the lowest of a scheduler that may be listened to
  };

  SchedulerClient(NodeId self, Register registration, Options options);

  void Start(TimePoint now, Outbox& out);
  // Registers once more, as another node: a backup that takes its shard's place. What it knows of the run stays; what it had
  // to say as the former is over.
  void Become(NodeId self, std::uint32_t incarnation, TimePoint now, Outbox& out);
  // True: the message came from the scheduler and has been dealt with (it may have been moved from).
  bool OnMessage(const Stamp& from, Message& message, TimePoint now, Outbox& out);
  void OnTimer(TimePoint now, Outbox& out);
  TimePoint NextTimer() const;

  // Null until everyone has registered.
  const Welcome* welcome() const { return welcome_ ? &*welcome_ : nullptr; }

  // The newest phase order not yet taken. The owner confirms it when it has done what the order asks for
  // (a shard: serves the phase; a worker: has begun it; kStop: is about to end).
  std::optional<PhaseOrder> TakePhaseOrder();
  // Sends a heartbeat, so that the scheduler has the counters up to here, then the PhaseReply; the reply
  // again whenever the order is repeated.
  void ConfirmPhase(const PhaseOrder& order, TimePoint now, Outbox& out);
  // Each snapshot order once; acknowledged on arrival. Its owner answers with SnapshotDone through
  // SendReliably.
  std::optional<SnapshotOrder> TakeSnapshotOrder();

  // A fence order as often as it comes: putting a fence up twice changes nothing. The owner answers with FenceDone.
  std::optional<FenceOrder> TakeFenceOrder();
  // Each checkpoint order once; acknowledged on arrival. Its owner answers with CheckpointDone through SendReliably.
  std::optional<CheckpointOrder> TakeCheckpointOrder();

  // A shard's: its backup is another one now, or gone. The newest order, once; acknowledged on arrival.
  std::optional<BackupOrder> TakeBackupOrder() { return std::exchange(backup_order_, std::nullopt); }
  // A backup's: once; acknowledged on arrival.
  std::optional<PromoteOrder> TakePromoteOrder() { return std::exchange(promote_order_, std::nullopt); }
  // A worker's: each once, in the order of their incarnations; acknowledged on arrival.
  std::optional<ShardMoved> TakeShardMoved();

  // Gives the message a request id and sends it, again every `retry` with the same id, until its reply; the sums of an
  // evaluation later, by the time that their transfer may take, and twice that each time: what is on its way is not lost.
  // The reply is a LeaseReply for a LeaseRequest, an Ack for PhaseDone, ScoreBlock, SnapshotDone, CheckpointDone, BackupReady, Failure, Warning.
  // REQUIRES: one of these.
  RequestId SendReliably(Message message, TimePoint now, Outbox& out);
  bool Acknowledged(RequestId id) const { return id < next_id_ && !outstanding_.contains(id); }
  std::optional<LeaseReply> TakeLease();
  std::size_t outstanding() const { return outstanding_.size(); }  // requests without reply
  std::uint64_t retries() const { return retries_; }               // requests sent again

  // What a heartbeat says; asked for at each one. Without it heartbeats carry nothing.
  void SetHeartbeat(std::function<Heartbeat()> heartbeat) { heartbeat_ = std::move(heartbeat); }

  // Not ok: the scheduler was silent for dead_after (kTimeout), the start-up limit passed (kTimeout, names
  // who is missing), or it refused this node (kUnavailable).
  const Status& failure() const { return failure_; }

  // For Node::stamp().
  Stamp stamp() const;

 private:
  struct Pending {
    Message message;
    Duration transfer;  // waited for beside `retry`
    TimePoint next_retry;
  };
  void SendRegister(TimePoint now, Outbox& out);
  void SendHeartbeat(TimePoint now, Outbox& out);
  bool ForAnEarlierLife(RequestId order) const { return registered_ && order < welcome_->orders_from; }
  void OnError(const ErrorReply& error);
  void Fail(ErrorCode code, std::string text);
  // After a pause of this process (stopped, starved) the silence of others says nothing: forgives it.
  void NoticeTime(TimePoint now);

  NodeId self_;
  Options options_;
  Register registration_;
  std::function<Heartbeat()> heartbeat_;

  RequestId next_id_ = 1;
  bool started_ = false;
  TimePoint started_at_{};
  TimePoint last_time_{};         // the newest "now" seen
  TimePoint last_heard_{};        // of the scheduler
  TimePoint next_send_ = kNever;  // Register, or the next heartbeat
  std::string missing_;           // from RegisterPending
  std::uint32_t term_;
  std::optional<Welcome> welcome_;
  bool registered_ = false;         // as self_
  std::uint32_t newest_phase_ = 0;  // of the orders seen
  std::uint32_t confirmed_phase_ = 0;
  std::optional<PhaseOrder> phase_order_;
  RequestId newest_phase_order_ = 0;  // an order's id says when it was given
  RequestId newest_snapshot_ = 0;
  std::optional<SnapshotOrder> snapshot_order_;
  std::optional<FenceOrder> fence_order_;
  RequestId newest_checkpoint_ = 0;
  std::optional<CheckpointOrder> checkpoint_order_;
  RequestId newest_backup_ = 0;
  std::optional<BackupOrder> backup_order_;
  std::optional<PromoteOrder> promote_order_;
  std::deque<ShardMoved> moved_;
  std::map<std::uint32_t, std::uint32_t> incarnations_;  // by shard: the newest move heard of
  std::map<RequestId, Pending> outstanding_;
  std::deque<LeaseReply> leases_;
  std::uint64_t retries_ = 0;
  Status failure_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_SCHEDULER_CLIENT_H_
