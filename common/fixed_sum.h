// FixedSum: a sum of doubles whose value does not depend on the order of its terms, so that sums of any division of
// rows among workers merge to the same bits.
#ifndef COHORT_COMMON_FIXED_SUM_H_
#define COHORT_COMMON_FIXED_SUM_H_

#include <algorithm>
#include <cmath>

namespace cohort {

// Fixed point: 71 bits before the point and 56 behind it. Each term is rounded once, to a multiple of 2^-56 (1.4e-17);
// terms beyond +-2^62 count as +-2^62. Give it terms in a unit of about their size (ScoreSketch::Unit). 2^8 terms of the
// largest size fit, 2^40 of size 2^30. A sum that does not fit stays at the largest value, which for terms of one sign does
// not depend on their order either.
class FixedSum {
 public:
  // REQUIRES: finite.
  void Add(double term) {
    AddFixed(static_cast<Integer>(std::rint(std::clamp(term, -0x1p62, 0x1p62) * 0x1p56)));
  }
  void Add(const FixedSum& other) { AddFixed(other.sum_); }
  double value() const { return static_cast<double>(sum_) * 0x1p-56; }
  bool operator==(const FixedSum&) const = default;

 private:
  using Integer = __int128;
  static constexpr Integer kLargest = ~(Integer{1} << 127);
  void AddFixed(Integer term) {
    if (__builtin_add_overflow(sum_, term, &sum_)) sum_ = term < 0 ? -kLargest : kLargest;
  }
  Integer sum_ = 0;
};

}  // namespace cohort

#endif  // COHORT_COMMON_FIXED_SUM_H_
