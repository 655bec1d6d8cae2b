#include "lifecycle/assignment.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace cohort {
namespace {

constexpr int kSweeps = 20, kBisections = 40;
constexpr double kEnough = 1e-7;  // of the bound

// One problem with caps on groups, solved by prices.
class PricedProblem {
 public:
  PricedProblem(const AssignmentProblem& problem, std::span<const double> group_caps)
      : problem_(problem), group_caps_(group_caps.begin(), group_caps.end()) {
    limits_.push_back(problem.budget);
    limits_.insert(limits_.end(), problem.caps.begin(), problem.caps.end());
    limits_.insert(limits_.end(), group_caps_.begin(), group_caps_.end());
    prices_.assign(limits_.size(), 0);
  }

  Assignment Solve() {
    Usage usage = Use();
    double bound = usage.bound;
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      for (std::size_t limit = 0; limit < limits_.size(); ++limit) {
        if (limits_[limit] != kNoLimit) Reprice(limit);
      }
      const double now = Use().bound;
      // Any prices give a bound; the least is kept, and its prices.
      if (now < bound) best_ = prices_;
      if (!(now < bound * (1 - kEnough) - 1e-12)) {
        bound = std::min(bound, now);
        break;
      }
      bound = now;
    }
    Assignment assignment = Fit();
    assignment.bound = bound;
    return assignment;
  }

 private:
  struct Usage {
    double bound = 0;
    std::vector<double> of_limit;
  };

  double PriceOf(std::size_t user, std::size_t action) const {
    double price = prices_[0] * problem_.costs[action] + prices_[1 + action];
    if (!group_caps_.empty()) price += prices_[1 + problem_.actions + problem_.groups[user]];
    return price;
  }
  double GainOf(std::size_t user, std::size_t action) const {
    return problem_.gains[user * problem_.actions + action];
  }

  // The best action at the prices, and what it is worth there.
  std::pair<std::uint32_t, double> Choice(std::size_t user) const {
    std::uint32_t best = kNoAction;
    double most = 0;
    for (std::size_t action = 0; action < problem_.actions; ++action) {
      const double gain = GainOf(user, action);
      if (!(gain > 0)) continue;
      const double worth = gain - PriceOf(user, action);
      if (worth > most) most = worth, best = static_cast<std::uint32_t>(action);
    }
    return {best, most};
  }

  Usage Use() const {
    Usage usage;
    usage.of_limit.assign(limits_.size(), 0);
    for (std::size_t user = 0; user < problem_.users; ++user) {
      const auto [action, worth] = Choice(user);
      usage.bound += worth;
      if (action == kNoAction) continue;
      usage.of_limit[0] += problem_.costs[action];
      usage.of_limit[1 + action] += 1;
      if (!group_caps_.empty()) usage.of_limit[1 + problem_.actions + problem_.groups[user]] += 1;
    }
    for (std::size_t i = 0; i < limits_.size(); ++i) {
      if (limits_[i] != kNoLimit) usage.bound += prices_[i] * limits_[i];
    }
    return usage;
  }

  // The lowest price at which the limit holds, the other prices as they are: there the bound is least.
  void Reprice(std::size_t limit) {
    const auto holds = [&](double price) {
      prices_[limit] = price;
      return Use().of_limit[limit] <= limits_[limit];
    };
    if (holds(0)) return;
    double low = 0, high = 1;
    while (!holds(high) && high < 1e15) low = high, high *= 2;
    for (int i = 0; i < kBisections; ++i) {
      const double middle = 0.5 * (low + high);
      (holds(middle) ? high : low) = middle;
    }
    prices_[limit] = high;
  }

