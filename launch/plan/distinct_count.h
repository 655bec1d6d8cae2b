// DistinctCount: how many different keys were seen, in bounded memory: exact up to kMostKept, beyond that with a standard error of at
// most 1 / sqrt(kMostKept / 2), 0.14 %. It keeps the keys whose hash begins with so many zero bits that they fit (adaptive sampling:
// P. Flajolet, On adaptive sampling, Computing 43, 1990).
#ifndef COHORT_LAUNCH_PLAN_DISTINCT_COUNT_H_
#define COHORT_LAUNCH_PLAN_DISTINCT_COUNT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/types.h"

namespace cohort {

// One thread.
class DistinctCount {
 public:
  static constexpr std::size_t kMostKept = std::size_t{1} << 20;

  explicit DistinctCount(std::size_t most_kept = kMostKept) : most_kept_(most_kept) {}
  void Add(std::span<const Key> keys);
  double Count();
  bool exact() const { return zeros_ == 0; }

 private:
  void Fold();

  const std::size_t most_kept_;
  int zeros_ = 0;
  std::vector<std::uint64_t> kept_;  // hashes; the first sorted_ ascending and distinct
  std::size_t sorted_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_DISTINCT_COUNT_H_
