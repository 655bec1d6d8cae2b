#include "lifecycle/policy_value.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "common/bootstrap.h"

namespace cohort {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kCurvePoints = 100;

// Users numbered from 0 in the order of their first rows.
struct UserNumbers {
  std::vector<std::uint32_t> of_row;
  std::uint32_t count = 0;
};
UserNumbers NumberUsers(const Experiment& experiment) {
  UserNumbers numbers;
  std::unordered_map<std::uint64_t, std::uint32_t> known;
  for (const std::uint64_t user : experiment.user)
    numbers.of_row.push_back(known.emplace(user, static_cast<std::uint32_t>(known.size())).first->second);
  numbers.count = static_cast<std::uint32_t>(known.size());
  return numbers;
}

// Rows by falling score; equal scores in the order of the rows.
std::vector<std::uint32_t> OrderOf(std::span<const double> scores) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return scores[a] > scores[b]; });
  return order;
}

}  // namespace

Policy ConstantPolicy(std::string name, std::size_t rows, std::span<const double> chances) {
  Policy policy{std::move(name), {}};
  for (std::size_t row = 0; row < rows; ++row) {
    for (const double chance : chances) policy.chances.push_back(static_cast<float>(chance));
  }
  return policy;
}

Policy TopPolicy(std::string name, std::size_t arms, std::size_t arm, std::span<const double> scores,
                 double share) {
  Policy policy{std::move(name), std::vector<float>(scores.size() * arms)};
  double left = share * static_cast<double>(scores.size());
  const std::vector<std::uint32_t> order = OrderOf(scores);
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && scores[order[end]] == scores[order[begin]]) ++end;
    const double alike = static_cast<double>(end - begin), chance = std::clamp(left / alike, 0.0, 1.0);
    for (std::size_t k = begin; k < end; ++k) {
      policy.chances[order[k] * arms + arm] = static_cast<float>(chance);
      policy.chances[order[k] * arms] = static_cast<float>(1 - chance);
    }
    left -= chance * alike;
  }
  return policy;
}

Policy BestArmPolicy(std::string name, const Outlook& outlook, std::span<const double> costs) {
  Policy policy{std::move(name), std::vector<float>(outlook.effect.size())};
  for (std::size_t first = 0; first < outlook.effect.size(); first += outlook.arms) {
    std::size_t best = 0;
    for (std::size_t a = 1; a < outlook.arms; ++a) {
      if (outlook.effect[first + a] - costs[a] > (best == 0 ? 0 : outlook.effect[first + best] - costs[best]))
        best = a;
    }
    policy.chances[first + best] = 1;
  }
  return policy;
}

const char* EstimatorName(Estimator estimator) {
  switch (estimator) {
    case Estimator::kIps:
      return "ips";
    case Estimator::kSnips:
      return "snips";
    case Estimator::kDr:
      break;
  }
  return "dr";
}

Interval IntervalOf(double value, std::vector<double> draws) {
  draws.erase(std::remove_if(draws.begin(), draws.end(), [](double draw) { return !std::isfinite(draw); }),
              draws.end());
  if (draws.empty()) return {value, kUndefined, kUndefined};
  std::sort(draws.begin(), draws.end());
  return {value, Percentile(draws, kLowPercentile), Percentile(draws, kHighPercentile)};
}

PolicyEstimates::PolicyEstimates(const Experiment& experiment, std::span<const double> predicted,
                                 std::span<const double> costs, const std::vector<Policy>& policies,
                                 std::uint32_t draws, std::uint64_t seed)
    : policies_(policies.size()) {
  const std::size_t arms = experiment.arms.size();
  const UserNumbers users = NumberUsers(experiment);
  // By user: rows, then by policy the sums of w y, of w, and of the doubly robust terms.
  const std::size_t width = 1 + 3 * policies_;
  std::vector<double> sums(users.count * width);
  for (std::size_t row = 0; row < experiment.rows(); ++row) {
    double* sum = sums.data() + users.of_row[row] * width;
    const std::size_t arm = experiment.arm[row];
    const double y = experiment.outcome[row] - costs[arm];
    sum[0] += 1;
    for (std::size_t k = 0; k < policies_; ++k) {
      const float* chances = policies[k].chances.data() + row * arms;
      const double w = chances[arm] / experiment.propensities[arm];
      double dr = w * (y - (predicted[row * arms + arm] - costs[arm]));
      for (std::size_t a = 0; a < arms; ++a)
        dr += static_cast<double>(chances[a]) * (predicted[row * arms + a] - costs[a]);
      sum[1 + 3 * k] += w * y, sum[2 + 3 * k] += w, sum[3 + 3 * k] += dr;
    }
  }
  std::vector<double> total(width);
  for (std::uint32_t draw = 0; draw <= draws; ++draw) {
    std::fill(total.begin(), total.end(), 0.0);
    const std::vector<std::uint32_t> counts =
        draw == 0 ? std::vector<std::uint32_t>(users.count, 1) : DrawUsers(users.count, seed, draw);
    for (std::uint32_t user = 0; user < users.count; ++user) {
      if (counts[user] == 0) continue;
      const double* sum = sums.data() + user * width;
      for (std::size_t i = 0; i < width; ++i) total[i] += counts[user] * sum[i];
    }
    for (std::size_t k = 0; k < policies_; ++k) {
      values_[0].push_back(total[1 + 3 * k] / total[0]);
      values_[1].push_back(total[1 + 3 * k] / total[2 + 3 * k]);
      values_[2].push_back(total[3 + 3 * k] / total[0]);
    }
  }
}

