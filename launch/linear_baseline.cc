#include "launch/linear_baseline.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "common/nearest.h"

namespace cohort {
namespace {

constexpr int kMostSteps = 100;
constexpr int kMostHalvings = 40;
constexpr double kEnough = 1e-10;          // of a step's gain
constexpr double kCertain = 40;            // logit of a probability that is 0 or 1 in a float
constexpr double kMostLogAmount = 80;      // exp of it is a float
constexpr std::uint32_t kReadRows = 8192;  // at once

double Dot(std::span<const double> weights, const double* inputs) {
  double sum = weights[0];
  for (std::size_t i = 1; i < weights.size(); ++i) sum += weights[i] * inputs[i - 1];
  return sum;
}

// log-likelihood of a row, its derivative by the linear predictor, and the Fisher information.
struct RowTerms {
  double likelihood, slope, information;
};
RowTerms TermsOf(LinearFamily family, double predictor, double target) {
  switch (family) {
    case LinearFamily::kLogistic: {
      const double p = 1 / (1 + std::exp(-predictor));
      const double softplus = std::max(predictor, 0.0) + std::log1p(std::exp(-std::abs(predictor)));
      return {target * predictor - softplus, target - p, p * (1 - p)};
    }
    case LinearFamily::kGamma: {  // shape 1: another one scales all terms alike
      const double ratio = target * std::exp(-predictor);
      return {-predictor - ratio, ratio - 1, 1};
    }
    case LinearFamily::kPoisson: {
      const double mean = std::exp(std::min(predictor, kMostLogAmount));
      return {target * predictor - mean, target - mean, mean};
    }
    case LinearFamily::kGaussian:
      break;
  }
  const double off = target - predictor;
  return {-off * off / 2, off, 1};
}

// Solves a x = b in place by Cholesky's factors; a: symmetric, positive definite, (n, n) row-major. False: it is not.
bool Solve(std::vector<double>* a, std::vector<double>* b) {
  const std::size_t n = b->size();
  std::vector<double>& l = *a;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = l[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= l[i * n + k] * l[j * n + k];
      if (i == j && !(sum > 0)) return false;
      l[i * n + j] = i == j ? std::sqrt(sum) : sum / l[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) (*b)[i] -= l[i * n + k] * (*b)[k];
    (*b)[i] /= l[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) (*b)[i] -= l[k * n + i] * (*b)[k];
    (*b)[i] /= l[i * n + i];
  }
  return true;
}

double FirstIntercept(LinearFamily family, double mean) {
  if (family == LinearFamily::kGaussian) return mean;
  if (family == LinearFamily::kGamma || family == LinearFamily::kPoisson) return std::log(mean);
  return std::log(mean / (1 - mean));
}

}  // namespace

std::vector<double> FitLinear(LinearFamily family, const std::vector<double>& inputs, std::size_t width,
                              const std::vector<double>& targets, const std::vector<double>& weights,
                              double l2) {
  const std::size_t n = width + 1;
  std::vector<double> fitted(n);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (!(total > 0)) return fitted;
  const double mean = std::inner_product(weights.begin(), weights.end(), targets.begin(), 0.0) / total;
  if (family == LinearFamily::kLogistic && (mean <= 0 || mean >= 1)) {
    fitted[0] = mean <= 0 ? -kCertain : kCertain;
    return fitted;
  }
  if (family == LinearFamily::kPoisson && mean <= 0) {
    fitted[0] = -kCertain;
    return fitted;
  }
  fitted[0] = FirstIntercept(family, mean);

  const auto objective = [&](const std::vector<double>& at) {
    double sum = 0;
    for (std::size_t row = 0; row < targets.size(); ++row)
      sum += weights[row] * TermsOf(family, Dot(at, inputs.data() + row * width), targets[row]).likelihood;
    double squares = 0;
    for (std::size_t i = 1; i < n; ++i) squares += at[i] * at[i];
    return sum / total - l2 / 2 * squares;
  };
  double now = objective(fitted);
  for (int step = 0; step < kMostSteps; ++step) {
    std::vector<double> information(n * n), slope(n), x(n, 1.0);
    for (std::size_t row = 0; row < targets.size(); ++row) {
      const double* values = inputs.data() + row * width;
      const RowTerms terms = TermsOf(family, Dot(fitted, values), targets[row]);
      std::copy(values, values + width, x.begin() + 1);
      const double share = weights[row] / total;
      for (std::size_t i = 0; i < n; ++i) {
        slope[i] += share * terms.slope * x[i];
        for (std::size_t j = 0; j <= i; ++j)
          information[i * n + j] += share * terms.information * x[i] * x[j];
      }
    }
    for (std::size_t i = 1; i < n; ++i) {
      slope[i] -= l2 * fitted[i];
      information[i * n + i] += l2;
    }
    for (std::size_t i = 0; i < n; ++i) information[i * n + i] += 1e-12;  // two features that say the same
    if (!Solve(&information, &slope)) return fitted;
    double reached = now;
    std::vector<double> next(n);
    double length = 1;
    for (int halving = 0; halving < kMostHalvings; ++halving, length /= 2) {
      for (std::size_t i = 0; i < n; ++i) next[i] = fitted[i] + length * slope[i];
      reached = objective(next);
      if (reached > now) break;  // NaN is not
    }
    if (!(reached > now)) return fitted;
    fitted = next;
    if (reached - std::exchange(now, reached) < kEnough) return fitted;
  }
  return fitted;
}

Result<LinearBaseline> LinearBaseline::Fit(DatasetReader& data, const std::vector<std::string>& features,
                                           double l2) {
  const DatasetInfo& info = data.info();
  if (!(l2 >= 0 && std::isfinite(l2))) return InvalidInput("l2 must be a number from 0 on");
  if (features.empty()) return InvalidInput("no feature named");
  LinearBaseline baseline;
  baseline.numeric_ = info.CountOf(FeatureType::kNumeric);
  for (const std::string& name : features) {
    std::vector<std::string> names;
    for (const FeatureInfo& feature : info.features) {
      if (feature.type == FeatureType::kNumeric) names.push_back(feature.name);
    }
    const auto found = std::find_if(info.features.begin(), info.features.end(),
                                    [&](const FeatureInfo& feature) { return feature.name == name; });
    if (found == info.features.end())
      return InvalidInput(
          "the dataset has no feature \"" + name + "\"" + DidYouMean(name, names) +
          "; name numeric features of it with --features A,B,C (`cohort prepare` lists them)");
    if (found->type != FeatureType::kNumeric)
      return InvalidInput("the feature \"" + name + "\" is not numeric; a baseline is of numbers");
    if (std::any_of(baseline.features_.begin(), baseline.features_.end(),
                    [&](const FeatureInfo& other) { return other.name == name; }))
      return InvalidInput("the feature \"" + name + "\" is named twice");
    baseline.features_.push_back(*found);
    baseline.columns_.push_back(info.ColumnOf(static_cast<std::size_t>(found - info.features.begin())));
  }
  std::vector<std::size_t> labels;  // by task of ours: its column
  for (std::size_t i = 0; i < info.tasks.size(); ++i) {
    const TaskType type = info.tasks[i].type;
    if (type == TaskType::kMulticlass || type == TaskType::kHazard) continue;
    baseline.tasks_.push_back(info.tasks[i]);
    labels.push_back(i);
  }
  if (labels.empty())
    return InvalidInput("no task of type binary, count, value or regression: others have no baseline");

  const std::uint64_t rows = info.rows[static_cast<std::size_t>(Split::kTrain)];
  const std::size_t width = features.size();
  std::vector<double> inputs, weights;
  std::vector<float> targets;
  RowBlock block;
  for (std::uint64_t first = 0; first < rows; first += block.rows) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kReadRows, rows - first));
    COHORT_RETURN_IF_ERROR(data.Read(Split::kTrain, first, count, /*with_ids=*/false, &block));
    for (std::size_t row = 0; row < block.rows; ++row) {
      const std::vector<double> x = baseline.InputsOf(block, row);
      inputs.insert(inputs.end(), x.begin(), x.end());
      weights.push_back(block.weights.empty() ? 1 : block.weights[row]);
      for (const std::size_t label : labels) targets.push_back(block.labels[row * info.tasks.size() + label]);
    }
  }
  // The rows that `wanted` takes, by their label; `target` is what of it is learnt.
  const auto fit = [&](std::size_t task, LinearFamily family, const auto& wanted, const auto& target) {
    std::vector<double> x, y, w;
    for (std::size_t row = 0; row < weights.size(); ++row) {
      const float label = targets[row * labels.size() + task];
      if (std::isnan(label) || !wanted(label)) continue;
      x.insert(x.end(), inputs.begin() + static_cast<std::ptrdiff_t>(row * width),
               inputs.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
      y.push_back(target(label));
      w.push_back(weights[row]);
    }
    return FitLinear(family, x, width, y, w, l2);
  };
  const auto any = [](float) { return true; };
  const auto same = [](float label) { return double{label}; };
  const auto positive = [](float label) { return label > 0; };
  for (std::size_t i = 0; i < baseline.tasks_.size(); ++i) {
    const TaskInfo& task = baseline.tasks_[i];
    if (task.type == TaskType::kBinary) {
      baseline.parts_.push_back({task.name, "probability", fit(i, LinearFamily::kLogistic, any, same)});
    } else if (task.type == TaskType::kCount) {
      baseline.parts_.push_back({task.name, "mean", fit(i, LinearFamily::kPoisson, any, same)});
    } else if (task.type == TaskType::kRegression) {
      baseline.parts_.push_back({task.name, "amount", fit(i, LinearFamily::kGaussian, any, same)});
    } else {
      baseline.parts_.push_back({task.name, "above 0", fit(i, LinearFamily::kLogistic, any, positive)});
      baseline.parts_.push_back({task.name, "amount", fit(i, LinearFamily::kGamma, positive, same)});
    }
  }
  return baseline;
}

std::vector<double> LinearBaseline::InputsOf(const RowBlock& block, std::size_t row) const {
  std::vector<double> inputs;
  for (std::size_t i = 0; i < features_.size(); ++i) {
    inputs.push_back(StandardScore(features_[i], block.numeric[row * numeric_ + columns_[i]]));
  }
  return inputs;
}

void LinearBaseline::Predict(const RowBlock& block, std::vector<float>* out) const {
  const auto logistic = [](double predictor) { return 1 / (1 + std::exp(-predictor)); };
  for (std::size_t row = 0; row < block.rows; ++row) {
    const std::vector<double> x = InputsOf(block, row);
    auto part = parts_.begin();
    for (const TaskInfo& task : tasks_) {
      double value = Dot(part->weights, x.data());
      ++part;
      if (task.type == TaskType::kBinary) value = logistic(value);
      if (task.type == TaskType::kCount) value = std::exp(std::min(value, kMostLogAmount));
      if (task.type == TaskType::kValue) {
        value = logistic(value) * std::exp(std::min(Dot(part->weights, x.data()), kMostLogAmount));
        ++part;
      }
      out->push_back(static_cast<float>(value));
    }
  }
}

}  // namespace cohort
