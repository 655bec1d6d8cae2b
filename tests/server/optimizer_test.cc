#include "server/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "common/random.h"

namespace cohort::optimizer_test {
namespace {

std::vector<float> Row(const Optimizer& optimizer, std::vector<float> weights) {
  weights.resize(optimizer.row_floats());
  optimizer.InitState(weights.data());
  return weights;
}

OptimizerSpec Spec(OptimizerKind kind) {
  OptimizerSpec spec;
  spec.kind = kind;
  return spec;
}

// ---- Two steps worked by hand. All numbers are exact in binary where possible.

TEST(Optimizer, SgdByHand) {
  OptimizerSpec spec = Spec(OptimizerKind::kSgd);
  spec.learning_rate = 0.5f;
  const Optimizer optimizer(spec, 2);
  EXPECT_EQ(optimizer.state_floats(), 0u);
  std::vector<float> row = Row(optimizer, {1, -2});
  const float g[] = {4, -1};
  optimizer.Step(g, row.data());
  EXPECT_EQ(row, (std::vector<float>{-1, -1.5f}));
}

TEST(Optimizer, WeightDecayAndTheScheduleByHand) {
  OptimizerSpec spec = Spec(OptimizerKind::kSgd);
  spec.learning_rate = 0.5f;
  spec.weight_decay = 0.25f;
  const float g[] = {4, -1};
  std::vector<float> row = {1, -2};
  Optimizer(spec, 2).Step(g, row.data());  // 1 - 0.125 - 2, -2 + 0.25 + 0.5
  EXPECT_EQ(row, (std::vector<float>{-1.125f, -1.25f}));
  row = {1, -2};
  Optimizer(spec, 2).Step(g, row.data(), 0.5f);  // 1 - 0.0625 - 1, -2 + 0.125 + 0.25
  EXPECT_EQ(row, (std::vector<float>{-0.0625f, -1.625f}));
  // Adam's decay does not go through its averages: without a gradient only the weights shrink.
  spec.kind = OptimizerKind::kAdam;
  const Optimizer adam(spec, 1);
  std::vector<float> decayed = Row(adam, {8});
  const float zero[] = {0};
  adam.Step(zero, decayed.data(), 0.5f);
  EXPECT_EQ(decayed, (std::vector<float>{7.5f, 0, 0, 1}));
  // The share is of the rate, whatever the optimizer.
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kMomentum, OptimizerKind::kAdagrad,
                                   OptimizerKind::kRowwiseAdagrad, OptimizerKind::kAdam}) {
    OptimizerSpec half = Spec(kind), whole = Spec(kind);
    half.learning_rate = 0.125f, whole.learning_rate = 0.25f;
    half.weight_decay = whole.weight_decay = 0.5f;
    const Optimizer at_half(half, 2), at_whole(whole, 2);
    std::vector<float> a = Row(at_half, {1, -2}), b = a;
    for (int step = 0; step < 3; ++step) at_half.Step(g, a.data()), at_whole.Step(g, b.data(), 0.5f);
    EXPECT_EQ(a, b) << OptimizerName(kind);
  }
}

TEST(Optimizer, L2GoesThroughTheGradientByHand) {
  OptimizerSpec spec = Spec(OptimizerKind::kSgd);
  spec.learning_rate = 0.5f;
  spec.l2 = 0.25f;
  const float g[] = {4, -1};
  std::vector<float> row = {1, -2};
  Optimizer(spec, 2).Step(g, row.data());  // gradients 4.25 and -1.5
  EXPECT_EQ(row, (std::vector<float>{-1.125f, -1.25f}));
  spec.weight_decay = 0.5f;  // the gradient is that of the weights before their decay: 4.25; 1 - 0.25 - 2.125
  row = {1, -2};
  Optimizer(spec, 2).Step(g, row.data());
  EXPECT_EQ(row, (std::vector<float>{-1.375f, -0.75f}));
  // It is what the optimizer would do with that gradient, whichever it is.
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kMomentum, OptimizerKind::kAdagrad,
                                   OptimizerKind::kRowwiseAdagrad, OptimizerKind::kAdam}) {
    OptimizerSpec plain = Spec(kind), regularized = Spec(kind);
    regularized.l2 = 0.125f;
    const Optimizer without(plain, 2), with(regularized, 2);
    std::vector<float> a = Row(with, {1, -2}), b = a;
    for (int step = 0; step < 3; ++step) {
      const float sum[] = {g[0] + 0.125f * b[0], g[1] + 0.125f * b[1]};
      with.Step(g, a.data());
      without.Step(sum, b.data());
    }
    EXPECT_EQ(a, b) << OptimizerName(kind);
  }
}

