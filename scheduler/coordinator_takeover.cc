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

// The end of a phase is said again until it is acknowledged, and holds megabytes where it tells of an evaluation.
bool Coordinator::Repeats(NodeId from, const Message& message) const {
  const auto* done = std::get_if<PhaseDone>(&message);
  return done != nullptr && (done->phase < phase_ || workers_done_.contains(from.index));
}

void Coordinator::Record(const Stamp& from, const Message& message, TimePoint now) {
  if (journal_ == nullptr || decided() || !Decides(message) || Repeats(from.sender, message)) return;
  journal_->Append({JournalEntry::Kind::kMessage, now - started_at_, next_id_, from, message, {}, {}});
}

void Coordinator::RecordDeath(const Member& member, const std::string& how, TimePoint now) {
  if (journal_ == nullptr) return;
  JournalEntry entry{JournalEntry::Kind::kDeath, now - started_at_, next_id_, {}, {}, how, {}};
  entry.from.sender = member.node;
  entry.message = Heartbeat{0, member.phase, member.counters, member.waiting};
  journal_->Append(entry);
}

void Coordinator::RecordChange(JournalEntry::Kind kind, NodeId node, const std::string& text, TimePoint now) {
  if (journal_ == nullptr) return;
  JournalEntry entry{kind, now - started_at_, next_id_, {}, Heartbeat{}, text, {}};
  entry.from.sender = node;
  if (kind == JournalEntry::Kind::kChange) entry.change = change_->what;
  journal_->Append(entry);
}

void Coordinator::Replay(JournalEntry entry) {
  using Kind = JournalEntry::Kind;
  replaying_ = true;
  Outbox unsaid;
  const TimePoint now = replayed_to_ = started_at_ + entry.at;
  next_id_ = entry.next_id;
  Member* member = membership_.Find(entry.from.sender);
  switch (entry.kind) {
    case Kind::kMessage:
      return OnMessage(entry.from, std::move(entry.message), now, unsaid);
    case Kind::kDeath: {
      auto* last = std::get_if<Heartbeat>(&entry.message);
      if (member == nullptr || last == nullptr) return;
      member->phase = last->phase;
      member->counters = std::move(*last->counters);
      member->waiting = std::move(last->waiting);
      member->state = MemberState::kDead;
      return OnDeath(*member, entry.text, now, unsaid);
    }
    case Kind::kChange:
      (void)BeginChange(entry.change, now, unsaid);  // as it began before
      return;
    case Kind::kLeave:
      if (change_ && member != nullptr) TellToLeave(*member, now, unsaid);
      return;
    case Kind::kChangeDone:
      if (change_) EndChange({});
      return;
    case Kind::kChangeGivenUp:
      if (change_) GiveUpChange(entry.text, now);
      return;
  }
}

void Coordinator::TakeOver(TimePoint now) {
  replaying_ = false;
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
  for (auto& [node, leaving] : leaving_) leaving.deadline = now + plan_.wait;
  if (change_) change_->since = now;
  BeginRecovery(now);
  Event("another scheduler (term " + std::to_string(plan_.term) + ") goes on, in " + WaitingFor());
}

}  // namespace cohort
