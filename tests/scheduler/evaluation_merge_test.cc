// The sums of any number of workers, each with leases of its own, come to the same metrics, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/random.h"
#include "scheduler/evaluation_json.h"

namespace cohort::evaluation_merge_test {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

struct Split {
  std::vector<TaskInfo> tasks;
  std::size_t columns = 0;
  std::vector<float> predictions, labels, weights;
  std::vector<std::uint64_t> groups;
  std::size_t rows() const { return weights.size(); }
};

// All types of tasks, missing labels, ties (`distinct` predictions), weights, groups.
Split Draw(std::uint64_t seed, std::size_t rows, std::uint64_t distinct) {
  Split split;
  for (const TaskType type : {TaskType::kBinary, TaskType::kMulticlass, TaskType::kRegression,
                              TaskType::kValue, TaskType::kBinary, TaskType::kHazard, TaskType::kCount}) {
    TaskInfo task;
    task.name = "t" + std::to_string(split.tasks.size());
    task.type = type;
    task.mean = 1.25;
    task.deviation = 3;
    if (type == TaskType::kMulticlass) task.classes = {"a", "b", "c"};
    if (type == TaskType::kHazard) task.periods = 4;
    split.columns += task.PredictionColumns();
    split.tasks.push_back(task);
  }
  RandomStream random(seed);
  const auto draw = [&] {
    return static_cast<float>(1 + random.Below(distinct)) / static_cast<float>(distinct);
  };
  std::uint64_t group = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    const float p = draw(), q = draw(), r = draw();
    split.predictions.insert(split.predictions.end(), {p, q / (q + r + p), r / (q + r + p), p / (q + r + p),
                                                       5 * q, 9 * r, q, 0.2f * r, 0.4f * r, 0.7f * r, r, 3 * p});
    const auto label = [&](float value) { return random.Below(5) == 0 ? kMissing : value; };
    split.labels.push_back(label(random.Uniform() < p ? 1.0f : 0.0f));
    split.labels.push_back(label(static_cast<float>(random.Below(3))));
    split.labels.push_back(label(q + draw()));
    split.labels.push_back(label(random.Below(2) == 0 ? 0.0f : 10 * r * draw()));
    split.labels.push_back(label(random.Uniform() < q * q ? 1.0f : 0.0f));
    const auto period = static_cast<float>(1 + random.Below(4));
    split.labels.push_back(label(random.Uniform() < r ? period : -period));
    split.labels.push_back(label(static_cast<float>(random.Below(4))));
    split.weights.push_back(0.1f * static_cast<float>(1 + random.Below(30)));
    if (random.Below(9) == 0) ++group;
    split.groups.push_back(random.Below(40) == 0 ? kNoGroup : group);
  }
  return split;
}

void Add(const Split& split, std::size_t first, std::size_t count, EvaluationSums* sums) {
  const std::size_t tasks = split.tasks.size();
  sums->Add(first, std::span(split.predictions).subspan(first * split.columns, count * split.columns),
            std::span(split.labels).subspan(first * tasks, count * tasks),
            std::span(split.weights).subspan(first, count), std::span(split.groups).subspan(first, count),
            count);
}

// Workers take leases of several blocks at random; the scheduler merges their bytes in the order in which they come.
std::string Evaluate(const Split& split, std::size_t workers, std::uint64_t seed) {
  const std::vector<std::uint32_t> top = {3, 10};
  RandomStream random(seed);
  std::vector<EvaluationSums> parts(workers, EvaluationSums(split.tasks, top));
  for (std::size_t first = 0; first < split.rows();) {
    EvaluationSums& worker = parts[random.Below(workers)];
    for (std::size_t left = 1 + random.Below(8); left > 0 && first < split.rows(); --left) {
      const std::size_t count = std::min<std::size_t>(kBlockRows, split.rows() - first);
      Add(split, first, count, &worker);
      first += count;
    }
  }
  EvaluationSums merged(split.tasks, top);
  for (std::size_t i = 0; i < workers; ++i) {
    EvaluationSums& part = parts[(i + seed) % workers];
    part.Finish();
    const Buffer bytes = part.ToBytes();
    EvaluationSums read(split.tasks, top);
    EXPECT_TRUE(read.FromBytes({bytes.data(), bytes.size()}).ok());
    merged.Merge(read);
  }
  EXPECT_EQ(merged.rows(), split.rows());
  return EvaluationToJson({{"test", MetricsOf(merged, BestThresholds(merged))}});
}