TEST(Optimizer, MomentumByHand) {
  OptimizerSpec spec = Spec(OptimizerKind::kMomentum);
  spec.learning_rate = 0.5f;
  spec.momentum = 0.5f;
  const Optimizer optimizer(spec, 1);
  std::vector<float> row = Row(optimizer, {1});
  const float g[] = {2};
  optimizer.Step(g, row.data());  // v = 2, w = 1 - 1
  EXPECT_EQ(row, (std::vector<float>{0, 2}));
  optimizer.Step(g, row.data());  // v = 1 + 2 = 3, w = 0 - 1.5
  EXPECT_EQ(row, (std::vector<float>{-1.5f, 3}));
}

TEST(Optimizer, AdagradByHand) {
  OptimizerSpec spec = Spec(OptimizerKind::kAdagrad);
  spec.learning_rate = 0.5f;
  spec.initial_accumulator = 0;
  spec.epsilon = 0;
  const Optimizer optimizer(spec, 2);
  std::vector<float> row = Row(optimizer, {1, 0});
  const float first[] = {3, 2};
  optimizer.Step(first, row.data());  // a = 9, 4; w = 1 - 0.5*3/3, 0 - 0.5*2/2
  EXPECT_EQ(row, (std::vector<float>{0.5f, -0.5f, 9, 4}));
  const float second[] = {4, 0};
  optimizer.Step(second, row.data());  // a = 25, 4; w = 0.5 - 0.5*4/5
  EXPECT_FLOAT_EQ(row[0], 0.1f);
  EXPECT_EQ(row[1], -0.5f);
  EXPECT_EQ(row[2], 25);
}

TEST(Optimizer, RowwiseAdagradByHand) {
  OptimizerSpec spec = Spec(OptimizerKind::kRowwiseAdagrad);
  spec.learning_rate = 0.5f;
  spec.initial_accumulator = 0;
  spec.epsilon = 0;
  const Optimizer optimizer(spec, 2);
  EXPECT_EQ(optimizer.state_floats(), 1u);
  std::vector<float> row = Row(optimizer, {0, 0});
  const float g[] = {2, 14};  // mean square (4 + 196) / 2 = 100
  optimizer.Step(g, row.data());
  EXPECT_FLOAT_EQ(row[0], -0.1f);  // 0.5 * 2 / 10
  EXPECT_FLOAT_EQ(row[1], -0.7f);  // 0.5 * 14 / 10
  EXPECT_EQ(row[2], 100);
}

TEST(Optimizer, AdamByHand) {
  OptimizerSpec spec = Spec(OptimizerKind::kAdam);
  spec.learning_rate = 0.5f;
  spec.beta1 = 0.5f;
  spec.beta2 = 0.75f;
  spec.epsilon = 0;
  const Optimizer optimizer(spec, 1);
  EXPECT_EQ(optimizer.state_floats(), 3u);
  std::vector<float> row = Row(optimizer, {1});
  const float g[] = {4};
  optimizer.Step(g, row.data());  // m = 2, v = 4; m^ = 4, v^ = 16: w = 1 - 0.5 * 4/4
  EXPECT_EQ(row, (std::vector<float>{0.5f, 2, 4, 1}));
  const float zero[] = {0};
  optimizer.Step(zero, row.data());  // m = 1, v = 3; m^ = 1/0.75, v^ = 3/0.4375
  EXPECT_FLOAT_EQ(row[0], 0.5f - 0.5f * (1 / 0.75f) / std::sqrt(3 / 0.4375f));
  EXPECT_EQ(row[1], 1);
  EXPECT_EQ(row[2], 3);
  EXPECT_EQ(row[3], 2);
}

