#include "server/shard_checkpoint.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/shard.h"

namespace cohort {

ShardCheckpoint::ShardCheckpoint(std::uint64_t number, ShardState state, std::vector<ShardTable*> tables,
                                 std::size_t block_bytes, std::unique_ptr<CheckpointWriter> writer,
                                 std::vector<ChangesSince> changed)
    : number_(number),
      phase_(state.phase),
      closed_(state.closed),
      state_(std::move(state)),
      tables_(std::move(tables)),
      writer_(std::move(writer)) {
  changed.resize(tables_.size());
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    tables_[i]->BeginCopy();
    copies_.push_back(std::make_unique<TableCopy>(tables_[i]->rows(), block_bytes, std::move(changed[i])));
  }
}

TableCopy* ShardCheckpoint::Current() const {
  for (const auto& copy : copies_) {
    if (!copy->done()) return copy.get();
  }
  return nullptr;
}

void ShardCheckpoint::Step(std::size_t bytes, TimePoint now) {
  now_ = now;
  for (const auto& copy : copies_) copy->TakePieces(now);
  if (!outcome_) {
    outcome_ = writer_->Take(now);
    if (outcome_ && !outcome_->error.empty()) Abandon();
  }
  if (TableCopy* const copy = Current(); copy != nullptr && (abandoned_ || writer_->HasRoom(now)))
    copy->Step(bytes, now);
  if (abandoned_) return;
  HandOver(now);
  FinishIfCopied(bytes, now);
}

void ShardCheckpoint::HandOver(TimePoint now) {
  for (const auto& copy : copies_) {
    while (auto block = copy->TakeBlock()) writer_->Append(std::move(*block), now);
    while (copy->NeedsSpare()) {
      CopiedRows spare = writer_->TakeSpare();
      if (spare.words.capacity() == 0) break;
      copy->GiveSpare(std::move(spare));
    }
  }
}

void ShardCheckpoint::FinishIfCopied(std::size_t bytes, TimePoint now) {
  if (finished_) return;
  bool all = Current() == nullptr;
  for (ShardTable* table : tables_) all = table->StepCopy(bytes) && all;
  if (!all) return;
  for (ShardTable* table : tables_) state_.tables.push_back(table->TakeCopy());
  finished_ = true;
  writer_->Finish(std::move(state_), now);
}

void ShardCheckpoint::Abandon() {
  abandoned_ = true;
  for (const auto& copy : copies_) copy->Abandon();
  if (finished_) return;
  for (ShardTable* table : tables_) table->AbandonCopy();
}

std::optional<CheckpointDone> ShardCheckpoint::Take() {
  if (!outcome_ || taken_) return std::nullopt;
  taken_ = true;
  CheckpointDone done = *outcome_;
  done.number = number_;
  done.phase = phase_;
  done.closed = closed_;
  return done;
}

bool ShardCheckpoint::over() const { return taken_ && Current() == nullptr; }

TimePoint ShardCheckpoint::NextStep() const {
  const TableCopy* const copy = Current();
  if (copy != nullptr && !copy->CanStep()) return kNever;  // until the disk under a tier has something
  const bool ready =
      copy != nullptr ? abandoned_ || writer_->HasRoom(now_) : !finished_ && !abandoned_;  // policies' state
  return ready ? TimePoint() : writer_->NextEvent();
}

std::uint64_t ShardCheckpoint::rows_copied() const {
  std::uint64_t rows = 0;
  for (const auto& copy : copies_) rows += copy->rows_copied();
  return rows;
}

std::uint64_t ShardCheckpoint::rows_saved() const {
  std::uint64_t rows = 0;
  for (const auto& copy : copies_) rows += copy->rows_saved();
  return rows;
}

// ---------------------------------------------------------------- the shard's part in it

ShardState Shard::StateBesideRows() const {
  ShardState state;
  state.groups = owned_;
  state.phase = phase_.phase;
  state.first_clock = phase_.first_clock;
  for (std::uint32_t worker = 0; worker < worker_count_; ++worker)
    state.closed.push_back(clocks_.closed(worker));
  state.applied = applied_.Parts();
  state.floors = applied_.Floors();
  state.counts = counted_;
  // What is held is not in the rows either: it comes again.
  state.counts.parts_acknowledged -= held_.parts();
  return state;
}

