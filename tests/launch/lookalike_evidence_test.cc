// The evidence of `cohort lookalike`: what it says where much, and where nothing, can be told from attributes.
#include "launch/lookalike_evidence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "common/random.h"

namespace cohort::lookalike_evidence_test {
namespace {

// One attribute: those who have the flag are wanted with one chance, the others with another. A wanted user is worth 5, others 1.
LookalikeUsers PeopleWithAFlag(std::uint32_t count, std::uint64_t seed, double with, double without,
                               std::vector<float>* worth) {
  LookalikeUsers users;
  users.categorical = {0, 0};
  RandomStream random(seed);
  for (std::uint32_t i = 0; i < count; ++i) {
    const bool flag = random.Below(5) == 0;
    users.inputs.insert(users.inputs.end(), {flag ? 1.0f : 0.0f, static_cast<float>(random.Below(10))});
    users.wanted.push_back(random.Uniform() < (flag ? with : without) ? 1.0f : 0.0f);
    users.user.push_back(Mix64(seed * 100'000 + i));
    worth->push_back(users.wanted.back() > 0 ? 5.0f : 1.0f);
  }
  return users;
}

TEST(LookalikeEvidence, SaysHowMuchIsFound) {
  std::vector<float> worth;
  const LookalikeUsers users = PeopleWithAFlag(10'000, 1, 0.4, 0.1, &worth);
  const LookalikeModel model = LookalikeModel::Fit(users, {.seed = 1});
  const LookalikeEvidence evidence = JudgeLookalike(model, worth, {.draws = 200, .seed = 1, .progress = {}});
  // What the flag alone tells of these users; about 0.679: half of the wanted have it, and a seventh of the others.
  double flagged[2] = {0, 0}, count[2] = {0, 0};
  for (std::size_t user = 0; user < worth.size(); ++user) {
    const int wanted = users.wanted[user] > 0 ? 1 : 0;
    ++count[wanted];
    flagged[wanted] += double{users.inputs[2 * user]};
  }
  EXPECT_NEAR(evidence.auc.value, 0.5 + (flagged[1] / count[1] - flagged[0] / count[0]) / 2, 0.015);
  EXPECT_LT(evidence.auc.low, evidence.auc.value);
  EXPECT_GT(evidence.auc.high, evidence.auc.value);
  EXPECT_TRUE(evidence.distinguishes());
  // A fifth has the flag, so the best tenth all do.
  EXPECT_NEAR(evidence.wanted.best.value, 0.4, 0.05);
  EXPECT_NEAR(evidence.wanted.ratio.value, 2.5, 0.3);
  EXPECT_NEAR(evidence.worth->best.value, 0.4 * 5 + 0.6, 0.2);
  EXPECT_NEAR(evidence.worth->all, 0.16 * 5 + 0.84, 0.05);
  EXPECT_NEAR(evidence.worth->ratio.value, 2.6 / 1.64, 0.15);
  ASSERT_EQ(evidence.wanted.by_part.size(), 10u);
  EXPECT_NEAR(std::accumulate(evidence.wanted.by_part.begin(), evidence.wanted.by_part.end(), 0.0) / 10, 0.16,
              0.02);
  EXPECT_NEAR(evidence.wanted.by_part.back(), 0.1, 0.04);
  EXPECT_GT(evidence.auc_lost[0].low, 0.05);
  EXPECT_LT(evidence.auc_lost[1].low, 0.001);
  const LookalikeEvidence again = JudgeLookalike(model, worth, {.draws = 200, .seed = 1, .progress = {}});
  EXPECT_EQ(again.auc.low, evidence.auc.low);
  EXPECT_EQ(again.wanted.ratio.high, evidence.wanted.ratio.high);
}

TEST(LookalikeEvidence, HasTheIntervalsOfTheBootstrap) {
  std::vector<float> worth;
  const LookalikeUsers users = PeopleWithAFlag(3'000, 3, 0.3, 0.1, &worth);
  const LookalikeModel model = LookalikeModel::Fit(users, {.seed = 3});
  const LookalikeEvidence evidence = JudgeLookalike(model, {}, {.draws = 10, .seed = 1, .progress = {}});
  TaskInfo task;
  task.type = TaskType::kBinary;
  JudgedRows rows;
  rows.users.resize(3'000);
  std::iota(rows.users.begin(), rows.users.end(), 0u);
  rows.user_count = 3'000;
  const auto probabilities = [](std::vector<float> scores) {
    for (float& score : scores) score = 1 / (1 + std::exp(-score));
    return scores;
  };
  const auto drawn =
      CompareModels(task, rows, users.wanted,
                    {{probabilities(model.held_out())}, {probabilities(model.HeldOutWithoutEach()[0])}},
                    {.draws = 1000, .seed = 1, .progress = {}})[0];
  const auto near = [](const Estimate& estimate, const Estimate& bootstrap) {
    EXPECT_NEAR(estimate.value, bootstrap.value, 1e-5);
    const double width = bootstrap.high - bootstrap.low;
    EXPECT_GT(width, 0.01);
    EXPECT_NEAR(estimate.low, bootstrap.low, 0.1 * width);
    EXPECT_NEAR(estimate.high, bootstrap.high, 0.1 * width);
  };
  near(evidence.auc, drawn.models[0]);
  near(evidence.auc_lost[0], drawn.differences[0]);
}

TEST(LookalikeEvidence, SharesUsersOfOneScoreAmongTenths) {
  // 20 users: four at the top of whom two count, sixteen below of whom four do. The first two tenths hold the four, the others
  // two of the sixteen each.
  std::vector<float> scores(20, 0.0f), values(20, 0.0f);
  for (const std::size_t user : {3u, 7u, 11u, 19u}) scores[user] = 1;
  for (const std::size_t user : {3u, 19u, 0u, 1u, 2u, 4u}) values[user] = 1;
  const BestTenth judged = JudgeBestTenth(scores, values, {.draws = 50, .seed = 1, .progress = {}});
  ASSERT_EQ(judged.by_part.size(), 10u);
  for (std::size_t part = 0; part < 10; ++part)
    EXPECT_NEAR(judged.by_part[part], part < 2 ? 0.5 : 0.25, 1e-12) << part;
  EXPECT_DOUBLE_EQ(judged.all, 0.3);
  EXPECT_DOUBLE_EQ(judged.ratio.value, 0.5 / 0.3);
  EXPECT_LT(judged.best.low, 0.5);
  EXPECT_GT(judged.best.high, 0.5);
}

TEST(LookalikeEvidence, ClaimsNothingWhereNothingDistinguishes) {
  // 40 worlds; an interval of 95 % lies above one half in 2.5 % of them. More than 5 has probability 0.0007.
  int claimed = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::vector<float> worth;
    const LookalikeModel model =
        LookalikeModel::Fit(PeopleWithAFlag(2'000, seed, 0.1, 0.1, &worth), {.seed = seed});
    claimed += JudgeLookalike(model, {}, {.draws = 200, .seed = seed, .progress = {}}).distinguishes();
  }
  EXPECT_LE(claimed, 5);
}

}  // namespace
}  // namespace cohort::lookalike_evidence_test
