// The customers of the synthetic shop: what is observed of each. Hidden traits (affluence, engagement, price
// sensitivity) tie the observed features to one another; they are drawn, used and forgotten.
//
// A customer is a pure function of (seed, user): any range of users can be drawn in any order.
#ifndef COHORT_PREPARE_SHOP_CUSTOMERS_H_
#define COHORT_PREPARE_SHOP_CUSTOMERS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/random.h"

namespace cohort {

// A draw from N(0, 1) (Box and Muller 1958; one of the pair).
double StandardNormal(RandomStream* random);

inline constexpr int kMaxCategoriesSeen = 6;
inline constexpr int kUnknown = -1;

// What is observed of a customer, in the units of the file. Whole steps (tenths, cents) so that the written
// text and the value from which the labels are drawn are the same number.
struct Customer {
  std::uint64_t user = 0;
  int month = 0;  // of the sign-up, from 0
  int channel = 0, device = 0;
  int region = kUnknown, referrer = kUnknown;  // may be missing
  int category_count = 0;
  std::array<std::uint8_t, kMaxCategoriesSeen> categories{};  // first seen, in order, distinct
  int age = kUnknown;                                         // years; may be missing
  int sessions = 0, searches = 0, cart_adds = 0;              // of the first week
  int pages_tenths = 0, minutes_tenths = 0;                   // per session; in all
  int price_mean_cents = kUnknown, price_max_cents = 0;       // of the items seen; the mean may be missing
  int discount_percent = 0;                                   // of the items seen, how many were on sale
};

// The shop: items with categories and prices, and who tends to come from where.
class ShopCustomers {
 public:
  // REQUIRES: items >= 1, days >= 1.
  ShopCustomers(std::uint64_t seed, std::uint64_t items, std::uint64_t days);

  Customer Draw(std::uint64_t user) const;

  static const std::vector<std::string>& Channels();
  static const std::vector<std::string>& Devices();
  static const std::vector<std::string>& Regions();
  const std::vector<std::string>& categories() const { return categories_; }
  int referrer_count() const { return kReferrers; }
  int month_count() const { return months_; }

 private:
  static constexpr int kTraits = 3;
  static constexpr int kReferrers = 40;
  using Traits = std::array<double, kTraits>;

  // A choice among values: how common each is, and how the traits pull towards it.
  struct Choice {
    std::vector<double> cumulative;
    std::vector<Traits> pull;
  };
  struct Item {
    std::uint8_t category = 0;
    std::int32_t price_cents = 0;
  };

  static Choice MakeChoice(RandomStream* random, std::size_t values, double zipf, double pull);
  static int Pick(const Choice& choice, const Traits& traits, RandomStream* random);
  void ViewItems(const Traits& traits, RandomStream* random, Customer* customer) const;

  std::uint64_t seed_;
  std::uint64_t days_;
  int months_;
  Choice channel_, device_, region_, referrer_, category_;
  std::vector<std::string> categories_;
  std::vector<Item> items_;                // grouped by category
  std::vector<std::uint32_t> first_item_;  // by category, and one past the last
};

}  // namespace cohort

#endif  // COHORT_PREPARE_SHOP_CUSTOMERS_H_
