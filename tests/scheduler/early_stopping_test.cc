#include "scheduler/early_stopping.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace cohort::early_stopping_test {
namespace {

TaskMetrics Metrics(TaskType type, std::map<std::string, double> values) {
  TaskMetrics metrics;
  metrics.type = type;
  metrics.values = std::move(values);
  return metrics;
}

std::vector<TaskMetrics> Epoch(double logloss, double r2) {
  return {Metrics(TaskType::kBinary, {{"logloss", logloss}, {"auc", 1 - logloss}, {"rows", 9}}),
          Metrics(TaskType::kRegression, {{"r2", r2}, {"spearman", r2 / 2}, {"rows", 9}})};
}

TEST(EarlyStopping, ValuesAreWeightedSumsOfTheTasks) {
  const EarlyStopping loss(1, StoppingMetric::kLoss, {2.0, 0.5});
  EXPECT_DOUBLE_EQ(loss.ValueOf(Epoch(0.3, 0.9)), 2.0 * 0.3 + 0.5 * (1 - 0.9));
  const EarlyStopping ranking(1, StoppingMetric::kRanking, {2.0, 0.5});
  EXPECT_DOUBLE_EQ(ranking.ValueOf(Epoch(0.3, 0.9)), 2.0 * 0.7 + 0.5 * 0.45);
  auto grouped = Epoch(0.3, 0.9);
  grouped[0].values["gauc"] = 0.8;
  EXPECT_DOUBLE_EQ(ranking.ValueOf(grouped), 2.0 * 0.8 + 0.5 * 0.45);
}

TEST(EarlyStopping, ATaskWithoutTheMetricIsLeftOutUnlessItsPredictionsAreBad) {
  const EarlyStopping loss(1, StoppingMetric::kLoss, {2.0, 0.5});
  auto tasks = Epoch(0.3, 0.9);
  tasks[1].values.erase("r2");
  EXPECT_DOUBLE_EQ(loss.ValueOf(tasks), 0.6);
  tasks[1].values["bad_predictions"] = 3;
  EXPECT_TRUE(std::isnan(loss.ValueOf(tasks)));
  const std::vector<TaskMetrics> none = {Metrics(TaskType::kBinary, {}), Metrics(TaskType::kValue, {})};
  EXPECT_TRUE(std::isnan(loss.ValueOf(none)));
}

TEST(EarlyStopping, EndsAfterPatienceEpochsWithoutImprovement) {
  for (const StoppingMetric metric : {StoppingMetric::kLoss, StoppingMetric::kRanking}) {
    EarlyStopping stopping(2, metric, {1.0, 0.0});
    const double losses[] = {0.6, 0.5, 0.5, 0.4, 0.45, 0.41};
    const bool improved[] = {true, true, false, true, false, false};
    for (std::uint32_t epoch = 0; epoch < 6; ++epoch) {
      EXPECT_FALSE(stopping.exhausted()) << epoch;
      stopping.Add(epoch, Epoch(losses[epoch], 0.1));
      EXPECT_EQ(stopping.improved(), improved[epoch]) << epoch;
    }
    EXPECT_TRUE(stopping.exhausted());
    EXPECT_EQ(stopping.best_epoch(), 3u);
    EXPECT_DOUBLE_EQ(stopping.best(), metric == StoppingMetric::kLoss ? 0.4 : 0.6);
    EXPECT_EQ(stopping.Ending(), "2 epochs without improvement");
  }
}

TEST(EarlyStopping, AnyNumberIsBetterThanNone) {
  EarlyStopping stopping(2, StoppingMetric::kLoss, {1.0, 1.0});
  auto bad = Epoch(0.1, 0.9);
  bad[0].values.erase("logloss");
  bad[0].values["bad_predictions"] = 1;
  stopping.Add(0, bad);
  EXPECT_TRUE(stopping.improved()) << "so that there is a model";
  stopping.Add(1, Epoch(5, -3));
  EXPECT_TRUE(stopping.improved());
  stopping.Add(2, bad);
  EXPECT_FALSE(stopping.improved());
  EXPECT_EQ(stopping.best_epoch(), 1u);
  EXPECT_EQ(stopping.Ending(), "all epochs were trained");
}

}  // namespace
}  // namespace cohort::early_stopping_test