  Assignment Fit() {
    if (!best_.empty()) prices_ = best_;
    Assignment assignment;
    assignment.action.assign(problem_.users, kNoAction);
    assignment.of_action.assign(problem_.actions, 0);
    assignment.of_group.assign(problem_.group_count, 0);
    std::vector<std::pair<double, std::uint32_t>> wanting;
    for (std::size_t user = 0; user < problem_.users; ++user) {
      if (const auto [action, worth] = Choice(user); action != kNoAction)
        wanting.emplace_back(worth, static_cast<std::uint32_t>(user));
    }
    const auto first = [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    };
    std::sort(wanting.begin(), wanting.end(), first);
    const auto fits = [&](std::uint32_t user, std::size_t action) {
      const std::uint32_t had = assignment.action[user];
      const double cost = problem_.costs[action] - (had == kNoAction ? 0 : problem_.costs[had]);
      if (assignment.cost + cost > problem_.budget * (1 + 1e-12)) return false;
      if (static_cast<double>(assignment.of_action[action] + 1) > problem_.caps[action]) return false;
      return group_caps_.empty() || had != kNoAction ||
             static_cast<double>(assignment.of_group[problem_.groups[user]] + 1) <=
                 group_caps_[problem_.groups[user]];
    };
    const auto give = [&](std::uint32_t user, std::size_t action) {
      const std::uint32_t had = assignment.action[user];
      if (had != kNoAction) {
        --assignment.of_action[had];
        assignment.cost -= problem_.costs[had];
        assignment.gain -= GainOf(user, had);
      } else if (problem_.group_count > 0) {
        ++assignment.of_group[problem_.groups[user]];
      }
      ++assignment.of_action[action];
      assignment.cost += problem_.costs[action];
      assignment.gain += GainOf(user, action);
      assignment.action[user] = static_cast<std::uint32_t>(action);
    };
    for (const auto& [worth, user] : wanting) {
      std::size_t best = problem_.actions;
      double most = 0;
      for (std::size_t action = 0; action < problem_.actions; ++action) {
        const double gain = GainOf(user, action);
        if (!(gain > 0) || !fits(user, action)) continue;
        if (gain - PriceOf(user, action) > most) most = gain - PriceOf(user, action), best = action;
      }
      if (best < problem_.actions) give(user, best);
    }
    // What is left: more gain for each unit of cost first.
    struct Step {
      double rate;
      std::uint32_t user, action;
    };
    std::vector<Step> steps;
    for (std::uint32_t user = 0; user < problem_.users; ++user) {
      const std::uint32_t had = assignment.action[user];
      for (std::uint32_t action = 0; action < problem_.actions; ++action) {
        const double more = GainOf(user, action) - (had == kNoAction ? 0 : GainOf(user, had));
        const double cost = problem_.costs[action] - (had == kNoAction ? 0 : problem_.costs[had]);
        if (more > 0) steps.push_back({cost > 0 ? more / cost : kNoLimit, user, action});
      }
    }
    std::sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) {
      if (a.rate != b.rate) return a.rate > b.rate;
      return a.user != b.user ? a.user < b.user : a.action < b.action;
    });
    for (const Step& step : steps) {
      const std::uint32_t had = assignment.action[step.user];
      if (had != kNoAction && GainOf(step.user, step.action) <= GainOf(step.user, had)) continue;
      if (fits(step.user, step.action)) give(step.user, step.action);
    }
    return assignment;
  }

  const AssignmentProblem& problem_;
  std::vector<double> group_caps_;              // by group, or empty
  std::vector<double> limits_, prices_, best_;  // budget, by action, by group
};

}  // namespace

bool IsFair(std::span<const std::uint64_t> of_group, std::span<const std::uint64_t> sizes,
            double least_ratio) {
  for (std::size_t a = 0; a < sizes.size(); ++a) {
    for (std::size_t b = 0; b < sizes.size(); ++b) {
      if (sizes[a] == 0 || sizes[b] == 0) continue;
      if (static_cast<double>(of_group[a] * sizes[b]) <
          least_ratio * static_cast<double>(of_group[b] * sizes[a]))
        return false;
    }
  }
  return true;
}

Assignment Assign(const AssignmentProblem& problem) {
  Assignment assignment = PricedProblem(problem, {}).Solve();
  const double unfair = assignment.gain;
  assignment.unfair_gain = unfair;
  if (problem.group_count == 0 || !(problem.least_ratio > 0)) return assignment;
  std::vector<std::uint64_t> sizes(problem.group_count);
  for (const std::uint32_t group : problem.groups) ++sizes[group];
  std::vector<double> caps(problem.group_count, kNoLimit);
  while (!IsFair(assignment.of_group, sizes, problem.least_ratio)) {
    // No group may have a larger share than the smallest one's over the ratio. The smallest share may change as others are cut, so it is
    // looked at anew. Caps only fall, and an unfair assignment is above one of them: it ends, with nobody at the latest.
    std::uint32_t least = problem.group_count;
    const auto at_most = [&](std::uint32_t a, std::uint32_t b) {  // by the share
      return assignment.of_group[a] * sizes[b] <= assignment.of_group[b] * sizes[a];
    };
    for (std::uint32_t group = 0; group < problem.group_count; ++group) {
      if (sizes[group] > 0 && (least == problem.group_count || !at_most(least, group))) least = group;
    }
    bool lowered = false;
    for (std::uint32_t group = 0; group < problem.group_count; ++group) {
      const std::uint64_t had = assignment.of_group[least], of = sizes[least];
      std::uint64_t cap = std::min(sizes[group], assignment.of_group[group]);
      // The very comparison of IsFair.
      while (cap > 0 &&
             static_cast<double>(had * sizes[group]) < problem.least_ratio * static_cast<double>(cap * of))
        --cap;
      if (cap == assignment.of_group[group]) continue;
      caps[group] = std::min(caps[group], static_cast<double>(cap));
      lowered = true;
    }
    // Who is unfair to any group is so to the least, but for a rounding of the ratio: then nobody gets anything.
    if (!lowered) std::fill(caps.begin(), caps.end(), 0.0);
    assignment = PricedProblem(problem, caps).Solve();
    assignment.unfair_gain = unfair;
  }
  return assignment;
}

}  // namespace cohort
