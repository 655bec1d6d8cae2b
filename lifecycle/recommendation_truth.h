// RecommendationTruth: what the items of a list are truly bought with, in a shop of `cohort generate --shop`.
//
// An item's share of a user's lines is pi = share of its category x share of its tier x its weight. The oracle knows the laws and has read the logs before
// the test snapshot: it ranks by the expected shares (truth/tastes.csv). Lists, its own too, are judged by the hidden ones (truth/users.csv):
//
//   taste      sum of pi over a list
//   purchase   sum over a list of the probability that the item is bought within H = 30 days: q / (q + (1 - q) d) (1 - exp(-rate H (q + (1 - q) d))), with d
//              the dropout and q = 1 - (1 - pi) exp(-pi / 2); of customers who have ordered and not left, others are not counted
#ifndef COHORT_LIFECYCLE_RECOMMENDATION_TRUTH_H_
#define COHORT_LIFECYCLE_RECOMMENDATION_TRUTH_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "lifecycle/shop_history.h"
#include "lifecycle/shop_world.h"

namespace cohort {

class RecommendationTruth {
 public:
  struct Value {
    double taste = 0, purchase = 0;
  };
  // `directory`: truth/ of a generated shop. `test`: its test snapshot. kInvalidInput: files are missing, or not of this shop.
  static Result<RecommendationTruth> Read(const std::string& directory, const ShopHistory& history,
                                          Time test);

  // Whether there is anything to judge a user's list by: the user was there before the test snapshot.
  bool Knows(std::uint32_t user) const { return known_[user]; }
  Value Of(std::uint32_t user, std::span<const std::uint32_t> list) const;
  // The oracle's list.
  std::vector<std::uint32_t> Best(std::uint32_t user, std::size_t n) const;

 private:
  struct Tastes {
    CategoryShares categories{};
    TierShares tiers{};
  };
  std::vector<std::uint32_t> cell_;                               // by item: category x kShopTiers + tier
  std::vector<double> weight_;                                    // by item
  std::array<std::vector<std::uint32_t>, kShopCells> by_weight_;  // items of a cell, heaviest first
  std::vector<bool> known_, customer_;  // by user; customer: has ordered and not left at the test snapshot
  std::vector<Tastes> expected_, hidden_;
  std::vector<double> rate_, dropout_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_RECOMMENDATION_TRUTH_H_
