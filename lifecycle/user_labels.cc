#include "lifecycle/user_labels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace cohort {
namespace {

constexpr float kMasked = std::numeric_limits<float>::quiet_NaN();

// The events of [from, to) among events by time.
std::span<const Event> Window(std::span<const Event> events, Time from, Time to) {
  const auto before = [](const Event& event, Time time) { return event.time < time; };
  const auto begin = std::lower_bound(events.begin(), events.end(), from, before);
  return {begin, std::lower_bound(begin, events.end(), to, before)};
}

}  // namespace

UserLabels::UserLabels(const ShopSchema& schema)
    : schema_(schema), options_(schema.labels), margin_(schema.items && schema.items->cost) {
  const auto add = [&](const char* name, TaskType type) -> TaskInfo& {
    TaskInfo info;
    info.name = name;
    info.type = type;
    infos_.push_back(std::move(info));
    return infos_.back();
  };
  if (options_.acquisition_cost) add("acquisition_cost", TaskType::kRegression);
  if (options_.activation) {
    TaskInfo& task = add("activation", TaskType::kMulticlass);
    for (const EventKind kind : options_.activation->activities)
      task.classes.emplace_back(EventKindName(kind));
    task.classes.emplace_back("none");
  }
  if (options_.churn) {
    TaskInfo& task = add("churn", options_.churn->periods > 1 ? TaskType::kHazard : TaskType::kBinary);
    if (task.type == TaskType::kHazard) {
      task.periods = options_.churn->periods;
      task.at_risk.assign(task.periods, 0);
      task.hazards.assign(task.periods, 0);
    }
    if (options_.churn->with_cost) add("churn_cost", TaskType::kRegression);
  }
  if (options_.purchase) add("purchase", TaskType::kBinary);
  if (options_.orders) add("orders", TaskType::kCount);
  if (options_.value) add("value", TaskType::kValue);
  if (options_.campaign) {
    add("campaign_arm", TaskType::kMulticlass).classes = options_.campaign->arms;
    add("campaign_outcome", TaskType::kRegression);
    for (const std::string& arm : options_.campaign->arms) arm_keys_.push_back(CategoryKey("last_arm", arm));
  }
}

float UserLabels::AcquisitionCost(const UserRecord* description, Time now) const {
  if (description == nullptr || description->sign_up == kNoTime) return kMasked;
  const bool is_new =
      description->sign_up < now && description->sign_up >= now - options_.acquisition_cost->days * kDay;
  return is_new ? description->acquisition_cost : kMasked;
}

float UserLabels::Activation(const UserPast& past, const UserRecord* description, Time now,
                             std::span<const Event> after, Time end) const {
  if (description == nullptr || description->sign_up == kNoTime || description->sign_up >= now)
    return kMasked;
  const Time until = description->sign_up + options_.activation->days * kDay;
  if (until <= now || until > end) return kMasked;
  const std::vector<EventKind>& activities = options_.activation->activities;
  const auto number = [&](const Event& event) {
    return std::find(activities.begin(), activities.end(), event.kind) - activities.begin();
  };
  const auto none = static_cast<std::ptrdiff_t>(activities.size());
  if (std::any_of(past.events().begin(), past.events().end(),
                  [&](const Event& event) { return number(event) < none; }))
    return kMasked;
  for (const Event& event : Window(after, now, until)) {
    if (number(event) < none) return static_cast<float>(number(event));
  }
  return static_cast<float>(none);
}

float UserLabels::Churn(const UserPast& past, Time now, std::span<const Event> after, Time end) const {
  const ChurnLabel& churn = *options_.churn;
  const auto active = [&](const Event& event) {
    return event.kind != EventKind::kContact && churn.activity[static_cast<std::size_t>(event.kind)];
  };
  const auto last = std::find_if(past.events().rbegin(), past.events().rend(), active);
  if (last == past.events().rend()) return kMasked;
  if (churn.seen_within_days > 0 && last->time < now - churn.seen_within_days * kDay) return kMasked;
  const Time period = churn.horizon_days * kDay;
  std::uint32_t seen = 0;
  for (; seen < churn.periods && now + (seen + 1) * period <= end; ++seen) {
    const std::span<const Event> window = Window(after, now + seen * period, now + (seen + 1) * period);
    if (std::none_of(window.begin(), window.end(), active))
      return churn.periods == 1 ? 1 : static_cast<float>(seen + 1);
  }
  if (seen == 0) return kMasked;
  return churn.periods == 1 ? 0 : -static_cast<float>(seen);
}

