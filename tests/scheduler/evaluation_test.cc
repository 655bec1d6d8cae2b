#include "scheduler/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/random.h"
#include "scheduler/evaluation_json.h"

namespace cohort::evaluation_test {
namespace {

using ::testing::DoubleNear;

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

TaskInfo Task(const std::string& name, TaskType type, std::vector<std::string> classes = {}) {
  TaskInfo task;
  task.name = name;
  task.type = type;
  task.classes = std::move(classes);
  return task;
}

TaskMetrics Evaluate(const TaskInfo& task, const std::vector<float>& predictions,
                     const std::vector<float>& labels, const std::vector<float>& weights = {}) {
  EvaluationSums sums({task});
  sums.Add(0, predictions, labels, weights, {}, labels.size());
  sums.Finish();
  return MetricsOf(sums).at(0);
}

// Over all pairs: what AUC is defined as.
double PairAuc(const std::vector<float>& scores, const std::vector<bool>& positive,
               const std::vector<float>& weights) {
  double won = 0, pairs = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    for (std::size_t j = 0; j < scores.size(); ++j) {
      if (!positive[i] || positive[j]) continue;
      const double weight = static_cast<double>(weights[i]) * weights[j];
      pairs += weight;
      won += weight * (scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0);
    }
  }
  return won / pairs;
}

// Mid-ranks over all pairs, with weights as repetition counts.
std::vector<double> PairRanks(const std::vector<float>& scores, const std::vector<float>& weights) {
  std::vector<double> ranks(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    double below = 0, equal = 0;
    for (std::size_t j = 0; j < scores.size(); ++j) {
      if (scores[j] < scores[i]) below += weights[j];
      if (scores[j] == scores[i]) equal += weights[j];
    }
    ranks[i] = below + (equal + 1) / 2;
  }
  return ranks;
}

// Gini by its definition as a mean absolute difference of rank: sum over pairs, ties in score count half each
// way.
double PairGini(const std::vector<float>& scores, const std::vector<float>& labels,
                const std::vector<float>& weights) {
  double total = 0, sum = 0, area = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    total += weights[i];
    sum += static_cast<double>(weights[i]) * labels[i];
  }
  for (std::size_t i = 0; i < scores.size(); ++i) {
    for (std::size_t j = 0; j < scores.size(); ++j) {
      const double place = scores[j] < scores[i] ? 1.0 : scores[j] == scores[i] ? 0.5 : 0.0;
      area += static_cast<double>(weights[i]) * labels[i] * weights[j] * place;
    }
  }
  return 2 * area / (total * sum) - 1;
}

struct RandomRows {
  std::vector<float> predictions, labels, weights;
};

// Few distinct scores, so that ties are everywhere; weights are whole, so that they can be read as
// repetitions.
RandomRows DrawBinary(std::uint64_t seed, std::size_t rows, bool weighted) {
  RandomStream random(seed);
  RandomRows drawn;
  for (std::size_t i = 0; i < rows; ++i) {
    drawn.predictions.push_back(static_cast<float>(random.Below(17)) / 16.0f);
    drawn.labels.push_back(random.Uniform() < 0.2 + 0.5 * drawn.predictions.back() ? 1.0f : 0.0f);
    drawn.weights.push_back(weighted ? static_cast<float>(1 + random.Below(4)) : 1.0f);
  }
  return drawn;
}

