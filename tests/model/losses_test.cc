// The losses that a task may choose, against their formulas written out; their values far from 0; where training starts.
#include "worker/model/losses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "tests/model/model_fixture.h"
#include "worker/model/base_rates.h"

namespace cohort::losses_test {
namespace {

using ::testing::HasSubstr;

ModelTask TaskOf(TaskType type, const TaskConfig& config) {
  ModelTask task;
  task.info = TestData({type}).tasks[0];
  task.config = config;
  task.outputs = OutputsOf(task);
  return task;
}

struct LossOutput {
  std::vector<double> dz;
  double sum = 0;
};
// One row.
template <typename T>
LossOutput LossOf(const ModelTask& task, const std::vector<double>& z, float label) {
  Losses<T> losses(16);
  std::vector<T> in(z.begin(), z.end()), out(z.size());
  const float weight = 1.0f;
  LossOutput result;
  result.sum = losses.Gradient(task, 1, {in.data(), 16}, &label, 1, &weight, 1.0, {out.data(), 16});
  result.dz.assign(out.begin(), out.end());
  return result;
}

TEST(Losses, HuberByHand) {
  const ModelTask task = TaskOf(TaskType::kRegression, {.loss = TaskLoss::kHuber, .delta = 0.5f});
  // The label's mean is 50, its deviation 20: a label of 60 is 0.5.
  EXPECT_DOUBLE_EQ(LossOf<double>(task, {0.75}, 60).sum, 0.5 * 0.25 * 0.25);
  EXPECT_DOUBLE_EQ(LossOf<double>(task, {0.75}, 60).dz[0], 0.25);
  EXPECT_DOUBLE_EQ(LossOf<double>(task, {2.5}, 60).sum, 0.5 * (2.0 - 0.25));
  EXPECT_DOUBLE_EQ(LossOf<double>(task, {2.5}, 60).dz[0], 0.5);
  EXPECT_DOUBLE_EQ(LossOf<double>(task, {-1.5}, 60).sum, 0.5 * (2.0 - 0.25));
  EXPECT_DOUBLE_EQ(LossOf<double>(task, {-1.5}, 60).dz[0], -0.5);
}

TEST(Losses, FocalAndSmoothedCrossEntropyAreTheirFormulas) {
  const std::vector<double> logits = {0.7, -1.2, 2.5, 0.1};
  for (const TaskConfig& config :
       std::vector<TaskConfig>{{.loss = TaskLoss::kFocal, .gamma = 2.0f, .alpha = 0.25f},
                               {.loss = TaskLoss::kFocal, .gamma = 0.0f, .alpha = 0.5f},
                               {.loss = TaskLoss::kFocal, .gamma = 3.5f, .alpha = 0.9f},
                               {.label_smoothing = 0.1f},
                               {.label_smoothing = 0.0f}}) {
    const bool focal = config.loss == TaskLoss::kFocal;
    const double gamma = static_cast<double>(config.gamma),
                 smoothing = static_cast<double>(config.label_smoothing);
    const ModelTask binary = TaskOf(TaskType::kBinary, config),
                    classes = TaskOf(TaskType::kMulticlass, config);
    for (const double z : {-3.0, -0.4, 0.0, 1.9}) {
      for (const float y : {0.0f, 1.0f}) {
        const double p = 1 / (1 + std::exp(-z)), right = y > 0 ? p : 1 - p;
        const double a = y > 0 ? static_cast<double>(config.alpha) : 1 - static_cast<double>(config.alpha);
        const double q = (1 - smoothing) * static_cast<double>(y) + smoothing / 2;
        const double expected = focal ? -a * std::pow(1 - right, gamma) * std::log(right)
                                      : -q * std::log(p) - (1 - q) * std::log(1 - p);
        EXPECT_NEAR(LossOf<double>(binary, {z}, y).sum, expected, 1e-12) << z << ' ' << y;
      }
    }
    double sum = 0;
    for (const double z : logits) sum += std::exp(z);
    for (std::size_t y = 0; y < logits.size(); ++y) {
      const auto p = [&](std::size_t k) { return std::exp(logits[k]) / sum; };
      double expected = -std::pow(1 - p(y), gamma) * std::log(p(y));
      if (!focal) {
        expected = 0;
        for (std::size_t k = 0; k < logits.size(); ++k)
          expected -= ((k == y ? 1 - smoothing : 0) + smoothing / 4) * std::log(p(k));
      }
      EXPECT_NEAR(LossOf<double>(classes, logits, static_cast<float>(y)).sum, expected, 1e-12) << y;
    }
  }
}

// Where 1 - p or p is below what a float can tell from 0, loss and gradient are still right.
TEST(Losses, FocalIsStableFarFromZero) {
  for (const float gamma : {0.0f, 0.5f, 2.0f}) {
    const TaskConfig config{.loss = TaskLoss::kFocal, .gamma = gamma, .alpha = 0.25f};
    const ModelTask binary = TaskOf(TaskType::kBinary, config),
                    classes = TaskOf(TaskType::kMulticlass, config);
    for (const double z : {-200.0, -60.0, -17.0, 17.0, 40.0, 200.0}) {
      for (const float y : {0.0f, 1.0f}) {
        const LossOutput exact = LossOf<double>(binary, {z}, y), got = LossOf<float>(binary, {z}, y);
        EXPECT_NEAR(got.sum, exact.sum, 1e-5 * std::fabs(exact.sum) + 1e-30) << z << y << gamma;
        EXPECT_NEAR(got.dz[0], exact.dz[0], 1e-5 * std::fabs(exact.dz[0]) + 1e-30) << z << y << gamma;
      }
      const std::vector<double> logits = {z, 0.5, -1.0, 0.25};
      for (const float y : {0.0f, 2.0f}) {
        const LossOutput exact = LossOf<double>(classes, logits, y), got = LossOf<float>(classes, logits, y);
        EXPECT_NEAR(got.sum, exact.sum, 1e-4 * std::fabs(exact.sum) + 1e-30) << z << y << gamma;
        for (std::size_t k = 0; k < 4; ++k) {
          ASSERT_TRUE(std::isfinite(got.dz[k]));
          EXPECT_NEAR(got.dz[k], exact.dz[k], 1e-4 * std::fabs(exact.dz[k]) + 1e-30) << z << y << gamma << k;
        }
      }
    }
    // A miss far out costs what it does in cross-entropy: alpha |z|, with a slope of alpha.
    EXPECT_NEAR(LossOf<float>(binary, {-100.0}, 1.0f).sum, 25, 1e-4);
    EXPECT_NEAR(LossOf<float>(binary, {-100.0}, 1.0f).dz[0], -0.25, 1e-6);
  }
}

// Half the deviance over the mean label, 1.7; of a value task, over 3.
TEST(Losses, PoissonByHand) {
  const ModelTask count = TaskOf(TaskType::kCount, {}), value = TaskOf(TaskType::kValue, {.loss = TaskLoss::kPoisson});
  EXPECT_EQ(count.outputs, 1u);
  EXPECT_EQ(value.outputs, 1u);
  for (const double z : {-3.0, 0.0, 1.2}) {
    for (const float label : {0.0f, 1.0f, 7.0f}) {
      const double y = label, mean = std::exp(z);
      const double deviance = 2 * ((y > 0 ? y * std::log(y / mean) : 0.0) - (y - mean));
      EXPECT_NEAR(LossOf<double>(count, {z}, label).sum, deviance / 2 / 1.7, 1e-12) << z << ' ' << y;
      EXPECT_NEAR(LossOf<double>(count, {z}, label).dz[0], (mean - y) / 1.7, 1e-12) << z << ' ' << y;
      EXPECT_NEAR(LossOf<double>(value, {z}, label).sum, deviance / 2 / 3, 1e-12) << z << ' ' << y;
      EXPECT_NEAR(LossOf<float>(count, {z}, label).sum, deviance / 2 / 1.7, 1e-5 * (1 + deviance));
    }
  }
  EXPECT_EQ(LossOf<double>(count, {1.0}, std::nanf("")).dz[0], 0);
  // Far from 0 everything is finite.
  for (const double z : {-1000.0, 1000.0}) {
    const LossOutput far = LossOf<float>(count, {z}, 3.0f);
    EXPECT_TRUE(std::isfinite(far.sum) && std::isfinite(far.dz[0])) << z;
  }
  Losses<double> losses(16);
  const double z = 0.4;
  double prediction = 0;
  losses.Predict(count, 1, {&z, 16}, &prediction, 1);
  EXPECT_NEAR(prediction, std::exp(0.4), 1e-14);
}

// Where training starts: at the mean label, whatever the offset.
TEST(BaseRates, OfACountAreItsMean) {
  ModelTask task = TaskOf(TaskType::kCount, {});
  EXPECT_NEAR(BaseRatesOf(task).biases[0], std::log(1.7), 1e-6);
  EXPECT_NEAR(BaseRatesOf(task).loss, 0.5 * (2.1 / 1.7) * (2.1 / 1.7), 1e-9);
  task.has_offset = true, task.offset_mean = -1, task.offset_deviation = 0.8;
  EXPECT_NEAR(BaseRatesOf(task).biases[0], std::log(1.7) + 1 - 0.32, 1e-6);
}

// At the initial biases the gradient by every raw output, summed over labels as frequent as the statistics say, is 0, and
// the mean loss is what BaseRatesOf says.
TEST(BaseRates, AreWhereTheMeanLossIsLeast) {
  for (const TaskConfig& config :
       std::vector<TaskConfig>{{},
                               {.label_smoothing = 0.3f},
                               {.loss = TaskLoss::kFocal, .gamma = 0.0f},
                               {.loss = TaskLoss::kFocal, .gamma = 0.7f, .alpha = 0.5f},
                               {.loss = TaskLoss::kFocal, .gamma = 2.0f},
                               {.loss = TaskLoss::kFocal, .gamma = 5.0f, .alpha = 0.9f}}) {
    for (const TaskType type : {TaskType::kBinary, TaskType::kMulticlass}) {
      const ModelTask task = TaskOf(type, config);
      const BaseRates base = BaseRatesOf(task);
      const std::vector<double> z(base.biases.begin(), base.biases.end());
      std::vector<double> slope(z.size(), 0.0), rates = task.info.class_rates;
      if (type == TaskType::kBinary) rates = {1 - task.info.mean, task.info.mean};
      double loss = 0;
      for (std::size_t y = 0; y < rates.size(); ++y) {
        const LossOutput row = LossOf<double>(task, z, static_cast<float>(y));
        loss += rates[y] * row.sum;
        for (std::size_t k = 0; k < z.size(); ++k) slope[k] += rates[y] * row.dz[k];
      }
      EXPECT_NEAR(loss, base.loss, 1e-6) << TaskTypeName(type);
      for (const double each : slope) EXPECT_NEAR(each, 0, 1e-6) << TaskTypeName(type) << config.gamma;
    }
  }
}

// Hazards 1/2, 1/4, 3/4 of three periods.
TEST(Losses, HazardByHand) {
  const ModelTask task = TaskOf(TaskType::kHazard, {});
  const double k3 = std::log(3.0);
  const std::vector<double> z = {0, -k3, k3};
  const auto expect = [&](float label, double likelihood, const std::vector<double>& slopes) {
    const LossOutput row = LossOf<double>(task, z, label);
    EXPECT_NEAR(row.sum, -std::log(likelihood), 1e-12) << label;
    for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(row.dz[k], slopes[k], 1e-12) << label << ' ' << k;
  };
  expect(1, 0.5, {-0.5, 0, 0});
  expect(2, 0.5 * 0.25, {0.5, -0.75, 0});
  expect(3, 0.5 * 0.75 * 0.75, {0.5, 0.25, -0.25});
  expect(-1, 0.5, {0.5, 0, 0});
  expect(-2, 0.5 * 0.75, {0.5, 0.25, 0});
  expect(-3, 0.5 * 0.75 * 0.25, {0.5, 0.25, 0.75});
  expect(std::nanf(""), 1, {0, 0, 0});

  Losses<double> losses(16);
  std::vector<double> shares(3);
  losses.Predict(task, 1, {z.data(), 16}, shares.data(), 3);
  EXPECT_NEAR(shares[0], 0.5, 1e-15);
  EXPECT_NEAR(shares[1], 1 - 0.5 * 0.75, 1e-15);
  EXPECT_NEAR(shares[2], 1 - 0.5 * 0.75 * 0.25, 1e-15);
}

TEST(Losses, HazardIsStableFarFromZero) {
  const ModelTask task = TaskOf(TaskType::kHazard, {});
  Losses<float> losses(16);
  for (const std::vector<double>& z :
       std::vector<std::vector<double>>{{-200, 60, -17}, {40, 200, -60}, {-30, -40, -50}, {17, 17, 17}}) {
    for (const float label : {1.0f, 2.0f, 3.0f, -1.0f, -2.0f, -3.0f}) {
      const LossOutput exact = LossOf<double>(task, z, label), got = LossOf<float>(task, z, label);
      EXPECT_NEAR(got.sum, exact.sum, 1e-5 * std::fabs(exact.sum) + 1e-30) << label;
      for (std::size_t k = 0; k < 3; ++k)
        EXPECT_NEAR(got.dz[k], exact.dz[k], 1e-5 * std::fabs(exact.dz[k]) + 1e-30) << label << ' ' << k;
    }
    const std::vector<float> in(z.begin(), z.end());
    std::vector<float> shares(3);
    losses.Predict(task, 1, {in.data(), 16}, shares.data(), 3);
    for (std::size_t k = 0; k < 3; ++k) {
      EXPECT_LE(shares[k], 1.0f);
      EXPECT_GE(shares[k], k > 0 ? shares[k - 1] : 0.0f);
    }
  }
  // Small hazards keep their digits.
  const std::vector<float> small = {-30, -30, -30};
  std::vector<float> shares(3);
  losses.Predict(task, 1, {small.data(), 16}, shares.data(), 3);
  EXPECT_NEAR(static_cast<double>(shares[2]) / (3 * std::exp(-30.0)), 1, 1e-5);
}

// At the periods' hazards the mean slope is 0 and the mean loss what BaseRatesOf says; a period that nobody was at risk in
// starts where the one before it does.
TEST(BaseRates, OfAHazardAreThoseOfItsPeriods) {
  ModelTask task = TaskOf(TaskType::kHazard, {});
  const BaseRates base = BaseRatesOf(task);
  const std::vector<double> z(base.biases.begin(), base.biases.end());
  // At risk 1, 0.6, 0.3, with hazards 0.2, 0.1, 0.3.
  const std::vector<std::pair<float, double>> shares = {{1.0f, 0.2},   {-1.0f, 0.2}, {2.0f, 0.06},
                                                        {-2.0f, 0.24}, {3.0f, 0.09}, {-3.0f, 0.21}};
  double loss = 0;
  std::vector<double> slope(3);
  for (const auto& [label, share] : shares) {
    const LossOutput row = LossOf<double>(task, z, label);
    loss += share * row.sum;
    for (std::size_t k = 0; k < 3; ++k) slope[k] += share * row.dz[k];
  }
  EXPECT_NEAR(loss, base.loss, 1e-6);
  for (const double each : slope) EXPECT_NEAR(each, 0, 1e-6);
  task.info.at_risk[2] = task.info.hazards[2] = 0;
  EXPECT_EQ(BaseRatesOf(task).biases[2], base.biases[1]);
}

TEST(BaseRates, LossesOfNumbersAreThoseOfTheNormalDistribution) {
  for (const float delta : {0.0f, 0.3f, 1.0f, 2.5f}) {  // 0: squared error
    TaskConfig config;
    if (delta > 0) config = {.loss = TaskLoss::kHuber, .delta = delta};
    const ModelTask task = TaskOf(TaskType::kRegression, config);
    double sum = 0;
    constexpr int kSteps = 20000;
    for (int i = 0; i < kSteps; ++i) {
      const double r = -10 + 20 * (i + 0.5) / kSteps;
      sum += LossOf<double>(task, {0.0}, static_cast<float>(50 + 20 * r)).sum * std::exp(-0.5 * r * r) * 20 /
             kSteps;
    }
    EXPECT_NEAR(BaseRatesOf(task).loss, sum / std::sqrt(2 * std::acos(-1.0)), 1e-4) << delta;
  }
}

TEST(ModelSpec, LossesMustSuitTheirTasks) {
  const DatasetInfo data = TestData({TaskType::kBinary, TaskType::kRegression, TaskType::kBinary});
  const auto error = [&](std::size_t task, const TaskConfig& loss, const std::string& kind = "mmoe") {
    RunConfig config = TestConfig(kind);
    config.tasks[data.tasks[task].name] = loss;
    const Result<ModelSpec> spec = BuildModelSpec(config, data);
    return spec ? std::string() : spec.error().text();
  };
  EXPECT_THAT(
      error(0, {.loss = TaskLoss::kHuber}),
      HasSubstr("[task.binary0] loss = \"huber\": the task is binary; huber is for regression tasks"));
  EXPECT_THAT(error(1, {.loss = TaskLoss::kFocal}), HasSubstr("focal is for binary and multiclass tasks"));
  EXPECT_THAT(error(1, {.label_smoothing = 0.1f}), HasSubstr("[task.regression1] label_smoothing"));
  EXPECT_THAT(error(0, {.loss = TaskLoss::kFocal, .label_smoothing = 0.1f}),
              HasSubstr("remove one of the two"));
  EXPECT_THAT(error(0, {.loss = TaskLoss::kFocal}, "esmm"), HasSubstr("in the chain of esmm"));
  EXPECT_EQ(error(0, {.loss = TaskLoss::kFocal}), "");
  DatasetInfo hazard = TestData({TaskType::kBinary, TaskType::kHazard, TaskType::kBinary});
  RunConfig chain = TestConfig("esmm");
  chain.model.chain = {"binary0", "hazard1"};
  EXPECT_THAT(BuildModelSpec(chain, hazard).error().text(),
              HasSubstr("task \"hazard1\" is hazard; esmm multiplies the probabilities of binary tasks"));
  chain = TestConfig("mmoe");
  chain.tasks["hazard1"].loss = TaskLoss::kFocal;
  EXPECT_THAT(BuildModelSpec(chain, hazard).error().text(), HasSubstr("the task is hazard"));
  EXPECT_EQ(error(1, {.loss = TaskLoss::kHuber}), "");
  EXPECT_THAT(error(1, {.loss = TaskLoss::kPoisson}), HasSubstr("poisson is for value tasks"));
  EXPECT_THAT(error(1, {.offset = "height"}), HasSubstr("[task.regression1] offset: the task is regression"));
}

TEST(ModelSpec, AnOffsetIsANumericFeatureOnTheScaleOfLogarithms) {
  DatasetInfo data = TestData({TaskType::kCount});
  data.features[4].mean = 3, data.features[4].deviation = 2, data.features[4].minimum = -1,
  data.features[4].maximum = 9;
  const auto spec = [&](const std::string& name) {
    RunConfig config = TestConfig("mmoe");
    config.tasks["count0"].offset = name;
    return BuildModelSpec(config, data);
  };
  const auto scaled = [&](NumericScale scale) {
    data.features[4].scale = scale;
    const ModelTask task = spec("height")->tasks[0];
    EXPECT_TRUE(task.has_offset);
    EXPECT_EQ(task.offset_input, 2u);  // after the number and the missing indicator of "age"
    return std::pair(task.offset_shift, task.offset_factor);
  };
  EXPECT_EQ(scaled(NumericScale::kStandard), std::pair(3.0, 2.0));
  EXPECT_EQ(scaled(NumericScale::kMinMax), std::pair(-1.0, 10.0));
  EXPECT_EQ(scaled(NumericScale::kNone), std::pair(0.0, 1.0));
  data.features[4].scale = NumericScale::kLog1p;
  EXPECT_THAT(spec("height").error().text(),
              HasSubstr("[task.count0] offset = \"height\": its scale is log1p; name a numeric feature of scale"));
  EXPECT_THAT(spec("city").error().text(), HasSubstr("no numeric feature of that name"));
  EXPECT_THAT(spec("hight").error().text(), HasSubstr("no numeric feature of that name"));
}

TEST(ModelSpec, WarnsOfOptionsOfALossThatIsNotTaken) {
  const DatasetInfo data = TestData({TaskType::kBinary, TaskType::kMulticlass});
  RunConfig config = TestConfig("mmoe");
  config.tasks["binary0"].delta = 2;
  config.tasks["multiclass1"] = {.loss = TaskLoss::kFocal, .gamma = 1, .alpha = 0.5f};
  EXPECT_THAT(WarningsOf(TestSpec(config, data)),
              ::testing::ElementsAre(HasSubstr("task.binary0.delta changes nothing"),
                                     HasSubstr("task.multiclass1.alpha changes nothing")));
}

}  // namespace
}  // namespace cohort::losses_test
