#include "lifecycle/simple_policies.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>

namespace cohort {
namespace {

double CostOf(int arm) { return 0.01 * static_cast<double>(ShopWorld::ArmCostCents(arm)); }

// Users who are treated alike: sums of their margins over no contact, by arm.
struct Group {
  std::array<double, kShopArms> increment{};
  double users = 0;
};

struct Spent {
  double value = 0, cost = 0;
};

// Each group gets the arm with the largest increment less `price` times its cost.
Spent AtPrice(std::span<const Group> groups, double price) {
  Spent spent;
  for (const Group& group : groups) {
    int best = 0;
    double most = 0;
    for (int arm = 1; arm < kShopArms; ++arm) {
      const double gain = group.increment[static_cast<std::size_t>(arm)] - price * CostOf(arm) * group.users;
      if (gain > most) most = gain, best = arm;
    }
    const double cost = CostOf(best) * group.users;
    spent.value += group.increment[static_cast<std::size_t>(best)] - cost;
    spent.cost += cost;
  }
  return spent;
}

Spent BestOf(std::span<const Group> groups, double budget) {
  Spent best = AtPrice(groups, 1);
  if (best.cost <= budget) return best;
  double too_cheap = 1, dear = 2;
  while (AtPrice(groups, dear).cost > budget) too_cheap = dear, dear *= 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (too_cheap + dear);
    (AtPrice(groups, middle).cost > budget ? too_cheap : dear) = middle;
  }
  return AtPrice(groups, dear);
}

// The fifth in which each number lies, 0 .. 4; equal numbers lie in the same one.
std::vector<int> Fifths(std::vector<float> numbers) {
  std::vector<float> sorted = numbers;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int> fifths;
  for (const float number : numbers) {
    const auto below = std::lower_bound(sorted.begin(), sorted.end(), number) - sorted.begin();
    fifths.push_back(static_cast<int>(5 * below / static_cast<std::ptrdiff_t>(sorted.size())));
  }
  return fifths;
}

std::vector<Group> RfmCells(const std::vector<PolicyUser>& users, const std::vector<Group>& alone) {
  std::vector<std::size_t> customers;
  std::vector<Group> cells(1 + 5 * 5 * 5);
  std::vector<float> recency, orders, revenue;
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (users[i].orders == 0) continue;
    customers.push_back(i);
    recency.push_back(users[i].recency_days);
    orders.push_back(static_cast<float>(users[i].orders));
    revenue.push_back(users[i].revenue);
  }
  const std::vector<int> r = Fifths(recency), f = Fifths(orders), m = Fifths(revenue);
  std::vector<std::size_t> cell(users.size(), 0);
  for (std::size_t k = 0; k < customers.size(); ++k)
    cell[customers[k]] = static_cast<std::size_t>(1 + (r[k] * 5 + f[k]) * 5 + m[k]);
  for (std::size_t i = 0; i < users.size(); ++i) {
    for (std::size_t arm = 0; arm < kShopArms; ++arm)
      cells[cell[i]].increment[arm] += alone[i].increment[arm];
    cells[cell[i]].users += 1;
  }
  return cells;
}

}  // namespace

PolicyValues ValuesOfPolicies(const std::vector<PolicyUser>& users, double budget) {
  std::vector<Group> alone;
  for (const PolicyUser& user : users) {
    alone.push_back({{}, 1});
    for (std::size_t arm = 1; arm < kShopArms; ++arm)
      alone.back().increment[arm] =
          static_cast<double>(user.margin[arm]) - static_cast<double>(user.margin[0]);
  }
  PolicyValues values;
  const Spent oracle = BestOf(alone, budget);
  values.oracle = oracle.value;
  values.oracle_cost = oracle.cost;
  values.rfm = BestOf(RfmCells(users, alone), budget).value;
  std::vector<std::size_t> order(users.size());
  for (int arm = 1; arm < kShopArms; ++arm) {
    const auto a = static_cast<std::size_t>(arm);
    double everyone = 0;
    for (const Group& user : alone) everyone += user.increment[a] - CostOf(arm);
    everyone *= std::min(1.0, budget / (CostOf(arm) * static_cast<double>(users.size())));
    if (everyone > values.single) values.single = everyone, values.single_arm = arm;
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t x, std::size_t y) { return users[x].margin[a] > users[y].margin[a]; });
    Spent spent;
    for (const std::size_t user : order) {
      if (spent.cost + CostOf(arm) > budget) break;
      spent.cost += CostOf(arm);
      spent.value += alone[user].increment[a] - CostOf(arm);
      values.response = std::max(values.response, spent.value);
    }
  }
  return values;
}

}  // namespace cohort