TEST(Evaluation, BinaryMetricsOfAWorkedExample) {
  // Predicted positive: rows 0, 1, 2; actual: 0, 2, 3.
  const auto metrics =
      Evaluate(Task("t", TaskType::kBinary), {0.9f, 0.8f, 0.5f, 0.4f, 0.1f}, {1, 0, 1, 1, 0});
  EXPECT_EQ(metrics.Value("rows"), 5);
  EXPECT_DOUBLE_EQ(metrics.Value("accuracy"), 3.0 / 5);
  EXPECT_DOUBLE_EQ(metrics.Value("precision"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.Value("recall"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.Value("f1"), 2.0 / 3);
  // Pairs won by positives {.9, .5, .4} against {.8, .1}: 2 + 1 + 1 of 6.
  EXPECT_DOUBLE_EQ(metrics.Value("auc"), 4.0 / 6);
  const double loss = -(std::log(0.9) + std::log(0.2) + std::log(0.5) + std::log(0.4) + std::log(0.9)) / 5;
  EXPECT_NEAR(metrics.Value("logloss"), loss, 1e-7);
  // Five bins of one row each: the mean distance of prediction and label.
  EXPECT_NEAR(metrics.Value("ece"), (0.1 + 0.8 + 0.5 + 0.6 + 0.1) / 5, 1e-7);
}

TEST(Evaluation, BinaryAgreesWithBruteForce) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto rows = DrawBinary(seed, 50 + seed * 13, seed % 2 == 1);
    const auto metrics = Evaluate(Task("t", TaskType::kBinary), rows.predictions, rows.labels, rows.weights);
    std::vector<bool> positive;
    for (float label : rows.labels) positive.push_back(label == 1.0f);
    EXPECT_THAT(metrics.Value("auc"), DoubleNear(PairAuc(rows.predictions, positive, rows.weights), 1e-12));
  }
}

TEST(Evaluation, WeightsActAsRepetitions) {
  const auto rows = DrawBinary(5, 200, true);
  RandomRows repeated;
  for (std::size_t i = 0; i < rows.labels.size(); ++i) {
    for (int k = 0; k < static_cast<int>(rows.weights[i]); ++k) {
      repeated.predictions.push_back(rows.predictions[i]);
      repeated.labels.push_back(rows.labels[i]);
    }
  }
  for (TaskType type : {TaskType::kBinary, TaskType::kRegression}) {
    const auto weighted = Evaluate(Task("t", type), rows.predictions, rows.labels, rows.weights);
    const auto plain = Evaluate(Task("t", type), repeated.predictions, repeated.labels);
    for (const auto& [name, value] : weighted.values) {
      if (name == "rows" || name == "ece") continue;  // counted in rows
      EXPECT_NEAR(value, plain.Value(name), 1e-10) << name;
    }
  }
}

TEST(Evaluation, MulticlassAgreesWithBruteForce) {
  RandomStream random(3);
  const std::size_t rows = 300, classes = 4;
  std::vector<float> predictions, labels;
  for (std::size_t i = 0; i < rows; ++i) {
    double sum = 0;
    std::vector<double> raw(classes);
    for (double& x : raw) sum += x = static_cast<double>(1 + random.Below(8));
    for (double x : raw) predictions.push_back(static_cast<float>(x / sum));
    labels.push_back(static_cast<float>(random.Below(classes)));
  }
  const auto metrics = Evaluate(Task("t", TaskType::kMulticlass, {"a", "b", "c", "d"}), predictions, labels);
  double auc = 0, loss = 0, right = 0, recall = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    std::vector<float> scores;
    std::vector<bool> positive;
    double hits = 0, actual = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const float* row = &predictions[i * classes];
      scores.push_back(row[c]);
      positive.push_back(labels[i] == static_cast<float>(c));
      if (!positive.back()) continue;
      const bool hit = std::max_element(row, row + classes) == row + c;
      loss -= std::log(row[c]) / rows;
      right += hit;
      hits += hit;
      actual += 1;
    }
    auc += PairAuc(scores, positive, std::vector<float>(rows, 1.0f)) / classes;
    recall += hits / actual / classes;
  }
  EXPECT_NEAR(metrics.Value("auc"), auc, 1e-12);
  EXPECT_NEAR(metrics.Value("logloss"), loss, 1e-6);
  EXPECT_NEAR(metrics.Value("accuracy"), right / rows, 1e-12);
  EXPECT_NEAR(metrics.Value("recall"), recall, 1e-12);
  EXPECT_EQ(metrics.roc.size(), classes);
  EXPECT_EQ(metrics.roc[1].name, "b");
}

