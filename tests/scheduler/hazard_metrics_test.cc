// Metrics of hazard tasks against their definitions over all pairs, and against what they would be without censoring.
#include "scheduler/hazard_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/random.h"
#include "scheduler/evaluation_json.h"

namespace cohort::hazard_metrics_test {
namespace {

TaskInfo HazardTask(std::uint32_t periods) {
  TaskInfo task;
  task.name = "churn";
  task.type = TaskType::kHazard;
  task.periods = periods;
  return task;
}

EvaluationSums SumsOf(const TaskInfo& task, const std::vector<float>& predictions,
                      const std::vector<float>& labels, const std::vector<float>& weights = {}) {
  EvaluationSums sums({task});
  sums.Add(0, predictions, labels, weights, {}, labels.size());
  sums.Finish();
  return sums;
}

TEST(HazardMetrics, OfAWorkedExample) {
  // P(event by the end of periods 1, 2) of five rows.
  const std::vector<float> predictions = {0.5f, 0.75f, 0.25f, 0.5f, 0.5f, 0.5f, 0.25f, 0.25f, 0.0f, 0.5f};
  const std::vector<float> labels = {1, 2, -1, -2, -2};
  const EvaluationSums sums = SumsOf(HazardTask(2), predictions, labels);
  const TaskMetrics metrics = MetricsOf(sums).at(0);
  const double likelihood = std::log(0.5) + std::log(0.25) + std::log(0.5) + std::log(0.75) + std::log(0.5);
  EXPECT_NEAR(metrics.Value("logloss"), -likelihood / 5, 1e-12);
  // Four rows live on after period 1, one of them is seen no longer: what is known at the end counts 4/3 times.
  EXPECT_THAT(SeenShares(sums.sums(0)), ::testing::ElementsAre(1, 0.75));
  const double squared = 0.0625 + (0.25 + 0.0625 + 0.25) * 4 / 3;
  EXPECT_NEAR(metrics.Value("brier"), squared / 5, 1e-12);
  EXPECT_EQ(metrics.Value("horizon_rows"), 4);
  // Event of 0.75, weight 1, wins both pairs; that of 0.5, weight 4/3, wins one and half of the other.
  EXPECT_NEAR(metrics.Value("auc"), (1 * 2 + 4.0 / 3 * 1.5) / ((1 + 4.0 / 3) * 2), 1e-12);
  // Row 0 outranks the four others; row 1 has row 3 (lower) and row 4 (equal) outlast it, row 2 it cannot be told of.
  EXPECT_NEAR(metrics.Value("c_index"), (4 + 1.5) / 6, 1e-12);
  ASSERT_EQ(metrics.periods.size(), 2u);
  EXPECT_EQ(metrics.periods[0].at_risk, 5);
  EXPECT_EQ(metrics.periods[0].events, 1);
  EXPECT_NEAR(metrics.periods[0].expected, 0.5 + 0.25 + 0.5 + 0.25 + 0, 1e-12);
  EXPECT_EQ(metrics.periods[1].at_risk, 3);
  EXPECT_NEAR(metrics.periods[1].expected, 0.25 / 0.75 + 0 + 0.5, 1e-12);

  const std::string text = EvaluationToJson({{"test", {metrics}}});
  const auto read = EvaluationFromJson(text, "evaluation.json");
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(EvaluationToJson(*read), text);
  EXPECT_EQ((*read)[0].tasks[0].type, TaskType::kHazard);
}

struct Rows {
  std::vector<float> predictions, labels, whole, weights;  // whole: without censoring
};
// Hazards p of each period; rows are seen for 1 .. 8 periods, at the most `periods`.
Rows Draw(std::uint64_t seed, std::size_t count, std::uint32_t periods, bool continuous) {
  Rows rows;
  RandomStream random(seed);
  for (std::size_t i = 0; i < count; ++i) {
    const double p = continuous ? 0.4 * random.Uniform() : 0.05 * static_cast<double>(1 + random.Below(6));
    double share = 0;
    std::uint32_t event = 0;
    for (std::uint32_t k = 1; k <= periods; ++k) {
      share += (1 - share) * p;
      rows.predictions.push_back(static_cast<float>(share));
      if (event == 0 && random.Uniform() < p) event = k;
    }
    const auto seen = static_cast<std::uint32_t>(std::min<std::uint64_t>(periods, 1 + random.Below(8)));
    const bool happened = event > 0 && event <= seen;
    rows.labels.push_back(happened ? static_cast<float>(event) : -static_cast<float>(seen));
    rows.whole.push_back(event > 0 ? static_cast<float>(event) : -static_cast<float>(periods));
    rows.weights.push_back(0.5f * static_cast<float>(1 + random.Below(4)));
  }
  return rows;
}

TEST(HazardMetrics, ConcordanceIsThatOfAllPairs) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const Rows rows = Draw(seed, 300, 5, seed == 3);
    double won = 0, pairs = 0;
    for (std::size_t i = 0; i < rows.labels.size(); ++i) {
      for (std::size_t j = 0; j < rows.labels.size(); ++j) {
        const HazardLabel a = HazardLabelOf(rows.labels[i]), b = HazardLabelOf(rows.labels[j]);
        if (!a.event || !(b.period > a.period || (b.period == a.period && !b.event))) continue;
        const double weight = static_cast<double>(rows.weights[i]) * static_cast<double>(rows.weights[j]);
        const float p = rows.predictions[5 * i + 4], q = rows.predictions[5 * j + 4];
        pairs += weight;
        won += weight * (p > q ? 1 : p == q ? 0.5 : 0);
      }
    }
    const EvaluationSums sums = SumsOf(HazardTask(5), rows.predictions, rows.labels, rows.weights);
    EXPECT_NEAR(Concordance(sums.sums(0)).value, won / pairs, 1e-12);
    EXPECT_EQ(Concordance(sums.sums(0)).bound, 0);
  }
}

