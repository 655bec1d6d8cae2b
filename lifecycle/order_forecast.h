// OrderForecast: how many orders, worth how much, a customer can be expected to place after a snapshot, from what everybody had
// ordered before it. A feature of each row (docs/shop.md), and what a count or value task may start from ([task.NAME] offset).
//
// Orders: BG/NBD by maximum likelihood at each snapshot (bg_nbd.h), in days. An order is a time at which something was bought,
// whatever came back of it. Their worth: Buehlmann's credibility, which weighs a customer's own mean order against everybody's
// (H. Buehlmann, A. Gisler: "A Course in Credibility Theory and its Applications", 2005, chapter 4):
//   (k m + sum of n orders) / (k + n),  k = variance within customers / variance of their means.
//
// Beyond kMostCustomers those with the least hashes of their ids are fitted on: a sample that depends on no order of the users.
// One thread. Memory: 48 bytes for each of them and each snapshot.
#ifndef COHORT_LIFECYCLE_ORDER_FORECAST_H_
#define COHORT_LIFECYCLE_ORDER_FORECAST_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/byte_stream.h"
#include "lifecycle/bg_nbd.h"
#include "lifecycle/event.h"
#include "lifecycle/shop_schema.h"

namespace cohort {

// The customer's orders before a snapshot.
struct OrdersSoFar {
  std::uint32_t orders = 0;
  Time first = 0, last = 0;       // of the orders
  std::uint32_t priced = 0;       // orders with a price
  double money = 0, squares = 0;  // of the priced ones: sum of their worth, and of its square
};

class OrderForecast {
 public:
  static constexpr std::size_t kMostCustomers = std::size_t{1} << 15;

  // Of nothing, unless the description asks for forecasts. `schema` outlives this.
  explicit OrderForecast(const ShopSchema& schema) : schema_(schema) {}

  // A user's events, by time; each user once.
  void AddUser(std::string_view user, std::span<const Event> events);
  // After the last user: fits a model for each snapshot.
  void Fit();

  // A customer's orders among the events before `now`.
  static OrdersSoFar OrdersBefore(std::span<const Event> events, Time now);

  // What can be expected at a snapshot of a customer with these orders. REQUIRES: Fit was called, so_far.orders > 0.
  double Alive(std::size_t snapshot, const OrdersSoFar& so_far) const;
  double Orders(std::size_t snapshot, const OrdersSoFar& so_far, Time window) const;
  // Worth of one order; NaN where no order had a price.
  double OrderValue(std::size_t snapshot, const OrdersSoFar& so_far) const;
  const BgNbd& model(std::size_t snapshot) const { return fitted_[snapshot].orders; }

  // What was fitted, for another process. False: it is not what Put gave for as many snapshots.
  void Put(ByteWriter* out) const { out->PutList(fitted_); }
  bool Get(ByteReader* in) {
    return in->GetList(&fitted_) &&
           fitted_.size() == (schema_.features.forecast ? schema_.snapshots.size() : 0);
  }

 private:
  struct Customer {
    std::uint64_t hash = 0;
    OrdersSoFar so_far;
  };
  struct Fitted {
    BgNbd orders{};
    double mean = 0,
           credibility = 0;  // of the worth of an order: m and k; k < 0: everybody's mean is the same
    bool priced = false;
  };
  OrderHistory HistoryAt(std::size_t snapshot, const OrdersSoFar& so_far) const;
  static void FitValue(std::span<const Customer> customers, Fitted* fitted);

  const ShopSchema& schema_;
  std::vector<std::vector<Customer>> customers_;  // by snapshot, a heap by hash while users are added
  std::vector<Fitted> fitted_;                    // by snapshot
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_ORDER_FORECAST_H_