TEST(Evaluation, RegressionAgreesWithBruteForce) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    RandomStream random(seed, 7);
    RandomRows rows;
    for (int i = 0; i < 150; ++i) {
      rows.labels.push_back(random.Uniform() < 0.4 ? 0.0f : static_cast<float>(random.Below(20)));
      rows.predictions.push_back(static_cast<float>(random.Below(10)) * 0.5f + 0.3f * rows.labels.back());
      rows.weights.push_back(seed % 2 ? static_cast<float>(1 + random.Below(3)) : 1.0f);
    }
    const auto metrics = Evaluate(Task("v", TaskType::kValue), rows.predictions, rows.labels, rows.weights);
    double total = 0, mse = 0, mae = 0, mean = 0, predicted = 0;
    for (std::size_t i = 0; i < rows.labels.size(); ++i) {
      const double w = rows.weights[i], d = static_cast<double>(rows.predictions[i]) - rows.labels[i];
      total += w;
      mse += w * d * d;
      mae += w * std::abs(d);
      mean += w * rows.labels[i];
      predicted += w * rows.predictions[i];
    }
    EXPECT_NEAR(metrics.Value("total_ratio"), predicted / mean, 1e-12);
    mean /= total;
    EXPECT_NEAR(metrics.Value("mse"), mse / total, 1e-9);
    EXPECT_NEAR(metrics.Value("mae"), mae / total, 1e-9);
    const auto x = PairRanks(rows.predictions, rows.weights), y = PairRanks(rows.labels, rows.weights);
    double spread = 0, mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      spread += rows.weights[i] * (rows.labels[i] - mean) * (rows.labels[i] - mean);
      mean_x += rows.weights[i] * x[i] / total;
      mean_y += rows.weights[i] * y[i] / total;
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      xx += rows.weights[i] * (x[i] - mean_x) * (x[i] - mean_x);
      yy += rows.weights[i] * (y[i] - mean_y) * (y[i] - mean_y);
      xy += rows.weights[i] * (x[i] - mean_x) * (y[i] - mean_y);
    }
    EXPECT_NEAR(metrics.Value("r2"), 1 - mse / spread, 1e-9);
    EXPECT_NEAR(metrics.Value("spearman"), xy / std::sqrt(xx * yy), 1e-9);
    EXPECT_NEAR(metrics.Value("gini"),
                PairGini(rows.predictions, rows.labels, rows.weights) /
                    PairGini(rows.labels, rows.labels, rows.weights),
                1e-9);
  }
}

TEST(Evaluation, PoissonDevianceByHand) {
  const auto metrics = Evaluate(Task("c", TaskType::kCount), {1, 0.5f, 0}, {3, 0, 0}, {1, 2, 1});
  EXPECT_NEAR(metrics.Value("poisson_deviance"), (2 * (3 * std::log(3.0) - 2) + 2 * 2 * 0.5 + 2e-7) / 4, 1e-9);
  EXPECT_NEAR(metrics.Value("mse"), (4 + 2 * 0.25) / 4, 1e-12);
  EXPECT_FALSE(Evaluate(Task("v", TaskType::kValue), {1, 2}, {3, 0}).values.contains("poisson_deviance"));
  // Nothing predicted where something came: the mean counts as 1e-7.
  EXPECT_NEAR(Evaluate(Task("c", TaskType::kCount), {0}, {1}).Value("poisson_deviance"),
              2 * (std::log(1e7) - 1 + 1e-7), 1e-6);
  EXPECT_EQ(Evaluate(Task("c", TaskType::kCount), {1, 1}, {-1, 2}).Value("bad_labels"), 1);
}

