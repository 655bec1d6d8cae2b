#include "server/shard.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "common/check.h"

namespace cohort {

const char* ShardEventName(ShardEvent event) {
  switch (event) {
    case ShardEvent::kPullAnswered:
      return "pull_answered";
    case ShardEvent::kPullParked:
      return "pull_parked";
    case ShardEvent::kPullParkedAgain:
      return "pull_parked_again";
    case ShardEvent::kPullReleased:
      return "pull_released";
    case ShardEvent::kPushApplied:
      return "push_applied";
    case ShardEvent::kPushHeld:
      return "push_held";
    case ShardEvent::kPushDuplicate:
      return "push_duplicate";
    case ShardEvent::kPushByRows:
      return "push_by_rows";
    case ShardEvent::kClockApplied:
      return "clock_applied";
    case ShardEvent::kClose:
      return "close";
    case ShardEvent::kCloseRepeated:
      return "close_repeated";
    case ShardEvent::kPhaseBegun:
      return "phase_begun";
    case ShardEvent::kPhaseDelayed:
      return "phase_delayed";
    case ShardEvent::kSnapshot:
      return "snapshot";
    case ShardEvent::kCheckpointBegun:
      return "checkpoint_begun";
    case ShardEvent::kCheckpointIncremental:
      return "checkpoint_incremental";
    case ShardEvent::kCheckpointWritten:
      return "checkpoint_written";
    case ShardEvent::kCheckpointFailed:
      return "checkpoint_failed";
    case ShardEvent::kCheckpointSkipped:
      return "checkpoint_skipped";
    case ShardEvent::kRowCopied:
      return "row_copied";
    case ShardEvent::kRowSaved:
      return "row_saved";
    case ShardEvent::kPullFetched:
      return "pull_fetched";
    case ShardEvent::kPushFetched:
      return "push_fetched";
    case ShardEvent::kClockFetched:
      return "clock_fetched";
    case ShardEvent::kFetchedAgain:
      return "fetched_again";
    case ShardEvent::kDiskFull:
      return "disk_full";
    case ShardEvent::kNotAdmitted:
      return "not_admitted";
    case ShardEvent::kEvictedIdle:
      return "evicted_idle";
    case ShardEvent::kEvictedMemory:
      return "evicted_memory";
    case ShardEvent::kMalformed:
      return "malformed";
    case ShardEvent::kUnknownTable:
      return "unknown_table";
    case ShardEvent::kUnknownPull:
      return "unknown_pull";
    case ShardEvent::kNonFinite:
      return "non_finite";
    case ShardEvent::kWrongShard:
      return "wrong_shard";
    case ShardEvent::kStaleGeneration:
      return "stale_generation";
    case ShardEvent::kFutureGeneration:
      return "future_generation";
    case ShardEvent::kStaleIncarnation:
      return "stale_incarnation";
    case ShardEvent::kStalePhase:
      return "stale_phase";
    case ShardEvent::kFuturePhase:
      return "future_phase";
    case ShardEvent::kFence:
      return "fence";
    case ShardEvent::kJoin:
      return "join";
    case ShardEvent::kBackupBegun:
      return "backup_begun";
    case ShardEvent::kBackupWhole:
      return "backup_whole";
    case ShardEvent::kPromoted:
      return "promoted";
    case ShardEvent::kNotReady:
      return "not_ready";
    case ShardEvent::kWrongRun:
      return "wrong_run";
    case ShardEvent::kUnexpected:
      return "unexpected";
    case ShardEvent::kCount:
      break;
  }
  return "unknown";
}

Shard::Shard(NodeId self, ShardOptions options, SnapshotStore& store)
    : self_(ShardNode(self.index)),
      options_(std::move(options)),
      store_(store),
      client_(self, options_.registration, options_.scheduler),
      chain_(options_.checkpoint_full_every),
      following_(self.role == Role::kBackup),
      received_(FirstNumber(options_.scheduler.incarnation) - 1) {
  COHORT_CHECK(self.role == Role::kShard || self.role == Role::kBackup);
  client_.SetHeartbeat([this] { return MakeHeartbeat(); });
}

void Shard::Start(TimePoint now, Outbox& out) {
  now_ = now;
  client_.Start(now, out);
}

void Shard::OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) {
  now_ = now;
  if (client_.OnMessage(from, message, now, out)) {
    FollowScheduler(now, out);
    return;
  }
  if (auto* pull = std::get_if<PullRequest>(&message)) {
    if (Admit(from, pull->request_id, pull->phase, out)) OnPull(from.sender.index, std::move(*pull), out);
  } else if (auto* push = std::get_if<PushRequest>(&message)) {
    if (Admit(from, push->request_id, push->phase, out)) OnPush(from.sender.index, std::move(*push), out);
  } else if (const auto* close = std::get_if<CloseRequest>(&message)) {
    if (Admit(from, close->request_id, close->phase, out)) OnClose(from.sender.index, *close, out);
    BeginPhaseIfReady(now, out);
  } else if (const auto* ack = std::get_if<ReplicaAck>(&message)) {
    OnReplicaAck(from, *ack, out);
  } else if (!OnReplica(from, message, out)) {
    Count(ShardEvent::kUnexpected);
  }
  if (tiered_) TrimTables(now, out);
  if (checkpoint_ != nullptr || !about_checkpoints_.empty()) FollowCheckpoint(now, out);
}