// Everything up to `clock` is applied, and nothing beyond it: the instants of checkpoints that are due.
void Shard::BeginDueCheckpoints(Clock clock) {
  const std::uint64_t every = client_.welcome()->checkpoint_every;
  if (phase_.kind != PhaseKind::kTrain || clock == kClockInfinity) return;
  for (; static_cast<Clock>(next_checkpoint_) <= clock + 1; next_checkpoint_ += every) {
    if (following_) continue;  // its shard does
    for (const auto& table : tables_) table->EndClock(static_cast<Clock>(next_checkpoint_) - 1);
    BeginCheckpoint(next_checkpoint_);
  }
}

void Shard::OnCheckpointOrder(const CheckpointOrder& order) {
  std::string refused;
  if (!joined_ || !failure_.ok() || phase_.phase == 0 || stopped_) {
    refused = "has nothing to write";
  } else if (client_.welcome()->checkpoint_path.empty()) {
    refused = "knows of no folder for checkpoints";
  } else if (consistency_ == Consistency::kBsp &&
             (applying_ || static_cast<Clock>(order.number) != clocks_.lowest() + 1)) {
    refused = "is not between clocks " + std::to_string(order.number) + " and the one before";
  }
  if (refused.empty()) return BeginCheckpoint(order.number);
  CheckpointDone done;
  done.number = order.number;
  done.error = ToString(self_) + " " + refused;
  about_checkpoints_.push_back(std::move(done));
}

void Shard::BeginCheckpoint(std::uint64_t number) {
  if (newest_begun_ && number <= *newest_begun_) {
    // A scheduler that knows nothing of a former order: what has been written for it may be part of a checkpoint by now.
    CheckpointDone done;
    done.number = number;
    done.error = ToString(self_) + ": checkpoint " + std::to_string(*newest_begun_) + " has begun before";
    about_checkpoints_.push_back(std::move(done));
    return;
  }
  if (checkpoint_ != nullptr) {
    Count(ShardEvent::kCheckpointSkipped);
    CheckpointDone done;
    done.number = number;
    done.error = ToString(self_) + ": checkpoint " + std::to_string(number) + " left out: " +
                 (transfer_ != nullptr
                      ? "a new backup is being built"
                      : "checkpoint " + std::to_string(checkpoint_->number()) + " is still being written");
    if (transfer_ == nullptr && !std::exchange(warned_of_checkpoint_, true)) {
      about_checkpoints_.push_back(Warning{
          0, done.error + "; raise checkpoint.every_steps or checkpoint.core_share, or use a faster disk"});
    }
    about_checkpoints_.push_back(std::move(done));
    return;
  }
  Count(ShardEvent::kCheckpointBegun);
  newest_begun_ = number;
  CheckpointPart part;
  part.checkpoint_path = client_.welcome()->checkpoint_path;
  part.number = number;
  part.shard = self_.index;
  std::vector<ShardTable*> tables;
  for (const auto& table : tables_) {
    part.tables.push_back({table->spec(), table->rows().size(), table->rows().size()});
    tables.push_back(table.get());
  }
  ShardState state = StateBesideRows();
  if (consistency_ == Consistency::kBsp) {
    // Some may have closed more, and have pushes held; but nothing beyond this clock has been done.
    state.closed.assign(worker_count_, static_cast<Clock>(number) - 1);
    state.applied.clear();
    state.floors.clear();
  }
  CheckpointChain::Base base =
      chain_.Begin(number, tables, owned_.count() * kSlotsPerGroup,
                   [&](std::uint64_t former) { return store_.HasCheckpoint(part.checkpoint_path, former); });
  part.layers = std::move(base.layers);
  if (!part.layers.empty()) {
    Count(ShardEvent::kCheckpointIncremental);
    for (std::size_t i = 0; i < part.tables.size(); ++i)
      part.tables[i].coming = std::min(part.tables[i].rows, ChangedCells(base.changed[i]));
  }
  checkpoint_ = std::make_unique<ShardCheckpoint>(number, std::move(state), std::move(tables),
                                                  options_.checkpoint_block_bytes,
                                                  store_.WriteCheckpoint(part), std::move(base.changed));
}

