// Shard: the two sides of a backup.
//
// A shard with a backup (stream_): what changes it goes to the backup in the order in which it is done here; replies wait
// until the backup has it. A new backup gets the state of one instant, as a checkpoint would, and beside it what has come
// since.
//
// A backup (following_): does what its shard has done, tells nobody, and takes the shard's place when the scheduler says so. What it
// lacks then was never acknowledged, so that the workers send it again.
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/wire.h"
#include "server/request_check.h"
#include "server/shard.h"

namespace cohort {

// ---------------------------------------------------------------- a shard with a backup

void Shard::OnBackupOrder(BackupOrder order, Outbox& out) {
  if (stream_ != nullptr) {
    stream_->Release(out);
    stream_.reset();
    if (transfer_ != nullptr) transfer_->Cancel();
    ConfirmHeldPhase(out);
  }
  next_backup_.reset();
  if (!order.endpoint.empty()) next_backup_ = std::move(order);
  StartStreamIfReady(out);
}

// The instant. While a part of a checkpoint is being copied there cannot be another one, and a shard that begins from a
// checkpoint knows its clocks only when its first phase has begun.
void Shard::StartStreamIfReady(Outbox& out) {
  if (phase_.phase == 0 && !former_.empty()) return;
  if (!next_backup_ || checkpoint_ != nullptr || !joined_ || following_ || stopped_ || !failure_.ok()) return;
  const BackupOrder order = *std::exchange(next_backup_, std::nullopt);
  Count(ShardEvent::kBackupBegun);
  const NodeId backup = BackupNode(self_.index);
  out.Connect(backup, order.endpoint);
  stream_ = std::make_shared<ReplicaStream>(backup, order.incarnation, options_.scheduler.retry);
  ShardState state = StateBesideRows();
  if (consistency_ == Consistency::kBsp) {
    // What is held is sent again below, and then who has closed more than all have.
    state.closed.assign(worker_count_, clocks_.lowest());
    state.applied.clear();
    state.floors.clear();
  }
  auto writer = std::make_unique<ReplicaWriter>(stream_, phase_);
  transfer_ = writer.get();
  std::vector<ShardTable*> tables;
  for (const auto& table : tables_) tables.push_back(table.get());
  checkpoint_ = std::make_unique<ShardCheckpoint>(0, std::move(state), std::move(tables),
                                                  options_.checkpoint_block_bytes, std::move(writer));
  for (std::uint32_t worker = 0; worker < worker_count_; ++worker) ReplicateFence(worker, out);
  held_.ForEach(
      [&](const HeldPushes::Message& each) { ReplicatePush(each.worker, each.push, each.pull.get(), out); });
  if (consistency_ != Consistency::kBsp) return;
  for (const std::uint32_t worker : phase_.workers)
    if (clocks_.closed(worker) > clocks_.lowest()) ReplicateClose(worker, clocks_.closed(worker), out);
}

void Shard::ReplicateClose(std::uint32_t worker, Clock clock, Outbox& out) {
  if (stream_ == nullptr) return;
  ReplicaEvent event;
  event.worker = worker;
  event.clock = clock;
  stream_->Send(std::move(event), now_, out);
}

void Shard::ReplicateFence(std::uint32_t worker, Outbox& out) {
  if (stream_ == nullptr) return;
  ReplicaEvent event;
  event.kind = ReplicaEvent::Kind::kFence;
  event.worker = worker;
  event.incarnation = incarnations_[worker];
  stream_->Send(std::move(event), now_, out);
}

void Shard::ReplicateJoin(std::uint32_t worker, Outbox& out) {
  if (stream_ == nullptr) return;
  ReplicaEvent event;
  event.kind = ReplicaEvent::Kind::kJoin;
  event.worker = worker;
  stream_->Send(std::move(event), now_, out);
}

void Shard::ReplicatePhase(Outbox& out) {
  if (stream_ == nullptr) return;
  ReplicaEvent event;
  event.kind = ReplicaEvent::Kind::kPhase;
  event.phase = phase_;
  stream_->Send(std::move(event), now_, out);
}

void Shard::ReplicatePush(std::uint32_t worker, const PushRequest& push, const KeptPull* pull, Outbox& out) {
  if (stream_ == nullptr) return;
  ReplicaPush message{0, worker, push};
  if (pull != nullptr) {
    message.push.pull = 0;
    message.push.rows = {};
    if (push.rows.empty()) {
      message.push.keys = pull->keys;
    } else {
      const std::span<const Key> keys = pull->keys.As<Key>();
      std::vector<Key> named;
      for (const std::uint32_t row : push.rows.As<std::uint32_t>()) named.push_back(keys[row]);
      message.push.keys = Buffer::Own(std::move(named));
    }
  }
  stream_->Send(std::move(message), now_, out);
}

void Shard::Reply(NodeId to, Message message, Outbox& out) {
  if (stream_ != nullptr) {
    stream_->Hold(to, std::move(message), out);
  } else {
    out.Send(to, std::move(message));
  }
}

void Shard::OnReplicaAck(const Stamp& from, const ReplicaAck& ack, Outbox& out) {
  if (stream_ == nullptr || from.sender != stream_->backup() || from.run_id != stamp().run_id ||
      from.incarnation != stream_->incarnation()) {
    return Count(ShardEvent::kUnexpected);
  }
  stream_->OnAck(ack.request_id, out);
  ConfirmHeldPhase(out);
}

void Shard::ConfirmPhase(Outbox& out) {
  confirm_at_ = stream_ != nullptr ? stream_->sent() : 0;
  ConfirmHeldPhase(out);
}

void Shard::ConfirmHeldPhase(Outbox& out) {
  if (!confirm_at_ || (stream_ != nullptr && stream_->acknowledged() < *confirm_at_)) return;
  confirm_at_.reset();
  client_.ConfirmPhase(phase_, now_, out);
}

void Shard::SendTransfer(Outbox& out) {
  while (auto message = transfer_->Next()) {
    if (stream_ != nullptr) stream_->Send(std::move(*message), now_, out);
  }
}

// ---------------------------------------------------------------- a backup

bool Shard::OnReplica(const Stamp& from, Message& message, Outbox& out) {
  const bool of_stream =
      std::holds_alternative<ReplicaPush>(message) || std::holds_alternative<ReplicaEvent>(message) ||
      std::holds_alternative<ReplicaRows>(message) || std::holds_alternative<ReplicaState>(message);
  if (!of_stream) return false;
  // One that is a shard itself by now has nothing to take from its predecessor.
  if (!following_ || from.sender != self_ || from.run_id != stamp().run_id || !joined_ || stopped_ ||
      !failure_.ok() || from.incarnation < followed_) {
    Count(ShardEvent::kUnexpected);
    return true;
  }
  const RequestId number = RequestIdOf(message);
  if (number >> 32 != received_ >> 32) {  // for an earlier backup
    Count(ShardEvent::kUnexpected);
    return true;
  }
  followed_ = from.incarnation;
  if (number > received_) early_.emplace(number, std::move(message));
  for (auto next = early_.begin(); next != early_.end() && next->first == received_ + 1 && failure_.ok();
       next = early_.erase(next)) {
    ++received_;
    TakeReplica(std::move(next->second), out);
  }
  if (failure_.ok()) out.Send(from.sender, ReplicaAck{received_});
  return true;
}

void Shard::TakeReplica(Message message, Outbox& out) {
  Status status;
  if (auto* rows = std::get_if<ReplicaRows>(&message)) {
    status = TakeRows(*rows);
  } else if (auto* state = std::get_if<ReplicaState>(&message)) {
    status = TakeState(*state, out);
  } else if (!whole_) {
    since_.push_back(std::move(message));
  } else {
    status = Redo(message);
  }
  if (!status.ok()) Fail(status.Within("as backup of " + ToString(self_)), now_, out);
}

Status Shard::TakeRows(const ReplicaRows& rows) {
  ShardTable* const table = FindTable(rows.table);
  const std::span<const std::uint64_t> positions = rows.positions.As<std::uint64_t>();
  const std::span<const std::uint64_t> statistics = rows.statistics.As<std::uint64_t>();
  if (table == nullptr || whole_ || statistics.empty() == table->spec().policy.NeedsStatistics() ||
      rows.words.size() != positions.size() * table->rows().row_words() * sizeof(float)) {
    return {ErrorCode::kCorrupt, "rows of table " + std::to_string(rows.table) + " that do not fit"};
  }
  EmbeddingTable& to = table->rows();
  const RowLayout& layout = to.layout();
  const float* words = rows.words.As<float>().data();
  std::vector<float> values(layout.dim + layout.state_floats);
  for (std::size_t i = 0; i < positions.size(); ++i, words += to.row_words()) {
    if (!owned_[static_cast<std::size_t>(GroupOf(positions[i]))])
      return {ErrorCode::kCorrupt, "a row of another shard"};
    const Key key = KeyAt(table->spec(), positions[i]);
    layout.Load(words, values.data());
    to.Put(key, values.data());
    if (!statistics.empty()) to.PutStatistics(key, UnpackedStatistics(statistics[i]));
  }
  return {};
}

Status Shard::TakeState(const ReplicaState& message, Outbox& out) {
  auto state = DecodeShardState({message.state.data(), message.state.size()});
  if (!state || whole_ || state->groups != owned_ || state->closed.size() < worker_count_ ||
      state->closed.size() > kMaxWorkers || state->tables.size() != tables_.size()) {
    return {ErrorCode::kCorrupt, "a state that does not fit"};
  }
  CountWorkers(static_cast<std::uint32_t>(state->closed.size()));
  for (std::size_t i = 0; i < tables_.size(); ++i)
    COHORT_RETURN_IF_ERROR(tables_[i]->Restore(state->tables[i], owned_, /*first=*/true, /*counts=*/true));
  counted_ += state->counts;
  whole_ = true;
  former_.push_back(std::move(*state));
  if (message.phase.phase != 0) {
    next_phase_ = message.phase;
    BeginPhaseIfReady(now_, out);
  }
  former_.clear();
  for (Message& each : std::exchange(since_, {})) COHORT_RETURN_IF_ERROR(Redo(each));
  Count(ShardEvent::kBackupWhole);
  client_.SendReliably(BackupReady{}, now_, out);
  return {};
}

// What its shard has done. What it tells workers, nobody hears.
Status Shard::Redo(Message& message) {
  Outbox nobody;
  if (auto* push = std::get_if<ReplicaPush>(&message)) {
    ShardTable* const table = FindTable(push->push.table);
    if (table == nullptr || push->worker >= worker_count_ ||
        CheckPush(push->push, table->spec(), owned_, nullptr, &positions_)) {
      return {ErrorCode::kCorrupt, "a push that does not fit"};
    }
    CountPush(push->worker, std::move(push->push), nullptr, nobody);
    return {};
  }
  ReplicaEvent& event = std::get<ReplicaEvent>(message);
  if (event.kind == ReplicaEvent::Kind::kPhase) {
    next_phase_ = std::move(event.phase);
    BeginPhaseIfReady(now_, nobody);
    if (!next_phase_) return {};
    return {ErrorCode::kCorrupt, "phase " + std::to_string(next_phase_->phase) + " from clock " +
                                     std::to_string(next_phase_->first_clock) + " on, but " + WaitingFor()};
  }
  if (event.kind == ReplicaEvent::Kind::kJoin && event.worker < kMaxWorkers && !PlaceOf(event.worker)) {
    AddWorker(event.worker);  // its clocks are those that the shard had then
    return {};
  }
  if (event.worker >= worker_count_ || event.kind == ReplicaEvent::Kind::kJoin)
    return {ErrorCode::kCorrupt, "a worker that cannot be"};
  if (event.kind == ReplicaEvent::Kind::kFence) {
    incarnations_[event.worker] = std::max(incarnations_[event.worker], event.incarnation);
  } else {
    CloseClock(event.worker, event.clock, nobody);
  }
  return {};
}

void Shard::Promote(const PromoteOrder& order, Outbox& out) {
  if (!following_) return;
  if (!whole_) return Fail({ErrorCode::kInternal, "promoted before it had everything"}, now_, out);
  Count(ShardEvent::kPromoted);
  following_ = false;
  early_.clear();
  client_.Become(self_, order.incarnation, now_, out);
}

}  // namespace cohort
