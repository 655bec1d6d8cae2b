// SimplePolicies: what policies that need no uplift model would earn in a shop whose true effects are known, beside the best one:
// whether the shop is worth learning.
#ifndef COHORT_LIFECYCLE_SIMPLE_POLICIES_H_
#define COHORT_LIFECYCLE_SIMPLE_POLICIES_H_

#include <array>
#include <limits>
#include <vector>

#include "lifecycle/shop_world.h"

namespace cohort {

// A user at the time of a decision: expectations given what is observable, and what RFM rules look at.
struct PolicyUser {
  std::array<float, kShopArms>
      margin{};                         // by arm, expected, before its cost; the first is that of no contact
  float recency_days = 0, revenue = 0;  // since the last order; of all orders
  int orders = 0;
};

// Margin over that of no contact, less the cost of contacts, summed over the users. Each simple policy is given its best form,
// chosen with the true effects, so no rule of its kind does better.
struct PolicyValues {
  double oracle = 0;       // the best action of each user
  double oracle_cost = 0;  // of its contacts
  double single = 0;       // the best arm to everyone (with a budget: to a random part); at least 0
  int single_arm = 0;
  double response =
      0;  // users ranked by the expected margin with an arm; the best arm, and the best number of them
  double rfm =
      0;  // the best action of each cell: fifths of recency x fifths of orders x fifths of revenue, and no order
};

// `budget`: the most that contacts may cost in all. The oracle and the cells keep to it by the Lagrangian of the relaxed problem,
// which loses at most one user, or cell, of the optimum.
PolicyValues ValuesOfPolicies(const std::vector<PolicyUser>& users,
                              double budget = std::numeric_limits<double>::infinity());

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SIMPLE_POLICIES_H_
