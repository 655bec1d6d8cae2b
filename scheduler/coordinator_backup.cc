// Coordinator: shards and their backups (docs/recovery.md).
//
//   a backup registers ─► Welcome; its shard is told to feed it ─► it has everything: ready
//   a shard dies, its backup is ready ─► the backup is told to be that shard ─► it registers as such, in the next
//     incarnation ─► workers are told where it is; orders that the dead one may not have followed are given again
//   a backup dies ─► its shard goes on alone, until another one registers
//
// A shard without a ready backup that dies ends the run, which somebody may begin again from a checkpoint.
#include <algorithm>
#include <utility>

#include "scheduler/coordinator.h"

namespace cohort {

// Sends it, again until it is acknowledged.
void Coordinator::Notify(NodeId to, Message message, TimePoint now, Outbox& out) {
  const RequestId id = next_id_++;
  std::visit([id](auto& body) { body.request_id = id; }, message);
  out.Send(to, message);
  notices_.insert_or_assign(id, Notice{to, std::move(message), now + plan_.retry});
}

void Coordinator::DropNotices(NodeId to) {
  std::erase_if(notices_, [to](const auto& each) { return each.second.to == to; });
}

void Coordinator::OrderBackup(std::uint32_t shard, TimePoint now, Outbox& out) {
  const Member* backup = membership_.Find(BackupNode(shard));
  if (backup == nullptr) return;
  BackupOrder order;
  if (backup->registered()) {
    order.endpoint = backup->registration.endpoint;
    order.incarnation = backup->incarnation;
  }
  Notify(ShardNode(shard), std::move(order), now, out);
}

void Coordinator::AdmitBackup(Member& member, TimePoint now, Outbox& out) {
  SendWelcome(member.node, member.registration.request_id, out);
  membership_.Allow(member, std::nullopt, now);
  if (membership_.Find(ShardNode(member.node.index))->registered()) OrderBackup(member.node.index, now, out);
}

void Coordinator::OnBackupReady(const Member& member, const BackupReady& message, TimePoint now,
                                Outbox& out) {
  out.Send(member.node, Ack{message.request_id});
  if (member.node.role != Role::kBackup || Leaves(member.node) ||
      !ready_backups_.insert(member.node.index).second)
    return;
  ++backups_built_;
  // Its shard has opened what it had to open, too.
  if (Member& shard = *membership_.Find(ShardNode(member.node.index));
      shard.registered() && state_ != State::kSnapshot)
    membership_.Allow(shard, std::nullopt, now);
  Event(Describe(member) + " has everything");
  FollowChange(now, out);
}

bool Coordinator::CanFailOver(const Member& shard) const {
  return shard.node.role == Role::kShard && state_ != State::kRegistering && !decided() &&
         ready_backups_.contains(shard.node.index) && replaced_ + failovers_ < plan_.recoveries;
}

void Coordinator::FailOver(Member& shard, TimePoint now, Outbox& out) {
  ++failovers_;
  BeginRecovery(now);
  PromoteBackup(shard, now, out);
}

void Coordinator::PromoteBackup(Member& shard, TimePoint now, Outbox& out) {
  const std::uint32_t index = shard.node.index;
  last_progress_ = now;
  membership_.Retire(shard);
  shard.past.pushes_acknowledged = 0;  // its backup has counted them too
  promoted_until_[index] = now + plan_.request;
  Notify(BackupNode(index), PromoteOrder{0, shard.incarnation}, now, out);
}

void Coordinator::LoseBackup(Member& backup, const std::string& how, TimePoint now, Outbox& out) {
  const std::uint32_t shard = backup.node.index;
  if (promoted_until_.contains(shard) || Leaves(ShardNode(shard))) return FailMember(backup, how, now, out);
  Event(Describe(backup) + " died: " + how + "; its shard goes on without");
  ready_backups_.erase(shard);
  membership_.Retire(backup);
  SeatBackup(shard);
  last_progress_ = now;
  OrderBackup(shard, now, out);
}

// The backup has become the shard.
void Coordinator::AdmitPromoted(Member& member, TimePoint now, Outbox& out) {
  const std::uint32_t shard = member.node.index;
  promoted_until_.erase(shard);
  ready_backups_.erase(shard);
  last_progress_ = now;
  membership_.Allow(member, std::nullopt, now);
  SendWelcome(member.node, member.registration.request_id, out);
  Member& backup = *membership_.Find(BackupNode(shard));
  if (backup.registered()) membership_.Retire(backup);
  NotePromotion(shard);
  orders_.erase(backup.node);
  DropNotices(backup.node);
  Event(Describe(member) + " has taken the place of the one before");
  for (const Member& each : membership_.all()) {
    // One that registers later is told in its Welcome.
    if (each.node.role != Role::kWorker || !each.registered()) continue;
    Notify(each.node, ShardMoved{0, shard, member.registration.endpoint, member.incarnation}, now, out);
  }
  for (auto& [worker, fence] : fences_) {
    if (!fence.shards.contains(shard)) continue;
    fence.id = next_id_++;  // one from before it registered is for the dead
    SendFence(worker, now, out);
  }
  newest_written_.erase(shard);
  if (state_ == State::kOrderingShards) SendOrder(member, order_, now, out);
  if (state_ == State::kSnapshot && !shards_written_.contains(shard)) OrderSnapshot(member, now, out);
  FollowChange(now, out);
}

void Coordinator::FollowBackups(TimePoint now, Outbox& out) {
  for (auto& [id, notice] : notices_) {
    if (now < notice.next_retry) continue;
    out.Send(notice.to, notice.message);
    notice.next_retry = now + plan_.retry;
  }
  for (const auto& [shard, until] : promoted_until_) {
    if (now < until) continue;
    recoverable_ = true;
    Stop({ErrorCode::kTimeout,
          "the backup of " + ToString(ShardNode(shard)) + " has not taken its place in time"},
         now, out);
    return;
  }
}

}  // namespace cohort
