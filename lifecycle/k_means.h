// KMeans: points in groups whose members lie near one another.
//
// Lloyd's algorithm (IEEE Trans. Inf. Theory 1982) from centres drawn far apart (k-means++: Arthur & Vassilvitskii, SODA 2007), the best of
// several starts. Equal inputs and seed give equal results.
#ifndef COHORT_LIFECYCLE_K_MEANS_H_
#define COHORT_LIFECYCLE_K_MEANS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cohort {

struct KMeans {
  std::size_t width = 0;
  std::vector<double> centres;  // (count, width); none is empty, so there may be fewer than asked for

  std::size_t count() const { return width == 0 ? 0 : centres.size() / width; }
  std::uint32_t Nearest(std::span<const float> point) const;  // equally near: the first

  // `points`: (rows, width), finite. REQUIRES: width >= 1, at least one row, count >= 1.
  static KMeans Fit(std::span<const float> points, std::size_t width, std::size_t count, std::uint64_t seed);
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_K_MEANS_H_