TEST(Optimizer, FtrlByHand) {
  OptimizerSpec spec = Spec(OptimizerKind::kFtrl);
  spec.learning_rate = 0.5f;
  spec.initial_accumulator = 0;
  spec.ftrl_beta = 1;
  spec.ftrl_l1 = 1;
  spec.ftrl_l2 = 2;
  const Optimizer optimizer(spec, 1);
  std::vector<float> row = Row(optimizer, {0});
  const float g[] = {4};
  optimizer.Step(g, row.data());  // s = 8, z = 4, n = 16; w = (1 - 4) / ((1 + 4)/0.5 + 2) = -0.25
  EXPECT_EQ(row, (std::vector<float>{-0.25f, 4, 16}));
  const float back[] = {-3};
  optimizer.Step(back,
                 row.data());  // s = (5 - 4)/0.5 = 2; z = 4 - 3 + 0.5 = 1.5; n = 25; w = -0.5 / (12 + 2)
  EXPECT_FLOAT_EQ(row[0], -0.5f / 14.0f);
  EXPECT_EQ(row[1], 1.5f);
  EXPECT_EQ(row[2], 25);
}

TEST(Optimizer, FtrlKeepsInitialWeightsUntilTheyLearn) {
  OptimizerSpec spec = Spec(OptimizerKind::kFtrl);
  spec.ftrl_l1 = 0.25f;
  spec.ftrl_l2 = 0.5f;
  const Optimizer optimizer(spec, 3);
  std::vector<float> row = Row(optimizer, {0.5f, -0.125f, 0});
  const float nothing[] = {0, 0, 0};
  optimizer.Step(nothing, row.data());
  EXPECT_NEAR(row[0], 0.5f, 1e-6f);
  EXPECT_NEAR(row[1], -0.125f, 1e-6f);
  EXPECT_EQ(row[2], 0.0f);
}

// ---- Long runs against the same formulas in double, written plainly.

struct Reference {
  std::vector<double> w, a, b;
  double row = 0;
  double t = 0;
};

void ReferenceStep(const OptimizerSpec& o, const std::vector<double>& g, Reference* r) {
  const std::size_t dim = g.size();
  if (o.kind == OptimizerKind::kRowwiseAdagrad) {
    double sum = 0;
    for (const double x : g) sum += x * x;
    r->row += sum / static_cast<double>(dim);
  }
  r->t += 1;
  for (std::size_t i = 0; i < dim; ++i) {
    double& w = r->w[i];
    double& a = r->a[i];
    double& b = r->b[i];
    const double rate = o.learning_rate;
    switch (o.kind) {
      case OptimizerKind::kSgd:
        w -= rate * g[i];
        break;
      case OptimizerKind::kMomentum:
        a = o.momentum * a + g[i], w -= rate * a;
        break;
      case OptimizerKind::kAdagrad:
        a += g[i] * g[i], w -= rate * g[i] / (std::sqrt(a) + o.epsilon);
        break;
      case OptimizerKind::kRowwiseAdagrad:
        w -= rate * g[i] / (std::sqrt(r->row) + o.epsilon);
        break;
      case OptimizerKind::kAdam: {
        const double b1 = o.beta1, b2 = o.beta2;
        a = b1 * a + (1 - b1) * g[i];
        b = b2 * b + (1 - b2) * g[i] * g[i];
        w -= rate * (a / (1 - std::pow(b1, r->t))) / (std::sqrt(b / (1 - std::pow(b2, r->t))) + o.epsilon);
        break;
      }
      case OptimizerKind::kFtrl: {
        const double s = (std::sqrt(b + g[i] * g[i]) - std::sqrt(b)) / rate;
        a += g[i] - s * w;
        b += g[i] * g[i];
        const double sign = a < 0 ? -1 : 1;
        w = std::fabs(a) <= o.ftrl_l1
                ? 0
                : (sign * o.ftrl_l1 - a) / ((o.ftrl_beta + std::sqrt(b)) / rate + o.ftrl_l2);
        break;
      }
    }
  }
}

