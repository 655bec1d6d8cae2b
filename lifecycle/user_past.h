// UserPast: what a user has done so far. It is told event by event, in the order of time; it knows nothing of what comes later.
#ifndef COHORT_LIFECYCLE_USER_PAST_H_
#define COHORT_LIFECYCLE_USER_PAST_H_

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "lifecycle/event.h"

namespace cohort {

// One line of an order. All lines of a user with the same time are one order.
struct Purchase {
  Time time = 0;
  std::uint32_t item = kNoItem;
  Money price = kNoMoney;         // of one piece
  Quantity bought = 0, kept = 0;  // kept: less what came back so far
  Money amount() const { return price == kNoMoney ? 0 : Amount(price, kept); }
};

class UserPast {
 public:
  // REQUIRES: event.time >= that of every event before.
  //
  // A return takes from the latest purchase of its item of which something is left, then from the one before, until its
  // quantity is used up; what is left over finds no purchase and is ignored. A return without an item, likewise, from
  // purchases without an item. Returns are taken at the price of the purchase.
  void Add(const Event& event);

  const std::vector<Event>& events() const { return events_; }  // all but contacts
  const std::vector<Event>& contacts() const { return contacts_; }
  const std::vector<Purchase>& purchases() const { return purchases_; }
  std::uint64_t matched_returns() const { return matched_; }      // of which some quantity found a purchase
  std::uint64_t unmatched_returns() const { return unmatched_; }  // of which some did not

 private:
  std::vector<Event> events_, contacts_;
  std::vector<Purchase> purchases_;
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>>
      open_;  // by item: purchases with something left, latest last
  std::uint64_t matched_ = 0, unmatched_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_USER_PAST_H_
