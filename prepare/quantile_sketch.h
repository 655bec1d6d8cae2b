// Quantiles of a stream in bounded memory: KLL (Karnin, Lang, Liberty, "Optimal quantile approximation in
// streams", 2016). Its coin is seeded, so that equal streams give equal quantiles.
#ifndef COHORT_PREPARE_QUANTILE_SKETCH_H_
#define COHORT_PREPARE_QUANTILE_SKETCH_H_

#include <cstdint>
#include <vector>

#include "common/random.h"

namespace cohort {

class QuantileSketch {
 public:
  // The rank of a value that Quantile(q) returns differs from q by less than this share, in 99 of 100
  // streams.
  static constexpr double kRankError = 0.002;

  struct Weighted {
    float value;
    std::uint64_t weight;  // how many values of the stream it stands for
  };

  // REQUIRES: value is not NaN.
  void Add(float value) {
    levels_[0].push_back(value);
    ++count_;
    if (levels_[0].size() >= Capacity(0)) Compact();
  }
  std::uint64_t count() const { return count_; }
  // What is kept, by ascending value, each value once. The weights sum to count().
  std::vector<Weighted> Summary() const;
  // The smallest kept value whose rank is at least q * count(). REQUIRES: count() > 0, 0 <= q <= 1.
  float Quantile(double q) const;

 private:
  static constexpr std::size_t kTop = 4096;  // capacity of the highest level
  static constexpr std::size_t kLeast =
      256;  // and of the lowest ones, where more costs little and saves sorting
  std::size_t Capacity(std::size_t level) const;
  void Compact();

  std::vector<std::vector<float>> levels_{1};  // a value of level h stands for 2^h of the stream
  std::uint64_t count_ = 0;
  RandomStream coin_{0x6b6c6c};
};

// At most bins - 1 ascending edges that cut values into bins of nearly equal weight; a value that alone
// outweighs a bin has one of its own, and the others share the rest. The bin of x is the number of edges <= x
// (BinOf, dataset.h).
std::vector<float> BinEdges(const std::vector<QuantileSketch::Weighted>& summary, std::uint32_t bins);

}  // namespace cohort

#endif  // COHORT_PREPARE_QUANTILE_SKETCH_H_
