#include "lifecycle/user_profile.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

namespace cohort {
namespace {

constexpr std::size_t kMostFitted = 50'000;      // users
constexpr const char* kGap = "order_gap_mean_days";
constexpr double kApart = 0.3, kFarApart = 1.0;  // deviations from the mean

double MedianOf(std::vector<float>* values) {
  std::erase_if(*values, [](float value) { return std::isnan(value); });
  if (values->empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = values->begin() + static_cast<std::ptrdiff_t>((values->size() - 1) / 2);
  std::nth_element(values->begin(), middle, values->end());
  return *middle;
}

std::string NumberText(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace

std::optional<LifeStageRule> LifeStageRule::Of(const DatasetInfo& info, int loyal_orders) {
  LifeStageRule rule;
  rule.typical_gap_ = std::numeric_limits<double>::quiet_NaN();
  const auto column = [&](const std::string& name) -> std::ptrdiff_t {
    for (std::size_t i = 0; i < info.features.size(); ++i) {
      const FeatureInfo& feature = info.features[i];
      if (feature.name != name || feature.type != FeatureType::kNumeric) continue;
      if (name == kGap && feature.missing < info.rows[static_cast<std::size_t>(Split::kTrain)])
        rule.typical_gap_ = feature.scale == NumericScale::kLog1p ? std::expm1(feature.mean) : feature.mean;
      return static_cast<std::ptrdiff_t>(info.ColumnOf(i));
    }
    return -1;
  };
  rule.orders_ = column("orders"), rule.alive_ = column("alive");
  rule.recency_ = column("order_recency_days"), rule.gap_ = column(kGap);
  rule.loyal_orders_ = loyal_orders;
  if (rule.orders_ < 0) return std::nullopt;
  return rule;
}

LifeStage LifeStageRule::StageOf(const float* numeric, double churn) const {
  const float orders = numeric[orders_];
  if (churn >= 0.5) return LifeStage::kLost;
  if (!(orders >= 1)) return LifeStage::kNew;
  if (!std::isnan(churn)) {
    // said above
  } else if (alive_ >= 0) {
    if (numeric[alive_] < 0.5f) return LifeStage::kLost;
  } else if (recency_ >= 0) {
    const double own = gap_ >= 0 ? double{numeric[gap_]} : std::nan("");
    const double gap = std::isnan(own) ? typical_gap_ : own;
    if (numeric[recency_] > kLostGaps * gap) return LifeStage::kLost;  // false of NaN
  }
  return orders >= loyal_orders_ ? LifeStage::kLoyal : LifeStage::kActive;
}

Result<LoyaltyTiers> LoyaltyTiers::Parse(const std::vector<std::string>& texts, double hysteresis) {
  std::vector<std::pair<double, std::string>> tiers;
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    const std::string number = equals == std::string::npos ? "" : text.substr(equals + 1);
    char* end = nullptr;
    const double threshold = std::strtod(number.c_str(), &end);
    if (equals == 0 || number.empty() || *end != '\0' || !std::isfinite(threshold))
      return InvalidInput("--tiers \"" + text + "\": expected NAME=NUMBER, the least value of the tier");
    tiers.emplace_back(threshold, text.substr(0, equals));
  }
  std::sort(tiers.begin(), tiers.end(), std::greater<>());
  LoyaltyTiers made;
  made.hysteresis = hysteresis;
  for (auto& [threshold, name] : tiers) {
    if (std::find(made.names.begin(), made.names.end(), name) != made.names.end() ||
        (!made.thresholds.empty() && made.thresholds.back() == threshold))
      return InvalidInput("--tiers: \"" + name + "=" + NumberText(threshold) +
                          "\" has a name or a number that another tier has");
    made.names.push_back(std::move(name));
    made.thresholds.push_back(threshold);
  }
  return made;
}

std::string LoyaltyTiers::Of(double value, const std::string& former) const {
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double kept = thresholds[i] - hysteresis * std::abs(thresholds[i]);
    if (value >= thresholds[i] || (names[i] == former && value >= kept)) return names[i];
  }
  return "";
}

std::vector<float> UserSegmentation::ScoresOf(const float* values) const {
  std::vector<float> scores;
  for (std::size_t i = 0; i < features.size(); ++i)
    scores.push_back(static_cast<float>(StandardScore(features[i], values[i])));
  return scores;
}

std::uint32_t UserSegmentation::SegmentOf(const float* values) const {
  return means.Nearest(ScoresOf(values));
}

UserSegmentation UserSegmentation::Make(const std::vector<FeatureInfo>& features,
                                        const std::vector<float>& values, std::size_t count,
                                        std::uint64_t seed) {
  UserSegmentation made;
  made.features = features;
  const std::size_t width = features.size(), users = values.size() / width;
  const std::size_t fitted = std::min(users, kMostFitted);
  std::vector<float> points;
  for (std::size_t k = 0; k < fitted; ++k) {
    const std::vector<float> scores = made.ScoresOf(values.data() + k * users / fitted * width);
    points.insert(points.end(), scores.begin(), scores.end());
  }
  const KMeans found = KMeans::Fit(points, width, count, seed);
  // The most of the last feature first.
  std::vector<std::uint32_t> order(found.count());
  std::iota(order.begin(), order.end(), 0u);
  const auto last = [&](std::uint32_t k) { return found.centres[k * width + width - 1]; };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return last(a) > last(b); });
  made.means.width = width;
  for (const std::uint32_t k : order) {
    const auto from = found.centres.begin() + static_cast<std::ptrdiff_t>(k * width);
    made.means.centres.insert(made.means.centres.end(), from, from + static_cast<std::ptrdiff_t>(width));
  }
  made.segments.resize(order.size());
  std::vector<std::uint32_t> of(users);
  for (std::size_t user = 0; user < users; ++user) {
    of[user] = made.SegmentOf(values.data() + user * width);
    ++made.segments[of[user]].users;
  }
  std::vector<float> some;
  for (std::size_t i = 0; i < width; ++i) {
    const auto median = [&](std::optional<std::uint32_t> segment) {
      some.clear();
      for (std::size_t user = 0; user < users; ++user) {
        if (!segment || of[user] == *segment) some.push_back(values[user * width + i]);
      }
      return MedianOf(&some);
    };
    made.medians.push_back(median(std::nullopt));
    for (std::uint32_t k = 0; k < made.segments.size(); ++k) made.segments[k].medians.push_back(median(k));
  }
  for (std::size_t k = 0; k < made.segments.size(); ++k) {
    UserSegmentation::Segment& segment = made.segments[k];
    std::vector<std::size_t> told(width);
    std::iota(told.begin(), told.end(), 0u);
    const auto apart = [&](std::size_t i) { return made.means.centres[k * width + i]; };
    std::stable_sort(told.begin(), told.end(),
                     [&](std::size_t a, std::size_t b) { return std::abs(apart(a)) > std::abs(apart(b)); });
    for (const std::size_t i : told) {
      if (std::abs(apart(i)) < kApart) continue;
      segment.words += segment.words.empty() ? "" : ", ";
      segment.words += features[i].name + (std::abs(apart(i)) >= kFarApart ? " very" : "") +
                       (apart(i) > 0 ? " high" : " low") + " (median " + NumberText(segment.medians[i]) +
                       ", all " + NumberText(made.medians[i]) + ")";
    }
    if (segment.words.empty()) segment.words = "like the average user";
  }
  return made;
}

}  // namespace cohort
