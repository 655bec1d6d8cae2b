#include "scheduler/rank_metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "common/random.h"

namespace cohort::rank_metrics_test {
namespace {

struct Rows {
  std::vector<float> predictions, labels, weights;
  std::size_t count() const { return labels.size(); }
};

ScoreSketch Sketch(const Rows& rows, std::size_t capacity) {
  ScoreSketch sketch(capacity);
  for (std::size_t i = 0; i < rows.count(); ++i)
    sketch.Add(rows.predictions[i], rows.labels[i], rows.weights[i]);
  sketch.Fold();
  return sketch;
}

Rows DrawClasses(std::uint64_t seed, std::size_t count, std::uint64_t distinct, bool weighted) {
  RandomStream random(seed, 1);
  Rows rows;
  for (std::size_t i = 0; i < count; ++i) {
    rows.predictions.push_back(static_cast<float>(random.Below(distinct)) / static_cast<float>(distinct));
    rows.labels.push_back(random.Uniform() < 0.1 + 0.6 * rows.predictions.back() ? 1.0f : 0.0f);
    rows.weights.push_back(weighted ? 0.5f * static_cast<float>(1 + random.Below(6)) : 1.0f);
  }
  return rows;
}

Rows DrawValues(std::uint64_t seed, std::size_t count) {
  RandomStream random(seed, 2);
  Rows rows;
  for (std::size_t i = 0; i < count; ++i) {
    const double value = random.Uniform() < 0.4 ? 0 : std::exp(2 * random.Uniform() - 1);
    rows.labels.push_back(static_cast<float>(value));
    rows.predictions.push_back(static_cast<float>(std::exp(random.Uniform()) + 0.3 * value));
    rows.weights.push_back(1);
  }
  return rows;
}

// What F1 is at a threshold, from the rows.
double PlainF1(const Rows& rows, double threshold) {
  double hit = 0, predicted = 0, actual = 0;
  for (std::size_t i = 0; i < rows.count(); ++i) {
    const bool guess = rows.predictions[i] >= threshold;
    hit += guess && rows.labels[i] == 1 ? rows.weights[i] : 0;
    predicted += guess ? rows.weights[i] : 0;
    actual += rows.labels[i] == 1 ? rows.weights[i] : 0;
  }
  return 2 * hit / (predicted + actual);
}

TEST(RankMetrics, TheBestThresholdIsBestOfAll) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const Rows rows = DrawClasses(seed, 120, 5 + 9 * seed, seed % 2 == 1);
    const auto ties = TiesOf(Sketch(rows, 10000));
    const double threshold = BestF1Threshold(ties);
    double best = -1, best_threshold = 0;
    for (const float candidate : rows.predictions) {
      const double f1 = PlainF1(rows, candidate);
      if (f1 > best + 1e-12 || (f1 > best - 1e-12 && candidate > best_threshold))
        best = f1, best_threshold = candidate;
    }
    EXPECT_EQ(threshold, best_threshold);
    const ThresholdMetrics at = AtThreshold(ties, threshold);
    EXPECT_NEAR(at.f1.value, best, 1e-12);
    EXPECT_EQ(at.f1.bound, 0);
    double hit = 0, predicted = 0, actual = 0, right = 0, total = 0;
    for (std::size_t i = 0; i < rows.count(); ++i) {
      const bool guess = rows.predictions[i] >= threshold, label = rows.labels[i] == 1;
      const double w = rows.weights[i];
      hit += guess && label ? w : 0, predicted += guess ? w : 0, actual += label ? w : 0;
      right += guess == label ? w : 0, total += w;
    }
    EXPECT_NEAR(at.precision, hit / predicted, 1e-12);
    EXPECT_NEAR(at.recall, hit / actual, 1e-12);
    EXPECT_NEAR(at.accuracy, right / total, 1e-12);
  }
  EXPECT_TRUE(std::isnan(BestF1Threshold(TiesOf(Sketch({{0.2f, 0.3f}, {0, 0}, {1, 1}}, 10)))));
}

