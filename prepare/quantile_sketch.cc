#include "prepare/quantile_sketch.h"

#include <algorithm>
#include <cmath>

#include "common/check.h"

namespace cohort {

// Capacities shrink by 2/3 per level downwards: the rank error comes from the highest levels.
std::size_t QuantileSketch::Capacity(std::size_t level) const {
  double capacity = kTop;
  for (std::size_t i = level + 1; i < levels_.size() && capacity > kLeast; ++i) capacity *= 2.0 / 3;
  return std::max(kLeast, static_cast<std::size_t>(capacity));
}

void QuantileSketch::Compact() {
  for (std::size_t level = 0; level < levels_.size() && levels_[level].size() >= Capacity(level); ++level) {
    if (level + 1 == levels_.size()) levels_.emplace_back();
    std::vector<float>& values = levels_[level];
    std::sort(values.begin(), values.end());
    // Of every two neighbours one goes up, by a coin the first or the second of all; an odd one out stays.
    const std::size_t pairs = values.size() / 2;
    const std::size_t side = coin_() >> 63;
    for (std::size_t i = 0; i < pairs; ++i) levels_[level + 1].push_back(values[2 * i + side]);
    values.erase(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(2 * pairs));
  }
}

std::vector<QuantileSketch::Weighted> QuantileSketch::Summary() const {
  std::vector<Weighted> all;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    for (float value : levels_[level]) all.push_back({value, std::uint64_t{1} << level});
  }
  std::sort(all.begin(), all.end(), [](const Weighted& a, const Weighted& b) { return a.value < b.value; });
  std::vector<Weighted> distinct;
  for (const Weighted& item : all) {
    if (!distinct.empty() && distinct.back().value == item.value) {
      distinct.back().weight += item.weight;
    } else {
      distinct.push_back(item);
    }
  }
  return distinct;
}

float QuantileSketch::Quantile(double q) const {
  COHORT_CHECK(count_ > 0);
  const std::vector<Weighted> summary = Summary();
  const double wanted = q * static_cast<double>(count_);
  double rank = 0;
  for (const Weighted& item : summary) {
    rank += static_cast<double>(item.weight);
    if (rank >= wanted) return item.value;
  }
  return summary.back().value;
}

std::vector<float> BinEdges(const std::vector<QuantileSketch::Weighted>& summary, std::uint32_t bins) {
  std::vector<float> edges;
  if (summary.size() <= bins) {
    for (std::size_t i = 1; i < summary.size(); ++i) edges.push_back(summary[i].value);
    return edges;
  }
  double total = 0;
  for (const auto& item : summary) total += static_cast<double>(item.weight);
  const double fair = total / bins;
  auto heavy = [&](std::size_t i) { return static_cast<double>(summary[i].weight) >= fair; };
  double rest = total, rest_bins = bins;
  for (std::size_t i = 0; i < summary.size(); ++i) {
    if (!heavy(i)) continue;
    rest -= static_cast<double>(summary[i].weight);
    --rest_bins;
  }
  double filled = 0;
  for (std::size_t i = 0; i + 1 < summary.size() && edges.size() + 1 < bins; ++i) {
    const double share = rest_bins > 0 ? rest / rest_bins : rest;
    filled += static_cast<double>(summary[i].weight);
    if (!heavy(i) && filled < share && !(heavy(i + 1) && filled >= 0.5 * share)) continue;
    edges.push_back(summary[i + 1].value);
    if (!heavy(i)) {
      rest -= filled;
      --rest_bins;
    }
    filled = 0;
  }
  return edges;
}

}  // namespace cohort
