// Assign: against every assignment of small problems, limits that hold, and the bound.
#include "lifecycle/assignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/random.h"

namespace cohort::testing {
namespace {

AssignmentProblem RandomProblem(std::size_t users, std::size_t actions, RandomStream* random) {
  AssignmentProblem problem;
  problem.users = users, problem.actions = actions;
  double all = 0;
  for (std::size_t i = 0; i < actions; ++i) {
    problem.costs.push_back(0.1 + random->Uniform());
    problem.caps.push_back(random->Below(2) == 0 ? kNoLimit : static_cast<double>(random->Below(users)));
    all += problem.costs.back();
  }
  problem.budget = all * static_cast<double>(users) * random->Uniform() / static_cast<double>(actions);
  for (std::size_t k = 0; k < users * actions; ++k)
    problem.gains.push_back(random->Below(6) == 0 ? -kNoLimit : 3 * random->Uniform() - 1);
  return problem;
}

// Nobody gets what lowers the gain, and every limit holds.
void ExpectAllowed(const AssignmentProblem& problem, const Assignment& assignment) {
  double cost = 0, gain = 0;
  std::vector<double> counts(problem.actions);
  for (std::size_t user = 0; user < problem.users; ++user) {
    const std::uint32_t action = assignment.action[user];
    if (action == kNoAction) continue;
    EXPECT_GT(problem.gains[user * problem.actions + action], 0);
    gain += problem.gains[user * problem.actions + action];
    cost += problem.costs[action];
    counts[action] += 1;
  }
  EXPECT_LE(cost, problem.budget * (1 + 1e-9));
  for (std::size_t i = 0; i < problem.actions; ++i) EXPECT_LE(counts[i], problem.caps[i]);
  EXPECT_NEAR(gain, assignment.gain, 1e-6);
  EXPECT_NEAR(cost, assignment.cost, 1e-6);
  EXPECT_LE(assignment.gain, assignment.bound + 1e-6);
}

double BestOfAll(const AssignmentProblem& problem) {
  const std::size_t choices = problem.actions + 1;
  std::size_t total = 1;
  for (std::size_t user = 0; user < problem.users; ++user) total *= choices;
  double best = 0;
  for (std::size_t code = 0; code < total; ++code) {
    double gain = 0, cost = 0;
    std::vector<double> counts(problem.actions);
    std::size_t left = code;
    for (std::size_t user = 0; user < problem.users; ++user, left /= choices) {
      if (left % choices == 0) continue;
      const std::size_t action = left % choices - 1;
      gain += problem.gains[user * problem.actions + action];
      cost += problem.costs[action];
      counts[action] += 1;
    }
    bool allowed = cost <= problem.budget;
    for (std::size_t i = 0; i < problem.actions; ++i) allowed = allowed && counts[i] <= problem.caps[i];
    if (allowed) best = std::max(best, gain);
  }
  return best;
}

TEST(Assignment, IsNearTheBestOfAllAndBelowItsBound) {
  RandomStream random(1);
  double reached = 0, possible = 0;
  for (int i = 0; i < 60; ++i) {
    const AssignmentProblem problem = RandomProblem(6, 2, &random);
    const Assignment assignment = Assign(problem);
    ExpectAllowed(problem, assignment);
    const double best = BestOfAll(problem);
    EXPECT_LE(assignment.gain, best + 1e-9);
    EXPECT_GE(assignment.bound, best - 1e-9);
    reached += assignment.gain, possible += best;
  }
  EXPECT_GT(reached, 0.95 * possible);
}

TEST(Assignment, OfManyUsersIsWithinAHundredthOfTheBound) {
  RandomStream random(2);
  for (int i = 0; i < 5; ++i) {
    const AssignmentProblem problem = RandomProblem(1'500, 3, &random);
    const Assignment assignment = Assign(problem);
    ExpectAllowed(problem, assignment);
    EXPECT_GT(assignment.gain, 0.99 * assignment.bound);
  }
}

TEST(Assignment, WithoutLimitsEverybodyGetsTheBest) {
  AssignmentProblem problem;
  problem.users = 3, problem.actions = 2;
  problem.gains = {1, 2, -1, -2, 0.5, -kNoLimit};
  problem.costs = {1, 1}, problem.caps = {kNoLimit, kNoLimit};
  const Assignment assignment = Assign(problem);
  EXPECT_THAT(assignment.action, ::testing::ElementsAre(1, kNoAction, 0));
  EXPECT_DOUBLE_EQ(assignment.gain, 2.5);
  EXPECT_DOUBLE_EQ(assignment.bound, 2.5);
}

TEST(Assignment, IsFairInWholeNumbers) {
  RandomStream random(3);
  for (int i = 0; i < 10; ++i) {
    AssignmentProblem problem = RandomProblem(300, 2, &random);
    problem.group_count = 3, problem.least_ratio = i % 2 == 0 ? 0.8 : 1.0;
    for (std::size_t user = 0; user < problem.users; ++user) {
      problem.groups.push_back(static_cast<std::uint32_t>(random.Below(3)));
      // The first group gains least: without the constraint it gets least.
      if (problem.groups.back() == 0) {
        problem.gains[user * 2] -= 1, problem.gains[user * 2 + 1] -= 1;
      }
    }
    std::vector<std::uint64_t> sizes(3), counts(3);
    for (const std::uint32_t group : problem.groups) ++sizes[group];
    const Assignment assignment = Assign(problem);
    ExpectAllowed(problem, assignment);
    for (std::size_t user = 0; user < problem.users; ++user)
      counts[problem.groups[user]] += assignment.action[user] != kNoAction;
    EXPECT_EQ(counts, assignment.of_group);
    EXPECT_TRUE(IsFair(counts, sizes, problem.least_ratio));
    EXPECT_LE(assignment.gain, assignment.unfair_gain + 1e-9);
  }
  const std::vector<std::uint64_t> sizes = {10, 20};
  EXPECT_TRUE(IsFair(std::vector<std::uint64_t>{4, 10}, sizes, 0.8));
  EXPECT_FALSE(IsFair(std::vector<std::uint64_t>{4, 11}, sizes, 0.8));
}

}  // namespace
}  // namespace cohort::testing
