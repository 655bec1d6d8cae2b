#include "prepare/distinct_sketch.h"

#include <cmath>
#include <limits>

namespace cohort {
namespace {

// The two series of Ertl 2017, section 2.4: contributions of registers at 0 and at the maximum.
double Sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double y = 1, z = x;
  for (double before = -1; before != z;) {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  }
  return z;
}

double Tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1, z = 1 - x;
  for (double before = -1; before != z;) {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  }
  return z / 3;
}

}  // namespace

double DistinctSketch::Estimate() const {
  constexpr int kRanks = 64 - kIndexBits;
  constexpr double kRegisters = std::size_t{1} << kIndexBits;
  std::array<double, kRanks + 2> counts{};
  for (std::uint8_t rank : registers_) ++counts[rank];
  double z = kRegisters * Tau(1 - counts[kRanks + 1] / kRegisters);
  for (int rank = kRanks; rank >= 1; --rank) z = 0.5 * (z + counts[static_cast<std::size_t>(rank)]);
  z += kRegisters * Sigma(counts[0] / kRegisters);
  return kRegisters * kRegisters / (2 * std::log(2.0)) / z;
}

}  // namespace cohort