void Shard::OnTimer(TimePoint now, Outbox& out) {
  now_ = now;
  client_.OnTimer(now, out);
  if (stream_ != nullptr) stream_->OnTimer(now, out);
  if (tiered_) FollowDisk(now, out);
  if (checkpoint_ != nullptr || !about_checkpoints_.empty()) FollowCheckpoint(now, out);
}

TimePoint Shard::NextTimer() const {
  TimePoint next = client_.NextTimer();
  // Nobody takes in what the disk brings after the end.
  if (tiered_ && !stopped_ && failure_.ok()) next = std::min(next, NextArrival());
  if (checkpoint_ != nullptr) next = std::min(next, NextCheckpointStep());
  if (stream_ != nullptr && !stopped_ && failure_.ok()) next = std::min(next, stream_->NextTimer());
  return next;
}

void Shard::Fail(const Status& why, TimePoint now, Outbox& out) {
  if (!failure_.ok()) return;
  failure_ = why.Within(ToString(self_));
  client_.SendReliably(Failure{0, failure_.text()}, now, out);
}

const EmbeddingTable* Shard::table(TableId id) const {
  const ShardTable* table = FindTable(id);
  return table == nullptr ? nullptr : &table->rows();
}

std::uint64_t Shard::count(ShardEvent event) const {
  std::uint64_t count = events_[static_cast<std::size_t>(event)];
  for (const auto& table : tables_) {
    const RowPolicyCounters& policy = table->policy_counters();
    if (event == ShardEvent::kNotAdmitted) count += policy.not_admitted;
    if (event == ShardEvent::kEvictedIdle) count += policy.evicted_idle;
    if (event == ShardEvent::kEvictedMemory) count += policy.evicted_memory;
  }
  return count;
}

// ---------------------------------------------------------------- the scheduler's orders

void Shard::FollowScheduler(TimePoint now, Outbox& out) {
  if (!joined_ && client_.welcome() != nullptr) Join(*client_.welcome(), now, out);
  if (auto order = client_.TakePromoteOrder()) Promote(*order, out);
  if (auto order = client_.TakeBackupOrder()) OnBackupOrder(std::move(*order), out);
  if (auto fence = client_.TakeFenceOrder()) PutUpFence(*fence, out);
  if (auto order = client_.TakePhaseOrder()) {
    next_phase_ = std::move(order);
    if (!joined_ || !failure_.ok() || following_) {
      // Nothing to serve with: only the end can be confirmed.
      if (next_phase_->kind != PhaseKind::kStop) next_phase_.reset();
    }
    BeginPhaseIfReady(now, out);
    if (next_phase_) Count(ShardEvent::kPhaseDelayed);
  }
  if (auto order = client_.TakeSnapshotOrder()) next_snapshot_ = std::move(order);
  WriteSnapshotIfReady(now, out);
  if (auto order = client_.TakeCheckpointOrder()) OnCheckpointOrder(*order);
  if (!about_checkpoints_.empty()) FollowCheckpoint(now, out);
}

