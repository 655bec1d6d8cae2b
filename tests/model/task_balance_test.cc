// How tasks are balanced, against the definitions written out over gradients of each task alone (task_balance.h).
#include "worker/model/task_balance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "tests/model/model_fixture.h"
#include "worker/model/base_rates.h"

namespace cohort::task_balance_test {
namespace {

using ::testing::HasSubstr;

const std::vector<TaskType> kThree = {TaskType::kBinary, TaskType::kRegression, TaskType::kMulticlass};

RunConfig ConfigWith(const std::string& kind, Balance balance, const DatasetInfo& data) {
  RunConfig config = TestConfig(kind);
  config.train.balance = balance;
  for (std::size_t j = 0; j < data.tasks.size(); ++j)
    config.tasks[data.tasks[j].name].weight = 0.5f + 0.4f * static_cast<float>(j);
  return config;
}

// Step's gradients by a_j L_j alone, for each task j: dense ones (without learned weights), then embeddings.
std::vector<std::vector<double>> GradientsByTask(RunConfig config, const DatasetInfo& data,
                                                 const TestSlice<double>& slice,
                                                 const std::vector<double>& dense) {
  config.train.balance = Balance::kFixed;
  std::vector<std::vector<double>> gradients;
  for (std::size_t j = 0; j < data.tasks.size(); ++j) {
    RunConfig alone = config;
    for (std::size_t k = 0; k < data.tasks.size(); ++k) {
      if (k != j) alone.tasks[data.tasks[k].name].weight = 0;
    }
    const ModelSpec spec = TestSpec(alone, data);
    Model<double> model(spec, slice.padded_rows);
    const StepOutput<double> out =
        RunStep(model, spec, slice,
                {dense.begin(), dense.begin() + static_cast<std::ptrdiff_t>(spec.dense_count)}, false);
    gradients.push_back(out.dense);
    for (const double g : out.Embeddings()) gradients.back().push_back(g);
  }
  return gradients;
}

// The dense weights that the header calls shared, one by one; `last`: of the last layer only.
std::set<std::size_t> SharedWeights(const ModelLayout& layout, const std::string& kind, bool last) {
  std::set<std::size_t> shared;
  const auto add = [&](const LayerShape& layer, std::uint32_t first_group) {
    for (std::uint32_t g = first_group; g < layer.groups; ++g) {
      for (std::uint32_t o = 0; o < layer.outputs; ++o) {
        shared.insert(layer.biases + g * layer.outputs + o);
        for (std::uint32_t i = 0; i < layer.inputs; ++i)
          shared.insert(layer.weights + (layer.shared_input ? i * layer.Width() + g * layer.outputs + o
                                                            : (g * layer.inputs + i) * layer.outputs + o));
      }
    }
  };
  if (kind == "shared_bottom") {
    for (const LayerShape& layer : layout.bottom) {
      if (!last || &layer == &layout.bottom.back()) add(layer, 0);
    }
  }
  for (std::size_t l = 0; l < layout.levels.size(); ++l) {
    const ExpertLevelShape& level = layout.levels[l];
    if (last && l + 1 < layout.levels.size()) continue;
    const auto& stack = level.stacks.back();
    for (const LayerShape& layer : stack) {
      if (!last || &layer == &stack.back()) add(layer, level.first ? level.tasks * level.task_experts : 0);
    }
    if (level.shared_gate && !last) add(*level.shared_gate, 0);
  }
  return shared;
}

double DotOver(const std::vector<double>& x, const std::vector<double>& y,
               const std::vector<std::size_t>& places) {
  double sum = 0;
  for (const std::size_t i : places) sum += x[i] * y[i];
  return sum;
}

TEST(TaskBalance, UncertaintyByHand) {
  const DatasetInfo data = TestData({TaskType::kBinary, TaskType::kRegression, TaskType::kValue});
  const RunConfig config = ConfigWith("shared_bottom", Balance::kUncertainty, data);
  const ModelSpec spec = TestSpec(config, data);
  const std::size_t learned = LayoutOf(spec).learned_balance;
  ASSERT_EQ(spec.dense_count, learned + 3);
  const TestSlice<double> slice = RandomSlice<double>(spec, 20, 20, 1);
  std::vector<double> dense = RandomDense<double>(spec, 2);
  const double s[] = {0.3, -0.4, 0.5};
  std::copy(s, s + 3, dense.begin() + static_cast<std::ptrdiff_t>(learned));
  Model<double> model(spec, 20);
  const StepOutput<double> out = RunStep(model, spec, slice, dense, true);
  const auto by_task = GradientsByTask(config, data, slice, dense);
  const double factors[] = {std::exp(-2 * s[0]), std::exp(-2 * s[1]), 1};
  for (std::size_t i = 0; i < learned; ++i) {
    double expected = 0;
    for (std::size_t j = 0; j < 3; ++j) expected += factors[j] * by_task[j][i];
    ASSERT_NEAR(out.dense[i], expected, 1e-12);
  }
  for (std::size_t j = 0; j < 2; ++j) {
    const double a = static_cast<double>(config.tasks.at(data.tasks[j].name).weight);
    EXPECT_NEAR(out.dense[learned + j], a * (1 - 2 * factors[j] * out.loss[j] / slice.total_weight[j]),
                1e-12);
  }
  EXPECT_EQ(out.dense[learned + 2], 0.0);
  // The least over s: exp(2 s) = 2 L, so that sigma^2 is what the noise of the labels is.
  for (std::size_t j = 0; j < 2; ++j)
    dense[learned + j] = 0.5 * std::log(2 * out.loss[j] / slice.total_weight[j]);
  const StepOutput<double> best = RunStep(model, spec, slice, dense, true);
  EXPECT_NEAR(best.dense[learned], 0, 1e-12);
  EXPECT_NEAR(best.dense[learned + 1], 0, 1e-12);
}

// PCGrad's sum for the tasks' orders of projection: orders[j] lists the tasks that p_j meets.
std::vector<double> Projected(const std::vector<std::vector<double>>& gradients,
                              const std::vector<std::size_t>& places,
                              const std::vector<std::vector<std::size_t>>& orders) {
  std::vector<double> sum(gradients[0].size(), 0.0);
  for (std::size_t j = 0; j < gradients.size(); ++j) {
    std::vector<double> p = gradients[j];
    for (const std::size_t k : orders[j]) {
      const double dot = DotOver(p, gradients[k], places);
      if (dot >= 0) continue;
      const double share = dot / DotOver(gradients[k], gradients[k], places);
      for (const std::size_t i : places) p[i] -= share * gradients[k][i];
    }
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += p[i];
  }
  return sum;
}

TEST(TaskBalance, PcGradIsItsDefinitionForEveryStructure) {
  std::size_t conflicts = 0;
  for (const std::string kind : {"single", "shared_bottom", "mmoe", "ple"}) {
    const DatasetInfo data = TestData(kThree);
    RunConfig config = ConfigWith(kind, Balance::kPcGrad, data);
    const ModelSpec spec = TestSpec(config, data);
    Model<double> model(spec, 20);
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const TestSlice<double> slice = RandomSlice<double>(spec, 20, 20, seed);
      const std::vector<double> dense = RandomDense<double>(spec, seed + 7);
      const auto by_task = GradientsByTask(config, data, slice, dense);
      const std::set<std::size_t> shared = SharedWeights(LayoutOf(spec), kind, false);
      EXPECT_EQ(shared.empty(), kind == "single");
      std::vector<std::size_t> places(shared.begin(), shared.end());
      for (std::size_t i = spec.dense_count; i < by_task[0].size(); ++i) places.push_back(i);
      for (std::size_t j = 0; j < 3; ++j) conflicts += DotOver(by_task[j], by_task[(j + 1) % 3], places) < 0;
      StepOutput<double> out = RunStep(model, spec, slice, dense, false);
      for (const double g : out.Embeddings()) out.dense.push_back(g);
      // One of the eight orders it must be.
      double least = 1e300;
      for (unsigned order = 0; order < 8; ++order) {
        std::vector<std::vector<std::size_t>> orders = {{1, 2}, {0, 2}, {0, 1}};
        for (std::size_t j = 0; j < 3; ++j) {
          if (order >> j & 1) std::swap(orders[j][0], orders[j][1]);
        }
        const std::vector<double> expected = Projected(by_task, places, orders);
        double worst = 0;
        for (std::size_t i = 0; i < expected.size(); ++i)
          worst = std::max(worst, std::fabs(out.dense[i] - expected[i]));
        least = std::min(least, worst);
      }
      EXPECT_LE(least, 1e-12) << kind << seed;
    }
  }
  EXPECT_GT(conflicts, 5u);  // else nothing was projected
}

// The order is drawn: by the slice's key, the same again for the same key.
TEST(TaskBalance, PcGradDrawsTheOrderBySlice) {
  const DatasetInfo data = TestData(kThree);
  const ModelSpec spec = TestSpec(ConfigWith("shared_bottom", Balance::kPcGrad, data), data);
  const std::vector<double> dense = RandomDense<double>(spec, 3);
  Model<double> model(spec, 20);
  std::set<std::vector<double>> different;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const TestSlice<double> slice = RandomSlice<double>(spec, 20, 20, seed);
    std::set<std::vector<double>> outputs;
    for (std::uint64_t key = 0; key < 32; ++key) {
      std::vector<double> first;
      for (int time = 0; time < 2; ++time) {
        std::vector<double> gradient(spec.dense_count), embedding(slice.ids[0].distinct.size() * 3), loss(3);
        double* const gradients[] = {embedding.data()};
        SliceInput<double> input = slice.Input();
        input.dropout_key = key % 16;
        model.SetDense(dense.data());
        model.Step(input, slice.total_weight.data(), false, {gradient.data(), gradients, loss.data()});
        if (time == 0) first = gradient;
        ASSERT_EQ(gradient, first);
      }
      outputs.insert(first);
    }
    EXPECT_LE(outputs.size(), 8u);
    if (outputs.size() > 1) different = outputs;
  }
  EXPECT_GT(different.size(), 1u);
}

