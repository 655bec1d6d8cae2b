#include "server/row_policy.h"

#include <algorithm>
#include <tuple>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

constexpr std::uint64_t kSightingsOfASlot = 10;  // times the rows of a slot
constexpr Clock kMostTurns = 1024;

// (1 - p)^n by squaring: the same bits from every math library.
double NoneOf(double p, std::uint32_t n) {
  double result = 1, base = 1 - p;
  for (; n != 0; n >>= 1, base *= base) {
    if (n & 1) result *= base;
  }
  return result;
}

}  // namespace

RowPolicy::RowPolicy(const TableSpec& spec, std::uint64_t seed, RowLog* log)
    : spec_(spec),
      seed_(RandomBits(seed, spec.id, 0x61646d6974)),
      log_(log),
      turns_(std::clamp<Clock>(static_cast<Clock>(spec.policy.evict_idle_clocks / 4), 1, kMostTurns)),
      budget_(spec.policy.max_bytes / kSlotCount / BytesPerRow(spec)) {
  COHORT_CHECK(spec.policy.Any() && (spec.policy.max_bytes == 0 || budget_ > 0));
  if (spec.policy.admit == Admission::kCount) sketches_.resize(kSlotCount);
  if (budget_ != 0) sightings_.resize(kSlotCount);
}

bool RowPolicy::Admit(Key key, std::uint64_t position, std::uint32_t count, Clock clock) {
  std::uint64_t score = count;
  switch (spec_.policy.admit) {
    case Admission::kAlways:
      return true;
    case Admission::kCount: {
      const auto slot = static_cast<std::size_t>(SlotOf(position));
      if (copy_ != nullptr) CopySketch(slot);
      auto& sketch = sketches_[slot];
      if (!sketch) sketch = std::make_unique<OccurrenceSketch>(spec_.policy.sketch_bytes / kSlotCount);
      score = sketch->Add(position, count);
      if (score >= spec_.policy.admit_count) return true;
      break;
    }
    case Admission::kProbability: {
      const double draw = UniformDouble(RandomBits(seed_, static_cast<std::uint64_t>(clock), key));
      if (draw >= NoneOf(static_cast<double>(spec_.policy.admit_probability), count)) return true;
      break;
    }
  }
  ++counters_.not_admitted;
  if (log_ != nullptr) log_->Record({RowFate::kNotAdmitted, spec_.id, key, clock, 0, score});
  return false;
}

void RowPolicy::Evict(EmbeddingTable& table, const Candidate& row, RowFate fate, Clock clock) {
  ++(fate == RowFate::kIdle ? counters_.evicted_idle : counters_.evicted_memory);
  if (log_ != nullptr) {
    log_->Record(
        {fate, spec_.id, KeyAt(spec_, row.position), clock, std::max<Clock>(0, clock - row.last), row.count});
  }
  table.Erase(row.position);
}

void RowPolicy::AfterUpdate(EmbeddingTable& table, int slot, std::uint64_t sightings, Clock clock) {
  if (budget_ == 0) return;
  std::uint64_t& seen = sightings_[static_cast<std::size_t>(slot)];
  seen += sightings;
  const bool halve = seen > kSightingsOfASlot * budget_;
  if (halve) seen = 0;
  const std::uint64_t rows = table.RowsOfSlot(slot);
  if (!halve && rows <= budget_) return;
  candidates_.clear();
  if (halve) table.BeforeStatistics(slot);
  table.VisitSlot(slot, [&](std::uint64_t position, RowStatistics& row) {
    if (halve) row.count = row.count / 2;
    candidates_.push_back({position, row.count, static_cast<Clock>(row.last)});
  });
  if (rows <= budget_) return;
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(rows - budget_);
  const auto order = [clock](const Candidate& row) {
    return std::tuple(row.last == clock, row.count, row.last, row.position);
  };
  std::nth_element(candidates_.begin(), end - 1, candidates_.end(),
                   [&](const Candidate& a, const Candidate& b) { return order(a) < order(b); });
  // Which rows go is decided; in what order, for the log.
  std::sort(candidates_.begin(), end,
            [&](const Candidate& a, const Candidate& b) { return order(a) < order(b); });
  for (auto row = candidates_.begin(); row != end; ++row) Evict(table, *row, RowFate::kMemory, clock);
}

void RowPolicy::EndClock(EmbeddingTable& table, Clock clock) {
  if (spec_.policy.evict_idle_clocks == 0 || clock == kClockInfinity || clock <= swept_) return;
  // After `turns_` clocks every slot has had its turn, whatever was left out before.
  for (Clock c = std::max(swept_ + 1, clock - turns_ + 1); c <= clock; ++c) {
    for (Clock slot = c % turns_; slot < kSlotCount; slot += turns_)
      SweepSlot(table, static_cast<int>(slot), c);
  }
  swept_ = clock;
}

