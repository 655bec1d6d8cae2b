// BoostedTrees, UpliftModel and the values of policies: worked examples, derivatives, and experiments whose truth is known.
#include "lifecycle/uplift_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <utility>

#include "common/random.h"
#include "lifecycle/policy_value.h"

namespace cohort::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

TEST(BoostedTrees, LossesHaveTheSlopesThatAreFollowed) {
  for (const Link link : {Link::kIdentity, Link::kLogit, Link::kLog}) {
    for (const double score : {-2.0, 0.0, 0.7}) {
      for (const double target : {0.0, 0.4, 1.0}) {
        const double h = 1e-5;
        const double slope = (LossOf(link, score + h, target) - LossOf(link, score - h, target)) / (2 * h);
        EXPECT_NEAR(slope, InverseLink(link, score) - target, 1e-8);
      }
    }
  }
}

TEST(BoostedTrees, FindAStepAndAMissingValue) {
  // Column 0 is noise; column 1: below 5, from 5 on, missing.
  const float missing = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> inputs, targets;
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = 0; row < 900; ++row) {
    const float value = row % 3 == 2 ? missing : static_cast<float>(row % 10);
    inputs.insert(inputs.end(), {UniformFloat(RandomBits(1, row)), value});
    targets.push_back(std::isnan(value) ? 7.0f : value < 5 ? 1.0f : 3.0f);
    rows.push_back(row);
  }
  const BinnedInputs binned(inputs, 2);
  const BoostOptions options{.rounds = 100, .depth = 2, .rate = 0.2, .leaf_l2 = 0, .least_rows = 10};
  const BoostedTrees trees = BoostedTrees::Fit(binned, Link::kIdentity, rows, targets, {}, options);
  const std::vector<float> asked = {0.5f, 4, 0.5f, 5, 0.5f, missing};
  const std::vector<std::uint8_t> codes = binned.CodesOf(asked);
  const auto predict = [&](std::size_t row) { return trees.Score(codes.data() + row * 2, trees.rounds()); };
  EXPECT_NEAR(predict(0), 1, 1e-3);
  EXPECT_NEAR(predict(1), 3, 1e-3);
  EXPECT_NEAR(predict(2), 7, 1e-3);
}

TEST(BoostedTrees, PartOneCategoryFromTheOthersAndGoBothWaysWhereItIsNotKnown) {
  // Category 2 of 0 to 4 has 6, the others 1: no edge in their order parts it from them.
  std::vector<float> inputs, targets;
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = 0; row < 500; ++row) {
    inputs.push_back(static_cast<float>(row % 5));
    targets.push_back(row % 5 == 2 ? 6.0f : 1.0f);
    rows.push_back(row);
  }
  const BinnedInputs binned(inputs, 1, {1});
  BoostedTrees trees =
      BoostedTrees::Fit(binned, Link::kIdentity, rows, targets, {},
                        {.rounds = 3, .depth = 1, .rate = 1, .leaf_l2 = 0, .least_rows = 10});
  trees.KeepRounds(1);
  EXPECT_EQ(trees.rounds(), 1u);
  const auto explain = [&](float category, std::uint8_t unknown) {
    double loss = 0;
    const double score =
        trees.Explain(binned.CodesOf(std::vector{category}).data(), std::vector{unknown}, &loss);
    return std::pair(score, loss);
  };
  for (const float category : {0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 60.0f}) {
    const double expected = category == 2 ? 6 : 1;
    EXPECT_NEAR(trees.Score(binned.CodesOf(std::vector{category}).data(), 1), expected, 1e-9);
    EXPECT_NEAR(explain(category, 0).first, expected, 1e-9);
    EXPECT_NEAR(explain(category, 0).second, expected - 2, 1e-9);
    EXPECT_NEAR(explain(category, 1).first, 2, 1e-9);
    EXPECT_EQ(explain(category, 1).second, 0);
  }
}

TEST(BoostedTrees, InterceptMeetsTheMeanOfEachLink) {
  const std::vector<float> inputs(100, 1.0f);  // nothing to split on
  std::vector<float> targets(100, 0.0f);
  for (std::size_t i = 0; i < 20; ++i) targets[i] = 1;
  std::vector<std::uint32_t> rows(100);
  std::iota(rows.begin(), rows.end(), 0u);
  const BinnedInputs binned(inputs, 1);
  for (const Link link : {Link::kIdentity, Link::kLogit, Link::kLog}) {
    const BoostedTrees trees = BoostedTrees::Fit(binned, link, rows, targets, {}, {.rounds = 0});
    EXPECT_NEAR(InverseLink(link, trees.intercept()), 0.2, 1e-9);
  }
}