TEST(EvaluationMerge, AnyNumberOfWorkersGivesTheSameBits) {
  // The second has more pairs of prediction and label than a sketch of six tasks has cells.
  for (const auto& [rows, distinct] : {std::pair{30000, 50}, std::pair{300000, 1 << 24}}) {
    const Split split = Draw(1, static_cast<std::size_t>(rows), static_cast<std::uint64_t>(distinct));
    const std::string one = Evaluate(split, 1, 0);
    EXPECT_THAT(one, ::testing::HasSubstr("\"ndcg@10\":0."));
    EXPECT_THAT(one, ::testing::HasSubstr("\"c_index\":0."));
    EXPECT_EQ(one.find("\"bounds\":{\"auc\":") != std::string::npos, distinct != 50);
    for (const std::size_t workers : {2u, 4u, 8u}) {
      if (distinct != 50 && workers != 4) continue;  // large: once
      EXPECT_EQ(Evaluate(split, workers, workers), one) << workers;
    }
  }
}

TEST(EvaluationMerge, EmptySplitsAndPartsAreNothing) {
  const Split split = Draw(2, 500, 20), empty = Draw(2, 0, 20);
  EXPECT_EQ(Evaluate(split, 16, 3), Evaluate(split, 1, 0));
  const std::string json = Evaluate(empty, 2, 1);
  EXPECT_THAT(json, ::testing::HasSubstr("\"rows\":0"));
}

TEST(EvaluationMerge, RefusesBytesOfOtherTasks) {
  const Split split = Draw(3, 100, 20);
  EvaluationSums sums(split.tasks, {5});
  Add(split, 0, 100, &sums);
  sums.Finish();
  const Buffer bytes = sums.ToBytes();
  const auto refused = [&](EvaluationSums reader, std::size_t size) {
    return reader.FromBytes({bytes.data(), size}).code() == ErrorCode::kCorrupt;
  };
  EXPECT_FALSE(refused(EvaluationSums(split.tasks, {5}), bytes.size()));
  EXPECT_TRUE(refused(EvaluationSums(split.tasks, {6}), bytes.size()));
  auto fewer = split.tasks;
  fewer.pop_back();
  EXPECT_TRUE(refused(EvaluationSums(fewer, {5}), bytes.size()));
  for (std::size_t size = 0; size < bytes.size(); size += 131)
    EXPECT_TRUE(refused(EvaluationSums(split.tasks, {5}), size)) << size;
}

// A split of one class, and groups without positives.
TEST(EvaluationMerge, WhatIsNotDefinedIsNull) {
  TaskInfo task;
  task.name = "t";
  EvaluationSums sums({task}, {5});
  const std::vector<std::uint64_t> groups = {0, 0, 1};
  sums.Add(0, std::vector<float>{0.1f, 0.2f, 0.3f}, std::vector<float>{0, 0, 0}, {}, groups, 3);
  sums.Finish();
  const auto json = TaskValuesToJson({{"test", MetricsOf(sums, BestThresholds(sums))}});
  for (const char* part :
       {"\"auc\":null", "\"gauc\":null", "\"mrr\":null", "\"hr@5\":null", "\"best_threshold\":null",
        "\"f1_best\":null", "\"groups\":2", "\"one_class_groups\":2", "\"ece\":0.2"}) {
    EXPECT_THAT(json, ::testing::HasSubstr(part));
  }
}

TEST(EvaluationMerge, LiftAndDecileMapeFollowTheDeciles) {
  TaskInfo task;
  task.name = "v";
  task.type = TaskType::kValue;
  std::vector<float> predictions, labels;
  for (int i = 0; i < 100; ++i) {
    predictions.push_back(static_cast<float>(i + 1));
    labels.push_back(i < 10 ? 0.0f : 2 * static_cast<float>(i + 1));
  }
  EvaluationSums sums({task});
  sums.Add(0, predictions, labels, {}, {}, 100);
  sums.Finish();
  const TaskMetrics metrics = MetricsOf(sums)[0];
  EXPECT_NEAR(metrics.Value("decile_mape"), 0.5, 1e-12);  // the first decile has nothing to compare with
  ASSERT_EQ(metrics.lift.size(), 10u);
  double mean = 0;
  for (const float label : labels) mean += label / 100;
  EXPECT_NEAR(metrics.lift[9], 2 * 95.5 / mean, 1e-9);
  EXPECT_EQ(metrics.lift[0], 0);
}

}  // namespace
}  // namespace cohort::evaluation_merge_test
