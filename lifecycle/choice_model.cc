#include "lifecycle/choice_model.h"

#include <algorithm>
#include <cmath>

namespace cohort {
namespace {

constexpr int kMostNewtonSteps = 50;
constexpr double kTolerance = 1e-9;
constexpr int kMostRounds = 5;
constexpr double kWeightsTried[] = {0, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3};

// Solves a x = b for a symmetric positive definite matrix, by Cholesky; false where it is not.
bool Solve(std::vector<double> a, std::vector<double> b, std::vector<double>* x) {
  const std::size_t n = b.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j) {
        if (!(sum > 0)) return false;
        a[i * n + i] = std::sqrt(sum);
      } else {
        a[i * n + j] = sum / a[j * n + j];
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  *x = std::move(b);
  return true;
}

}  // namespace

double LogLikelihood(const Choices& choices, const std::vector<double>& weights,
                     std::vector<double>* gradient, std::vector<double>* curvature) {
  const std::size_t n = choices.features;
  if (gradient != nullptr) gradient->assign(n, 0);
  if (curvature != nullptr) curvature->assign(n * n, 0);
  double likelihood = 0;
  std::vector<double> utility, mean(n), second(n * n);
  for (std::size_t choice = 0; choice < choices.size(); ++choice) {
    const std::uint64_t begin = choices.first[choice], end = choices.first[choice + 1];
    utility.clear();
    for (std::uint64_t i = begin; i < end; ++i) {
      double sum = choices.offsets[i];
      for (std::size_t f = 0; f < n; ++f) sum += weights[f] * choices.scores[i * n + f];
      utility.push_back(sum);
    }
    const double most = *std::max_element(utility.begin(), utility.end());
    double total = 0;
    std::fill(mean.begin(), mean.end(), 0);
    std::fill(second.begin(), second.end(), 0);
    for (std::uint64_t i = begin; i < end; ++i) {
      const double share = std::exp(utility[i - begin] - most);
      total += share;
      const float* x = &choices.scores[i * n];
      for (std::size_t f = 0; f < n; ++f) {
        mean[f] += share * x[f];
        if (curvature == nullptr) continue;
        for (std::size_t g = 0; g <= f; ++g) second[f * n + g] += share * x[f] * x[g];
      }
    }
    likelihood += utility[0] - most - std::log(total);
    for (std::size_t f = 0; f < n; ++f) {
      mean[f] /= total;
      if (gradient != nullptr) (*gradient)[f] += choices.scores[begin * n + f] - mean[f];
      if (curvature == nullptr) continue;
      for (std::size_t g = 0; g <= f; ++g)
        (*curvature)[f * n + g] -= second[f * n + g] / total - mean[f] * mean[g];
    }
  }
  if (curvature != nullptr) {
    for (std::size_t f = 0; f < n; ++f) {
      for (std::size_t g = f + 1; g < n; ++g) (*curvature)[f * n + g] = (*curvature)[g * n + f];
    }
  }
  return likelihood;
}

std::vector<double> FitChoices(const Choices& choices, const std::vector<bool>& used, double l2) {
  const std::size_t n = choices.features, rows = choices.offsets.size();
  std::vector<double> sums(n), squares(n), variances(n);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t f = 0; f < n; ++f) sums[f] += choices.scores[i * n + f];
  }
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t f = 0; f < n; ++f) {
      const double from_mean = choices.scores[i * n + f] - sums[f] / static_cast<double>(rows);
      squares[f] += from_mean * from_mean;
    }
  }
  std::vector<std::size_t> free;
  for (std::size_t f = 0; f < n; ++f) {
    variances[f] = rows > 0 ? squares[f] / static_cast<double>(rows) : 0;
    if (used[f] && variances[f] > 1e-12) free.push_back(f);
  }
  std::vector<double> weights(n), gradient, curvature, step;
  if (free.empty()) return weights;
  const auto objective = [&](const std::vector<double>& at) {
    double penalty = 0;
    for (const std::size_t f : free) penalty += 0.5 * l2 * at[f] * at[f] * variances[f];
    return LogLikelihood(choices, at) - penalty;
  };
  double value = objective(weights);
  for (int round = 0; round < kMostNewtonSteps; ++round) {
    LogLikelihood(choices, weights, &gradient, &curvature);
    std::vector<double> a(free.size() * free.size()), b(free.size());
    for (std::size_t i = 0; i < free.size(); ++i) {
      const std::size_t f = free[i];
      b[i] = gradient[f] - l2 * weights[f] * variances[f];
      for (std::size_t j = 0; j < free.size(); ++j) a[i * free.size() + j] = -curvature[f * n + free[j]];
      a[i * free.size() + i] += (l2 + 1e-9) * variances[f];
    }
    if (!Solve(a, b, &step)) break;
    // The likelihood is concave: halving ends at a better point, or at the maximum.
    std::vector<double> next = weights;
    double next_value = value;
    for (double share = 1; share > 1e-6; share /= 2) {
      for (std::size_t i = 0; i < free.size(); ++i) next[free[i]] = weights[free[i]] + share * step[i];
      next_value = objective(next);
      if (next_value > value) break;
    }
    const double gain = next_value - value;
    if (!(gain > 0)) break;
    weights = next;
    value = next_value;
    if (gain < kTolerance * (1 + std::abs(value))) break;
  }
  return weights;
}

