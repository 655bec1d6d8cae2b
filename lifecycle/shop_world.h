// ShopWorld: the laws of the synthetic shop of `cohort generate --shop`: what its items are, who its users are, how often they
// come, and what a campaign does to them. UserLife lives them, user_outlook.h says what can be expected.
//
//   traits    drawn per user, seen in users.csv: channel, region, device, age, gender, income, cost of acquisition
//   nature    drawn per user, hidden: rate of orders ~ Gamma(r, alpha of the channel), dropout ~ Beta(a, b) (bg_nbd.h);
//             taste in categories ~ Dirichlet(4 x the base of gender and age band), in tiers of price ~ Dirichlet(6 x that of the
//             income)
//   prospect  a user who has not ordered. Visits are a Poisson process at the device's rate, the first at sign-up. A visit brings at
//             most one of: a favourite, a cart, the first order; if it brings no order, the user leaves for good with some
//             probability
//   customer  visits at the same rate, orders as in BG/NBD, until dropping out; then neither
//   lines     an order has 1 + Poisson(0.5) lines. A line, and a view of a visit, is an item: category and tier from the user's
//             tastes, then an item of that cell with its weight
//   effects   for 28 days after a contact, an arm multiplies a customer's rate of orders by a factor that follows from what is
//             seen of them: traits and the number of orders so far. Prospects do not react
//
// So all that can be known is known in closed form: each hidden quantity has a conjugate distribution. A pure function of the
// seed; every user, item and draw can be had by itself, in any order.
#ifndef COHORT_LIFECYCLE_SHOP_WORLD_H_
#define COHORT_LIFECYCLE_SHOP_WORLD_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/random.h"
#include "lifecycle/bg_nbd.h"

namespace cohort {

inline constexpr int kShopCategories = 16, kShopTiers = 3, kShopBrandsOfTier = 8, kShopArms = 4;
inline constexpr int kShopCells = kShopCategories * kShopTiers;
using CategoryShares = std::array<double, kShopCategories>;
using TierShares = std::array<double, kShopTiers>;

struct UserTraits {
  double sign_up = 0;  // days since the shop opened
  int channel = 0, region = 0, device = 0, age = 0, gender = 0, income = 0;
  std::int64_t cost_cents = 0;  // of acquisition
};

struct UserNature {
  double rate = 0, dropout = 0;  // orders per day; probability after each repeat order
  CategoryShares categories{};
  TierShares tiers{};
};

// What a visit of a prospect brings.
struct ProspectVisit {
  double favourite, cart, order;  // probabilities; at most one of them
  double leave;                   // probability, given no order
};

struct ShopItem {
  int category = 0, tier = 0, brand = 0;  // brand: of all tiers'
  std::int64_t price_cents = 0, sale_cents = 0, cost_cents = 0;
  double weight = 0;  // share of its cell (category, tier); the weights of a cell sum to 1
  std::string title;
};

class ShopWorld {
 public:
  // REQUIRES: items >= kShopCells. `days`: 0 .. days, users sign up in the first nine tenths. Memory: about 150 bytes an item.
  ShopWorld(std::uint64_t seed, std::uint32_t items, int days, bool null_effects);

  // ---- laws that do not depend on the seed ----
  static constexpr double kRepeatR = 1.5, kDropoutA = 1.2, kDropoutB = 8;
  static constexpr double kMoreLines = 0.5, kMoreViews = 0.5;   // means of Poisson
  static constexpr double kSaleShare = 0.15;                    // of the lines go at the sale price
  static constexpr double kReturnShare = 0.06;                  // of the lines come back
  static constexpr std::array<int, 3> kReturnDays = {2, 4, 6};  // after so many days, each as often
  static constexpr double kCustomerFavourite = 0.06, kCustomerCart = 0.1;  // per visit of a customer
  static constexpr double kCartBeforeOrder = 0.5;  // an order goes through the cart with this probability
  static constexpr int kEffectDays = 28;
  static const std::array<const char*, kShopArms>& Arms();  // the first is no contact
  static std::int64_t ArmCostCents(int arm);
  static const std::vector<const char*>& Channels();
  static const std::vector<const char*>& Regions();
  static const std::vector<const char*>& Devices();
  static const std::vector<const char*>& Genders();
  static const std::vector<const char*>& Incomes();
  static const std::array<const char*, kShopCategories>& CategoryNames();
  static const std::array<const char*, kShopTiers>& TierNames();
  static std::string BrandName(int brand);
  static double VisitRate(const UserTraits& traits);  // per day
  static ProspectVisit VisitOfProspect(const UserTraits& traits);
  static BgNbd Repeats(int channel);
  static double AcquisitionCost(const UserTraits& traits);  // expected, given channel and region

  // ---- what the seed draws ----
  std::uint64_t seed() const { return seed_; }
  int days() const { return days_; }
  UserTraits Traits(std::uint64_t user) const;
  UserNature Nature(std::uint64_t user, const UserTraits& traits) const;
  const std::vector<ShopItem>& items() const { return items_; }
  // The weights of the Dirichlet distributions of a user's tastes before anything was seen of them.
  CategoryShares TastePrior(const UserTraits& traits) const;
  static TierShares TierPrior(const UserTraits& traits);
  // An item of a user with such tastes.
  std::uint32_t DrawItem(const UserNature& nature, RandomStream* random) const;
  // Margin (price paid less cost) of a line before returns, in currency: expected over the items of a cell.
  double CellMargin(int category, int tier) const {
    return margins_[static_cast<std::size_t>(category * kShopTiers + tier)];
  }
  // ... of an order, given (expected) tastes; those in categories and in tiers are independent.
  double OrderMargin(const CategoryShares& categories, const TierShares& tiers) const;
  // What an arm multiplies the rate of a customer's orders by; `orders`: so far, at least 1. 1 for arm 0 and in the null world.
  double Factor(int arm, const UserTraits& traits, int orders) const;

 private:
  std::uint64_t seed_;
  int days_;
  bool null_effects_;
  std::vector<CategoryShares> taste_bases_;  // by gender and age band
  std::vector<ShopItem> items_;              // item i is of cell i % kShopCells
  std::vector<double> cumulated_;            // weights within the cell, by cell and place
  std::array<double, kShopCells> margins_{};
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SHOP_WORLD_H_