TEST(Evaluation, GiniIsOneForAPerfectOrderAndOppositeForTheReverse) {
  const std::vector<float> labels = {0, 0, 1, 2, 7};
  EXPECT_NEAR(Evaluate(Task("v", TaskType::kValue), labels, labels).Value("gini"), 1, 1e-12);
  EXPECT_NEAR(Evaluate(Task("v", TaskType::kValue), {7, 7, 2, 1, 0}, labels).Value("gini"), -1, 1e-12);
  EXPECT_NEAR(Evaluate(Task("v", TaskType::kValue), {3, 3, 3, 3, 3}, labels).Value("gini"), 0, 1e-12);
}

TEST(Evaluation, MissingLabelsMaskOnlyTheirTask) {
  EvaluationSums sums({Task("a", TaskType::kBinary), Task("b", TaskType::kRegression)});
  const std::vector<float> predictions = {0.9f, 1, 0.2f, 2, 0.6f, 3, 0.1f, 9};
  const std::vector<float> labels = {1, 1, kMissing, 2, 0, kMissing, 0, 4};
  // In two pieces, the second weighted: as one.
  sums.Add(0, std::span(predictions).first(4), std::span(labels).first(4), {}, {}, 2);
  sums.Add(2, std::span(predictions).last(4), std::span(labels).last(4), std::vector<float>{1, 3}, {}, 2);
  sums.Finish();
  const auto metrics = MetricsOf(sums);
  EXPECT_EQ(metrics[0].Value("rows"), 3);
  EXPECT_EQ(metrics[1].Value("rows"), 3);
  EXPECT_DOUBLE_EQ(metrics[0].Value("accuracy"), 4.0 / 5);
  EXPECT_DOUBLE_EQ(metrics[1].Value("mse"), 75.0 / 5);
}

TEST(Evaluation, UndefinedMetricsAreAbsentAndNullInJson) {
  const auto one_class = Evaluate(Task("t", TaskType::kBinary), {0.2f, 0.3f}, {0, 0});
  for (const char* name : {"auc", "precision", "recall", "f1"})
    EXPECT_FALSE(one_class.values.contains(name)) << name;
  EXPECT_EQ(one_class.Value("accuracy"), 1);
  EXPECT_TRUE(one_class.roc.empty());
  const auto json = TaskValuesToJson({{"test", {one_class}}});
  EXPECT_THAT(json, ::testing::HasSubstr(R"("t":{"test":{"auc":null,"logloss":0.)"));
  EXPECT_THAT(json, ::testing::HasSubstr(R"("rows":2)"));

  const auto constant = Evaluate(Task("r", TaskType::kRegression), {1, 2}, {0, 0});
  for (const char* name : {"r2", "spearman", "gini", "total_ratio"})
    EXPECT_FALSE(constant.values.contains(name)) << name;
  EXPECT_DOUBLE_EQ(constant.Value("mse"), 2.5);

  for (TaskType type : {TaskType::kBinary, TaskType::kMulticlass, TaskType::kRegression, TaskType::kValue,
                        TaskType::kHazard, TaskType::kCount}) {
    TaskInfo task = Task("e", type, {"x"});
    if (type == TaskType::kHazard) task.periods = 2;
    const auto empty = Evaluate(task, {}, {});
    EXPECT_EQ(empty.values.size(), 1u);
    EXPECT_EQ(empty.Value("rows"), 0);
    const auto masked = Evaluate(task, std::vector<float>(task.PredictionColumns(), 0.5f), {kMissing});
    EXPECT_EQ(masked.Value("rows"), 0);
  }
}

TEST(Evaluation, PredictionsThatAreNotNumbersAreCountedNotHidden) {
  const auto metrics = Evaluate(Task("t", TaskType::kBinary), {0.2f, kMissing, 0.7f}, {0, 1, 1});
  EXPECT_EQ(metrics.Value("bad_predictions"), 1);
  EXPECT_EQ(metrics.Value("rows"), 3);
  EXPECT_FALSE(metrics.values.contains("auc"));
}

