#include "launch/plan/distinct_count.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/random.h"

namespace cohort {

void DistinctCount::Add(std::span<const Key> keys) {
  for (const Key key : keys) {
    // Not the ring position, which keys may have been chosen by.
    const std::uint64_t hash = Mix64(key ^ 0x706c616e6b657973);
    if (std::countl_zero(hash) >= zeros_) kept_.push_back(hash);
  }
  if (kept_.size() >= 2 * most_kept_) Fold();
}

double DistinctCount::Count() {
  Fold();
  return std::ldexp(static_cast<double>(kept_.size()), zeros_);
}

void DistinctCount::Fold() {
  const auto middle = kept_.begin() + static_cast<std::ptrdiff_t>(sorted_);
  std::sort(middle, kept_.end());
  std::inplace_merge(kept_.begin(), middle, kept_.end());
  kept_.erase(std::unique(kept_.begin(), kept_.end()), kept_.end());
  while (kept_.size() > most_kept_) {
    ++zeros_;
    // Ascending: those with enough zeros come first.
    kept_.erase(std::lower_bound(kept_.begin(), kept_.end(), std::uint64_t{1} << (64 - zeros_)), kept_.end());
  }
  sorted_ = kept_.size();
}

}  // namespace cohort