TEST(TaskBalance, GradNormIsItsDefinitionForEveryStructure) {
  for (const std::string kind : {"single", "shared_bottom", "mmoe", "ple"}) {
    const DatasetInfo data = TestData(kThree);
    const RunConfig config = ConfigWith(kind, Balance::kGradNorm, data);
    const ModelSpec spec = TestSpec(config, data);
    const std::size_t learned = LayoutOf(spec).learned_balance;
    TestSlice<double> slice = RandomSlice<double>(spec, 20, 20, 5);
    for (double& total : slice.total_weight) total *= 4;  // the global batch has other slices
    std::vector<double> dense = RandomDense<double>(spec, 6);
    const double v[] = {0.2, -0.3, 0.6};
    std::copy(v, v + 3, dense.begin() + static_cast<std::ptrdiff_t>(learned));
    Model<double> model(spec, 20);
    const StepOutput<double> out = RunStep(model, spec, slice, dense, false);

    const auto factors = [&](const double* at, std::size_t j) {
      return 3 * std::exp(at[j]) / (std::exp(at[0]) + std::exp(at[1]) + std::exp(at[2]));
    };
    const auto by_task = GradientsByTask(config, data, slice, dense);
    const std::set<std::size_t> last = SharedWeights(LayoutOf(spec), kind, true);
    std::vector<std::size_t> places(last.begin(), last.end());
    if (places.empty()) {  // no layer is shared: the embeddings
      for (std::size_t i = learned; i < by_task[0].size(); ++i) places.push_back(i);
    }
    for (std::size_t i = 0; i < learned; ++i) {
      double expected = 0;
      for (std::size_t j = 0; j < 3; ++j) expected += factors(v, j) * by_task[j][i];
      ASSERT_NEAR(out.dense[i], expected, 1e-12) << kind;
    }
    // Norms and losses of the slice's own mean; the slice has a quarter of the labels.
    double norm[3], ratio[3], mean_norm = 0, mean_ratio = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      norm[j] = 4 * std::sqrt(DotOver(by_task[j], by_task[j], places));
      ratio[j] = 4 * out.loss[j] / slice.total_weight[j] / BaseRatesOf(spec.tasks[j]).loss;
      mean_norm += factors(v, j) * norm[j] / 3;
      mean_ratio += ratio[j] / 3;
    }
    const auto objective = [&](const double* at) {
      double sum = 0;
      for (std::size_t j = 0; j < 3; ++j)
        sum += std::fabs(factors(at, j) * norm[j] - mean_norm * std::pow(ratio[j] / mean_ratio, 1.5));
      return 0.25 * sum / mean_norm;
    };
    for (std::size_t k = 0; k < 3; ++k) {
      double above[] = {v[0], v[1], v[2]}, below[] = {v[0], v[1], v[2]};
      above[k] += 1e-6, below[k] -= 1e-6;
      const double expected = (objective(above) - objective(below)) / 2e-6;
      EXPECT_NEAR(out.dense[learned + k], expected, 1e-7) << kind << k;
      EXPECT_GT(std::fabs(expected), 1e-3);
    }
  }
}