// Rows of one prediction are shared among bins: the mean over all orders in which they could stand.
TEST(RankMetrics, EqualCountBinsShareTies) {
  const Rows rows = {{1, 2, 2, 2, 2, 3}, {0, 1, 0, 1, 1, 1}, {1, 1, 1, 1, 1, 1}};
  const auto bins = EqualCountBins(TiesOf(Sketch(rows, 100)), 3);
  ASSERT_EQ(bins.size(), 3u);
  EXPECT_DOUBLE_EQ(bins[0].label, (0 + 0.75) / 2);
  EXPECT_DOUBLE_EQ(bins[0].prediction, 1.5);
  EXPECT_DOUBLE_EQ(bins[1].label, 0.75);
  EXPECT_DOUBLE_EQ(bins[2].label, (0.75 + 1) / 2);
  EXPECT_EQ(bins[2].highest, 3);
  EXPECT_EQ(bins[2].rows, 2u);
  const double error = (std::abs(3 - 0.75) + std::abs(4 - 1.5) + std::abs(5 - 1.75)) / 6;
  EXPECT_NEAR(CalibrationError(TiesOf(Sketch(rows, 100)), 3).value, error, 1e-12);
  EXPECT_EQ(EqualCountBins(TiesOf(Sketch(rows, 100)), 15).size(), 6u);
}

TEST(RankMetrics, WithoutTiesBinsAreThoseOfTheSortedRows) {
  Rows rows = DrawClasses(3, 997, 1 << 20, true);
  const auto bins = EqualCountBins(TiesOf(Sketch(rows, 5000)), 10);
  std::vector<std::size_t> order(rows.count());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return rows.predictions[a] < rows.predictions[b]; });
  for (std::size_t b = 0; b < 10; ++b) {
    double weight = 0, label = 0, prediction = 0;
    for (std::size_t i = b * 997 / 10; i < (b + 1) * 997 / 10; ++i) {
      weight += rows.weights[order[i]];
      label += rows.weights[order[i]] * rows.labels[order[i]];
      prediction += double{rows.weights[order[i]]} * rows.predictions[order[i]];
    }
    EXPECT_NEAR(bins[b].label, label / weight, 1e-9);
    EXPECT_NEAR(bins[b].prediction, prediction / weight, 1e-9);
  }
}

// Sketches too small for the rows: the true value is within the bound, and the bound is not idle.
TEST(RankMetrics, BoundsHold) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    for (const std::size_t capacity : {64u, 512u, 4096u}) {
      const Rows rows = DrawClasses(seed, 20000, 1 << 22, seed % 2 == 1);
      const auto exact = TiesOf(Sketch(rows, 100000)), coarse = TiesOf(Sketch(rows, capacity));
      const Bounded auc = Auc(coarse), ece = CalibrationError(coarse, 15);
      EXPECT_EQ(Auc(exact).bound, 0);
      EXPECT_LE(std::abs(auc.value - Auc(exact).value), auc.bound);
      EXPECT_GT(auc.bound, 0);
      EXPECT_LT(auc.bound, 16.0 / static_cast<double>(capacity));
      EXPECT_LE(std::abs(ece.value - CalibrationError(exact, 15).value), ece.bound + 1e-12);
      EXPECT_LT(ece.bound, 400.0 / static_cast<double>(capacity));
      for (const double threshold : {0.123456, 0.5, 0.77777}) {
        const ThresholdMetrics at = AtThreshold(coarse, threshold);
        EXPECT_LE(std::abs(at.f1.value - PlainF1(rows, threshold)), at.f1.bound + 1e-12);
        EXPECT_LT(at.f1.bound, 64.0 / static_cast<double>(capacity));
      }
      const Rows values = DrawValues(seed, 20000);
      const ScoreSketch all = Sketch(values, 100000), few = Sketch(values, capacity);
      const Bounded gini = NormalizedGini(few), spearman = Spearman(few);
      EXPECT_EQ(NormalizedGini(all).bound, 0);
      EXPECT_EQ(Spearman(all).bound, 0);
      EXPECT_GT(gini.bound, 0);
      EXPECT_GT(spearman.bound, 0);
      EXPECT_LE(std::abs(gini.value - NormalizedGini(all).value), gini.bound);
      EXPECT_LE(std::abs(spearman.value - Spearman(all).value), spearman.bound);
      EXPECT_LT(spearman.bound, capacity < 4096u ? 4 : 0.3);
      EXPECT_LT(gini.bound, capacity < 4096u ? 4 : 0.3);
    }
  }
}

}  // namespace
}  // namespace cohort::rank_metrics_test