// Users with two traits: x in [0, 1), and a flag whom arm 1 helps: their rate is doubled. Arm 2 does nothing.
struct KnownWorld {
  Experiment experiment;
  std::vector<double> effects;  // of arm 1, by row
};
KnownWorld MakeWorld(std::uint32_t rows, std::uint64_t seed, double helped) {
  KnownWorld world;
  Experiment& e = world.experiment;
  e.arms = {"none", "mail", "noise"};
  e.propensities = {1 / 3.0, 1 / 3.0, 1 / 3.0};
  e.link = Link::kLogit;
  e.width = 2;
  RandomStream random(seed);
  for (std::uint32_t row = 0; row < rows; ++row) {
    const double x = random.Uniform();
    const bool flag = random.Below(2) == 1;
    const auto arm = static_cast<std::uint8_t>(random.Below(3));
    const double base = 0.1 + 0.2 * x, effect = flag ? helped * base : 0;
    e.inputs.insert(e.inputs.end(), {static_cast<float>(x), flag ? 1.0f : 0.0f});
    e.arm.push_back(arm);
    e.outcome.push_back(random.Uniform() < base + (arm == 1 ? effect : 0) ? 1.0f : 0.0f);
    e.user.push_back(Mix64(row + 1));
    world.effects.push_back(effect);
  }
  return world;
}

