// The bootstrap by user: what is drawn is what is independent (Efron & Tibshirani 1993, chapter 8). Percentile intervals.
#ifndef COHORT_COMMON_BOOTSTRAP_H_
#define COHORT_COMMON_BOOTSTRAP_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/random.h"

namespace cohort {

// As many of `users` as there are, with replacement: how often each is drawn. Equal seed and draw, equal counts.
inline std::vector<std::uint32_t> DrawUsers(std::uint32_t users, std::uint64_t seed, std::uint32_t draw) {
  RandomStream random(seed, draw);
  std::vector<std::uint32_t> counts(users);
  for (std::uint32_t i = 0; i < users; ++i) ++counts[random.Below(users)];
  return counts;
}

// Interpolated: type 7 of Hyndman & Fan 1996. `sorted`: ascending, not empty; `share` in [0, 1].
inline double Percentile(std::span<const double> sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const double above = sorted[std::min(below + 1, sorted.size() - 1)];
  return sorted[below] + (place - static_cast<double>(below)) * (above - sorted[below]);
}

// The ends of a 95 % interval.
inline constexpr double kLowPercentile = 0.025, kHighPercentile = 0.975;

}  // namespace cohort

#endif  // COHORT_COMMON_BOOTSTRAP_H_
