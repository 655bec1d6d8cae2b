// Coordinator: its journal, and a scheduler that takes the place of a dead one (docs/recovery.md).
//
//   a coordinator is made with the same plan, but the next term ─► it is fed with the journal, and says nothing meanwhile
//     ─► TakeOver: it gives its open orders again, to members that have gone on, and has patience with all of them
//
// Nothing is asked of the members but to repeat what was not acknowledged, which they do anyway. They follow the highest
// term: what an earlier scheduler says, should it wake up, is ignored.
#include <algorithm>
#include <utility>

#include "scheduler/coordinator.h"

namespace cohort {
namespace {

// What a restarted scheduler must know. Acknowledgements are not in it: orders are given again, and that changes nothing.
template <typename... Kinds>
bool IsOneOf(const Message& message) {
  return (std::holds_alternative<Kinds>(message) || ...);
}
bool Decides(const Message& message) {
  return IsOneOf<Register, PhaseReply, PhaseDone, LeaseRequest, ScoreBlock, SnapshotDone, CheckpointDone,
                 FenceDone, BackupReady, Warning>(message);
}

// Orders of a later term have higher ids, however many the earlier ones gave.
RequestId FirstIdOf(std::uint32_t term) { return RequestId{term} << 40; }

}  // namespace

void Coordinator::Record(const Stamp& from, const Message& message, TimePoint now) {
  if (journal_ == nullptr || decided() || !Decides(message)) return;
  journal_->Append({now - started_at_, next_id_, from, message, std::nullopt});
}

void Coordinator::RecordDeath(const Member& member, const std::string& how, TimePoint now) {
  if (journal_ == nullptr) return;
  JournalEntry entry{
      now - started_at_, next_id_, {}, Heartbeat{0, member.phase, member.counters, member.waiting}, how};
  entry.from.sender = member.node;
  journal_->Append(entry);
}

void Coordinator::Replay(JournalEntry entry) {
  Outbox unsaid;
  const TimePoint now = replayed_to_ = started_at_ + entry.at;
  next_id_ = entry.next_id;
  if (!entry.death) return OnMessage(entry.from, std::move(entry.message), now, unsaid);
  Member* member = membership_.Find(entry.from.sender);
  auto* last = std::get_if<Heartbeat>(&entry.message);
  if (member == nullptr || last == nullptr) return;
  member->phase = last->phase;
  member->counters = std::move(last->counters);
  member->waiting = std::move(last->waiting);
  member->state = MemberState::kDead;
  OnDeath(*member, *entry.death, now, unsaid);
}

void Coordinator::TakeOver(TimePoint now) {
  // The time in between did not pass for the run: nobody is late.
  const Duration gap = now - replayed_to_;
  started_at_ += gap;
  phase_started_ += gap;
  last_progress_ = last_sample_ = now;
  membership_.Judge(now);  // after such a gap it forgives all silence
  next_id_ = std::max(next_id_, FirstIdOf(plan_.term));
  if (state_ != State::kRegistering) next_sample_ = now + kSampleInterval;
  if (state_ == State::kStopping) stop_deadline_ = now + plan_.stop;
  for (auto& [node, order] : orders_) {
    const Member& member = *membership_.Find(node);
    order.next_retry = now;
    order.deadline = now + std::max(plan_.request, member.silence_allowed);
  }
  for (auto& [worker, fence] : fences_) fence.next_retry = now, fence.deadline = now + plan_.request;
  for (auto& [worker, until] : wanted_until_) until = now + plan_.startup;
  for (auto& [shard, until] : promoted_until_) until = now + plan_.request;
  for (auto& [id, notice] : notices_) notice.next_retry = now;
  BeginRecovery(now);
  Event("another scheduler (term " + std::to_string(plan_.term) + ") goes on, in " + WaitingFor());
}

}  // namespace cohort