void Shard::FollowCheckpoint(TimePoint now, Outbox& out) {
  if (checkpoint_ != nullptr && failure_.ok() && !stopped_) {
    checkpoint_->Step(options_.checkpoint_turn_bytes, now);
    if (transfer_ != nullptr) SendTransfer(out);
    if (auto done = checkpoint_->Take(); done && transfer_ != nullptr) {
      transfer_ = nullptr;  // all is on its way, or there is nobody to receive it
    } else if (done) {
      Count(done->error.empty() ? ShardEvent::kCheckpointWritten : ShardEvent::kCheckpointFailed);
      chain_.End(*done);
      if (!done->error.empty()) done->error = ToString(self_) + ": " + done->error;
      about_checkpoints_.push_back(*std::move(done));
    }
    if (checkpoint_->over()) {
      events_[static_cast<std::size_t>(ShardEvent::kRowCopied)] += checkpoint_->rows_copied();
      events_[static_cast<std::size_t>(ShardEvent::kRowSaved)] += checkpoint_->rows_saved();
      checkpoint_.reset();
      StartStreamIfReady(out);
    }
  }
  for (Message& message : about_checkpoints_) client_.SendReliably(std::move(message), now, out);
  about_checkpoints_.clear();
}

TimePoint Shard::NextCheckpointStep() const {
  return failure_.ok() && !stopped_ ? checkpoint_->NextStep() : kNever;
}

// ---------------------------------------------------------------- beginning from one

Status Shard::Resume(const Welcome& welcome, std::span<EmbeddingTable* const> tables) {
  COHORT_ASSIGN_OR_RETURN(former_, store_.Resume(welcome.model_path, owned_, tables));
  std::vector<bool> begun(tables_.size());
  for (const ShardState& state : former_) {
    const bool counts = TakesCounts(state, owned_);
    if (consistency_ != Consistency::kBsp && state.closed.size() < welcome.worker_count) {
      return {ErrorCode::kInvalidInput, welcome.model_path + ": is of a run of " +
                                            std::to_string(state.closed.size()) +
                                            " workers; go on with as many"};
    }
    CountWorkers(static_cast<std::uint32_t>(std::min<std::size_t>(state.closed.size(), kMaxWorkers)));
    for (std::size_t i = 0; i < tables_.size() && i < state.tables.size(); ++i) {
      const OwnedGroups groups = state.groups & owned_;
      COHORT_RETURN_IF_ERROR(
          tables_[i]->Restore(state.tables[i], groups, !begun[i], counts).Within(welcome.model_path));
      begun[i] = true;
    }
    if (counts) counted_ += state.counts;
  }
  return {};
}

// The first phase after a resume: what was closed and applied in it before the checkpoint, outside bsp, where each shard
// has its own instant. A group's clocks are those of the shard that had it. A backup begins in the middle of a phase in bsp too.
void Shard::TakeOverClocks() {
  const std::uint64_t every = client_.welcome()->checkpoint_every;
  const Clock first = std::max(phase_.first_clock, phase_.resume_clock);
  const bool due_by_clock =
      consistency_ == Consistency::kBsp && every != 0 && !client_.welcome()->checkpoint_path.empty();
  next_checkpoint_ = due_by_clock ? (static_cast<std::uint64_t>(first) / every + 1) * every : 0;
  const std::vector<ShardState> former = std::exchange(former_, {});
  if (former.empty() || phase_.kind != PhaseKind::kTrain ||
      (consistency_ == Consistency::kBsp && !following_))
    return;

  TakenClocks taken = cohort::TakeOverClocks(former, owned_, worker_count_, phase_.first_clock, first);
  for (const std::uint32_t worker : phase_.workers) clocks_.Close(worker, taken.closed[worker]);
  applied_ = std::move(taken.applied);
  if (due_by_clock && clocks_.lowest() != kClockInfinity)
    next_checkpoint_ = (static_cast<std::uint64_t>(clocks_.lowest() + 1) / every + 1) * every;
}

}  // namespace cohort
