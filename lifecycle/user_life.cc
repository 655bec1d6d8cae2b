#include "lifecycle/user_life.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "lifecycle/draws.h"

namespace cohort {
namespace {

constexpr std::uint64_t kLifeStream = 0x6c69'6665ULL, kArmStream = 0x6172'6d73ULL;
constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr Time kBetweenViews = 20;

class Life {
 public:
  Life(const ShopWorld& world, std::uint64_t user)
      : world_(world),
        calendar_(world.days()),
        random_(RandomBits(world.seed(), kLifeStream), user),
        arm_(static_cast<int>(RandomStream(RandomBits(world.seed(), kArmStream), user).Below(kShopArms))) {
    life_.traits = world.Traits(user);
    life_.nature = world.Nature(user, life_.traits);
    visit_rate_ = ShopWorld::VisitRate(life_.traits);
    now_ = next_visit_ = seen_.sign_up = life_.traits.sign_up;
  }

  UserLife Live() {
    const std::array<int, 5> marks = {calendar_.mailing, calendar_.campaign, calendar_.valid, calendar_.test,
                                      calendar_.end};
    for (const int mark : marks) {
      if (mark <= now_) continue;
      LiveUntil(mark);
      At(mark);
    }
    return std::move(life_);
  }

 private:
  void LiveUntil(double mark) {
    while (now_ < mark) {
      const double boundary = std::min(mark, effect_ends_);
      const double order = alive_ && seen_.customer ? now_ + until_order_ / factor_ : kNever;
      const double visit = alive_ ? next_visit_ : kNever;
      const double next = std::min(order, visit);
      Pass(std::min(next, boundary));
      if (next < boundary) {
        visit <= order ? Visit() : Order(0);
      } else if (boundary == effect_ends_) {
        factor_ = 1;
        effect_ends_ = kNever;
      }
    }
  }

  void Pass(double until) {
    if (seen_.customer) {
      const double passed = (until - now_) * factor_;
      seen_.age += passed;
      until_order_ -= passed;
    }
    now_ = until;
  }

  void At(int mark) {
    seen_.now = mark;
    const Moment moment = {seen_, alive_};
    if (mark == calendar_.mailing && seen_.customer && mark - seen_.last_order <= ShopCalendar::kMailedDays)
      Contact(mark, 1, false);
    if (mark == calendar_.campaign) {
      life_.campaign = moment;
      Contact(mark, arm_, true);
    }
    if (mark == calendar_.valid) life_.valid = moment;
    if (mark == calendar_.test) life_.test = moment;
  }

  void Contact(int day, int arm, bool randomised) {
    life_.contacts.push_back({day, arm, randomised, 0});
    factor_ = seen_.customer ? world_.Factor(arm, life_.traits, seen_.orders) : 1;
    effect_ends_ = day + ShopWorld::kEffectDays;
  }

  Time Second() const { return static_cast<Time>(std::floor(now_ * static_cast<double>(kDay))); }

  void Log(EventKind kind, Time time, std::uint32_t item = kNoItem, std::int32_t cents = -1,
           int quantity = 1) {
    if (time >= calendar_.end * kDay) return;
    life_.events.push_back({time, item, cents, kind, static_cast<std::uint8_t>(quantity)});
  }

  std::uint32_t SomeItem() {
    const std::uint32_t number = world_.DrawItem(life_.nature, &random_);
    const ShopItem& item = world_.items()[number];
    ++seen_.categories[static_cast<std::size_t>(item.category)];
    ++seen_.tiers[static_cast<std::size_t>(item.tier)];
    return number;
  }