class LongRun : public ::testing::TestWithParam<OptimizerKind> {};

TEST_P(LongRun, FollowsTheDoubleReference) {
  OptimizerSpec spec = Spec(GetParam());
  spec.learning_rate = 0.02f;
  spec.ftrl_l1 = 0.01f;
  spec.ftrl_l2 = 0.1f;
  spec.epsilon = 1e-6f;
  for (const std::uint32_t dim : {1u, 7u, 16u, 33u}) {
    const Optimizer optimizer(spec, dim);
    RandomStream random(dim);
    std::vector<float> start(dim);
    for (float& w : start) w = static_cast<float>(random.Uniform() - 0.5);
    std::vector<float> row = Row(optimizer, start);
    Reference reference;
    for (std::uint32_t i = 0; i < dim; ++i) {
      reference.w.push_back(row[i]);
      const bool adagrad = spec.kind == OptimizerKind::kAdagrad;
      const bool ftrl = spec.kind == OptimizerKind::kFtrl;
      reference.a.push_back(adagrad ? spec.initial_accumulator : ftrl ? row[dim + i] : 0);
      reference.b.push_back(ftrl ? spec.initial_accumulator : 0);
    }
    reference.row = spec.initial_accumulator;
    for (int step = 0; step < 5000; ++step) {
      // The gradient of a noisy quadratic around 0.3: weights stay in range, accumulators grow.
      std::vector<float> g(dim);
      std::vector<double> g_reference(dim);
      for (std::uint32_t i = 0; i < dim; ++i) {
        g[i] = static_cast<float>(0.3 * (reference.w[i] - 0.3) + 0.2 * (random.Uniform() - 0.5));
        g_reference[i] = g[i];
      }
      optimizer.Step(g.data(), row.data());
      ReferenceStep(spec, g_reference, &reference);
    }
    for (std::uint32_t i = 0; i < dim; ++i)
      EXPECT_NEAR(row[i], reference.w[i], 2e-4) << "dim " << dim << " at " << i;
  }
}

// The bits must not depend on where a row lies.
TEST_P(LongRun, SameBitsAtAnyAlignment) {
  const std::uint32_t dim = 19;
  const Optimizer optimizer(Spec(GetParam()), dim);
  std::vector<float> first;
  for (std::size_t shift = 0; shift < 9; ++shift) {
    std::vector<float> memory(shift + optimizer.row_floats()), gradients(shift + dim);
    float* row = memory.data() + shift;
    float* gradient = gradients.data() + (8 - shift) % (shift + 1);
    RandomStream random(3);
    for (std::uint32_t i = 0; i < dim; ++i) row[i] = static_cast<float>(random.Uniform());
    optimizer.InitState(row);
    for (int step = 0; step < 1500; ++step) {
      for (std::uint32_t i = 0; i < dim; ++i) gradient[i] = static_cast<float>(random.Uniform() - 0.5);
      optimizer.Step(gradient, row);
    }
    std::vector<float> result(row, row + optimizer.row_floats());
    if (first.empty()) first = result;
    EXPECT_EQ(std::memcmp(first.data(), result.data(), result.size() * sizeof(float)), 0) << shift;
  }
}

INSTANTIATE_TEST_SUITE_P(AllKinds, LongRun,
                         ::testing::Values(OptimizerKind::kSgd, OptimizerKind::kMomentum,
                                           OptimizerKind::kAdagrad, OptimizerKind::kRowwiseAdagrad,
                                           OptimizerKind::kAdam, OptimizerKind::kFtrl),
                         [](const auto& param) { return OptimizerName(param.param); });

}  // namespace
}  // namespace cohort::optimizer_test