// A task whose gradients are much larger than the others' gets less weight, until the norms are alike.
TEST(TaskBalance, GradNormEvensOutTheNorms) {
  const DatasetInfo data = TestData({TaskType::kRegression, TaskType::kRegression});
  RunConfig config = TestConfig("shared_bottom");
  config.train.balance = Balance::kGradNorm;
  config.train.gradnorm_alpha = 0;
  config.tasks[data.tasks[0].name].weight = 5;
  const ModelSpec spec = TestSpec(config, data);
  const std::size_t learned = LayoutOf(spec).learned_balance;
  const TestSlice<double> slice = RandomSlice<double>(spec, 20, 20, 5);
  std::vector<double> dense = RandomDense<double>(spec, 6);
  dense[learned] = dense[learned + 1] = 0;
  Model<double> model(spec, 20);
  for (int step = 0; step < 3000; ++step) {
    const StepOutput<double> out = RunStep(model, spec, slice, dense, false);
    for (std::size_t j = 0; j < 2; ++j) dense[learned + j] -= 0.002 * out.dense[learned + j];
  }
  const auto by_task = GradientsByTask(config, data, slice, dense);
  const std::set<std::size_t> last = SharedWeights(LayoutOf(spec), "shared_bottom", true);
  const std::vector<std::size_t> places(last.begin(), last.end());
  const double first = std::exp(dense[learned]) * std::sqrt(DotOver(by_task[0], by_task[0], places));
  const double second = std::exp(dense[learned + 1]) * std::sqrt(DotOver(by_task[1], by_task[1], places));
  EXPECT_NEAR(first / second, 1, 0.05);
  EXPECT_LT(dense[learned], dense[learned + 1]);
}

TEST(ModelSpec, WarnsOfABalanceOfOneTask) {
  const DatasetInfo data = TestData({TaskType::kBinary});
  RunConfig config = TestConfig("mmoe");
  config.train.balance = Balance::kPcGrad;
  EXPECT_THAT(WarningsOf(TestSpec(config, data)),
              ::testing::ElementsAre(HasSubstr("train.balance changes nothing: the model has one task")));
}

}  // namespace
}  // namespace cohort::task_balance_test