void Shard::Join(const Welcome& welcome, TimePoint now, Outbox& out) {
  joined_ = true;
  slices_ = welcome.slices;
  consistency_ = welcome.consistency;
  generation_ = welcome.slot_map->generation;
  for (int group = 0; group < kSlotGroupCount; ++group) {
    owned_[static_cast<std::size_t>(group)] = welcome.slot_map->ShardOfGroup(group) == self_.index;
  }
  clocks_ = Clocks(welcome.worker_count, consistency_, welcome.staleness);
  kept_ = KeptPulls(0, options_.kept_pull_bytes);
  CountWorkers(welcome.worker_count);
  std::vector<EmbeddingTable*> tables;
  const auto sparse = static_cast<std::uint64_t>(
      std::count_if(welcome.tables.begin(), welcome.tables.end(),
                    [](const TableSpec& spec) { return spec.kind == TableKind::kSparse; }));
  for (const TableSpec& spec : welcome.tables) {
    tables_.push_back(std::make_unique<ShardTable>(spec, welcome.seed, options_.row_log, options_.slabs));
    EmbeddingTable& rows = tables_.back()->rows();
    rows.CreateDenseRows(owned_);
    if (options_.cold_rows && spec.kind == TableKind::kSparse) {
      auto cold = options_.cold_rows(rows.row_words());
      if (!cold) return Fail(cold.error(), now, out);
      tables_.back()->UseTier(std::move(*cold), options_.tier_bytes / sparse);
      tiered_ = true;
    }
    tables.push_back(&rows);
  }
  if (following_ || welcome.model_path.empty()) return;  // a backup gets its rows from its shard
  const Status status =
      welcome.resume ? Resume(welcome, tables) : store_.Load(welcome.model_path, owned_, tables);
  if (!status.ok()) Fail(status, now, out);
}

void Shard::BeginPhaseIfReady(TimePoint now, Outbox& out) {
  if (!next_phase_) return;
  if (next_phase_->phase == phase_.phase) {
    // This shard was a backup when the phase began.
    phase_.request_id = next_phase_->request_id;
    next_phase_.reset();
    return ConfirmPhase(out);
  }
  const bool stop = next_phase_->kind == PhaseKind::kStop;
  // What is held must be applied first; a worker's last close may still be on its way.
  if (!stop && applying_) return;
  const bool training = phase_.phase != 0 && phase_.kind == PhaseKind::kTrain;
  if (!stop && training && clocks_.lowest() < next_phase_->first_clock - 1) return;
  phase_ = *std::exchange(next_phase_, std::nullopt);
  Count(ShardEvent::kPhaseBegun);
  if (!stop) ReplicatePhase(out);
  parked_pulls_.Clear();  // of the phase before: nobody waits for them any more
  waiting_.clear();
  if (stop) {
    stopped_ = true;
  } else {
    CountWorkers(phase_.workers.empty() ? 0 : phase_.workers.back() + 1);
    clocks_.BeginPhase(std::max(phase_.first_clock, phase_.resume_clock), phase_.workers);
    for (const auto& table : tables_) table->BeginEpoch(phase_.epoch, phase_.first_clock);
    applied_.Clear();
    kept_.Clear();
    TakeOverClocks();
  }
  if (stop) return client_.ConfirmPhase(phase_, now, out);
  if (following_) return;
  ConfirmPhase(out);
  StartStreamIfReady(out);
}

void Shard::CountWorkers(std::uint32_t count) {
  worker_count_ = std::max(worker_count_, count);
  incarnations_.resize(worker_count_);
  applied_.Count(worker_count_);
  kept_.Count(worker_count_);
}

void Shard::AddWorker(std::uint32_t worker) {
  CountWorkers(worker + 1);
  phase_.workers.insert(std::lower_bound(phase_.workers.begin(), phase_.workers.end(), worker), worker);
  clocks_.Join(worker);
  Count(ShardEvent::kJoin);
}

std::optional<std::uint32_t> Shard::PlaceOf(std::uint32_t worker) const {
  const auto place = std::lower_bound(phase_.workers.begin(), phase_.workers.end(), worker);
  if (place == phase_.workers.end() || *place != worker) return std::nullopt;
  return static_cast<std::uint32_t>(place - phase_.workers.begin());
}