TEST(Evaluation, LabelsThatAreNoClassAreCountedAndHarmless) {
  const auto metrics =
      Evaluate(Task("t", TaskType::kMulticlass, {"a", "b"}), {0.2f, 0.8f, 0.5f, 0.5f, 1, 0}, {2, -1, 0});
  EXPECT_EQ(metrics.Value("bad_labels"), 2);
  EXPECT_EQ(metrics.values.size(), 2u);
}

TEST(Evaluation, CertainAndWrongCostsAFiniteLoss) {
  const auto metrics = Evaluate(Task("t", TaskType::kBinary), {0, 1}, {1, 0});
  EXPECT_NEAR(metrics.Value("logloss"), -std::log(1e-7), 1e-6);
}

TEST(Evaluation, CurvesAreBoundedAndOrdered) {
  RandomStream random(11);
  std::vector<float> predictions, labels;
  for (int i = 0; i < 20000; ++i) {
    predictions.push_back(static_cast<float>(random.Uniform()));
    labels.push_back(random.Uniform() < predictions.back() * predictions.back() ? 1.0f : 0.0f);
  }
  const auto metrics = Evaluate(Task("t", TaskType::kBinary), predictions, labels);
  ASSERT_EQ(metrics.roc.size(), 1u);
  const auto& points = metrics.roc[0].points;
  EXPECT_LE(points.size(), static_cast<std::size_t>(kMaxRocPoints));
  EXPECT_GE(points.size(), 150u);
  double area = 0;
  for (std::size_t i = 1; i < points.size(); ++i) {
    ASSERT_GE(points[i].false_positive_rate, points[i - 1].false_positive_rate);
    ASSERT_GE(points[i].true_positive_rate, points[i - 1].true_positive_rate);
    area += (points[i].false_positive_rate - points[i - 1].false_positive_rate) *
            (points[i].true_positive_rate + points[i - 1].true_positive_rate) / 2;
  }
  EXPECT_NEAR(area, metrics.Value("auc"), 1e-3);  // thinning keeps the shape
  EXPECT_EQ(metrics.deciles.size(), 10u);
  EXPECT_EQ(metrics.calibration.size(), 15u);
  std::uint64_t counted = 0;
  for (int b = 0; b < kHistogramBins; ++b)
    counted += metrics.histogram.negatives[b] + metrics.histogram.positives[b];
  EXPECT_EQ(counted, 20000u);
  for (const auto& bin : metrics.deciles) EXPECT_EQ(bin.rows, 2000u);
  EXPECT_LT(metrics.Value("ece"), 0.25);
}

TEST(EvaluationJson, SurvivesTheRoundTrip) {
  const auto rows = DrawBinary(1, 400, false);
  const std::vector<SplitEvaluation> splits = {
      {"valid", {Evaluate(Task("t", TaskType::kBinary), rows.predictions, rows.labels)}},
      {"test", {Evaluate(Task("v", TaskType::kValue), rows.predictions, rows.labels)}}};
  const auto text = EvaluationToJson(splits);
  const auto read = EvaluationFromJson(text, "evaluation.json");
  ASSERT_TRUE(read.has_value()) << read.error().text();
  EXPECT_EQ(EvaluationToJson(*read), text);
  EXPECT_EQ((*read)[0].split, "valid");
  EXPECT_EQ((*read)[0].tasks[0].values, splits[0].tasks[0].values);
}

TEST(EvaluationJson, WrongTextsAreErrorsThatNameTheFile) {
  for (const char* text :
       {"", "{", "[]", "{\"format\":2,\"splits\":{}}", "{\"format\":1,\"splits\":{\"test\":[{}]}}",
        "{\"format\":1,\"splits\":{\"test\":[{\"name\":\"a\",\"type\":\"ternary\"}]}}"}) {
    const auto read = EvaluationFromJson(text, "run/evaluation.json");
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_EQ(read.error().code(), ErrorCode::kCorrupt);
    EXPECT_THAT(read.error().text(), ::testing::StartsWith("run/evaluation.json: "));
  }
}

}  // namespace
}  // namespace cohort::evaluation_test