Choices Project(const Choices& choices, const std::vector<std::vector<double>>& directions) {
  Choices made{
      .features = directions.size(), .first = choices.first, .scores = {}, .offsets = choices.offsets};
  made.scores.reserve(choices.offsets.size() * directions.size());
  for (std::size_t i = 0; i < choices.offsets.size(); ++i) {
    for (const std::vector<double>& direction : directions) {
      double sum = 0;
      for (std::size_t f = 0; f < choices.features; ++f)
        sum += direction[f] * choices.scores[i * choices.features + f];
      made.scores.push_back(static_cast<float>(sum));
    }
  }
  return made;
}

double MeanGain(const Choices& choices, const std::vector<double>& weights, std::size_t top) {
  const std::size_t n = choices.features;
  const auto utility = [&](std::uint64_t i) {
    double sum = 0;
    for (std::size_t f = 0; f < n; ++f) sum += weights[f] * choices.scores[i * n + f];
    return sum;
  };
  double gain = 0;
  for (std::size_t choice = 0; choice < choices.size(); ++choice) {
    const std::uint64_t begin = choices.first[choice], end = choices.first[choice + 1];
    const double chosen = utility(begin);
    std::size_t rank = 1;
    for (std::uint64_t i = begin + 1; i < end && rank <= top; ++i) rank += utility(i) >= chosen;
    if (rank <= top) gain += 1 / std::log2(1 + static_cast<double>(rank));
  }
  return choices.size() > 0 ? gain / static_cast<double>(choices.size()) : 0;
}

std::vector<double> AscendGain(const Choices& choices, std::size_t top) {
  std::vector<double> best;
  double best_gain = -1;
  const auto try_weights = [&](const std::vector<double>& weights) {
    const double gain = MeanGain(choices, weights, top);
    if (gain <= best_gain) return;
    best_gain = gain;
    best = weights;
  };
  for (std::size_t f = 0; f < choices.features; ++f) {
    std::vector<double> single(choices.features);
    single[f] = 1;
    try_weights(single);
  }
  for (int round = 0; round < kMostRounds; ++round) {
    const double before = best_gain;
    for (std::size_t f = 0; f < choices.features; ++f) {
      std::vector<double> weights = best;
      for (const double weight : kWeightsTried) {
        weights[f] = weight;
        if (std::any_of(weights.begin(), weights.end(), [](double any) { return any > 0; }))
          try_weights(weights);
      }
    }
    if (best_gain <= before) break;
  }
  return best;
}

}  // namespace cohort
