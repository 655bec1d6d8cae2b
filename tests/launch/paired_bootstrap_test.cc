#include "launch/paired_bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/random.h"
#include "scheduler/evaluation.h"

namespace cohort::paired_bootstrap_test {
namespace {

TaskInfo Task(TaskType type) {
  TaskInfo task;
  task.name = "t";
  task.type = type;
  if (type == TaskType::kMulticlass) task.classes = {"a", "b", "c"};
  if (type == TaskType::kHazard) {
    task.periods = 3;
    task.at_risk.assign(3, 0.5);
    task.hazards.assign(3, 0.1);
  }
  return task;
}

// Rows of users with one to four rows each, with ties among predictions and labels, and masked labels.
struct Sample {
  TaskInfo task;
  JudgedRows rows;
  std::vector<float> labels, predictions;
};
Sample RandomSample(TaskType type, std::uint32_t users, std::uint64_t seed) {
  Sample sample{Task(type), {}, {}, {}};
  RandomStream random(seed);
  for (std::uint32_t user = 0; user < users; ++user) {
    for (std::uint64_t row = 1 + random.Below(4); row > 0; --row) {
      sample.rows.users.push_back(user);
      sample.rows.weights.push_back(0.5f * static_cast<float>(1 + random.Below(4)));
      const float score = static_cast<float>(random.Below(16)) / 16;
      float label = 0;
      switch (type) {
        case TaskType::kBinary:
          label = random.Uniform() < (0.3 + 0.4 * score);
          sample.predictions.push_back(score);
          break;
        case TaskType::kMulticlass:
          label = static_cast<float>(random.Below(3));
          for (const float p : {score / 2, 0.4f, 0.6f - score / 2}) sample.predictions.push_back(p);
          break;
        case TaskType::kHazard:
          label = (random.Below(2) == 0 ? 1.0f : -1.0f) * static_cast<float>(1 + random.Below(3));
          for (const float p : {0.1f + score / 8, 0.3f + score / 8, 0.5f + score / 8})
            sample.predictions.push_back(p);
          break;
        case TaskType::kRegression:
        case TaskType::kValue:
        case TaskType::kCount:
          label = random.Below(3) == 0 ? 0 : static_cast<float>(random.Below(20)) * (0.5f + score);
          sample.predictions.push_back(8 * score + 1);
          break;
      }
      sample.labels.push_back(random.Below(8) == 0 ? std::numeric_limits<float>::quiet_NaN() : label);
    }
  }
  sample.rows.user_count = users;
  return sample;
}

TaskMetrics Evaluated(const Sample& sample) {
  EvaluationSums sums({sample.task});
  sums.Add(0, sample.predictions, sample.labels, sample.rows.weights, {}, sample.labels.size());
  sums.Finish();
  return MetricsOf(sums)[0];
}

class PairedBootstrap : public ::testing::TestWithParam<TaskType> {};

TEST_P(PairedBootstrap, MetricsAreThoseOfEvaluation) {
  const Sample sample = RandomSample(GetParam(), 60, 1);
  const auto compared =
      CompareModels(sample.task, sample.rows, sample.labels, {{sample.predictions}}, {.draws = 1});
  ASSERT_FALSE(compared.empty());
  TaskMetrics expected = Evaluated(sample);
  expected.values["rmse"] = std::sqrt(expected.Value("mse"));
  for (const MetricComparison& each : compared) {
    ASSERT_TRUE(std::isfinite(expected.Value(each.metric))) << each.metric;
    EXPECT_NEAR(each.models[0].value, expected.Value(each.metric), 1e-6) << each.metric;
  }
}

// The one draw there is, against rows that are there as often as their user was drawn.
TEST_P(PairedBootstrap, ADrawTakesUsersWithAllTheirRows) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Sample sample = RandomSample(GetParam(), 40, seed);
    const auto compared = CompareModels(sample.task, sample.rows, sample.labels, {{sample.predictions}},
                                        {.draws = 1, .seed = seed});
    std::vector<std::uint32_t> times(sample.rows.user_count);
    RandomStream random(seed, 1);
    for (std::uint32_t i = 0; i < sample.rows.user_count; ++i) ++times[random.Below(sample.rows.user_count)];
    Sample drawn{sample.task, {}, {}, {}};
    const std::size_t width = sample.task.PredictionColumns();
    for (std::size_t row = 0; row < sample.labels.size(); ++row) {
      for (std::uint32_t i = 0; i < times[sample.rows.users[row]]; ++i) {
        drawn.labels.push_back(sample.labels[row]);
        drawn.rows.weights.push_back(sample.rows.weights[row]);
        for (std::size_t k = 0; k < width; ++k)
          drawn.predictions.push_back(sample.predictions[row * width + k]);
      }
    }
    TaskMetrics expected = Evaluated(drawn);
    expected.values["rmse"] = std::sqrt(expected.Value("mse"));
    for (const MetricComparison& each : compared) {
      EXPECT_NEAR(each.models[0].low, expected.Value(each.metric), 1e-6) << each.metric << ", seed " << seed;
      EXPECT_EQ(each.models[0].low, each.models[0].high);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, PairedBootstrap,
                         ::testing::Values(TaskType::kBinary, TaskType::kMulticlass, TaskType::kRegression,
                                           TaskType::kValue, TaskType::kHazard, TaskType::kCount));

TEST(PairedBootstrapIntervals, OfAMeanAreThoseOfItsStandardError) {
  Sample sample{Task(TaskType::kRegression), {}, {}, {}};
  constexpr std::uint32_t kUsers = 2000;
  RandomStream random(1);
  for (std::uint32_t user = 0; user < kUsers; ++user) {
    sample.rows.users.push_back(user);
    sample.labels.push_back(static_cast<float>(random.Uniform()));
    sample.predictions.push_back(2);  // the error is uniform in [1, 2]: variance 1/12
  }
  sample.rows.user_count = kUsers;
  const auto compared =
      CompareModels(sample.task, sample.rows, sample.labels, {{sample.predictions}}, {.draws = 2000});
  const Estimate& mae = compared[1].models[0];
  ASSERT_EQ(compared[1].metric, "mae");
  const double half = 1.96 * std::sqrt(1.0 / 12 / kUsers);
  EXPECT_NEAR(mae.high - mae.value, half, half / 8);
  EXPECT_NEAR(mae.value - mae.low, half, half / 8);
  EXPECT_TRUE(std::isnan(compared[0].models[0].value)) << "nothing is ranked";
  EXPECT_EQ(compared[0].models[0].defined, 0u);
}

TEST(PairedBootstrapIntervals, WhatIsHardForAllCancelsInADifference) {
  const Sample sample = RandomSample(TaskType::kBinary, 300, 3);
  std::vector<float> near = sample.predictions;
  RandomStream random(9);
  for (float& prediction : near) prediction += 0.05f * static_cast<float>(random.Uniform());
  const auto compared = CompareModels(sample.task, sample.rows, sample.labels,
                                      {{sample.predictions}, {near}, {sample.predictions}}, {.draws = 500});
  const MetricComparison& auc = compared[0];
  const auto width = [](const Estimate& estimate) { return estimate.high - estimate.low; };
  ASSERT_EQ(auc.differences.size(), 3u);
  EXPECT_LT(width(auc.differences[0]), width(auc.models[0]) / 2);
  EXPECT_DOUBLE_EQ(auc.differences[0].value, auc.models[0].value - auc.models[1].value);
  EXPECT_EQ(auc.differences[1].low, 0);  // a model and itself
  EXPECT_EQ(auc.differences[1].high, 0);
}

TEST(PairedBootstrapLabels, AreThoseOfTheirTask) {
  const auto takes = [](TaskType type, float label) { return IsLabelOf(Task(type), label); };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const TaskType type : {TaskType::kBinary, TaskType::kMulticlass, TaskType::kRegression,
                              TaskType::kValue, TaskType::kHazard, TaskType::kCount}) {
    EXPECT_TRUE(takes(type, std::numeric_limits<float>::quiet_NaN()));
    EXPECT_TRUE(takes(type, 1));
    EXPECT_FALSE(takes(type, kInfinity));
    EXPECT_FALSE(takes(type, -kInfinity));
  }
  EXPECT_FALSE(takes(TaskType::kBinary, 0.5f));
  EXPECT_TRUE(takes(TaskType::kMulticlass, 2));
  EXPECT_FALSE(takes(TaskType::kMulticlass, 3));
  EXPECT_FALSE(takes(TaskType::kMulticlass, -1));
  EXPECT_FALSE(takes(TaskType::kMulticlass, 1.5f));
  EXPECT_TRUE(takes(TaskType::kHazard, -3));
  EXPECT_FALSE(takes(TaskType::kHazard, 0));
  EXPECT_FALSE(takes(TaskType::kHazard, 4));
  EXPECT_FALSE(takes(TaskType::kCount, -1));
}

TEST(PairedBootstrapIntervals, RunsOfAModelCountByTheirMean) {
  const Sample a = RandomSample(TaskType::kValue, 100, 4);
  std::vector<float> other = a.predictions;
  for (float& prediction : other) prediction = 10 - prediction;
  const auto both = CompareModels(a.task, a.rows, a.labels,
                                  {{a.predictions, other}, {a.predictions}, {other}}, {.draws = 20});
  for (const MetricComparison& metric : both)
    EXPECT_NEAR(metric.models[0].value, (metric.models[1].value + metric.models[2].value) / 2, 1e-12)
        << metric.metric;
}

TEST(PairedBootstrapIntervals, DrawsWithoutAMetricAreLeftOutAndCounted) {
  Sample sample{Task(TaskType::kBinary), {}, {}, {}};
  for (std::uint32_t user = 0; user < 200; ++user) {
    sample.rows.users.push_back(user);
    sample.labels.push_back(user == 7);
    sample.predictions.push_back(static_cast<float>(user) / 200);
  }
  sample.rows.user_count = 200;
  const auto compared =
      CompareModels(sample.task, sample.rows, sample.labels, {{sample.predictions}}, {.draws = 1000});
  EXPECT_NEAR(static_cast<double>(compared[0].models[0].defined), 1000 * (1 - std::exp(-1)), 60);
  EXPECT_EQ(compared[1].models[0].defined, 1000u) << "a log-loss is defined always";
  EXPECT_NEAR(compared[0].models[0].value, 7.0 / 199, 1e-12);
}

}  // namespace
}  // namespace cohort::paired_bootstrap_test
