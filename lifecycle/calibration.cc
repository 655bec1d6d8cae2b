#include "lifecycle/calibration.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "common/check.h"

namespace cohort {
namespace {

constexpr double kNormal95 = 1.6448536269514722;  // of level 90 % on both sides

// The p-quantile of sorted values (type 7 of Hyndman & Fan 1996).
double Quantile(std::span<const float> sorted, double p) {
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (double{sorted[above]} - sorted[below]);
}

}  // namespace

Calibration::Calibration(std::span<const float> predictions, std::span<const float> labels,
                         bool probabilities) {
  COHORT_CHECK(predictions.size() == labels.size(), "%zu predictions, %zu labels", predictions.size(),
               labels.size());
  std::vector<std::uint32_t> order;
  for (std::uint32_t row = 0; row < labels.size(); ++row) {
    if (!std::isnan(labels[row])) order.push_back(row);
  }
  rows_ = order.size();
  if (rows_ < kLeastRows) return;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return predictions[a] < predictions[b]; });
  // Groups as [first, end) of the order; equal predictions are never parted.
  struct Pool {
    std::size_t first = 0, end = 0;
    double label = 0;
  };
  std::vector<Pool> pools;
  const std::size_t size = std::max(kLeastRows, (rows_ + kGroups - 1) / kGroups);
  for (std::size_t first = 0; first < rows_;) {
    std::size_t end = rows_ - first < 2 * size ? rows_ : first + size;
    while (end < rows_ && predictions[order[end]] == predictions[order[end - 1]]) ++end;
    double sum = 0;
    for (std::size_t i = first; i < end; ++i) sum += labels[order[i]];
    pools.push_back({first, end, sum / static_cast<double>(end - first)});
    while (pools.size() > 1 && pools[pools.size() - 2].label >= pools.back().label) {
      const Pool last = pools.back();
      pools.pop_back();
      Pool& whole = pools.back();
      const auto before = static_cast<double>(whole.end - whole.first),
                 more = static_cast<double>(last.end - last.first);
      whole.label = (whole.label * before + last.label * more) / (before + more);
      whole.end = last.end;
    }
    first = end;
  }
  std::vector<float> values;
  for (const Pool& pool : pools) {
    Group& group = groups_.emplace_back();
    const auto count = static_cast<double>(pool.end - pool.first);
    values.clear();
    for (std::size_t i = pool.first; i < pool.end; ++i) {
      group.prediction += predictions[order[i]] / count;
      values.push_back(labels[order[i]]);
    }
    group.label = pool.label;
    if (probabilities) {
      const double z2 = kNormal95 * kNormal95, p = pool.label;
      const double middle = (p + z2 / (2 * count)) / (1 + z2 / count);
      const double half =
          kNormal95 / (1 + z2 / count) * std::sqrt(p * (1 - p) / count + z2 / (4 * count * count));
      group.low = std::max(0.0, middle - half), group.high = std::min(1.0, middle + half);
    } else {
      std::sort(values.begin(), values.end());
      group.low = Quantile(values, 0.05), group.high = Quantile(values, 0.95);
    }
  }
}

CalibratedPrediction Calibration::Of(float prediction) const {
  COHORT_CHECK(known(), "%zu rows", rows_);
  const auto above =
      std::upper_bound(groups_.begin(), groups_.end(), double{prediction},
                       [](double value, const Group& group) { return value < group.prediction; });
  const Group& high = above == groups_.end() ? groups_.back() : *above;
  const Group& low = above == groups_.begin() ? groups_.front() : *(above - 1);
  const double way =
      high.prediction > low.prediction
          ? std::clamp((prediction - low.prediction) / (high.prediction - low.prediction), 0.0, 1.0)
          : 0.0;
  const auto between = [&](double Group::*of) { return low.*of + way * (high.*of - low.*of); };
  return {between(&Group::label), between(&Group::low), between(&Group::high)};
}

}  // namespace cohort
