#include "server/shard_table.h"

#include <algorithm>

#include "common/check.h"

namespace cohort {

ShardTable::ShardTable(const TableSpec& spec, std::uint64_t seed, RowLog* log) : rows_(spec, seed) {
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
  rows_.Update({gradients.keys, gradients.count}, {gradients.positions, gradients.count},
               [&](std::size_t i, float* row) { optimizer.Step(gradients.values + i * dim, row); });
}

void ShardTable::ApplyUnderPolicy(const GradientView& gradients, std::span<const std::uint32_t> counts,
                                  Clock clock) {
  COHORT_CHECK(counts.size() == (spec().policy.NeedsCounts() ? gradients.count : 0));
  const Optimizer& optimizer = rows_.optimizer();
  const std::uint32_t dim = optimizer.dim();
  const bool watched = spec().policy.NeedsStatistics();
  const auto occurrences = [&](std::size_t i) { return counts.empty() ? 1u : counts[i]; };
  rows_.ForEach({gradients.positions, gradients.count}, [&](std::size_t i, float* row) {
    const std::uint64_t position = gradients.positions[i];
    if (row == nullptr) {
      if (!policy_->Admit(gradients.keys[i], position, occurrences(i), clock)) return;
      row = rows_.FindOrCreate(gradients.keys[i], position);
    }
    optimizer.Step(gradients.values + i * dim, row);
    if (watched) rows_.NoteUpdate(position, occurrences(i), clock);
  });
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
