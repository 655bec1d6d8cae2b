// UserOutlook: what can be expected of a user of the synthetic shop: by somebody who knows its laws (shop_world.h) and has read the
// logs so far, which is the best that any model can say, or by somebody who knows the user's hidden nature as well.
#ifndef COHORT_LIFECYCLE_USER_OUTLOOK_H_
#define COHORT_LIFECYCLE_USER_OUTLOOK_H_

#include <array>
#include <optional>
#include <vector>

#include "lifecycle/bg_nbd.h"
#include "lifecycle/shop_world.h"
#include "lifecycle/user_life.h"

namespace cohort {

inline constexpr int kShopActivities = 4;  // the first of favourite, cart, purchase; or none
inline constexpr int kActivationDays = 14;
inline constexpr int kShopStages =
    4;  // new: has not ordered; active; loyal: kLoyalOrders orders or more; lost: has left
inline constexpr int kLoyalOrders = 5;
const std::array<const char*, kShopStages>& ShopStageNames();
int ShopStage(bool alive, int orders);

struct Expectations {
  double alive = 0;                // probability that the user has not left
  double purchase = 0, churn = 0;  // probabilities, within ShopCalendar::kHorizonDays
  double value = 0;                // margin in that time, less what came back in it
  std::optional<std::array<double, kShopActivities>> activation;  // where that label is known
};

// Expected margin of the orders of the kEffectDays after a contact, less what comes back of them.
struct ContactEffects {
  double baseline = 0;                        // without contact
  std::array<double, kShopArms> increment{};  // by arm, before its cost; 0 for the first
};

class UserOutlook {
 public:
  // What all users share; keep one per world.
  class Laws {
   public:
    explicit Laws(const ShopWorld& world);

   private:
    friend class UserOutlook;
    const ShopWorld& world_;
    // Orders after the first that a new customer is expected to make within so many half days, by channel.
    std::vector<std::vector<double>> of_new_customers_;
  };

  // From the logs alone.
  UserOutlook(const Laws& laws, const UserTraits& traits, const Observation& seen);
  // Knowing the user.
  UserOutlook(const Laws& laws, const UserTraits& traits, const Moment& moment, const UserNature& nature);

  // `contacted`: each arm with equal chances at this moment; else none.
  Expectations Expect(bool contacted) const;
  ContactEffects Effects() const;
  const CategoryShares& categories() const { return categories_; }  // expected shares of the next item
  const TierShares& tiers() const { return tiers_; }

 private:
  double ProspectOrders(int days) const;
  // Orders within `days`, when the rate is multiplied for the first kEffectDays.
  double Orders(int days, double factor) const;
  double NetOrders(int days, double factor) const;  // less the pieces that come back within the same days

  const Laws& laws_;
  const UserTraits& traits_;
  const Observation& seen_;
  double alive_ = 0;
  OrderOutlook orders_;                  // of a customer who is alive
  std::vector<double> of_new_customer_;  // of the Laws, or the user's own
  CategoryShares categories_{};
  TierShares tiers_{};
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_USER_OUTLOOK_H_
