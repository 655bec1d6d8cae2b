// Assignment: at most one action a user, of the largest summed gain that a budget, caps and fairness between groups allow: the
// multiple-choice knapsack with side constraints.
//
// Lagrangian relaxation (Fisher 1981; for the multiple-choice knapsack Sinha & Zoltners 1979): each limit has a price, and a user gets the
// action with the largest gain less the prices of what it uses, if that is above 0. For any prices >= 0
//   bound = sum over users of max(0, that) + sum over limits of price x limit
// is at least the optimum. Prices are lowered or raised one limit after the other (bisection: the lowest at which the limit holds) until
// the bound no longer falls. What they choose is then made to fit: the users who gain most at these prices first, each the best
// action that still fits, and what is left of the limits goes to what adds most per unit of cost. Deterministic; one thread; O(users x actions)
// an evaluation, some hundreds of them.
#ifndef COHORT_LIFECYCLE_ASSIGNMENT_H_
#define COHORT_LIFECYCLE_ASSIGNMENT_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace cohort {

inline constexpr double kNoLimit = std::numeric_limits<double>::infinity();

struct AssignmentProblem {
  std::size_t users = 0, actions = 0;
  std::vector<double>
      gains;  // (users, actions): expected, less the action's cost; -infinity where the user may not get it
  std::vector<double> costs;  // by action, >= 0
  std::vector<double> caps;   // by action: most users; kNoLimit
  double budget = kNoLimit;   // of the costs
  // Fairness: the share of a group's users who get an action is at least `least_ratio` times that of any other group. 0: no such constraint.
  std::vector<std::uint32_t> groups;  // by user: 0 .. group_count - 1; or empty
  std::uint32_t group_count = 0;
  double least_ratio = 0;
};

inline constexpr std::uint32_t kNoAction = ~std::uint32_t{0};

struct Assignment {
  std::vector<std::uint32_t> action;  // by user: kNoAction, or one with a gain above 0
  double gain = 0, cost = 0;          // summed
  double bound = 0;  // no assignment within budget and caps (and groups' caps, below) gains more
  std::vector<std::uint64_t> of_action;  // users
  std::vector<std::uint64_t> of_group;
  double unfair_gain = 0;  // without the fairness constraint; equal to gain where that costs nothing
};

// Fairness is met by capping the groups that get most: the assignment whose caps leave every group's share at least least_ratio times
// the largest, found by lowering the cap until it holds. It holds exactly: IsFair of the counts.
Assignment Assign(const AssignmentProblem& problem);

// For all pairs of groups a, b with users: of_group[a] / sizes[a] >= least_ratio * of_group[b] / sizes[b], in whole numbers but
// for the ratio.
bool IsFair(std::span<const std::uint64_t> of_group, std::span<const std::uint64_t> sizes,
            double least_ratio);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_ASSIGNMENT_H_