template <typename Of>
Interval PolicyEstimates::Each(Estimator estimator, const Of& of) const {
  const std::vector<double>& values = values_[static_cast<std::size_t>(estimator)];
  std::vector<double> draws;
  for (std::size_t first = policies_; first < values.size(); first += policies_)
    draws.push_back(of(values.data() + first));
  return IntervalOf(of(values.data()), std::move(draws));
}

Interval PolicyEstimates::Value(Estimator estimator, std::size_t policy) const {
  return Each(estimator, [&](const double* values) { return values[policy]; });
}

Interval PolicyEstimates::Difference(Estimator estimator, std::size_t policy, std::size_t other) const {
  return Each(estimator, [&](const double* values) { return values[policy] - values[other]; });
}

Interval PolicyEstimates::Ratio(Estimator estimator, std::size_t policy, std::size_t other,
                                std::size_t none) const {
  return Each(estimator, [&](const double* values) {
    return (values[policy] - values[none]) / (values[other] - values[none]);
  });
}

namespace {

UpliftCurve CurveInOrder(const Experiment& experiment, std::size_t arm, std::span<const double> scores,
                         std::span<const std::uint32_t> order, std::span<const std::uint32_t> counts) {
  // The curve's corners: after each run of equal scores.
  std::vector<double> shares = {0}, gains = {0};
  double total = 0;
  for (const std::uint32_t row : order) {
    if (experiment.arm[row] == arm || experiment.arm[row] == 0) total += counts[row];
  }
  double treated = 0, treated_sum = 0, control = 0, control_sum = 0;
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && scores[order[end]] == scores[order[begin]]) ++end;
    for (std::size_t k = begin; k < end; ++k) {
      const std::uint32_t row = order[k];
      const double count = counts[row];
      if (experiment.arm[row] == arm) treated += count, treated_sum += count * experiment.outcome[row];
      if (experiment.arm[row] == 0) control += count, control_sum += count * experiment.outcome[row];
    }
    if (treated == 0 || control == 0) continue;
    shares.push_back((treated + control) / total);
    gains.push_back(shares.back() * (treated_sum / treated - control_sum / control));
  }
  UpliftCurve curve;
  curve.gain.assign(kCurvePoints + 1, 0);
  for (std::size_t i = 1; i < shares.size(); ++i)
    curve.auuc += (shares[i] - shares[i - 1]) * (gains[i] + gains[i - 1]) / 2;
  curve.qini = curve.auuc - gains.back() / 2;
  for (std::size_t point = 1, i = 1; point <= kCurvePoints && shares.size() > 1; ++point) {
    const double share = static_cast<double>(point) / kCurvePoints;
    while (i + 1 < shares.size() && shares[i] < share) ++i;
    const double along = std::clamp((share - shares[i - 1]) / (shares[i] - shares[i - 1]), 0.0, 1.0);
    curve.gain[point] = gains[i - 1] + along * (gains[i] - gains[i - 1]);
  }
  return curve;
}

}  // namespace

UpliftCurve UpliftCurveOf(const Experiment& experiment, std::size_t arm, std::span<const double> scores,
                          std::span<const std::uint32_t> counts) {
  return CurveInOrder(experiment, arm, scores, OrderOf(scores), counts);
}

JudgedCurve JudgeCurve(const Experiment& experiment, std::size_t arm, std::span<const double> scores,
                       std::uint32_t draws, std::uint64_t seed) {
  const std::vector<std::uint32_t> order = OrderOf(scores);
  const UserNumbers users = NumberUsers(experiment);
  JudgedCurve judged;
  std::vector<std::uint32_t> counts(experiment.rows(), 1);
  judged.curve = CurveInOrder(experiment, arm, scores, order, counts);
  std::vector<double> qini, auuc;
  for (std::uint32_t draw = 1; draw <= draws; ++draw) {
    const std::vector<std::uint32_t> drawn = DrawUsers(users.count, seed, draw);
    for (std::size_t row = 0; row < counts.size(); ++row) counts[row] = drawn[users.of_row[row]];
    const UpliftCurve curve = CurveInOrder(experiment, arm, scores, order, counts);
    qini.push_back(curve.qini);
    auuc.push_back(curve.auuc);
  }
  judged.qini = IntervalOf(judged.curve.qini, std::move(qini));
  judged.auuc = IntervalOf(judged.curve.auuc, std::move(auuc));
  return judged;
}

}  // namespace cohort