void RowPolicy::SweepSlot(EmbeddingTable& table, int slot, Clock clock) {
  const auto idle = static_cast<Clock>(spec_.policy.evict_idle_clocks);
  candidates_.clear();
  table.VisitSlot(slot, [&](std::uint64_t position, RowStatistics& row) {
    const auto last = static_cast<Clock>(row.last);
    if (clock - last >= idle) candidates_.push_back({position, row.count, last});
  });
  for (const Candidate& row : candidates_) Evict(table, row, RowFate::kIdle, clock);
}

// ---------------------------------------------------------------- checkpoints

void RowPolicy::BeginCopy() {
  COHORT_CHECK(copy_ == nullptr);
  copy_ = std::make_unique<Copy>();
  copy_->state.swept = swept_;
  copy_->state.not_admitted = counters_.not_admitted;
  copy_->state.evicted_idle = counters_.evicted_idle;
  copy_->state.evicted_memory = counters_.evicted_memory;
  copy_->state.sightings = sightings_;
  copy_->copied.resize(sketches_.size());
  // Room for all at once: growing would copy what has been copied.
  const auto seen = static_cast<std::size_t>(std::count_if(
      sketches_.begin(), sketches_.end(), [](const auto& sketch) { return sketch != nullptr; }));
  copy_->state.sketch_counters.reserve(seen * SketchBytes());
}

void RowPolicy::CopySketch(std::size_t slot) {
  if (copy_->copied[slot]) return;
  copy_->copied[slot] = true;
  const OccurrenceSketch* const sketch = sketches_[slot].get();
  if (sketch == nullptr) return;  // it had seen nothing
  PolicyState& state = copy_->state;
  state.sketch_slots.push_back(static_cast<std::uint32_t>(slot));
  state.sketch_added.push_back(sketch->added());
  state.sketch_counters.insert(state.sketch_counters.end(), sketch->counters().begin(),
                               sketch->counters().end());
}

bool RowPolicy::StepCopy(std::size_t bytes) {
  const std::size_t before = copy_->state.sketch_counters.size();
  while (copy_->next < sketches_.size() && copy_->state.sketch_counters.size() - before < bytes)
    CopySketch(copy_->next++);
  return copy_->next == sketches_.size();
}

PolicyState RowPolicy::TakeCopy() {
  COHORT_CHECK(copy_ != nullptr && copy_->next == sketches_.size());
  PolicyState state = std::move(copy_->state);
  copy_.reset();
  return state;
}

void RowPolicy::AbandonCopy() { copy_.reset(); }

std::size_t RowPolicy::SketchBytes() const {
  return sketches_.empty() ? 0 : OccurrenceSketch(spec_.policy.sketch_bytes / kSlotCount).bytes();
}

bool RowPolicy::FitsState(const PolicyState& state) const {
  return state.sightings.size() == sightings_.size() &&
         state.sketch_added.size() == state.sketch_slots.size() &&
         state.sketch_counters.size() == state.sketch_slots.size() * SketchBytes() &&
         std::all_of(state.sketch_slots.begin(), state.sketch_slots.end(),
                     [this](std::uint32_t slot) { return slot < sketches_.size(); });
}

void RowPolicy::Restore(const PolicyState& state, const OwnedGroups& groups, bool first, bool counts) {
  const auto concerns = [&groups](std::size_t slot) { return groups[slot / kSlotsPerGroup]; };
  // Slots that had their turn in one former shard and not in another have it once more: nothing is left to be swept.
  swept_ = first ? state.swept : std::min(swept_, state.swept);
  for (std::size_t slot = 0; slot < state.sightings.size(); ++slot) {
    if (concerns(slot)) sightings_[slot] = state.sightings[slot];
  }
  const std::size_t bytes = SketchBytes();
  for (std::size_t i = 0; i < state.sketch_slots.size(); ++i) {
    const std::size_t slot = state.sketch_slots[i];
    if (!concerns(slot)) continue;
    sketches_[slot] = std::make_unique<OccurrenceSketch>(spec_.policy.sketch_bytes / kSlotCount);
    sketches_[slot]->Restore(std::span(state.sketch_counters).subspan(i * bytes, bytes),
                             state.sketch_added[i]);
  }
  if (!counts) return;
  counters_.not_admitted += state.not_admitted;
  counters_.evicted_idle += state.evicted_idle;
  counters_.evicted_memory += state.evicted_memory;
}

std::uint64_t RowPolicy::memory_bytes() const {
  std::uint64_t sum = sightings_.size() * sizeof(sightings_[0]) + sketches_.size() * sizeof(sketches_[0]);
  for (const auto& sketch : sketches_) {
    if (sketch) sum += sketch->bytes();
  }
  return sum;
}

}  // namespace cohort