void Shard::PutUpFence(const FenceOrder& order, Outbox& out) {
  const std::uint32_t worker = order.worker;
  const bool joins = joined_ && order.phase != 0 && order.phase == phase_.phase && !stopped_ && !following_;
  if (joins && !PlaceOf(worker)) {
    AddWorker(worker);
    ReplicateJoin(worker, out);
  }
  if (!joined_ || worker >= worker_count_) return;  // the order comes again
  Count(ShardEvent::kFence);
  const bool known = incarnations_[worker] >= order.incarnation;
  incarnations_[worker] = std::max(incarnations_[worker], order.incarnation);
  // What it waits for, it will not take; what it has pushed, stays, if it is acknowledged or not.
  parked_pulls_.Forget(worker);
  std::erase_if(waiting_, [worker](const auto& each) {
    return each.second.worker == worker && !std::holds_alternative<std::monostate>(each.second.request);
  });
  kept_.Forget(worker, kClockInfinity);
  if (!known) ReplicateFence(worker, out);
  if (joins && order.closed > clocks_.closed(worker)) {
    ReplicateClose(worker, order.closed, out);
    CloseClock(worker, order.closed, out);
  }
  Reply(kSchedulerNode, FenceDone{order.request_id, clocks_.closed(worker)}, out);
}

void Shard::WriteSnapshotIfReady(TimePoint now, Outbox& out) {
  if (!next_snapshot_ || (applying_ && failure_.ok())) return;
  const SnapshotOrder order = *std::exchange(next_snapshot_, std::nullopt);
  Count(ShardEvent::kSnapshot);
  SnapshotDone done;
  if (!joined_ || !failure_.ok()) {
    done.error = ToString(self_) + " has no model to write";
  } else {
    std::vector<const EmbeddingTable*> tables;
    for (const auto& table : tables_) tables.push_back(&table->rows());
    done = store_.Write(order.directory, self_.index, tables);
  }
  client_.SendReliably(std::move(done), now, out);
}

// ---------------------------------------------------------------- what heartbeats tell

Counters Shard::counters() const {
  Counters counters;
  if (joined_) counters.clock = clocks_.lowest();
  for (const auto& table : tables_) counters.rows += table->rows().size();
  counters.pushes_acknowledged = counted_.parts_acknowledged;
  counters.pushes_duplicated = counted_.parts_duplicated;
  counters.pulls_served = rows_pulled_;
  counters.pulls_parked = count(ShardEvent::kPullParked);
  counters.retries = client_.retries() + (stream_ != nullptr ? stream_->retries() : 0);
  counters.absent_rows = counted_.absent_rows;
  counters.bad_frames = count(ShardEvent::kMalformed) + count(ShardEvent::kUnknownTable);
  counters.nan_gradients = counted_.non_finite;
  for (const auto& table : tables_) counters.clipped_weights += table->clipped_weights();
  for (const auto& table : tables_) {
    if (!table->tiered()) continue;
    counters.cold_rows += table->rows().size() - table->rows().rows_in_memory();
    counters.rows_read += table->rows_read();
  }
  counters.not_admitted = count(ShardEvent::kNotAdmitted);
  counters.evicted_idle = count(ShardEvent::kEvictedIdle);
  counters.evicted_memory = count(ShardEvent::kEvictedMemory);
  counters.pulls_forgotten = kept_.forgotten();
  counters.clipped_values = counted_.clipped_values;
  counters.queue_depth = parked_pulls_.size() + waiting_.size() + held_.parts();
  if (options_.add_process_counters) options_.add_process_counters(&counters);
  return counters;
}

std::string Shard::WaitingFor() const {
  if (!waiting_.empty()) {
    std::size_t rows = 0;
    for (const auto& [use, waiting] : waiting_) rows += waiting.rows;
    return std::to_string(rows) + " rows from disk, for " + std::to_string(waiting_.size()) + " requests";
  }
  if (stream_ != nullptr && stream_->acknowledged() < stream_->sent()) {
    return "its backup, which has " + std::to_string(stream_->sent() - stream_->acknowledged()) +
           " messages to acknowledge";
  }
  if (parked_pulls_.empty() && !next_phase_) return {};
  const Clock closed = clocks_.lowest();
  std::string text =
      ToString(WorkerNode(clocks_.slowest())) + ", which has closed clock " + std::to_string(closed);
  if (next_phase_) return text + ", before phase " + std::to_string(next_phase_->phase) + " begins";
  char since[64];
  std::snprintf(since, sizeof(since), " for %.1f s",
                std::chrono::duration<double>(now_ - parked_since_).count());
  return text + ", with " + std::to_string(parked_pulls_.size()) + " pulls waiting" + since;
}

Heartbeat Shard::MakeHeartbeat() const {
  Heartbeat heartbeat;
  heartbeat.phase = phase_.phase;
  heartbeat.counters = counters();
  heartbeat.waiting = WaitingFor();
  return heartbeat;
}

}  // namespace cohort
