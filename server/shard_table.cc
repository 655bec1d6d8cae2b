#include "server/shard_table.h"

#include <algorithm>

#include "common/check.h"

namespace cohort {

ShardTable::ShardTable(const TableSpec& spec, std::uint64_t seed, RowLog* log)
    : rows_(spec, seed), found_(kRowsAtOnce) {
  if (spec.policy.Any()) policy_ = std::make_unique<RowPolicy>(spec, seed, log);
}

const RowPolicyCounters& ShardTable::policy_counters() const {
  static const RowPolicyCounters kNone;
  return policy_ ? policy_->counters() : kNone;
}

void ShardTable::Apply(const GradientView& gradients, std::span<const std::uint32_t> counts, Clock clock) {
  if (policy_) return ApplyUnderPolicy(gradients, counts, clock);
  const Optimizer& optimizer = rows_.optimizer();
  const std::uint32_t dim = optimizer.dim();
  for (std::size_t begin = 0; begin < gradients.count; begin += kRowsAtOnce) {
    const std::size_t count = std::min(kRowsAtOnce, gradients.count - begin);
    rows_.FindOrCreate({gradients.keys + begin, count}, {gradients.positions + begin, count},
                       {found_.data(), count});
    for (std::size_t i = 0; i < count; ++i) optimizer.Step(gradients.values + (begin + i) * dim, found_[i]);
  }
}

void ShardTable::ApplyUnderPolicy(const GradientView& gradients, std::span<const std::uint32_t> counts,
                                  Clock clock) {
  COHORT_CHECK(counts.size() == (spec().policy.NeedsCounts() ? gradients.count : 0));
  const Optimizer& optimizer = rows_.optimizer();
  const std::uint32_t dim = optimizer.dim();
  const bool watched = spec().policy.NeedsStatistics();
  const auto occurrences = [&](std::size_t i) { return counts.empty() ? 1u : counts[i]; };
  for (std::size_t begin = 0; begin < gradients.count; begin += kRowsAtOnce) {
    const std::size_t count = std::min(kRowsAtOnce, gradients.count - begin);
    rows_.Find({gradients.positions + begin, count}, {found_.data(), count});
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = begin + i;
      const std::uint64_t position = gradients.positions[at];
      if (found_[i] == nullptr) {
        if (!policy_->Admit(gradients.keys[at], position, occurrences(at), clock)) continue;
        rows_.FindOrCreate({gradients.keys + at, 1}, {gradients.positions + at, 1}, {&found_[i], 1});
      }
      optimizer.Step(gradients.values + at * dim, found_[i]);
      if (watched) rows_.NoteUpdate(position, occurrences(at), clock);
    }
  }
  // Positions ascend, so a slot's rows stand side by side.
  for (std::size_t begin = 0; begin < gradients.count;) {
    const int slot = SlotOf(gradients.positions[begin]);
    std::uint64_t sightings = 0;
    for (; begin < gradients.count && SlotOf(gradients.positions[begin]) == slot; ++begin)
      sightings += occurrences(begin);
    policy_->AfterUpdate(rows_, slot, sightings, clock);
  }
}

void ShardTable::EndClock(Clock clock) {
  if (policy_) policy_->EndClock(rows_, clock);
}

}  // namespace cohort
