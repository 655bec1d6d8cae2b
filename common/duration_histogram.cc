#include "common/duration_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cohort {
namespace {

constexpr double kShortest = 1e-6;
constexpr double kPerOctave = 8;  // buckets: each 9 % longer than the one before
constexpr double kLast = 239;

}  // namespace

void DurationHistogram::Add(double seconds) {
  const double place = std::floor(kPerOctave * std::log2(std::max(seconds, kShortest) / kShortest));
  const auto bucket = static_cast<std::size_t>(std::min(place, kLast));
  if (counts_.size() <= bucket) counts_.resize(bucket + 1);
  ++counts_[bucket];
}

double DurationHistogram::Seconds(std::size_t bucket) {
  return kShortest * std::exp2((static_cast<double>(bucket) + 0.5) / kPerOctave);
}

double DurationHistogram::Quantile(std::span<const std::uint64_t> counts, double q) {
  std::uint64_t all = 0;
  for (const std::uint64_t count : counts) all += count;
  const double wanted = q * static_cast<double>(all);
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    seen += counts[bucket];
    if (seen > 0 && static_cast<double>(seen) >= wanted) return Seconds(bucket);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace cohort
