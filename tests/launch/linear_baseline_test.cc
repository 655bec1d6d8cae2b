#include "launch/linear_baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/random.h"
#include "tests/support/subprocess.h"

namespace cohort::linear_baseline_test {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

// With one input of 0 and 1 and no penalty, the maximum is known: the two groups' own rates or means.
TEST(FitLinear, OfTwoGroupsAreTheGroups) {
  const std::vector<double> inputs = {0, 0, 0, 0, 1, 1, 1, 1, 1}, ones(9, 1.0);
  const std::vector<double> logistic =
      FitLinear(LinearFamily::kLogistic, inputs, 1, {1, 0, 0, 0, 1, 1, 1, 0, 0}, ones, 0);
  EXPECT_NEAR(logistic[0], std::log(1.0 / 3), 1e-4);
  EXPECT_NEAR(logistic[0] + logistic[1], std::log(3.0 / 2), 1e-4);
  const std::vector<double> amounts = {1, 2, 3, 6, 10, 20, 30, 40, 50};
  const std::vector<double> gamma = FitLinear(LinearFamily::kGamma, inputs, 1, amounts, ones, 0);
  EXPECT_NEAR(std::exp(gamma[0]), 3, 1e-3);
  EXPECT_NEAR(std::exp(gamma[0] + gamma[1]), 30, 1e-2);
  const std::vector<double> gaussian = FitLinear(LinearFamily::kGaussian, inputs, 1, amounts, ones, 0);
  EXPECT_NEAR(gaussian[0], 3, 1e-6);
  EXPECT_NEAR(gaussian[1], 27, 1e-6);
}

TEST(FitLinear, AWeightIsSoManyRows) {
  const std::vector<double> once = FitLinear(LinearFamily::kGamma, {0, 1, 1}, 1, {2, 4, 8}, {1, 2, 1}, 0.1);
  const std::vector<double> twice =
      FitLinear(LinearFamily::kGamma, {0, 1, 1, 1}, 1, {2, 4, 4, 8}, {1, 1, 1, 1}, 0.1);
  EXPECT_NEAR(once[0], twice[0], 1e-9);
  EXPECT_NEAR(once[1], twice[1], 1e-9);
}

// At the maximum the slope of the objective is 0: written out once more, by finite differences.
TEST(FitLinear, IsAtTheMaximum) {
  RandomStream random(1);
  constexpr std::size_t kRows = 400, kWidth = 3;
  std::vector<double> inputs, weights, linear;
  for (std::size_t row = 0; row < kRows; ++row) {
    double sum = 0.3;
    for (std::size_t i = 0; i < kWidth; ++i) {
      inputs.push_back(2 * random.Uniform() - 1);
      sum += inputs.back() * (1.0 - static_cast<double>(i));
    }
    linear.push_back(sum);
    weights.push_back(0.5 + random.Uniform());
  }
  constexpr double kL2 = 0.05;
  for (const LinearFamily family :
       {LinearFamily::kGaussian, LinearFamily::kLogistic, LinearFamily::kGamma, LinearFamily::kPoisson}) {
    std::vector<double> targets;
    for (const double sum : linear) {
      const double u = random.Uniform();
      targets.push_back(family == LinearFamily::kGaussian   ? sum + u
                        : family == LinearFamily::kLogistic ? (u < 1 / (1 + std::exp(-sum)))
                                                            : std::exp(sum) * -std::log(1 - u) + 1e-6);
    }
    const auto objective = [&](const std::vector<double>& b) {
      double total = 0, value = 0, squares = 0;
      for (std::size_t row = 0; row < kRows; ++row) {
        double eta = b[0];
        for (std::size_t i = 0; i < kWidth; ++i) eta += b[i + 1] * inputs[row * kWidth + i];
        const double y = targets[row];
        total += weights[row];
        value += weights[row] * (family == LinearFamily::kGaussian   ? -(y - eta) * (y - eta) / 2
                                 : family == LinearFamily::kLogistic ? y * eta - std::log(1 + std::exp(eta))
                                 : family == LinearFamily::kPoisson  ? y * eta - std::exp(eta)
                                                                     : -eta - y * std::exp(-eta));
      }
      for (std::size_t i = 1; i < b.size(); ++i) squares += b[i] * b[i];
      return value / total - kL2 / 2 * squares;
    };
    const std::vector<double> fitted = FitLinear(family, inputs, kWidth, targets, weights, kL2);
    for (std::size_t i = 0; i < fitted.size(); ++i) {
      std::vector<double> up = fitted, down = fitted;
      up[i] += 1e-4, down[i] -= 1e-4;
      EXPECT_NEAR((objective(up) - objective(down)) / 2e-4, 0, 1e-4) << i;
    }
  }
}

TEST(FitLinear, LabelsThatAreAllTheSame) {
  EXPECT_EQ(FitLinear(LinearFamily::kLogistic, {1, 2}, 1, {1, 1}, {1, 1}, 0), (std::vector<double>{40, 0}));
  EXPECT_EQ(FitLinear(LinearFamily::kLogistic, {1, 2}, 1, {0, 0}, {1, 1}, 0), (std::vector<double>{-40, 0}));
  EXPECT_EQ(FitLinear(LinearFamily::kPoisson, {1, 2}, 1, {0, 0}, {1, 1}, 0), (std::vector<double>{-40, 0}));
  EXPECT_EQ(FitLinear(LinearFamily::kGamma, {}, 1, {}, {}, 0), (std::vector<double>{0, 0}));
}

// A dataset of two numbers (one of them log1p), a category and four tasks.
std::string WriteData(const TemporaryFolder& folder) {
  DatasetInfo info;
  info.features.resize(3);
  info.features[0].name = "x";
  info.features[0].mean = 2, info.features[0].deviation = 4;
  info.features[1].name = "city", info.features[1].type = FeatureType::kCategorical;
  info.features[2].name = "money", info.features[2].scale = NumericScale::kLog1p;
  for (const auto& [name, type] : {std::pair{"buys", TaskType::kBinary},
                                   {"first", TaskType::kMulticlass},
                                   {"value", TaskType::kValue},
                                   {"cost", TaskType::kRegression}}) {
    TaskInfo& task = info.tasks.emplace_back();
    task.name = name, task.type = type;
    if (type == TaskType::kMulticlass) task.classes = {"a", "b"}, task.class_rates = {1, 0};
  }
  const std::string path = folder.path() + "/d.h5";
  auto writer = DatasetWriter::Create(path, info).value();
  RowBlock block;
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  for (std::uint32_t row = 0; row < 200; ++row) {
    const bool group = row % 2 == 1;
    block.numeric.insert(block.numeric.end(), {group ? 6.0f : 2.0f, 3.0f});
    block.categorical.push_back(1);
    // By group: buys in 1 of 4 and 3 of 4; value above 0 likewise, then 10 and 40; cost 1 and 5.
    const bool yes = group ? row % 8 != 7 : row % 8 == 0;
    block.labels.insert(block.labels.end(), {row < 4 ? kNaN : float(yes), 0,
                                             yes ? (group ? 40.0f : 10.0f) : 0, group ? 5.0f : 1.0f});
    block.input_rows.push_back(row);
  }
  block.rows = 200;
  EXPECT_TRUE(writer->Append(Split::kTrain, block).ok());
  info.rows[0] = 200;
  EXPECT_TRUE(writer->Finish(info).ok());
  return path;
}

TEST(LinearBaseline, PredictsEveryTaskThatHasOne) {
  TemporaryFolder folder;
  auto data = DatasetReader::Open(WriteData(folder)).value();
  const auto baseline = LinearBaseline::Fit(*data, {"x"}, 0);
  ASSERT_TRUE(baseline) << baseline.error().text();
  ASSERT_EQ(baseline->tasks().size(), 3u);
  EXPECT_EQ(baseline->tasks()[1].name, "value");
  ASSERT_EQ(baseline->parts().size(), 4u);
  RowBlock block;
  ASSERT_TRUE(data->Read(Split::kTrain, 0, 2, false, &block).ok());
  std::vector<float> predicted;
  baseline->Predict(block, &predicted);
  ASSERT_EQ(predicted.size(), 6u);
  EXPECT_NEAR(predicted[0], 24.0 / 98, 1e-3);  // of the first four rows the label is not known
  EXPECT_NEAR(predicted[1], 0.25 * 10, 0.01);
  EXPECT_NEAR(predicted[2], 1, 1e-4);
  EXPECT_NEAR(predicted[4], 0.75 * 40, 0.05);
  EXPECT_NEAR(predicted[5], 5, 1e-4);
}

TEST(LinearBaseline, SaysWhichFeatureItCannotUse) {
  TemporaryFolder folder;
  auto data = DatasetReader::Open(WriteData(folder)).value();
  const auto error = [&](std::vector<std::string> features, double l2 = 0) {
    const auto baseline = LinearBaseline::Fit(*data, features, l2);
    EXPECT_FALSE(baseline);
    EXPECT_EQ(baseline.error().exit_code(), 2);
    return baseline.error().text();
  };
  EXPECT_THAT(error({"mony"}), HasSubstr("no feature \"mony\""));
  EXPECT_THAT(error({"mony"}), HasSubstr("\"money\""));
  EXPECT_THAT(error({"city"}), HasSubstr("\"city\" is not numeric"));
  EXPECT_THAT(error({"x", "x"}), HasSubstr("named twice"));
  EXPECT_THAT(error({"x"}, -1), HasSubstr("l2"));
}

}  // namespace
}  // namespace cohort::linear_baseline_test
