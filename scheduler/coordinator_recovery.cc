// Coordinator: the death of members, and workers that take the place of dead ones (DESIGN 2.1).
//
//   dead ─► fence at every shard ─► all have confirmed: the lowest closed clock is known ─┐
//     └───► a process is asked for ─► it registers, under the next incarnation ───────────┴─► Welcome, the phase's order
//
// In training the replacement resumes at the first clock that is not closed everywhere: what the dead worker had pushed of
// it counts as duplicate. In evaluation and scoring the dead worker's leases are granted again.
#include <algorithm>
#include <cstdio>
#include <utility>

#include "scheduler/coordinator.h"

namespace cohort {

bool Coordinator::Replaceable(const Member& member) const {
  return member.node.role == Role::kWorker && state_ != State::kRegistering && !decided() &&
         replaced_ < plan_.recoveries;
}

void Coordinator::OnDeath(Member& member, const std::string& how, TimePoint now, Outbox& out) {
  orders_.erase(member.node);
  if (decided()) return;
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
  membership_.Retire(member);
  wanted_until_[worker] = now + plan_.startup;

  const bool has_work = state_ == State::kRunning && !workers_done_.contains(worker);
  std::erase_if(waiting_leases_, [worker](const auto& waiting) { return waiting.first == worker; });
  if (has_work && Scoring()) leases_.Requeue(worker, row_order_.next_row());
  Fence& fence = fences_[worker];
  fence = Fence{};
  fence.id = next_id_++;
  fence.deadline = now + plan_.request;
  fence.in_training = has_work && order_.kind == PhaseKind::kTrain;
  for (std::uint32_t shard = 0; shard < plan_.shards; ++shard) fence.shards.insert(shard);
  SendFence(worker, now, out);
  GrantWaitingLeases(out);  // others may wait for what it had
}

void Coordinator::SendFence(std::uint32_t worker, TimePoint now, Outbox& out) {
  Fence& fence = fences_.at(worker);
  fence.next_retry = now + plan_.retry;
  for (const std::uint32_t shard : fence.shards) {
    out.Send(ShardNode(shard), FenceOrder{fence.id, worker, membership_.Find(WorkerNode(worker))->incarnation});
  }
}

void Coordinator::OnFenceDone(const Member& member, const FenceDone& message, TimePoint now, Outbox& out) {
  const auto found = std::find_if(fences_.begin(), fences_.end(),
                                  [&](const auto& each) { return each.second.id == message.request_id; });
  if (member.node.role != Role::kShard || found == fences_.end()) return;
  Fence& fence = found->second;
  if (fence.shards.erase(member.node.index) == 0) return;
  fence.closed = std::min(fence.closed, message.closed);
  if (!fence.shards.empty()) return;

  const std::uint32_t worker = found->first;
  if (fence.in_training) {
    const Clock resume = fence.closed == kClockInfinity ? kClockInfinity : fence.closed + 1;
    resume_clocks_[worker] = std::max(resume, order_.first_clock);
    leases_.Redo(worker, resume_clocks_[worker]);
  }
  fences_.erase(found);
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
  if (state_ != State::kRunning || workers_done_.contains(worker)) return;
  PhaseOrder order = order_;
  if (const auto resume = resume_clocks_.find(worker); resume != resume_clocks_.end())
    order.resume_clock = resume->second;
  Event(ToString(member.node) + " takes part again" +
        (order.kind != PhaseKind::kTrain                 ? ""
         : order.resume_clock == kClockInfinity          ? ", with nothing left to do"
                                                         : ", from clock " + std::to_string(order.resume_clock) + " on"));
  SendOrder(member, order, now, out);
}

void Coordinator::FollowFences(TimePoint now, Outbox& out) {
  for (auto& [worker, fence] : fences_) {
    if (now >= fence.deadline) {
      Stop({ErrorCode::kTimeout, ToString(ShardNode(*fence.shards.begin())) + " has not confirmed in time that " +
                                     ToString(WorkerNode(worker)) + " is replaced"},
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

}  // namespace cohort