Money UserLabels::Earned(const Purchase& purchase, const ItemTable& items) const {
  Money money = purchase.amount();
  if (!margin_ || purchase.item == kNoItem) return money;
  if (const Money cost = items.item(purchase.item).cost; cost != kNoMoney)
    money -= Amount(cost, purchase.kept);
  return money;
}

float UserLabels::ChurnCost(float churn, const UserPast& past, Time now, const ItemTable& items) const {
  if (churn != 1) return kMasked;  // 1 also when it is a hazard: in the first period
  Money money = 0;
  for (const Purchase& purchase : past.purchases()) {
    if (purchase.time >= now - options_.churn->horizon_days * kDay) money += Earned(purchase, items);
  }
  return static_cast<float>(InCurrency(money));
}

float UserLabels::Orders(Time now, std::span<const Event> after, Time end) const {
  const Time length = schema_.Window(*options_.orders, now);
  if (length == 0 || now + length > end) return kMasked;
  std::uint32_t orders = 0;
  Time last = kNoTime;
  for (const Event& event : Window(after, now, now + length)) {
    if (event.kind != EventKind::kPurchase) continue;
    orders += event.time != last;
    last = event.time;
  }
  return static_cast<float>(orders);
}

float UserLabels::Value(Time now, std::span<const Event> after, Time end, const ItemTable& items) {
  const Time length = schema_.Window(*options_.value, now), until = now + length;
  if (length == 0 || until > end) return kMasked;
  UserPast window;  // returns of what was bought before it find no purchase here
  for (const Event& event : Window(after, now, until)) window.Add(event);
  Money money = 0;
  for (const Purchase& purchase : window.purchases()) money += Earned(purchase, items);
  if (money < 0) {
    ++values_below_zero_;
    money = 0;
  }
  return static_cast<float>(InCurrency(money));
}

void UserLabels::AppendCampaign(Time now, std::span<const Event> after, Time end, const ItemTable& items,
                                std::vector<float>* labels) const {
  const std::span<const Event> day = Window(after, now, now + kDay);
  const auto contact = std::find_if(day.begin(), day.end(), [](const Event& event) {
    return event.kind == EventKind::kContact && event.quantity == kRandomised;
  });
  if (contact == day.end() || contact->price == kNoMoney || contact->item == kNoItem ||
      contact->time + options_.campaign->horizon_days * kDay > end) {
    labels->insert(labels->end(), 2, kMasked);
    return;
  }
  const auto arm = std::find(arm_keys_.begin(), arm_keys_.end(), items.item(contact->item).key) - arm_keys_.begin();
  const bool named = arm < static_cast<std::ptrdiff_t>(arm_keys_.size());
  labels->push_back(named ? static_cast<float>(arm) : kMasked);
  labels->push_back(named ? static_cast<float>(InCurrency(contact->price)) : kMasked);
}

bool UserLabels::Append(const UserPast& past, const UserRecord* description, Time now,
                        std::span<const Event> after, Time end, const ItemTable& items,
                        std::vector<float>* labels) {
  const std::size_t first = labels->size();
  if (options_.acquisition_cost) labels->push_back(AcquisitionCost(description, now));
  if (options_.activation) labels->push_back(Activation(past, description, now, after, end));
  if (options_.churn) {
    const float churn = Churn(past, now, after, end);
    labels->push_back(churn);
    if (options_.churn->with_cost) labels->push_back(ChurnCost(churn, past, now, items));
  }
  if (options_.purchase) {
    const Time until = now + options_.purchase->horizon_days * kDay;
    const std::span<const Event> window = Window(after, now, until);
    const bool buys = std::any_of(window.begin(), window.end(),
                                  [](const Event& event) { return event.kind == EventKind::kPurchase; });
    labels->push_back(until > end ? kMasked : buys ? 1 : 0);
  }
  if (options_.orders) labels->push_back(Orders(now, after, end));
  if (options_.value) labels->push_back(Value(now, after, end, items));
  if (options_.campaign) AppendCampaign(now, after, end, items, labels);
  return std::any_of(labels->begin() + static_cast<std::ptrdiff_t>(first), labels->end(),
                     [](float label) { return !std::isnan(label); });
}

}  // namespace cohort