// The true probabilities are calibrated, at the end as in every period, however many rows are censored; and the metrics at the
// end are those of the same rows without censoring, within what 40,000 rows allow.
TEST(HazardMetrics, CensoringShiftsNothing) {
  const Rows rows = Draw(7, 40000, 6, true);
  const TaskMetrics seen = MetricsOf(SumsOf(HazardTask(6), rows.predictions, rows.labels)).at(0);
  const TaskMetrics whole = MetricsOf(SumsOf(HazardTask(6), rows.predictions, rows.whole)).at(0);
  EXPECT_LT(seen.Value("horizon_rows"), 0.8 * whole.Value("horizon_rows"));
  EXPECT_LT(seen.Value("ece"), 0.02);
  EXPECT_NEAR(seen.Value("brier"), whole.Value("brier"), 0.005);
  EXPECT_NEAR(seen.Value("auc"), whole.Value("auc"), 0.01);
  for (const PeriodMetrics& period : seen.periods)
    EXPECT_NEAR(period.events, period.expected, 4 * std::sqrt(period.expected));
}

TEST(HazardMetrics, NobodySeenToTheEndLeavesItUndefined) {
  const TaskMetrics metrics =
      MetricsOf(SumsOf(HazardTask(3), {0.1f, 0.2f, 0.3f, 0.2f, 0.3f, 0.4f}, {-1, 1})).at(0);
  for (const char* name : {"auc", "brier", "ece"}) EXPECT_FALSE(metrics.values.contains(name)) << name;
  EXPECT_EQ(metrics.Value("c_index"), 1);
  const std::string json = TaskValuesToJson({{"test", {metrics}}});
  EXPECT_THAT(json, ::testing::HasSubstr("\"brier\":null"));
}

TEST(HazardMetrics, LabelsOfNoPeriodAreCountedAndHarmless) {
  const TaskMetrics metrics =
      MetricsOf(SumsOf(HazardTask(2), {0.1f, 0.2f, 0.1f, 0.2f, 0.1f, 0.2f}, {3, 1.5f, 0})).at(0);
  EXPECT_EQ(metrics.Value("bad_labels"), 3);
}

// More predictions than the sketch has cells: the values are within their bounds.
TEST(HazardMetrics, ManyPredictionsAreBounded) {
  const Rows rows = Draw(11, 600000, 6, true);
  const TaskMetrics metrics = MetricsOf(SumsOf(HazardTask(6), rows.predictions, rows.labels)).at(0);
  ASSERT_TRUE(metrics.bounds.contains("c_index"));
  EXPECT_LT(metrics.bounds.at("c_index"), 0.01);
  EXPECT_LT(metrics.bounds.at("auc"), 0.01);
  EXPECT_GT(metrics.Value("auc"), 0.5);
}

}  // namespace
}  // namespace cohort::hazard_metrics_test
