#include "lifecycle/order_forecast.h"

#include <xxhash.h>

#include <algorithm>
#include <limits>

namespace cohort {
namespace {

}  // namespace

OrdersSoFar OrderForecast::OrdersBefore(std::span<const Event> events, Time now) {
  OrdersSoFar so_far;
  Money money = 0;
  bool priced = false;
  const auto end_order = [&] {
    if (priced) {
      const double worth = InCurrency(money);
      ++so_far.priced;
      so_far.money += worth;
      so_far.squares += worth * worth;
    }
    money = 0;
    priced = false;
  };
  for (const Event& event : events) {
    if (event.time >= now) break;
    if (event.kind != EventKind::kPurchase) continue;
    if (so_far.orders == 0 || event.time != so_far.last) {
      end_order();
      if (so_far.orders == 0) so_far.first = event.time;
      so_far.last = event.time;
      ++so_far.orders;
    }
    if (event.price == kNoMoney) continue;
    money += Amount(event.price, event.quantity);
    priced = true;
  }
  end_order();
  return so_far;
}

void OrderForecast::AddUser(std::string_view user, std::span<const Event> events) {
  if (!schema_.features.forecast) return;
  customers_.resize(schema_.snapshots.size());
  const std::uint64_t hash = XXH3_64bits(user.data(), user.size());
  const auto less = [](const Customer& a, const Customer& b) { return a.hash < b.hash; };
  for (std::size_t i = 0; i < customers_.size(); ++i) {
    std::vector<Customer>& sample = customers_[i];
    if (sample.size() == kMostCustomers && hash >= sample.front().hash) continue;
    const OrdersSoFar so_far = OrdersBefore(events, schema_.snapshots[i].time);
    if (so_far.orders == 0) continue;
    if (sample.size() == kMostCustomers) {
      std::pop_heap(sample.begin(), sample.end(), less);
      sample.pop_back();
    }
    sample.push_back({hash, so_far});
    std::push_heap(sample.begin(), sample.end(), less);
  }
}

OrderHistory OrderForecast::HistoryAt(std::size_t snapshot, const OrdersSoFar& so_far) const {
  return {static_cast<int>(so_far.orders - 1), InDays(so_far.last - so_far.first),
          InDays(schema_.snapshots[snapshot].time - so_far.first)};
}

void OrderForecast::FitValue(std::span<const Customer> customers, Fitted* fitted) {
  double orders = 0, money = 0, within = 0, free = 0, squares_of_orders = 0, groups = 0;
  for (const auto& [hash, so_far] : customers) {
    if (so_far.priced == 0) continue;
    const double n = so_far.priced;
    orders += n;
    money += so_far.money;
    within += so_far.squares - so_far.money * so_far.money / n;
    free += n - 1;
    squares_of_orders += n * n;
    ++groups;
  }
  if (orders == 0) return;
  fitted->priced = true;
  fitted->mean = money / orders;
  double between = 0;
  for (const auto& [hash, so_far] : customers) {
    if (so_far.priced == 0) continue;
    const double off = so_far.money / so_far.priced - fitted->mean;
    between += so_far.priced * off * off;
  }
  // The unbiased estimates of Buehlmann and Straub (Buehlmann, Gisler 2005, section 4.8).
  within = free > 0 ? within / free : 0;
  const double spread = orders - squares_of_orders / orders;
  const double variance = spread > 0 ? (between - (groups - 1) * within) / spread : 0;
  fitted->credibility = variance > 0 ? within / variance : -1;
}

void OrderForecast::Fit() {
  if (!schema_.features.forecast) return;
  customers_.resize(schema_.snapshots.size());
  fitted_.resize(schema_.snapshots.size());
  for (std::size_t i = 0; i < customers_.size(); ++i) {
    std::vector<Customer>& sample = customers_[i];
    std::sort(sample.begin(), sample.end(),
              [](const Customer& a, const Customer& b) { return a.hash < b.hash; });
    std::vector<OrderHistory> histories;
    for (const Customer& customer : sample) histories.push_back(HistoryAt(i, customer.so_far));
    fitted_[i].orders = FitBgNbd(histories);
    FitValue(sample, &fitted_[i]);
    std::vector<Customer>().swap(sample);
  }
}

double OrderForecast::Alive(std::size_t snapshot, const OrdersSoFar& so_far) const {
  const OrderHistory history = HistoryAt(snapshot, so_far);
  return ProbabilityAlive(fitted_[snapshot].orders, history.repeats, history.last, history.age);
}

double OrderForecast::Orders(std::size_t snapshot, const OrdersSoFar& so_far, Time window) const {
  const OrderHistory history = HistoryAt(snapshot, so_far);
  return Alive(snapshot, so_far) *
         OrderOutlook::After(fitted_[snapshot].orders, history.repeats, history.age).Expected(InDays(window));
}

double OrderForecast::OrderValue(std::size_t snapshot, const OrdersSoFar& so_far) const {
  const Fitted& fitted = fitted_[snapshot];
  if (!fitted.priced) return std::numeric_limits<double>::quiet_NaN();
  if (fitted.credibility < 0) return fitted.mean;
  const double weight = fitted.credibility + so_far.priced;
  return weight > 0 ? (fitted.credibility * fitted.mean + so_far.money) / weight : fitted.mean;
}

}  // namespace cohort
