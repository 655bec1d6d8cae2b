#include "lifecycle/k_means.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

constexpr int kStarts = 4, kRounds = 100;

double Distance(const float* point, const double* centre, std::size_t width) {
  double squares = 0;
  for (std::size_t i = 0; i < width; ++i) squares += (point[i] - centre[i]) * (point[i] - centre[i]);
  return squares;
}

}  // namespace

std::uint32_t KMeans::Nearest(std::span<const float> point) const {
  std::uint32_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::uint32_t k = 0; k < count(); ++k) {
    const double distance = Distance(point.data(), centres.data() + k * width, width);
    if (distance < least) best = k, least = distance;
  }
  return best;
}

KMeans KMeans::Fit(std::span<const float> points, std::size_t width, std::size_t count, std::uint64_t seed) {
  COHORT_CHECK(width >= 1 && count >= 1 && points.size() >= width && points.size() % width == 0,
               "%zu numbers of width %zu, %zu centres", points.size(), width, count);
  const std::size_t rows = points.size() / width;
  const auto point = [&](std::size_t row) { return points.data() + row * width; };
  KMeans best;
  double best_sum = std::numeric_limits<double>::infinity();
  for (int start = 0; start < kStarts; ++start) {
    RandomStream random(RandomBits(seed, static_cast<std::uint64_t>(start)));
    KMeans made{.width = width, .centres = {}};
    // The next centre is a point drawn by its squared distance from those there are.
    std::vector<double> distances(rows, std::numeric_limits<double>::infinity());
    std::size_t drawn = random.Below(rows);
    while (true) {
      made.centres.insert(made.centres.end(), point(drawn), point(drawn) + width);
      double sum = 0;
      for (std::size_t row = 0; row < rows; ++row) {
        distances[row] = std::min(
            distances[row], Distance(point(row), made.centres.data() + made.centres.size() - width, width));
        sum += distances[row];
      }
      if (made.count() == count || !(sum > 0)) break;
      double left = random.Uniform() * sum;
      drawn = rows;
      for (std::size_t row = 0; row < rows && (drawn == rows || left >= 0); ++row) {
        if (distances[row] > 0) drawn = row;
        left -= distances[row];
      }
    }
    std::vector<std::uint32_t> of(rows, ~std::uint32_t{0});
    double sum = 0;
    for (int round = 0; round < kRounds; ++round) {
      bool moved = false;
      sum = 0;
      std::vector<double> sums(made.centres.size());
      std::vector<std::uint64_t> members(made.count());
      for (std::size_t row = 0; row < rows; ++row) {
        const std::uint32_t nearest = made.Nearest(points.subspan(row * width, width));
        moved |= nearest != of[row];
        of[row] = nearest;
        sum += Distance(point(row), made.centres.data() + nearest * width, width);
        ++members[nearest];
        for (std::size_t i = 0; i < width; ++i) sums[nearest * width + i] += point(row)[i];
      }
      if (!moved) break;
      std::vector<double> centres;
      for (std::size_t k = 0; k < members.size(); ++k) {
        for (std::size_t i = 0; members[k] > 0 && i < width; ++i)
          centres.push_back(sums[k * width + i] / static_cast<double>(members[k]));
      }
      if (centres.size() < made.centres.size())
        of.assign(rows, ~std::uint32_t{0});  // one lost all its members
      made.centres = std::move(centres);
    }
    if (sum < best_sum) best = std::move(made), best_sum = sum;
  }
  return best;
}

}  // namespace cohort
