// Stages, tiers, segments, and the calibration of predictions: cases worked by hand, and what must hold of any.
#include "lifecycle/user_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/random.h"
#include "lifecycle/calibration.h"
#include "lifecycle/k_means.h"

namespace cohort::user_profile_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();

DatasetInfo Described(const std::vector<std::string>& names) {
  DatasetInfo info;
  for (const std::string& name : names) {
    info.features.emplace_back().name = name;
  }
  return info;
}

TEST(LifeStageRule, WithoutAForecastGoesByGaps) {
  EXPECT_FALSE(LifeStageRule::Of(Described({"recency_days"})));
  DatasetInfo info = Described({"orders", "order_recency_days", "order_gap_mean_days"});
  info.rows[0] = 3;
  info.features[2].scale = NumericScale::kLog1p;
  info.features[2].mean = std::log1p(20.0) + 1e-9;
  auto rule = LifeStageRule::Of(info);
  ASSERT_TRUE(rule);
  EXPECT_FALSE(rule->by_forecast());
  const auto stage = [&](float orders, float recency, float gap) {
    const float row[] = {orders, recency, gap};
    return rule->StageOf(row, std::nan(""));
  };
  EXPECT_EQ(stage(0, kNothing, kNothing), LifeStage::kNew);
  EXPECT_EQ(stage(1, 60, kNothing), LifeStage::kActive);  // three of everybody's gaps
  EXPECT_EQ(stage(1, 61, kNothing), LifeStage::kLost);
  EXPECT_EQ(stage(4, 30, 10), LifeStage::kActive);
  EXPECT_EQ(stage(4, 31, 10), LifeStage::kLost);
  EXPECT_EQ(stage(5, 30, 10), LifeStage::kLoyal);
  EXPECT_EQ(stage(9, 31, 10), LifeStage::kLost);
  info.features[2].missing = 3;  // nobody has ordered twice: there is no usual gap
  info.features[2].mean = 0;
  rule = LifeStageRule::Of(info);
  EXPECT_EQ(stage(1, 1000, kNothing), LifeStage::kActive);
}

TEST(LifeStageRule, WithAForecastGoesByIt) {
  const auto rule = LifeStageRule::Of(Described({"alive", "orders", "order_recency_days"}), 3);
  ASSERT_TRUE(rule);
  EXPECT_TRUE(rule->by_forecast());
  const float lost[] = {0.49f, 7, 1}, loyal[] = {0.5f, 3, 900}, active[] = {1, 2, 1},
              fresh[] = {kNothing, 0, kNothing};
  EXPECT_EQ(rule->StageOf(lost, std::nan("")), LifeStage::kLost);
  EXPECT_EQ(rule->StageOf(loyal, std::nan("")), LifeStage::kLoyal);
  EXPECT_EQ(rule->StageOf(active, std::nan("")), LifeStage::kActive);
  EXPECT_EQ(rule->StageOf(fresh, std::nan("")), LifeStage::kNew);
}

TEST(LifeStageRule, APredictionOfChurnComesFirst) {
  const auto rule = LifeStageRule::Of(Described({"alive", "orders"}), 3);
  ASSERT_TRUE(rule);
  const float fresh[] = {kNothing, 0}, silent[] = {0.01f, 9};
  EXPECT_EQ(rule->StageOf(fresh, 0.5), LifeStage::kLost);
  EXPECT_EQ(rule->StageOf(fresh, 0.49), LifeStage::kNew);
  EXPECT_EQ(rule->StageOf(silent, 0.49), LifeStage::kLoyal);
  EXPECT_EQ(rule->StageOf(silent, std::nan("")), LifeStage::kLost);
}

TEST(LoyaltyTiers, NobodyFlickers) {
  const auto tiers = LoyaltyTiers::Parse({"silver=100", "gold=1000"}, 0.1);
  ASSERT_TRUE(tiers) << tiers.error().text();
  EXPECT_THAT(tiers->names, ElementsAre("gold", "silver"));
  EXPECT_EQ(tiers->Of(99, ""), "");
  EXPECT_EQ(tiers->Of(100, ""), "silver");
  EXPECT_EQ(tiers->Of(999, "silver"), "silver");
  EXPECT_EQ(tiers->Of(1000, "silver"), "gold");
  EXPECT_EQ(tiers->Of(900, "gold"), "gold");
  EXPECT_EQ(tiers->Of(899, "gold"), "silver");
  EXPECT_EQ(tiers->Of(95, "gold"), "");  // it was never of silver
  EXPECT_EQ(tiers->Of(95, "silver"), "silver");
  EXPECT_EQ(tiers->Of(89, "silver"), "");
  EXPECT_EQ(tiers->Of(std::nan(""), "gold"), "");
  // A value that wanders within the band changes the tier once at the most.
  std::string tier;
  int changes = 0;
  RandomStream random(3);
  for (int night = 0; night < 1000; ++night) {
    const std::string now = tiers->Of(905 + 190 * random.Uniform(), tier);
    changes += now != tier && !tier.empty();
    tier = now;
  }
  EXPECT_LE(changes, 1);
  for (const char* wrong : {"gold", "gold=", "=5", "gold=many", "gold=nan", "gold=inf"}) {
    const auto refused = LoyaltyTiers::Parse({wrong}, 0.1);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_THAT(refused.error().text(), HasSubstr("NAME=NUMBER"));
  }
  EXPECT_FALSE(LoyaltyTiers::Parse({"gold=5", "gold=6"}, 0.1));
  EXPECT_FALSE(LoyaltyTiers::Parse({"gold=5", "silver=5"}, 0.1));
}

