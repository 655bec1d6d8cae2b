#include "server/optimizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace cohort {
namespace {

constexpr float kMaxStep = 16777216.0f;  // 2^24: the last integer before float skips some

// base^n by squaring: unlike pow, the same bits from every math library.
double Power(double base, std::uint32_t n) {
  double result = 1;
  for (; n != 0; n >>= 1, base *= base) {
    if (n & 1) result *= base;
  }
  return result;
}

// Mean of squares with eight partial sums in a fixed order: a vector loop with the same bits at any
// alignment.
float MeanSquare(const float* values, std::uint32_t n) {
  float lanes[8] = {};
  std::uint32_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (std::uint32_t k = 0; k < 8; ++k) lanes[k] += values[i + k] * values[i + k];
  }
  for (std::uint32_t k = 0; i < n; ++i, ++k) lanes[k] += values[i] * values[i];
  for (std::uint32_t k = 0; k < 4; ++k) lanes[k] += lanes[k + 4];
  return ((lanes[0] + lanes[2]) + (lanes[1] + lanes[3])) / static_cast<float>(n);
}

}  // namespace

Optimizer::Optimizer(const OptimizerSpec& spec, std::uint32_t dim)
    : spec_(spec), dim_(dim), state_floats_(StateFloats(spec.kind, dim)) {
  if (spec.kind == OptimizerKind::kAdam) {
    for (std::uint32_t i = 0; i < corrections_.size(); ++i) corrections_[i] = ComputeCorrection(i + 1);
  }
}

Optimizer::Correction Optimizer::ComputeCorrection(std::uint32_t step) const {
  const double first = 1.0 - Power(static_cast<double>(spec_.beta1), step);
  const double second = 1.0 - Power(static_cast<double>(spec_.beta2), step);
  return {static_cast<float>(static_cast<double>(spec_.learning_rate) / first),
          static_cast<float>(1.0 / std::sqrt(second))};
}

Optimizer::Correction Optimizer::CorrectionAt(std::uint32_t step) const {
  return step <= corrections_.size() ? corrections_[step - 1] : ComputeCorrection(step);
}

void Optimizer::InitState(const float* weights, float* state) const {
  std::fill(state, state + state_floats_, 0.0f);
  switch (spec_.kind) {
    case OptimizerKind::kAdagrad:
    case OptimizerKind::kRowwiseAdagrad:
      std::fill(state, state + state_floats_, spec_.initial_accumulator);
      break;
    case OptimizerKind::kFtrl: {
      const float n = spec_.initial_accumulator;
      const float slope = (spec_.ftrl_beta + std::sqrt(n)) / spec_.learning_rate + spec_.ftrl_l2;
      for (std::uint32_t i = 0; i < dim_; ++i) {
        const float w = weights[i];
        state[i] = w == 0.0f ? 0.0f : -(w * slope + std::copysign(spec_.ftrl_l1, w));
        state[dim_ + i] = n;
      }
      break;
    }
    default:
      break;
  }
}

void Optimizer::Step(const float* gradient, float* weights, float* state, float share) const {
  if (spec_.l2 != 0.0f) {
    thread_local std::vector<float> regularized;
    regularized.resize(dim_);
    for (std::uint32_t i = 0; i < dim_; ++i) regularized[i] = gradient[i] + spec_.l2 * weights[i];
    gradient = regularized.data();
  }
  const float* __restrict g = gradient;
  float* __restrict w = weights;
  float* __restrict s = state;
  const std::uint32_t dim = dim_;
  const float rate = spec_.learning_rate * share;
  const float epsilon = spec_.epsilon;
  if (spec_.weight_decay != 0.0f) {
    const float decay = rate * spec_.weight_decay;
    for (std::uint32_t i = 0; i < dim; ++i) w[i] -= decay * w[i];
  }
  switch (spec_.kind) {
    case OptimizerKind::kSgd:
      for (std::uint32_t i = 0; i < dim; ++i) w[i] -= rate * g[i];
      break;
    case OptimizerKind::kMomentum: {
      const float mu = spec_.momentum;
      for (std::uint32_t i = 0; i < dim; ++i) {
        const float v = mu * s[i] + g[i];
        s[i] = v;
        w[i] -= rate * v;
      }
      break;
    }
    case OptimizerKind::kAdagrad:
      for (std::uint32_t i = 0; i < dim; ++i) {
        const float a = s[i] + g[i] * g[i];
        s[i] = a;
        w[i] -= rate * g[i] / (std::sqrt(a) + epsilon);
      }
      break;
    case OptimizerKind::kRowwiseAdagrad: {
      s[0] += MeanSquare(g, dim);
      const float step = rate / (std::sqrt(s[0]) + epsilon);
      for (std::uint32_t i = 0; i < dim; ++i) w[i] -= step * g[i];
      break;
    }
    case OptimizerKind::kAdam: {
      float* __restrict v = s + dim;
      const float t = std::min(s[2 * dim] + 1.0f, kMaxStep);
      s[2 * dim] = t;
      Correction correction = CorrectionAt(static_cast<std::uint32_t>(t));
      correction.rate *= share;
      const float b1 = spec_.beta1, b2 = spec_.beta2;
      const float c1 = 1.0f - b1, c2 = 1.0f - b2;
      for (std::uint32_t i = 0; i < dim; ++i) {
        const float mi = b1 * s[i] + c1 * g[i];
        const float vi = b2 * v[i] + c2 * (g[i] * g[i]);
        s[i] = mi;
        v[i] = vi;
        w[i] -= correction.rate * mi / (std::sqrt(vi) * correction.scale + epsilon);
      }
      break;
    }
    case OptimizerKind::kFtrl: {
      float* __restrict n = s + dim;
      const float l1 = spec_.ftrl_l1, l2 = spec_.ftrl_l2, beta = spec_.ftrl_beta;
      for (std::uint32_t i = 0; i < dim; ++i) {
        const float grown = n[i] + g[i] * g[i];
        const float root = std::sqrt(grown);
        const float sigma = (root - std::sqrt(n[i])) / rate;
        const float z = s[i] + g[i] - sigma * w[i];
        s[i] = z;
        n[i] = grown;
        const float pulled = std::max(std::fabs(z) - l1, 0.0f);  // |z| beyond the l1 threshold
        w[i] = -std::copysign(pulled, z) / ((beta + root) / rate + l2);
      }
      break;
    }
  }
}

}  // namespace cohort
