// DurationHistogram: how long something took, counted by duration, so that the quantiles of any number of them are known within
// 5 %, of the sum of several processes' as well. From 1 us to 1,000 s; what is shorter or longer counts as that.
#ifndef COHORT_COMMON_DURATION_HISTOGRAM_H_
#define COHORT_COMMON_DURATION_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cohort {

class DurationHistogram {
 public:
  void Add(double seconds);
  // By bucket, up to the last one that has any.
  const std::vector<std::uint64_t>& counts() const { return counts_; }

  // The middle of a bucket.
  static double Seconds(std::size_t bucket);
  // The smallest duration that at least the share `q` of all, from 0 to 1, do not exceed, as the middle of its bucket; NaN: there
  // are none.
  static double Quantile(std::span<const std::uint64_t> counts, double q);

 private:
  std::vector<std::uint64_t> counts_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_DURATION_HISTOGRAM_H_