TEST(KMeans, FindsGroupsThatLieApart) {
  RandomStream random(1);
  std::vector<float> points;
  for (int i = 0; i < 600; ++i) {
    points.push_back(static_cast<float>(10 * (i % 3) + random.Uniform()));
    points.push_back(static_cast<float>(-5 * (i % 3) + random.Uniform()));
  }
  const KMeans means = KMeans::Fit(points, 2, 3, 7);
  ASSERT_EQ(means.count(), 3u);
  for (int group = 0; group < 3; ++group) {
    const float at[] = {10.0f * static_cast<float>(group) + 0.5f, -5.0f * static_cast<float>(group) + 0.5f};
    const std::uint32_t nearest = means.Nearest(at);
    EXPECT_NEAR(means.centres[nearest * 2], at[0], 0.1);
    EXPECT_NEAR(means.centres[nearest * 2 + 1], at[1], 0.1);
  }
  EXPECT_EQ(KMeans::Fit(points, 2, 3, 7).centres, means.centres);
  // No more centres than there are different points.
  EXPECT_EQ(KMeans::Fit(std::vector<float>{1, 1, 1, 2, 2, 2}, 1, 5, 1).count(), 2u);
  EXPECT_EQ(KMeans::Fit(std::vector<float>{4}, 1, 3, 1).count(), 1u);
}

TEST(UserSegmentation, SaysWhatMakesASegment) {
  std::vector<FeatureInfo> features(2);
  features[0].name = "recency_days", features[0].mean = 50, features[0].deviation = 40;
  features[1].name = "orders", features[1].mean = 5, features[1].deviation = 4;
  std::vector<float> values;
  for (int i = 0; i < 100; ++i) {
    const bool good = i % 4 == 0;
    values.push_back(good ? 5.0f : 65.0f);
    values.push_back(i == 1 ? kNothing : good ? 12.0f : 3.0f);
  }
  const UserSegmentation made = UserSegmentation::Make(features, values, 2, 1);
  ASSERT_EQ(made.segments.size(), 2u);
  EXPECT_EQ(made.segments[0].users, 25u);  // most orders first
  EXPECT_EQ(made.segments[1].users, 75u);
  EXPECT_EQ(made.segments[0].words,
            "orders very high (median 12, all 3), recency_days very low (median 5, all 65)");
  EXPECT_EQ(made.segments[1].words, "orders low (median 3, all 3), recency_days high (median 65, all 65)");
  EXPECT_EQ(made.SegmentOf(values.data()), 0u);
  EXPECT_EQ(made.SegmentOf(values.data() + 2), 1u);
}

TEST(Calibration, MeansWhatCameOfSuchPredictions) {
  // Predictions that are twice as sure as they should be.
  RandomStream random(5);
  std::vector<float> predictions, labels;
  const auto truth = [](double predicted) { return 0.25 + 0.5 * predicted; };
  for (int i = 0; i < 40'000; ++i) {
    predictions.push_back(static_cast<float>(random.Uniform()));
    labels.push_back(random.Uniform() < truth(predictions.back()) ? 1.0f : 0.0f);
    if (i % 10 == 0) labels.back() = kNothing;
  }
  const Calibration calibration(predictions, labels, true);
  EXPECT_EQ(calibration.rows(), 36'000u);
  ASSERT_TRUE(calibration.known());
  double before = 0;
  int covered = 0;
  for (int i = 0; i <= 100; ++i) {
    const float predicted = static_cast<float>(i) / 100;
    const CalibratedPrediction now = calibration.Of(predicted);
    EXPECT_NEAR(now.value, truth(predicted), 0.06) << predicted;
    EXPECT_GE(now.value, before);
    EXPECT_LE(now.low, now.value);
    EXPECT_GE(now.high, now.value);
    covered += now.low <= truth(predicted) && truth(predicted) <= now.high;
    before = now.value;
  }
  EXPECT_GE(covered, 75);  // of level 90 %, neighbours go together
  const std::vector<float> few(39, 0.5f);
  EXPECT_FALSE(Calibration(few, few, true).known());
}

TEST(Calibration, ANumbersIntervalHoldsNineOfTen) {
  RandomStream random(8);
  const auto draw = [&](float predicted) {
    return predicted * static_cast<float>(-std::log(1 - random.Uniform()));
  };
  std::vector<float> predictions, labels;
  for (int i = 0; i < 20'000; ++i) {
    predictions.push_back(1 + 9 * static_cast<float>(random.Uniform()));
    labels.push_back(draw(predictions.back()));
  }
  const Calibration calibration(predictions, labels, false);
  int inside = 0;
  for (int i = 0; i < 10'000; ++i) {
    const float predicted = 1 + 9 * static_cast<float>(random.Uniform()), came = draw(predicted);
    const CalibratedPrediction now = calibration.Of(predicted);
    inside += now.low <= came && came <= now.high;
  }
  EXPECT_NEAR(inside, 9000, 150);
  // Equal predictions are one group: their mean, and nothing to interpolate.
  std::vector<float> equal(100, 3.0f), counts;
  for (int i = 0; i < 100; ++i) counts.push_back(static_cast<float>(i % 2));
  EXPECT_EQ(Calibration(equal, counts, false).Of(3).value, 0.5);
  EXPECT_EQ(Calibration(equal, counts, false).Of(99).value, 0.5);
}

}  // namespace
}  // namespace cohort::user_profile_test
