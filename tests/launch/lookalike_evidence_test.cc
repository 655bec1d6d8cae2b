// The evidence of `cohort lookalike`: what it says where much, and where nothing, can be told from attributes.
#include "launch/lookalike_evidence.h"

#include <gtest/gtest.h>

#include <numeric>

#include "common/random.h"

namespace cohort::lookalike_evidence_test {
namespace {

// One attribute: those who have the flag are wanted with one chance, the others with another. A wanted user is worth 5, others 1.
LookalikeUsers PeopleWithAFlag(std::uint32_t count, std::uint64_t seed, double with, double without,
                               std::vector<float>* worth) {
  LookalikeUsers users;
  users.width = 2;
  users.attributes = {{0, 1}, {1, 1}};
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
  const LookalikeModel model = LookalikeModel::Fit(PeopleWithAFlag(10'000, 1, 0.4, 0.1, &worth), {.seed = 1});
  const LookalikeEvidence evidence = JudgeLookalike(model, worth, {.draws = 200, .seed = 1, .progress = {}});
  // What the flag alone tells of these users; about 0.679: half of the wanted have it, and a seventh of the others.
  double flagged[2] = {0, 0}, count[2] = {0, 0};
  for (std::size_t user = 0; user < worth.size(); ++user) {
    const int wanted = model.users().wanted[user] > 0 ? 1 : 0;
    ++count[wanted];
    flagged[wanted] += double{model.users().inputs[2 * user]};
  }
  EXPECT_NEAR(evidence.auc.value, 0.5 + (flagged[1] / count[1] - flagged[0] / count[0]) / 2, 0.015);
  EXPECT_LT(evidence.auc.low, evidence.auc.value);
  EXPECT_GT(evidence.auc.high, evidence.auc.value);
  EXPECT_TRUE(evidence.distinguishes());
  // A fifth has the flag, so the best tenth all do.
  EXPECT_NEAR(evidence.wanted.value, 0.4, 0.05);
  EXPECT_NEAR(evidence.lift.value, 2.5, 0.3);
  EXPECT_NEAR(evidence.worth->best.value, 0.4 * 5 + 0.6, 0.2);
  EXPECT_NEAR(evidence.worth->all, 0.16 * 5 + 0.84, 0.05);
  EXPECT_NEAR(evidence.worth->ratio.value, 2.6 / 1.64, 0.15);
  ASSERT_EQ(evidence.wanted_by_part.size(), 10u);
  EXPECT_NEAR(std::accumulate(evidence.wanted_by_part.begin(), evidence.wanted_by_part.end(), 0.0) / 10, 0.16,
              0.02);
  EXPECT_NEAR(evidence.wanted_by_part.back(), 0.1, 0.04);
  EXPECT_GT(evidence.auc_lost[0].low, 0.05);
  EXPECT_LT(evidence.auc_lost[1].low, 0.001);
  const LookalikeEvidence again = JudgeLookalike(model, worth, {.draws = 200, .seed = 1, .progress = {}});
  EXPECT_EQ(again.auc.low, evidence.auc.low);
  EXPECT_EQ(again.lift.high, evidence.lift.high);
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
