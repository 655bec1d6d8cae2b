#include "common/scheduler_client.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/seconds.h"

namespace cohort {
namespace {

// A slow link's 8 MB/s.
constexpr Duration kTransferPerByte = std::chrono::nanoseconds(125);

Duration TransferOf(const Message& message) {
  const auto* done = std::get_if<PhaseDone>(&message);
  return done != nullptr ? kTransferPerByte * static_cast<Duration::rep>(done->evaluation.size())
                         : Duration::zero();
}

}  // namespace

SchedulerClient::SchedulerClient(NodeId self, Register registration, Options options)
    : self_(self), options_(options), registration_(std::move(registration)), term_(options.term) {
  // Two processes that were started in one dead one's place have the same name, and hear each other's refusals.
  next_id_ += registration_.pid << 32;
}

Stamp SchedulerClient::stamp() const {
  Stamp stamp;
  stamp.sender = self_;
  stamp.run_id = options_.run_id;
  stamp.incarnation = options_.incarnation;
  stamp.term = term_;
  stamp.generation = welcome_ ? welcome_->slot_map->generation : 0;
  return stamp;
}

void SchedulerClient::Start(TimePoint now, Outbox& out) {
  COHORT_CHECK(!started_);
  started_ = true;
  started_at_ = last_time_ = last_heard_ = now;
  registration_.request_id = next_id_++;
  SendRegister(now, out);
}

void SchedulerClient::Become(NodeId self, std::uint32_t incarnation, TimePoint now, Outbox& out) {
  self_ = self;
  options_.incarnation = incarnation;
  registered_ = false;
  outstanding_.clear();
  started_at_ = last_time_ = last_heard_ = now;
  registration_.request_id = next_id_++;
  SendRegister(now, out);
}

void SchedulerClient::SendRegister(TimePoint now, Outbox& out) {
  out.Send(kSchedulerNode, registration_);
  next_send_ = now + options_.retry;
}

void SchedulerClient::SendHeartbeat(TimePoint now, Outbox& out) {
  Heartbeat heartbeat = heartbeat_ ? heartbeat_() : Heartbeat{};
  heartbeat.request_id = next_id_++;
  out.Send(kSchedulerNode, std::move(heartbeat));
  next_send_ = now + options_.heartbeat;
}

void SchedulerClient::NoticeTime(TimePoint now) {
  if (now <= last_time_) return;
  const Duration gap = now - last_time_;
  if (gap > options_.dead_after / 2) last_heard_ += gap;
  last_time_ = now;
}

bool SchedulerClient::OnMessage(const Stamp& from, Message& message, TimePoint now, Outbox& out) {
  if (from.sender != kSchedulerNode) return false;
  NoticeTime(now);
  // An earlier scheduler, or one of another run, has nothing to say here.
  if (from.run_id != options_.run_id || from.term < term_ || !started_) return true;
  if (from.term > term_) {  // another scheduler may not have what this one was sent
    for (auto& [id, pending] : outstanding_) {
      pending.transfer = TransferOf(pending.message);
      pending.next_retry = std::min(pending.next_retry, now + options_.retry);
    }
  }
  term_ = from.term;
  last_heard_ = now;

  if (auto* pending = std::get_if<RegisterPending>(&message)) {
    missing_ = std::move(pending->waiting_for);
  } else if (auto* welcome = std::get_if<Welcome>(&message)) {
    // One for an earlier life of this node has another id.
    if (!registered_ && welcome->request_id == registration_.request_id) {
      registered_ = true;
      welcome_ = std::move(*welcome);
      SendHeartbeat(now, out);
    }
  } else if (auto* order = std::get_if<PhaseOrder>(&message)) {
    // One that has overtaken Welcome is left to its repetition; only the end needs no model.
    // One to leave alone is for a node that has registered, or for its earlier life.
    if (!registered_ && (order->kind != PhaseKind::kStop || order->phase == kPhaseOfLeaving)) return true;
    if (ForAnEarlierLife(order->request_id)) return true;
    newest_phase_order_ = std::max(newest_phase_order_, order->request_id);
    if (order->phase <= confirmed_phase_) {
      out.Send(kSchedulerNode, PhaseReply{order->request_id});
    } else if (order->phase > newest_phase_) {
      newest_phase_ = order->phase;
      phase_order_ = std::move(*order);
    }
  } else if (auto* snapshot = std::get_if<SnapshotOrder>(&message)) {
    if (ForAnEarlierLife(snapshot->request_id)) return true;
    out.Send(kSchedulerNode, Ack{snapshot->request_id});
    // Given before the phase under way: another order for the same snapshot has been followed, and the rows are others by now.
    if (snapshot->request_id < newest_phase_order_) return true;
    if (snapshot->request_id > newest_snapshot_) {
      newest_snapshot_ = snapshot->request_id;
      snapshot_order_ = std::move(*snapshot);
    }
  } else if (auto* fence = std::get_if<FenceOrder>(&message)) {
    if (ForAnEarlierLife(fence->request_id)) return true;
    fence_order_ = *fence;
  } else if (auto* checkpoint = std::get_if<CheckpointOrder>(&message)) {
    if (ForAnEarlierLife(checkpoint->request_id)) return true;
    out.Send(kSchedulerNode, Ack{checkpoint->request_id});
    if (checkpoint->request_id > newest_checkpoint_) {
      newest_checkpoint_ = checkpoint->request_id;
      checkpoint_order_ = *checkpoint;
    }
  } else if (auto* backup = std::get_if<BackupOrder>(&message)) {
    if (!registered_ || ForAnEarlierLife(backup->request_id)) return true;
    out.Send(kSchedulerNode, Ack{backup->request_id});
    if (backup->request_id > newest_backup_) {
      newest_backup_ = backup->request_id;
      backup_order_ = std::move(*backup);
    }
  } else if (auto* promote = std::get_if<PromoteOrder>(&message)) {
    if (!registered_ || ForAnEarlierLife(promote->request_id)) return true;
    out.Send(kSchedulerNode, Ack{promote->request_id});
    promote_order_ = *promote;
  } else if (auto* moved = std::get_if<ShardMoved>(&message)) {
    if (!registered_ || ForAnEarlierLife(moved->request_id)) return true;
    out.Send(kSchedulerNode, Ack{moved->request_id});
    if (moved->shard < welcome_->shard_endpoints.size() && moved->incarnation > incarnations_[moved->shard]) {
      incarnations_[moved->shard] = moved->incarnation;
      moved_.push_back(std::move(*moved));
    }
  } else if (auto* lease = std::get_if<LeaseReply>(&message)) {
    if (outstanding_.erase(lease->request_id) > 0) leases_.push_back(*lease);
  } else if (auto* ack = std::get_if<Ack>(&message)) {
    outstanding_.erase(ack->request_id);
  } else if (auto* error = std::get_if<ErrorReply>(&message)) {
    OnError(*error);
  }
  return true;
}

void SchedulerClient::OnError(const ErrorReply& error) {
  const bool is_registration = error.request_id == registration_.request_id && !registered_;
  if (!is_registration && !outstanding_.contains(error.request_id)) return;
  switch (error.reason) {
    case ErrorReason::kNotReady:
    case ErrorReason::kFuturePhase:
      return;  // sent again in time
    case ErrorReason::kStalePhase:
      outstanding_.erase(error.request_id);
      return;
    default:
      Fail(ErrorCode::kUnavailable, "the scheduler refused " + ToString(self_) + ": " + error.text);
  }
}

void SchedulerClient::Fail(ErrorCode code, std::string text) {
  if (failure_.ok()) failure_ = Status(code, std::move(text));
}

void SchedulerClient::OnTimer(TimePoint now, Outbox& out) {
  if (!started_) return;
  NoticeTime(now);
  if (!failure_.ok()) return;
  if (!registered_ && now >= started_at_ + options_.startup) {
    Fail(ErrorCode::kTimeout,
         missing_.empty()
             ? ToString(self_) + ": no answer from the scheduler within " + Seconds(options_.startup) +
                   " of the start (cluster.startup_seconds)"
             : ToString(self_) + ": not everyone registered within " + Seconds(options_.startup) +
                   " (cluster.startup_seconds); the scheduler still waits for " + missing_);
    return;
  }
  if (registered_ && now >= last_heard_ + options_.dead_after) {
    Fail(ErrorCode::kTimeout, ToString(self_) + ": the scheduler has been silent for " +
                                  Seconds(now - last_heard_) + " (limit " + Seconds(options_.dead_after) +
                                  "), " + std::to_string(outstanding_.size()) +
                                  " requests to it without reply");
    return;
  }
  if (now >= next_send_) registered_ ? SendHeartbeat(now, out) : SendRegister(now, out);
  for (auto& [id, pending] : outstanding_) {
    if (now < pending.next_retry) continue;
    out.Send(kSchedulerNode, pending.message);
    pending.transfer *= 2;
    pending.next_retry = now + options_.retry + pending.transfer;
    ++retries_;
  }
}

TimePoint SchedulerClient::NextTimer() const {
  if (!started_ || !failure_.ok()) return kNever;
  TimePoint next =
      std::min(next_send_, registered_ ? last_heard_ + options_.dead_after : started_at_ + options_.startup);
  for (const auto& [id, pending] : outstanding_) next = std::min(next, pending.next_retry);
  return next;
}

std::optional<PhaseOrder> SchedulerClient::TakePhaseOrder() {
  return std::exchange(phase_order_, std::nullopt);
}

void SchedulerClient::ConfirmPhase(const PhaseOrder& order, TimePoint now, Outbox& out) {
  NoticeTime(now);
  confirmed_phase_ = std::max(confirmed_phase_, order.phase);
  if (registered_ && heartbeat_) SendHeartbeat(now, out);
  out.Send(kSchedulerNode, PhaseReply{order.request_id});
}

std::optional<SnapshotOrder> SchedulerClient::TakeSnapshotOrder() {
  return std::exchange(snapshot_order_, std::nullopt);
}

std::optional<FenceOrder> SchedulerClient::TakeFenceOrder() {
  return std::exchange(fence_order_, std::nullopt);
}

std::optional<CheckpointOrder> SchedulerClient::TakeCheckpointOrder() {
  return std::exchange(checkpoint_order_, std::nullopt);
}

RequestId SchedulerClient::SendReliably(Message message, TimePoint now, Outbox& out) {
  const RequestId id = next_id_++;
  std::visit(
      [id](auto& body) {
        using T = std::decay_t<decltype(body)>;
        constexpr bool kReliable = std::is_same_v<T, LeaseRequest> || std::is_same_v<T, PhaseDone> ||
                                   std::is_same_v<T, ScoreBlock> || std::is_same_v<T, SnapshotDone> ||
                                   std::is_same_v<T, CheckpointDone> || std::is_same_v<T, BackupReady> ||
                                   std::is_same_v<T, Failure> || std::is_same_v<T, Warning>;
        COHORT_CHECK(kReliable, "message kind without a reply");
        body.request_id = id;
      },
      message);
  out.Send(kSchedulerNode, message);
  const Duration transfer = TransferOf(message);
  outstanding_.emplace(id, Pending{std::move(message), transfer, now + options_.retry + transfer});
  return id;
}

std::optional<ShardMoved> SchedulerClient::TakeShardMoved() {
  if (moved_.empty()) return std::nullopt;
  ShardMoved moved = std::move(moved_.front());
  moved_.pop_front();
  return moved;
}

std::optional<LeaseReply> SchedulerClient::TakeLease() {
  if (leases_.empty()) return std::nullopt;
  LeaseReply lease = leases_.front();
  leases_.pop_front();
  return lease;
}

}  // namespace cohort