  void Visit() {
    Log(EventKind::kVisit, Second());
    seen_.last_visit = now_;
    seen_.visited_since_order = true;
    next_visit_ = now_ + DrawExponential(&random_) / visit_rate_;
    const ProspectVisit prospect = ShopWorld::VisitOfProspect(life_.traits);
    double favourite = ShopWorld::kCustomerFavourite, cart = ShopWorld::kCustomerCart, order = 0;
    if (!seen_.customer) favourite = prospect.favourite, cart = prospect.cart, order = prospect.order;
    const double what = random_.Uniform();
    if (what < order) return Order(1);
    const bool favours = what < order + favourite, puts = !favours && what < order + favourite + cart;
    const int views = 1 + DrawPoisson(ShopWorld::kMoreViews, &random_);
    const Time midnight = (Second() / kDay + 1) * kDay;  // nothing of a visit is told on another day
    for (int view = 0; view < views; ++view) {
      const std::uint32_t item = SomeItem();
      const Time time = std::min(Second() + view * kBetweenViews, midnight - 1);
      Log(EventKind::kView, time, item);
      if (view > 0) continue;
      if (favours) Log(EventKind::kFavourite, time, item);
      if (puts) Log(EventKind::kCart, time, item);
    }
    seen_.active |= favours || puts;
    if (!seen_.customer && random_.Uniform() < prospect.leave) Leave();
  }

  void Leave() {
    alive_ = false;
    life_.left = now_;
  }

  // `visiting`: 1 when it is what a visit brings (the first order).
  void Order(int visiting) {
    struct Line {
      std::uint32_t item;
      std::int64_t cents;
      int quantity;
    };
    std::vector<Line> lines;
    const int pieces = 1 + DrawPoisson(ShopWorld::kMoreLines, &random_);
    const bool through_cart = random_.Uniform() < ShopWorld::kCartBeforeOrder;
    for (int piece = 0; piece < pieces; ++piece) {
      const std::uint32_t number = SomeItem();
      const ShopItem& item = world_.items()[number];
      const std::int64_t cents =
          random_.Uniform() < ShopWorld::kSaleShare ? item.sale_cents : item.price_cents;
      const auto same = std::find_if(lines.begin(), lines.end(), [&](const Line& line) {
        return line.item == number && line.cents == cents;
      });
      same == lines.end() ? lines.push_back({number, cents, 1}) : static_cast<void>(++same->quantity);
    }
    for (const Line& line : lines) {
      // An item at two prices is seen once.
      const bool first = std::none_of(std::as_const(lines).data(), &line,
                                      [&](const Line& l) { return l.item == line.item; });
      if (first) Log(EventKind::kView, Second(), line.item);
      if (first && through_cart) Log(EventKind::kCart, Second(), line.item);
      Log(EventKind::kPurchase, Second(), line.item, static_cast<std::int32_t>(line.cents), line.quantity);
      std::array<int, ShopWorld::kReturnDays.size()> back{};
      int kept = line.quantity;
      for (int piece = 0; piece < line.quantity; ++piece) {
        if (random_.Uniform() >= ShopWorld::kReturnShare) continue;
        ++back[random_.Below(back.size())];
        --kept;
      }
      for (std::size_t i = 0; i < back.size(); ++i) {
        if (back[i] > 0)
          Log(EventKind::kReturn, Second() + ShopWorld::kReturnDays[i] * kDay, line.item, -1, back[i]);
      }
      seen_.revenue_cents += line.cents * line.quantity;
      if (effect_ends_ < kNever) {
        life_.contacts.back().outcome_cents += (line.cents - world_.items()[line.item].cost_cents) * kept;
      }
    }
    if (!seen_.customer) life_.first_order = now_;
    seen_.customer = seen_.active = true;
    ++seen_.orders;
    seen_.last_order = now_;
    seen_.age_at_last_order = seen_.age;
    seen_.visited_since_order = false;
    if (visiting == 0 && random_.Uniform() < life_.nature.dropout) return Leave();
    until_order_ = DrawExponential(&random_) / life_.nature.rate;
  }

  const ShopWorld& world_;
  const ShopCalendar calendar_;
  RandomStream random_;
  const int arm_;
  double visit_rate_ = 0;
  UserLife life_;
  Observation seen_;
  bool alive_ = true;
  double now_ = 0, next_visit_ = 0;
  double until_order_ = kNever;  // of the customer's own time (Observation::age)
  double factor_ = 1, effect_ends_ = kNever;
};

}  // namespace

UserLife LiveUser(const ShopWorld& world, std::uint64_t user) { return Life(world, user).Live(); }

}  // namespace cohort
