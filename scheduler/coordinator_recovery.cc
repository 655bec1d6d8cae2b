// Coordinator: the death of members, workers that take the place of dead ones (DESIGN 2.1), and checkpoints.
//
//   dead ─► fence at every shard ─► all have confirmed: the lowest closed clock is known ─┐
//     └───► a process is asked for ─► it registers, under the next incarnation ───────────┴─► Welcome, the phase's order
//
// In training the replacement resumes at the first clock that is not closed everywhere: what the dead worker had pushed of
// it counts as duplicate. In evaluation and scoring the dead worker's leases are granted again.
//
// Checkpoints: the shards write their parts, in bsp by themselves after certain clocks, in ssp and asp when they are told; the
// parts of a number are a checkpoint when all are there. In ssp and asp they are of different instants: each part
// knows which pushes are in it, so that workers who redo everything from their lowest closed clock on make up for
// just what each part lacks.
#include <algorithm>
#include <utility>

#include "scheduler/coordinator.h"

namespace cohort {

bool Coordinator::Replaceable(const Member& member) const {
  return member.node.role == Role::kWorker && state_ != State::kRegistering && !decided() &&
         replaced_ + failovers_ < plan_.recoveries;
}

void Coordinator::OnDeath(Member& member, const std::string& how, TimePoint now, Outbox& out) {
  orders_.erase(member.node);
  DropNotices(member.node);
  if (decided()) return;
  RecordDeath(member, how, now);
  if (Leaves(member.node)) return HasLeft(member, now, out);
  if (IsComing(member.node)) return GiveUpChange(Describe(member) + " died before it took part: " + how, now);
  if (member.node.role == Role::kBackup && state_ != State::kRegistering)
    return LoseBackup(member, how, now, out);
  if (CanFailOver(member)) {
    Event(Describe(member) + " died: " + how + "; its backup takes its place");
    return FailOver(member, now, out);
  }
  if (!Replaceable(member)) return FailMember(member, how, now, out);
  Event(Describe(member) + " died: " + how + "; it will be replaced");
  Replace(member, now, out);
}

void Coordinator::FailMember(const Member& member, const std::string& how, TimePoint now, Outbox& out) {
  const std::string waiting = member.waiting.empty() ? "" : "; it last said: " + member.waiting;
  recoverable_ = true;
  Stop({ErrorCode::kUnavailable,
        Describe(member) + " died: " + how + "; the run was in " + WaitingFor() + waiting},
       now, out);
}

void Coordinator::Replace(Member& member, TimePoint now, Outbox& out) {
  const std::uint32_t worker = member.node.index;
  ++replaced_;
  last_progress_ = now;
  BeginRecovery(now);
  membership_.Retire(member);
  wanted_until_[worker] = now + plan_.startup;

  const bool has_work = state_ == State::kRunning && !workers_done_.contains(worker);
  std::erase_if(waiting_leases_, [worker](const auto& waiting) { return waiting.first == worker; });
  if (has_work && Scoring()) leases_.Requeue(worker, row_order_.next_row());
  if (const auto fence = fences_.find(worker); fence != fences_.end() && fence->second.joins) {
    BeginFence(worker, now, out);  // it comes once more
  } else {
    fences_[worker] = Fence{};
    fences_[worker].in_training = has_work && order_.kind == PhaseKind::kTrain;
    BeginFence(worker, now, out);
  }
  GrantWaitingLeases(out);  // others may wait for what it had
}

// At all shards, under a new number.
void Coordinator::BeginFence(std::uint32_t worker, TimePoint now, Outbox& out) {
  Fence& fence = fences_.at(worker);
  fence.id = next_id_++;
  fence.deadline = now + plan_.request;
  fence.closed = kClockInfinity;
  for (std::uint32_t shard = 0; shard < plan_.shards; ++shard) fence.shards.insert(shard);
  SendFence(worker, now, out);
}

void Coordinator::SendFence(std::uint32_t worker, TimePoint now, Outbox& out) {
  Fence& fence = fences_.at(worker);
  fence.next_retry = now + plan_.retry;
  for (const std::uint32_t shard : fence.shards) {
    out.Send(ShardNode(shard), FenceOrder{fence.id, worker, membership_.Find(WorkerNode(worker))->incarnation,
                                          fence.joins ? phase_ : 0, fence.joins ? fence.from : -1});
  }
}

void Coordinator::OnFenceDone(const Member& member, const FenceDone& message, TimePoint now, Outbox& out) {
  const auto found = std::find_if(fences_.begin(), fences_.end(),
                                  [&](const auto& each) { return each.second.id == message.request_id; });
  if (member.node.role != Role::kShard || found == fences_.end()) return;
  Fence& fence = found->second;
  if (fence.shards.erase(member.node.index) == 0) return;
  fence.closed = std::min(fence.closed, message.closed);
  fence.highest = std::max(fence.highest, message.closed);
  if (!fence.shards.empty()) return;

  const std::uint32_t worker = found->first;
  if (fence.joins && fence.closed < fence.highest) {
    // It begins beyond what is closed anywhere, or a shard might take what it pushes for a repetition.
    fence.from = fence.highest;
    return BeginFence(worker, now, out);
  }
  if (fence.in_training) {
    const Clock resume = fence.closed == kClockInfinity ? kClockInfinity : fence.closed + 1;
    resume_clocks_[worker] = std::max(resume, order_.first_clock);
    leases_.Redo(worker, resume_clocks_[worker]);
  }
  fences_.erase(found);
  FollowChange(now, out);
  Member& replacement = *membership_.Find(WorkerNode(worker));
  if (replacement.registered()) AdmitReplacement(replacement, now, out);
}

void Coordinator::AdmitReplacement(Member& member, TimePoint now, Outbox& out) {
  const std::uint32_t worker = member.node.index;
  wanted_until_.erase(worker);
  last_progress_ = now;
  if (fences_.contains(worker)) {
    out.Send(member.node, RegisterPending{member.registration.request_id, "its fence at the shards"});
    return;
  }
  SendWelcome(member.node, member.registration.request_id, out);
  if (JoinsAtOnce(member.node)) return CountIn(worker, now, out);
  if (state_ != State::kRunning || !TakesPart(member.node) || workers_done_.contains(worker)) return;
  PhaseOrder order = order_;
  if (const auto resume = resume_clocks_.find(worker); resume != resume_clocks_.end())
    order.resume_clock = resume->second;
  Event(ToString(member.node) + " takes part again" +
        (order.kind != PhaseKind::kTrain ? ""
         : order.resume_clock == kClockInfinity
             ? ", with nothing left to do"
             : ", from clock " + std::to_string(order.resume_clock) + " on"));
  SendOrder(member, order, now, out);
}

void Coordinator::FollowFences(TimePoint now, Outbox& out) {
  for (auto& [worker, fence] : fences_) {
    if (now >= fence.deadline) {
      recoverable_ = true;
      Stop({ErrorCode::kTimeout, ToString(ShardNode(*fence.shards.begin())) +
                                     " has not confirmed in time that " + ToString(WorkerNode(worker)) +
                                     " is replaced"},
           now, out);
      return;
    }
    if (now >= fence.next_retry) SendFence(worker, now, out);
  }
  for (const auto& [worker, until] : wanted_until_) {
    if (now < until) continue;
    recoverable_ = true;
    Stop({ErrorCode::kTimeout, "the replacement of " + ToString(WorkerNode(worker)) +
                                   " did not register in time (cluster.startup_seconds)"},
         now, out);
    return;
  }
}

// ---------------------------------------------------------------- checkpoints

void Coordinator::OrderCheckpoint(TimePoint now, Outbox& out) {
  if (plan_.checkpoint_path.empty() || plan_.checkpoint_every == 0 ||
      plan_.consistency == Consistency::kBsp || state_ != State::kRunning ||
      order_.kind != PhaseKind::kTrain || !fences_.empty()) {
    return;
  }
  Clock lowest = kClockInfinity;
  for (const Member& member : membership_.all()) {
    if (TakesPart(member.node) && member.phase == phase_ && !workers_done_.contains(member.node.index))
      lowest = std::min(lowest, member.counters.clock);
  }
  if (lowest == kClockInfinity) return;
  const auto number = static_cast<std::uint64_t>(lowest);
  if (number < newest_checkpoint_ + plan_.checkpoint_every) return;
  newest_checkpoint_ = number;
  for (std::uint32_t shard = 0; shard < plan_.shards; ++shard)
    Notify(ShardNode(shard), CheckpointOrder{0, number}, now, out);
}

void Coordinator::OnCheckpointDone(const Member& member, CheckpointDone message, Outbox& out) {
  out.Send(member.node, Ack{message.request_id});
  if (member.node.role != Role::kShard || plan_.checkpoint_path.empty()) return;
  const std::uint64_t number = message.number;
  if (!message.error.empty()) {
    Event("no checkpoint " + std::to_string(number) + ": " + ToString(member.node) + ": " + message.error);
    return;
  }
  // Late, or once more: the recorder has removed what it took for unfinished below a whole one.
  if (number <= whole_checkpoint_) return;
  auto& parts = checkpoints_[number];
  parts.insert_or_assign(member.node.index, std::move(message));
  if (parts.size() < plan_.shards) return;
  std::vector<CheckpointDone> whole;
  for (auto& [shard, part] : parts) whole.push_back(std::move(part));
  // Those before it will not be completed any more, or are of no use.
  checkpoints_.erase(checkpoints_.begin(), checkpoints_.upper_bound(number));
  whole_checkpoint_ = number;
  const auto position = PositionOf(whole);
  if (!position || decided()) return;
  newest_checkpoint_ = std::max(newest_checkpoint_, number);
  if (observer_ != nullptr) observer_->OnCheckpoint(*position, whole, kernels_);
}

std::optional<RunPosition> Coordinator::PositionOf(const std::vector<CheckpointDone>& parts) const {
  RunPosition position;
  position.number = parts[0].number;
  const bool bsp = plan_.consistency == Consistency::kBsp;
  // bsp: the phase whose clock was the last one applied. Else the one that all parts are of, the newest.
  const auto found = std::find_if(trained_.rbegin(), trained_.rend(), [&](const TrainPhase& each) {
    return !bsp || static_cast<std::uint64_t>(each.first_clock) < position.number;
  });
  if (found == trained_.rend()) return std::nullopt;
  position.phase = found->phase;
  position.step = found->step;
  position.first_clock = found->first_clock;
  for (const Member& member : membership_.all()) position.acknowledged += member.counters.pushes_acknowledged;
  position.workers = plan_.workers;
  if (bsp) return position;
  position.leases = found->phase == phase_ ? leases_.journal() : found->leases;
  // Of one that came in the middle of the phase some parts may not know: it had done nothing there.
  std::size_t workers = plan_.workers;
  for (const LeaseRecord& each : position.leases.records)
    workers = std::max<std::size_t>(workers, each.worker + 1);
  for (const CheckpointDone& part : parts) workers = std::max(workers, part.closed.size());
  position.closed.assign(workers, kClockInfinity);
  for (const CheckpointDone& part : parts) {
    if (part.phase != found->phase || part.closed.size() < plan_.workers) return std::nullopt;
    for (std::size_t worker = 0; worker < workers; ++worker) {
      const Clock closed = worker < part.closed.size() ? part.closed[worker] : position.first_clock - 1;
      position.closed[worker] = std::min(position.closed[worker], closed);
    }
  }
  return position;
}

void Coordinator::ResumePhase() {
  const RunPosition& position = *plan_.resume;
  newest_checkpoint_ = whole_checkpoint_ = position.number;
  if (plan_.consistency == Consistency::kBsp) {
    order_.resume_clock = static_cast<Clock>(position.number);
    return;
  }
  leases_.Restore(position.leases);
  for (const std::uint32_t worker : workers_) {
    const Clock closed = position.closed[worker];
    const Clock resume = closed == kClockInfinity ? kClockInfinity : std::max(closed + 1, order_.first_clock);
    resume_clocks_[worker] = resume;
    leases_.Redo(worker, resume);
  }
}

}  // namespace cohort
