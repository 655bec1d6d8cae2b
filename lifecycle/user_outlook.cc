#include "lifecycle/user_outlook.h"

#include <algorithm>
#include <cstddef>

#include "lifecycle/draws.h"

namespace cohort {
namespace {

constexpr int kHalfDays = 2 * ShopCalendar::kHorizonDays;

std::vector<double> ByHalfDays(const OrderOutlook& outlook) {
  std::vector<double> expected;
  for (int half = 0; half <= kHalfDays; ++half) expected.push_back(outlook.Expected(0.5 * half));
  return expected;
}

// Days of the customer's own time in `days` from a contact on.
double OwnTime(int days, double factor) {
  const int in_effect = std::min(days, ShopWorld::kEffectDays);
  return factor * in_effect + (days - in_effect);
}

// The mean of a Dirichlet distribution with these weights after these counts.
template <typename Shares>
Shares MeanAfter(Shares weights, const Shares& counts) {
  double total = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) total += weights[i] += counts[i];
  for (double& weight : weights) weight /= total;
  return weights;
}

}  // namespace

const std::array<const char*, kShopStages>& ShopStageNames() {
  static const std::array<const char*, kShopStages> names = {"new", "active", "loyal", "lost"};
  return names;
}
int ShopStage(bool alive, int orders) {
  if (!alive) return 3;
  return orders == 0 ? 0 : orders < kLoyalOrders ? 1 : 2;
}

UserOutlook::Laws::Laws(const ShopWorld& world) : world_(world) {
  for (int channel = 0; channel < static_cast<int>(ShopWorld::Channels().size()); ++channel)
    of_new_customers_.push_back(ByHalfDays(OrderOutlook::After(ShopWorld::Repeats(channel), 0, 0)));
}

UserOutlook::UserOutlook(const Laws& laws, const UserTraits& traits, const Observation& seen)
    : laws_(laws), traits_(traits), seen_(seen) {
  const BgNbd model = ShopWorld::Repeats(traits.channel);
  const double rate = ShopWorld::VisitRate(traits);
  if (seen.customer) {
    // Nobody leaves but right after an order, so a visit since then shows that the user has not.
    const int repeats = seen.orders - 1;
    alive_ = seen.visited_since_order ? 1
                                      : ProbabilityAlive(model, repeats, seen.age_at_last_order, seen.age,
                                                         PlainExp(-rate * (seen.now - seen.last_order)));
    orders_ = OrderOutlook::After(model, repeats, seen.age);
  } else {
    const double leave = ShopWorld::VisitOfProspect(traits).leave;
    const double stayed = (1 - leave) * PlainExp(-rate * (seen.now - seen.last_visit));
    alive_ = stayed / (stayed + leave);
    of_new_customer_ = laws.of_new_customers_[static_cast<std::size_t>(traits.channel)];
  }
  categories_ = MeanAfter(laws.world_.TastePrior(traits), seen.categories);
  tiers_ = MeanAfter(ShopWorld::TierPrior(traits), seen.tiers);
}

UserOutlook::UserOutlook(const Laws& laws, const UserTraits& traits, const Moment& moment,
                         const UserNature& nature)
    : laws_(laws),
      traits_(traits),
      seen_(moment.seen),
      alive_(moment.alive ? 1 : 0),
      orders_(OrderOutlook::Known(nature.rate, nature.dropout)),
      categories_(nature.categories),
      tiers_(nature.tiers) {
  if (!seen_.customer) of_new_customer_ = ByHalfDays(orders_);
}

// Of a prospect who has not left: the first order comes at rate v c exp(-k u), with v the rate of visits, c the probability that
// one brings it and k = v (c + (1 - c) leave); then a new customer orders. Simpson's rule on half days.
double UserOutlook::ProspectOrders(int days) const {
  const ProspectVisit visit = ShopWorld::VisitOfProspect(traits_);
  const double rate = ShopWorld::VisitRate(traits_);
  const double ends = rate * (visit.order + (1 - visit.order) * visit.leave);
  const double step = PlainExp(-ends * 0.5);
  double sum = 0, still = 1;
  for (int half = 0; half <= 2 * days; ++half) {
    const double weight = half == 0 || half == 2 * days ? 1 : half % 2 == 1 ? 4 : 2;
    sum += weight * still * (1 + of_new_customer_[static_cast<std::size_t>(2 * days - half)]);
    still *= step;
  }
  return rate * visit.order * sum * 0.5 / 3;
}

double UserOutlook::Orders(int days, double factor) const {
  return alive_ * (seen_.customer ? orders_.Expected(OwnTime(days, factor)) : ProspectOrders(days));
}

double UserOutlook::NetOrders(int days, double factor) const {
  double net = Orders(days, factor);
  for (const int lag : ShopWorld::kReturnDays) {
    net -= ShopWorld::kReturnShare / ShopWorld::kReturnDays.size() * Orders(days - lag, factor);
  }
  return net;
}

Expectations UserOutlook::Expect(bool contacted) const {
  constexpr int kDays = ShopCalendar::kHorizonDays;
  const double rate = ShopWorld::VisitRate(traits_), unvisited = PlainExp(-rate * kDays);
  const ProspectVisit visit = ShopWorld::VisitOfProspect(traits_);
  Expectations expected;
  expected.alive = alive_;
  double orders = 0;
  if (seen_.customer) {
    const int arms = contacted ? kShopArms : 1;
    double none = 0;
    for (int arm = 0; arm < arms; ++arm) {
      const double factor = laws_.world_.Factor(arm, traits_, seen_.orders);
      none += orders_.None(OwnTime(kDays, factor)) / arms;
      orders += NetOrders(kDays, factor) / arms;
    }
    expected.purchase = alive_ * (1 - none);
    expected.churn = 1 - alive_ + alive_ * none * unvisited;
  } else {
    const double ends = visit.order + (1 - visit.order) * visit.leave;
    expected.purchase = alive_ * visit.order / ends * (1 - PlainExp(-rate * ends * kDays));
    expected.churn = 1 - alive_ + alive_ * unvisited;
    orders = NetOrders(kDays, 1);
  }
  expected.value = orders * laws_.world_.OrderMargin(categories_, tiers_);
  const double left = seen_.sign_up + kActivationDays - seen_.now;
  if (left > 0 && !seen_.active) {
    const double through_cart = ShopWorld::kCartBeforeOrder * visit.order;
    const std::array<double, kShopActivities - 1> brings = {visit.favourite, visit.cart + through_cart,
                                                            visit.order - through_cart};
    const double any = visit.favourite + visit.cart + visit.order, ends = any + (1 - any) * visit.leave;
    const double happens = alive_ / ends * (1 - PlainExp(-rate * ends * left));
    expected.activation.emplace();
    expected.activation->back() = 1 - any * happens;
    for (std::size_t i = 0; i < brings.size(); ++i) (*expected.activation)[i] = brings[i] * happens;
  }
  return expected;
}

ContactEffects UserOutlook::Effects() const {
  const double margin = (1 - ShopWorld::kReturnShare) * laws_.world_.OrderMargin(categories_, tiers_);
  ContactEffects effects;
  effects.baseline = margin * Orders(ShopWorld::kEffectDays, 1);
  if (!seen_.customer) return effects;
  for (int arm = 1; arm < kShopArms; ++arm) {
    const double factor = laws_.world_.Factor(arm, traits_, seen_.orders);
    if (factor != 1)
      effects.increment[static_cast<std::size_t>(arm)] =
          margin * Orders(ShopWorld::kEffectDays, factor) - effects.baseline;
  }
  return effects;
}

}  // namespace cohort