TEST(UpliftModel, FindsWhoIsHelpedAndByHowMuch) {
  const KnownWorld world = MakeWorld(12'000, 1, 1.0), fresh = MakeWorld(4'000, 2, 1.0);
  const UpliftModel model = UpliftModel::Fit(world.experiment, {});
  const double truth = std::accumulate(world.effects.begin(), world.effects.end(), 0.0) / 12'000;
  EXPECT_NEAR(model.arms()[1].average, truth, 3 * model.arms()[1].average_error);
  EXPECT_NEAR(model.arms()[2].average, 0, 3 * model.arms()[2].average_error);
  EXPECT_LT(model.arms()[1].average_error, 0.02);
  const Outlook outlook = model.Predict(fresh.experiment.inputs);
  double with = 0, without = 0, helped = 0;
  for (std::size_t row = 0; row < 4'000; ++row) {
    const bool flag = fresh.experiment.inputs[row * 2 + 1] > 0;
    (flag ? with : without) += outlook.effect[row * 3 + 1];
    helped += flag;
  }
  EXPECT_NEAR(with / helped, 0.2, 0.05);
  EXPECT_NEAR(without / (4'000 - helped), 0, 0.04);
  // The same input, the same bits.
  EXPECT_EQ(UpliftModel::Fit(world.experiment, {}).Predict(fresh.experiment.inputs).effect, outlook.effect);
}

TEST(UpliftModel, AverageCoversTheTruthAndNoGainIsSeenWhereThereIsNone) {
  // A world without any effect: of 40 draws, an interval of 95 % misses 0 in about 2; more than 6 has probability 0.003.
  int missed = 0, claimed = 0;
  UpliftOptions options;
  options.folds = 3, options.outcome.rounds = 20, options.effect.rounds = 20;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const KnownWorld world = MakeWorld(1'500, 100 + seed, 0), judge = MakeWorld(1'500, 200 + seed, 0);
    const UpliftModel model = UpliftModel::Fit(world.experiment, options);
    missed += std::abs(model.arms()[1].average) > 1.96 * model.arms()[1].average_error;
    const Outlook outlook = model.Predict(judge.experiment.inputs);
    const std::vector<double> costs(3), nobody = {1, 0, 0};
    const std::vector<Policy> policies = {ConstantPolicy("nobody", 1'500, nobody),
                                          BestArmPolicy("best", outlook, costs)};
    const PolicyEstimates values(judge.experiment, outlook.outcome, costs, policies, 200, seed);
    claimed += values.Difference(Estimator::kDr, 1, 0).above(0);
  }
  EXPECT_LE(missed, 6);
  EXPECT_LE(claimed, 5);
}

Experiment FourRows() {
  Experiment e;
  e.arms = {"none", "mail"};
  e.propensities = {0.5, 0.5};
  e.width = 1;
  e.inputs = {1, 2, 3, 4};
  e.arm = {0, 1, 0, 1};
  e.outcome = {1, 3, 2, 6};
  e.user = {1, 2, 3, 4};
  return e;
}

TEST(PolicyValue, IsWhatItsFormulasSay) {
  const Experiment e = FourRows();
  const std::vector<double> predicted = {1, 2, 1, 2, 3, 4, 3, 4}, costs = {0, 1};
  // The mail to the two last rows: rows 0 and 3 got what the policy would have given.
  const Policy last = TopPolicy("last", 2, 1, std::vector<double>{1, 2, 3, 4}, 0.5);
  EXPECT_THAT(last.chances, ElementsAre(1, 0, 1, 0, 0, 1, 0, 1));
  const std::vector<double> nobody = {1, 0};
  const PolicyEstimates values(e, predicted, costs, {last, ConstantPolicy("nobody", 4, nobody)}, 50, 1);
  EXPECT_DOUBLE_EQ(values.Value(Estimator::kIps, 0).value, (2 * 1 + 2 * (6 - 1)) / 4.0);
  EXPECT_DOUBLE_EQ(values.Value(Estimator::kSnips, 0).value, (2 * 1 + 2 * (6 - 1)) / 4.0);
  // mu less cost: 1 and 1 (first two rows), 3 and 3 (last two); corrections 2 (1 - 1) and 2 (5 - 3).
  EXPECT_DOUBLE_EQ(values.Value(Estimator::kDr, 0).value, (1 + 1 + 3 + 3 + 4) / 4.0);
  EXPECT_DOUBLE_EQ(values.Value(Estimator::kIps, 1).value, (2 * 1 + 2 * 2) / 4.0);
  EXPECT_DOUBLE_EQ(values.Difference(Estimator::kIps, 0, 1).value, 1.5);
  EXPECT_LE(values.Value(Estimator::kDr, 0).low, values.Value(Estimator::kDr, 0).high);
}

TEST(PolicyValue, RowsOfEqualScoreShareWhatIsLeft) {
  const Policy top = TopPolicy("top", 2, 1, std::vector<double>{5, 1, 1, 0}, 0.5);
  EXPECT_THAT(top.chances, ElementsAre(0, 1, FloatEq(0.5), FloatEq(0.5), FloatEq(0.5), FloatEq(0.5), 1, 0));
}

TEST(PolicyValue, NobodyIsContactedWhoseEffectIsBelowItsCost) {
  const Outlook outlook{3, {}, {0, 2, 3, 0, -1, 0.4, 0, 1.5, 1.2}};
  const std::vector<double> costs = {0, 1, 1};
  EXPECT_THAT(BestArmPolicy("best", outlook, costs).chances, ElementsAre(0, 0, 1, 1, 0, 0, 0, 1, 0));
}

TEST(UpliftCurve, IsWhatItsFormulaSays) {
  Experiment e = FourRows();
  const std::vector<std::uint32_t> once(4, 1);
  // Scores in pairs: after the first pair (rows 3, 2) the gain is 1/2 (6 - 2) = 2, in the end (4.5 - 1.5) = 3.
  const UpliftCurve curve = UpliftCurveOf(e, 1, std::vector<double>{1, 1, 2, 2}, once);
  EXPECT_DOUBLE_EQ(curve.gain[50], 2);
  EXPECT_DOUBLE_EQ(curve.gain[100], 3);
  EXPECT_DOUBLE_EQ(curve.gain[25], 1);
  EXPECT_DOUBLE_EQ(curve.auuc, 0.5 * 2 / 2 + 0.5 * (2 + 3) / 2);
  EXPECT_DOUBLE_EQ(curve.qini, curve.auuc - 1.5);
  // No order: the straight line.
  EXPECT_DOUBLE_EQ(UpliftCurveOf(e, 1, std::vector<double>(4, 0), once).qini, 0);
}

TEST(Interval, IsOfThePercentilesThatAreDefined) {
  std::vector<double> draws(1001);
  std::iota(draws.begin(), draws.end(), 0.0);
  draws.push_back(std::numeric_limits<double>::quiet_NaN());
  const Interval interval = IntervalOf(500, draws);
  EXPECT_DOUBLE_EQ(interval.low, 25);
  EXPECT_DOUBLE_EQ(interval.high, 975);
  EXPECT_TRUE(std::isnan(IntervalOf(1, {}).low));
}

}  // namespace
}  // namespace cohort::testing
