// Coordinator: changes of who takes part while the run goes on (docs/recovery.md, "Elasticity"): what all have in common, and
// servers. Workers: coordinator_workers.cc.
//
// placement_ says on which servers the two copies of a shard belong; a change gives it other values, and the copies are brought
// there, one shard after the other, so that at most one copy of all is missing on purpose:
//
//   the backup is elsewhere ─► its shard is told that it has none, and it to stop ─► it has: somebody starts it where it
//     belongs ─► it has everything
//   the shard is elsewhere, its backup where the shard belongs ─► the shard is told to stop ─► it has: its backup takes its
//     place, as after a death (coordinator_backup.cc)
//
// Whoever dies meanwhile is made up for as ever. What is then not where it belongs is brought there in its turn.
#include <algorithm>
#include <utility>

#include "common/scheduler_client.h"
#include "scheduler/coordinator.h"

namespace cohort {
namespace {

std::string ToString(const ClusterChange& change) {
  std::string text = KindName(change.kind);
  if (change.kind != ClusterChange::Kind::kAddServer) text += " " + std::to_string(change.index);
  return text;
}

}  // namespace

// Everyone has registered.
void Coordinator::NotePlaces() {
  for (std::uint32_t shard = 0; plan_.backups && shard < plan_.shards; ++shard) {
    placement_.push_back({membership_.Find(ShardNode(shard))->registration.server,
                          membership_.Find(BackupNode(shard))->registration.server});
    next_server_ = std::max({next_server_, placement_.back().shard + 1, placement_.back().backup + 1});
  }
}

Status Coordinator::BeginChange(const ClusterChange& change, TimePoint now, Outbox& out) {
  if (decided()) return {ErrorCode::kInvalidInput, "the run is over"};
  if (state_ == State::kRegistering)
    return {ErrorCode::kInvalidInput, "the run has not begun yet: it waits for " + membership_.Missing()};
  if (change_) {
    return {ErrorCode::kInvalidInput, ToString(change_->what) + " is under way, and waits for " +
                                          ChangeWaitsFor().value_or("nothing") +
                                          "; ask again when it is done"};
  }
  if (change.OfWorkers()) return BeginWorkerChange(change, now, out);
  if (!plan_.backups) {
    return {ErrorCode::kInvalidInput,
            "the run has cluster.replicas = 0: shards move by way of their backups; start it with "
            "cluster.replicas = 1"};
  }
  if (change.kind == ClusterChange::Kind::kAddServer) {
    COHORT_ASSIGN_OR_RETURN(Placement after, WithServer(placement_, next_server_));
    change_ = Change{change, std::exchange(placement_, std::move(after)), now};
    change_->what.index = next_server_++;
  } else {
    COHORT_ASSIGN_OR_RETURN(Placement after, WithoutServer(placement_, change.index));
    change_ = Change{change, std::exchange(placement_, std::move(after)), now};
  }
  RecordChange(JournalEntry::Kind::kChange, kSchedulerNode, "", now);
  Event(ToString(change_->what) + " begins: " + std::to_string(plan_.shards) + " shards on servers " +
        ListServers(placement_));
  FollowChange(now, out);
  return {};
}

// Where its backup is to be now: it goes ahead of a shard that is to move.
std::uint32_t Coordinator::SeatOf(std::uint32_t shard) const {
  const ShardPlace& place = placement_[shard];
  const bool there = membership_.Find(ShardNode(shard))->registration.server == place.shard;
  return there ? place.backup : place.shard;
}

// A shard whose backup has taken its place after a death stays there; its new backup is where the dead one was.
void Coordinator::NotePromotion(std::uint32_t shard) {
  ShardPlace& place = placement_[shard];
  if (membership_.Find(ShardNode(shard))->registration.server == place.backup)
    std::swap(place.shard, place.backup);
  SeatBackup(shard);
}

// The backup, if it is missing, is to come where it belongs.
void Coordinator::SeatBackup(std::uint32_t shard) {
  Member& backup = *membership_.Find(BackupNode(shard));
  if (backup.registered()) return;
  const std::uint32_t seat = SeatOf(shard);
  std::string host = backup.registration.host;  // of its former life
  if (change_ && change_->what.kind == ClusterChange::Kind::kAddServer && change_->what.index == seat)
    host = change_->what.host;
  for (const Member& member : membership_.all()) {
    if (member.node.role != Role::kWorker && member.registered() && member.registration.server == seat)
      host = member.registration.host;
  }
  membership_.Seat(backup, seat, host);
}

bool Coordinator::InPlace(std::uint32_t shard) const {
  const Member& member = *membership_.Find(ShardNode(shard));
  return member.registered() && ready_backups_.contains(shard) &&
         member.registration.server == placement_[shard].shard &&
         membership_.Find(BackupNode(shard))->registration.server == placement_[shard].backup;
}

void Coordinator::FollowChange(TimePoint now, Outbox& out) {
  // What followed from time is in the journal.
  if (!change_ || decided() || replaying_) return;
  for (const auto& [node, leaving] : leaving_) {
    if (now < leaving.deadline) continue;
    Member& member = *membership_.Find(node);
    member.state = MemberState::kDead;
    return OnDeath(member, "no confirmation of its stop in time", now, out);
  }
  if (change_->what.OfWorkers()) return FollowWorkerChange(now, out);
  // Files are not written twice for a move; and who is on the way arrives first.
  if (state_ == State::kSnapshot || !leaving_.empty() || !promoted_until_.empty()) return;
  for (std::uint32_t shard = 0; shard < plan_.shards; ++shard) {
    if (!InPlace(shard)) return MoveOn(shard, now, out);
  }
  RecordChange(JournalEntry::Kind::kChangeDone, kSchedulerNode, "", now);
  EndChange({});
}

// The next step of a shard that is not where it belongs, or lacks its backup.
void Coordinator::MoveOn(std::uint32_t shard, TimePoint now, Outbox& out) {
  const Member& member = *membership_.Find(ShardNode(shard));
  Member& backup = *membership_.Find(BackupNode(shard));
  if (!backup.registered()) {
    SeatBackup(shard);
    if (now >= change_->since + plan_.startup) {
      GiveUpChange("server " + std::to_string(backup.registration.server) + " on host " +
                       backup.registration.host + " did not come up in time (cluster.startup_seconds)",
                   now);
    }
    return;
  }
  // The copy that stays must live; what has just been heard of does, most likely.
  const auto heard = [&](const Member& each) { return now < each.last_heard + 2 * plan_.heartbeat; };
  if (!heard(member) || !heard(backup)) return;
  if (backup.registration.server != SeatOf(shard)) return TellToLeave(backup, now, out);
  if (ready_backups_.contains(shard)) TellToLeave(member, now, out);
}

void Coordinator::TellToLeave(const Member& member, TimePoint now, Outbox& out) {
  RecordChange(JournalEntry::Kind::kLeave, member.node, "", now);
  Event(Describe(member) + " is told to stop: " + ToString(change_->what));
  if (member.node.role == Role::kBackup) {
    ready_backups_.erase(member.node.index);
    Notify(ShardNode(member.node.index), BackupOrder{}, now, out);
  }
  PhaseOrder stop;
  stop.phase = kPhaseOfLeaving;
  stop.kind = PhaseKind::kStop;
  leaving_[member.node] = {next_id_, now + plan_.wait};
  Notify(member.node, std::move(stop), now, out);
}

// It has stopped, or died before it could.
void Coordinator::HasLeft(Member& member, TimePoint now, Outbox& out) {
  leaving_.erase(member.node);
  orders_.erase(member.node);
  DropNotices(member.node);
  if (member.node.role == Role::kWorker) {
    membership_.Dismiss(member);
    Event(cohort::ToString(member.node) + " has left");
    return FollowChange(now, out);
  }
  const std::uint32_t shard = member.node.index;
  if (change_) change_->since = now;
  if (member.node.role == Role::kBackup) {
    membership_.Retire(member);
    SeatBackup(shard);
    Event(cohort::ToString(member.node) + " has left, and is built again on server " +
          std::to_string(member.registration.server));
    return;
  }
  ++moved_;
  Event(Describe(member) + " has left");
  PromoteBackup(member, now, out);
}

// What has moved stays where it is; the rest stays where it was. A worker that was to come does not any more.
void Coordinator::GiveUpChange(const std::string& why, TimePoint now) {
  RecordChange(JournalEntry::Kind::kChangeGivenUp, kSchedulerNode, why, now);
  if (change_->what.OfWorkers()) {
    membership_.Dismiss(*membership_.Find(WorkerNode(change_->what.index)));
    return EndChange({ErrorCode::kUnavailable, why});
  }
  for (std::uint32_t shard = 0; shard < plan_.shards; ++shard) {
    if (membership_.Find(ShardNode(shard))->registration.server == change_->before[shard].shard)
      placement_[shard] = change_->before[shard];
    SeatBackup(shard);
  }
  EndChange({ErrorCode::kTimeout, why + "; what had moved by then stays where it is"});
}

void Coordinator::EndChange(Status verdict) {
  Event(ToString(change_->what) + (verdict.ok() ? " is done" : " is given up: " + verdict.text()));
  change_.reset();
  change_verdict_ = std::move(verdict);
}

std::optional<std::string> Coordinator::ChangeWaitsFor() const {
  if (!change_) return std::nullopt;
  if (change_->what.OfWorkers()) return WorkerChangeWaitsFor();
  std::uint32_t there = 0;
  std::string next;
  for (std::uint32_t shard = 0; shard < plan_.shards; ++shard) {
    if (InPlace(shard)) {
      ++there;
      continue;
    }
    if (!next.empty()) continue;
    const Member& member = *membership_.Find(ShardNode(shard));
    const Member& backup = *membership_.Find(BackupNode(shard));
    next = cohort::ToString(member.node);
    if (Leaves(member.node)) {
      next += " to stop on server " + std::to_string(member.registration.server);
    } else if (!member.registered() || promoted_until_.contains(shard)) {
      next += " to go on as its backup on server " + std::to_string(backup.registration.server);
    } else if (Leaves(backup.node)) {
      next += ": its backup to stop on server " + std::to_string(backup.registration.server);
    } else {
      next += ": its backup to be built on server " + std::to_string(backup.registration.server);
    }
  }
  if (state_ == State::kSnapshot) next = "the model to be written";
  return (next.empty() ? "the scheduler" : next) + " (" + std::to_string(there) + " of " +
         std::to_string(plan_.shards) + " shards are where they belong)";
}

}  // namespace cohort
