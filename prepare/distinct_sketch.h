// How many different values a stream has, in 4 KB: HyperLogLog (Flajolet et al. 2007) with the estimator of
// Ertl ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), which needs no correction
// for small counts.
#ifndef COHORT_PREPARE_DISTINCT_SKETCH_H_
#define COHORT_PREPARE_DISTINCT_SKETCH_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace cohort {

class DistinctSketch {
 public:
  static constexpr int kIndexBits = 12;
  static constexpr double kRelativeError = 0.01625;  // standard error, 1.04 / sqrt(2^12)

  // `hash`: 64 well-mixed bits of the value.
  void Add(std::uint64_t hash) {
    std::uint8_t& place = registers_[hash >> (64 - kIndexBits)];
    // Position of the first 1 after the index bits; the bit behind the last one bounds it.
    const int rank = std::countl_zero(hash << kIndexBits | std::uint64_t{1} << (kIndexBits - 1)) + 1;
    place = std::max(place, static_cast<std::uint8_t>(rank));
  }
  double Estimate() const;

 private:
  std::array<std::uint8_t, std::size_t{1} << kIndexBits> registers_{};
};

}  // namespace cohort

#endif  // COHORT_PREPARE_DISTINCT_SKETCH_H_
