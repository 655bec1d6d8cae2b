// UserLife: one user of the synthetic shop from sign-up to the end: what the logs will show, and what was hidden.
#ifndef COHORT_LIFECYCLE_USER_LIFE_H_
#define COHORT_LIFECYCLE_USER_LIFE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "lifecycle/event.h"
#include "lifecycle/shop_world.h"

namespace cohort {

// When what happens, in days since the shop opened; the day is at midnight.
struct ShopCalendar {
  explicit ShopCalendar(int days)
      : end(days), mailing(days - 180), campaign(days - 120), valid(days - 60), test(days - 30) {}
  int end;       // of the logs
  int mailing;   // an e-mail to those who ordered in the 30 days before: not randomised
  int campaign;  // every arm to as many, by chance, of all who have signed up
  int valid, test;
  static constexpr int kHorizonDays = 30, kMailedDays = 30;
  static constexpr int kLeastDays = 210, kMostDays = 3650;
};

struct LoggedEvent {
  Time time = 0;  // seconds since the shop opened
  std::uint32_t item = kNoItem;
  std::int32_t cents = -1;  // price of a piece; -1: none
  EventKind kind = EventKind::kVisit;
  std::uint8_t quantity = 1;
};

struct LoggedContact {
  int day = 0, arm = 0;
  bool randomised = false;
  std::int64_t outcome_cents =
      0;  // margin of orders of the kEffectDays from then on, less that of what came back ever
};

// What the logs say of a user at a moment, as far as it tells anything about the future (sufficient statistics).
struct Observation {
  double now = 0, sign_up = 0;  // days
  bool customer = false;        // has ordered
  int orders = 0;
  // Time since the first order, and of the last one: days in which a contact's factor counts as that many.
  double age = 0, age_at_last_order = 0;
  double last_order = 0, last_visit = 0;  // days
  bool visited_since_order = false;
  bool active = false;          // had a favourite, a cart or an order
  CategoryShares categories{};  // lines and views of visits, counted
  TierShares tiers{};
  std::int64_t revenue_cents = 0;  // of all orders, before returns
};

struct Moment {
  Observation seen;
  bool alive = true;  // hidden
};

struct UserLife {
  UserTraits traits;
  UserNature nature;
  std::vector<LoggedEvent> events;  // by time, but for returns
  std::vector<LoggedContact> contacts;
  // Just before the calendar's campaign, valid and test; none of those before the sign-up.
  std::optional<Moment> campaign, valid, test;
  double first_order = -1, left = -1;  // days; -1: not before the end
};

// A pure function of (world, user).
UserLife LiveUser(const ShopWorld& world, std::uint64_t user);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_USER_LIFE_H_
