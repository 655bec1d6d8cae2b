#include "launch/watch/history.h"

#include <cmath>
#include <limits>

namespace cohort {
namespace {

constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();

double MeanOf(double a, double b) { return std::isnan(a) ? b : std::isnan(b) ? a : (a + b) / 2; }

}  // namespace

void History::Add(double seconds, const std::map<std::string, double>& values) {
  if (in_last_ == 0 || in_last_ == stride_) {
    if (seconds_.size() == kMostPoints) Halve();
    in_last_ = 0;
    weight_.clear();
    seconds_.push_back(seconds);
    for (auto& [name, points] : series_) points.push_back(kNoValue);
  }
  ++in_last_;
  seconds_.back() += (seconds - seconds_.back()) / static_cast<double>(in_last_);
  for (const auto& [name, value] : values) {
    if (!std::isfinite(value)) continue;
    auto found = series_.find(name);
    if (found == series_.end()) {
      if (series_.size() == kMostSeries) continue;
      found = series_.emplace(name, std::vector<double>(seconds_.size(), kNoValue)).first;
    }
    double& point = found->second.back();
    const std::size_t weight = ++weight_[name];
    point = weight == 1 ? value : point + (value - point) / static_cast<double>(weight);
  }
}

void History::Halve() {
  stride_ *= 2;
  const std::size_t pairs = seconds_.size() / 2;
  for (std::size_t i = 0; i < pairs; ++i) seconds_[i] = MeanOf(seconds_[2 * i], seconds_[2 * i + 1]);
  seconds_.resize(pairs);
  for (auto& [name, points] : series_) {
    for (std::size_t i = 0; i < pairs; ++i) points[i] = MeanOf(points[2 * i], points[2 * i + 1]);
    points.resize(pairs);
  }
}

}  // namespace cohort
