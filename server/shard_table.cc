#include "server/shard_table.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/random.h"

namespace cohort {

namespace {

// Rows taken in before messages have their turn: a fifth of a millisecond.
constexpr std::size_t kRowsAtATime = 200;

}  // namespace

ShardTable::ShardTable(const TableSpec& spec, std::uint64_t seed, RowLog* log, SlabSource* slabs)
    : seed_(RandomBits(seed, spec.id, 0x726f756e64)), rows_(spec, seed, slabs), weights_(spec.dim) {
  if (spec.policy.Any()) policy_ = std::make_unique<RowPolicy>(spec, seed, log);
}

void ShardTable::UseTier(std::unique_ptr<ColdRows> cold, std::uint64_t max_bytes) {
  cold_ = std::move(cold);
  rows_.UseTier(cold_.get(), max_bytes / TierRowBytes());
}

std::size_t ShardTable::Fetch(std::span<const std::uint64_t> positions, std::uint64_t use, TimePoint now) {
  rows_.Use(positions, use, &cold_entries_, &found_);
  if (cold_entries_.empty()) return 0;
  places_.clear();
  for (const EmbeddingTable::ColdEntry& entry : cold_entries_) {
    if (!fetching_.contains(entry.place)) places_.push_back(entry.place);
    fetching_.emplace(entry.place, use);
  }
  if (!places_.empty()) cold_->Request(places_, now);
  return cold_entries_.size();
}

void ShardTable::TakeIn(TimePoint now, const std::function<void(std::uint64_t use)>& came) {
  for (std::size_t rows = 0; rows < kRowsAtATime; ++rows) {
    const auto arrived = cold_->Take(now);
    if (!arrived) return;
    const auto [begin, end] = fetching_.equal_range(arrived->place);
    if (begin != end) ++rows_read_;
    std::uint64_t newest = 0;
    for (auto it = begin; it != end; ++it) newest = std::max(newest, it->second);
    rows_.Install({arrived->position, arrived->place}, arrived->row, newest);
    for (auto it = begin; it != end; ++it) came(it->second);
    fetching_.erase(begin, end);
  }
}

const RowPolicyCounters& ShardTable::policy_counters() const {
  static const RowPolicyCounters kNone;
  return policy_ ? policy_->counters() : kNone;
}

std::uint64_t ShardTable::ClockSeed(Clock clock) const {
  return RandomBits(seed_, static_cast<std::uint64_t>(clock));
}

// A step for a row of 16-bit weights.
void ShardTable::Step(const float* gradient, Key key, std::uint64_t clock_seed, float share, float* row) {
  const RowLayout& layout = rows_.layout();
  layout.LoadWeights(row, weights_.data());
  rows_.optimizer().Step(gradient, weights_.data(), layout.State(row), share);
  clipped_weights_ += NarrowAtRandom(layout.dtype, weights_.data(), layout.dim, RandomBits(clock_seed, key),
                                     RowLayout::Halves(row));
}

void ShardTable::Apply(const PushedRows& pushed, const float* gradients,
                       std::span<const std::uint32_t> counts, Clock clock) {
  if (policy_) return ApplyUnderPolicy(pushed, gradients, counts, clock);
  const Optimizer& optimizer = rows_.optimizer();
  const std::uint32_t dim = optimizer.dim();
  const bool wide = spec().dtype == FloatType::kFloat32;
  const std::uint64_t clock_seed = wide ? 0 : ClockSeed(clock);
  const float share = RateShareAt(clock);
  const auto step = [&](std::size_t i, float* row) {
    if (wide) {
      optimizer.Step(gradients + i * dim, row, share);
    } else {
      Step(gradients + i * dim, pushed.keys[i], clock_seed, share, row);
    }
  };
  rows_.Update(pushed.key_span(), pushed.position_span(), pushed.row_span(), step);
}

void ShardTable::ApplyUnderPolicy(const PushedRows& pushed, const float* gradients,
                                  std::span<const std::uint32_t> counts, Clock clock) {
  COHORT_CHECK(counts.size() == (spec().policy.NeedsCounts() ? pushed.count : 0));
  const Optimizer& optimizer = rows_.optimizer();
  const std::uint32_t dim = optimizer.dim();
  const bool wide = spec().dtype == FloatType::kFloat32;
  const std::uint64_t clock_seed = ClockSeed(clock);
  const float share = RateShareAt(clock);
  const bool watched = spec().policy.NeedsStatistics();
  rows_.BeforeChange(pushed.position_span());
  const auto occurrences = [&](std::size_t i) { return counts.empty() ? 1u : counts[i]; };
  rows_.ForEach(pushed.position_span(), {}, [&](std::size_t i, float* row) {
    const std::uint64_t position = pushed.positions[i];
    if (row == nullptr) {
      if (!policy_->Admit(pushed.keys[i], position, occurrences(i), clock)) return;
      row = rows_.FindOrCreate(pushed.keys[i], position);
    }
    if (wide) {
      optimizer.Step(gradients + i * dim, row, share);
    } else {
      Step(gradients + i * dim, pushed.keys[i], clock_seed, share, row);
    }
    if (watched) rows_.NoteUpdate(position, occurrences(i), clock);
  });
  // Positions ascend, so a slot's rows stand side by side.
  for (std::size_t begin = 0; begin < pushed.count;) {
    const int slot = SlotOf(pushed.positions[begin]);
    std::uint64_t sightings = 0;
    for (; begin < pushed.count && SlotOf(pushed.positions[begin]) == slot; ++begin)
      sightings += occurrences(begin);
    policy_->AfterUpdate(rows_, slot, sightings, clock);
  }
}

void ShardTable::BeginCopy() {
  clipped_at_copy_ = clipped_weights_;
  if (policy_) policy_->BeginCopy();
}

TableState ShardTable::TakeCopy() {
  TableState state;
  state.table = spec().id;
  state.clipped_weights = clipped_at_copy_;
  state.has_policy = policy_ != nullptr;
  if (policy_) state.policy = policy_->TakeCopy();
  return state;
}

void ShardTable::AbandonCopy() {
  if (policy_) policy_->AbandonCopy();
}

Status ShardTable::Restore(const TableState& state, const OwnedGroups& groups, bool first, bool counts) {
  if (state.has_policy != (policy_ != nullptr) || (policy_ && !policy_->FitsState(state.policy))) {
    return {
        ErrorCode::kInvalidInput,
        "table " + spec().name +
            " has another policy than the checkpoint was written with: go on with the options of [embedding] "
            "that the run began with"};
  }
  if (counts) clipped_weights_ += state.clipped_weights;
  if (policy_) policy_->Restore(state.policy, groups, first, counts);
  return {};
}

void ShardTable::EndClock(Clock clock) {
  if (policy_) policy_->EndClock(rows_, clock);
}

}  // namespace cohort
