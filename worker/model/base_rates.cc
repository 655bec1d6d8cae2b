#include "worker/model/base_rates.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "worker/model/losses.h"

namespace cohort {
namespace {

constexpr double kLeastRate = 1e-6;
constexpr int kHalvings = 60;  // of an interval: down to the precision of a double

double Clamped(double rate) { return std::clamp(rate, kLeastRate, 1.0 - kLeastRate); }
double Logit(double rate) {
  rate = Clamped(rate);
  return std::log(rate / (1.0 - rate));
}
double Entropy(double rate) {
  rate = Clamped(rate);
  return -rate * std::log(rate) - (1.0 - rate) * std::log1p(-rate);
}

// -f'(p): falls from infinity at 0 to 0 at 1 (gamma = 0: to 1).
double FocalSlope(double p, double gamma) {
  if (gamma == 0.0) return 1.0 / p;
  return std::pow(1.0 - p, gamma) / p - gamma * std::pow(1.0 - p, gamma - 1.0) * std::log(p);
}

// Binary (class 1 is the event) and multiclass.
void OfClasses(const ModelTask& task, std::vector<double> rates, BaseRates* result) {
  const TaskConfig& config = task.config;
  const bool binary = task.info.type == TaskType::kBinary;
  if (config.loss == TaskLoss::kFocal) {
    std::vector<double> weights = rates;
    if (binary) {
      weights[0] *= 1.0 - static_cast<double>(config.alpha);
      weights[1] *= static_cast<double>(config.alpha);
    }
    rates = FocalRates(weights, static_cast<double>(config.gamma));
    result->loss = 0.0;
    for (std::size_t k = 0; k < rates.size(); ++k) {
      const double p = Clamped(rates[k]);
      result->loss -= weights[k] * std::pow(1.0 - p, static_cast<double>(config.gamma)) * std::log(p);
    }
  } else {
    const double smoothing = static_cast<double>(config.label_smoothing);
    result->loss = 0.0;
    for (double& rate : rates) {
      rate = (1.0 - smoothing) * rate + smoothing / static_cast<double>(rates.size());
      result->loss -= rate * std::log(Clamped(rate));
    }
  }
  if (binary) {
    result->biases = {static_cast<float>(Logit(rates[1]))};
    return;
  }
  for (std::size_t k = 0; k < rates.size(); ++k)
    result->biases[k] = static_cast<float>(std::log(std::max(rates[k], kLeastRate)));
}

// Of a standard normal residual: Huber's loss of delta; infinite: half the variance.
double NormalHuberLoss(double delta) {
  const double density = std::exp(-0.5 * delta * delta) / std::sqrt(2.0 * std::numbers::pi);
  const double within = std::erf(delta / std::numbers::sqrt2);
  return 0.5 * within + delta * density - 0.5 * delta * delta * (1.0 - within);
}

}  // namespace

std::vector<double> FocalRates(const std::vector<double>& weights, double gamma) {
  std::vector<double> rates(weights.size());
  // Each p_k solves weight_k * slope(p_k) = lambda, and falls with lambda: find the lambda at which they sum to 1.
  double low = -40.0, high = 40.0;  // of log lambda
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = 0.5 * (low + high), lambda = std::exp(middle);
    double sum = 0.0;
    for (std::size_t k = 0; k < weights.size(); ++k) {
      double least = 0.0, most = 1.0;
      for (int j = 0; j < kHalvings; ++j) {
        const double p = 0.5 * (least + most);
        (p < 1.0 && weights[k] * FocalSlope(p, gamma) > lambda ? least : most) = p;
      }
      rates[k] = 0.5 * (least + most);
      sum += rates[k];
    }
    (sum > 1.0 ? low : high) = middle;
  }
  return rates;
}

BaseRates BaseRatesOf(const ModelTask& task) {
  const TaskInfo& info = task.info;
  BaseRates result;
  result.biases.assign(task.outputs, 0.0f);
  if (info.labelled == 0) return result;
  if (IsPoisson(task)) {
    // With an offset: as if it were normal, so that exp(bias + offset) has the labels' mean; the loss about half of Pearson's
    // statistic.
    const double offset = task.has_offset ? task.offset_mean + 0.5 * task.offset_deviation * task.offset_deviation : 0.0;
    result.biases = {static_cast<float>(std::log(std::max(info.mean, kLeastRate)) - offset)};
    const double relative = info.deviation / std::max(info.mean, kLeastRate);
    result.loss = 0.5 * relative * relative;
    if (!std::isfinite(result.biases[0])) result.biases[0] = 0.0f;
    if (!std::isfinite(result.loss) || !(result.loss > 0.0)) result.loss = 1.0;
    return result;
  }
  switch (info.type) {
    case TaskType::kBinary:
      OfClasses(task, {1.0 - info.mean, info.mean}, &result);
      break;
    case TaskType::kMulticlass: {
      std::vector<double> rates = info.class_rates;
      rates.resize(task.outputs);
      OfClasses(task, std::move(rates), &result);
      break;
    }
    case TaskType::kRegression:  // 0 is the mean
      result.loss = task.config.loss == TaskLoss::kHuber
                        ? NormalHuberLoss(static_cast<double>(task.config.delta))
                        : 0.5;
      break;
    case TaskType::kValue:  // the share, the mean and, through softplus, a deviation of 1
      result.biases = {static_cast<float>(Logit(info.positive_share)), 0.0f,
                       static_cast<float>(std::log(std::expm1(1.0 - kSigmaFloor)))};
      result.loss =
          Entropy(info.positive_share) + info.positive_share * (0.5 * std::log(2.0 * std::numbers::pi) + 0.5);
      break;
    case TaskType::kCount:
      break;
    case TaskType::
        kHazard:  // the hazards of the periods; where nobody was at risk, that of the last one before
      result.loss = 0.0;
      for (std::size_t k = 0; k < task.outputs; ++k) {
        const bool seen = info.at_risk[k] > 0.0;
        result.biases[k] = seen || k == 0 ? static_cast<float>(Logit(info.hazards[k])) : result.biases[k - 1];
        if (seen) result.loss += info.at_risk[k] * Entropy(info.hazards[k]);
      }
      break;
  }
  for (float& bias : result.biases) {
    if (!std::isfinite(bias)) bias = 0.0f;
  }
  if (!std::isfinite(result.loss) || !(result.loss > 0.0)) result.loss = 1.0;
  return result;
}

}  // namespace cohort
