#include "worker/gradient_clip.h"

#include <cmath>
#include <cstddef>

namespace cohort {
namespace {

// In interleaved chains, so that the compiler may use vectors without another order of summation.
double SquaredNorm(std::span<const float> values) {
  constexpr std::size_t kChains = 16;
  double sums[kChains] = {};
  std::size_t i = 0;
  for (; i + kChains <= values.size(); i += kChains) {
    for (std::size_t c = 0; c < kChains; ++c) {
      const double value = values[i + c];
      sums[c] += value * value;
    }
  }
  for (std::size_t c = 0; i < values.size(); ++i, ++c) {
    const double value = values[i];
    sums[c] += value * value;
  }
  double sum = 0;
  for (const double each : sums) sum += each;
  return sum;
}

}  // namespace

bool ClipNorm(double limit, std::span<const std::span<float>> pieces) {
  double squares = 0;
  for (const std::span<float> piece : pieces) squares += SquaredNorm(piece);
  const double norm = std::sqrt(squares);
  if (!(norm > limit) || !std::isfinite(norm)) return false;
  const double scale = limit / norm;  // may be too small for a float
  for (const std::span<float> piece : pieces) {
    for (float& value : piece) value = static_cast<float>(value * scale);
  }
  return true;
}

}  // namespace cohort
