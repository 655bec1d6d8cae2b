#include "lifecycle/user_features.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <string>

namespace cohort {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr std::uint32_t kHourBlocks = 6, kWeekdays = 7;
constexpr double kDiscount = 0.95;         // of the usual price: below it a purchase counts as discounted
constexpr double kLeastExpected = 1e-9;    // of a forecast, before its logarithm
constexpr std::size_t kMostBought = 1024;  // latest lines in the bags of what was bought

std::size_t IndexOf(EventKind kind) { return static_cast<std::size_t>(kind); }

// Which of the categories (or brands) the lines have is the most frequent; of equally frequent ones the least key.
struct Favourite {
  Key key = 0;
  std::size_t lines = 0, all = 0, distinct = 0;
};
Favourite FavouriteOf(const UserPast& past, const ItemTable& items, Key Item::*attribute) {
  std::map<Key, std::size_t> counts;
  Favourite favourite;
  for (const Purchase& line : past.purchases()) {
    if (line.kept == 0 || line.item == kNoItem) continue;
    if (const Key key = items.item(line.item).*attribute; key != 0) {
      ++counts[key];
      ++favourite.all;
    }
  }
  favourite.distinct = counts.size();
  for (const auto& [key, count] : counts) {
    if (count <= favourite.lines) continue;
    favourite.key = key;
    favourite.lines = count;
  }
  return favourite;
}

void AppendFavourite(const Favourite& favourite, std::vector<float>* out) {
  out->push_back(favourite.all == 0 ? kMissing
                                    : static_cast<float>(static_cast<double>(favourite.lines) /
                                                         static_cast<double>(favourite.all)));
  out->push_back(static_cast<float>(favourite.distinct));
}

// Counts of events by window: all of them, then those of the last so many days.
void AppendCounts(const std::vector<Event>& events, EventKind kind, Time now, const std::vector<int>& windows,
                  std::vector<float>* out) {
  std::vector<std::uint32_t> counts(windows.size() + 1);
  for (const Event& event : events) {
    if (event.kind != kind) continue;
    ++counts[0];
    for (std::size_t i = 0; i < windows.size(); ++i) counts[i + 1] += event.time >= now - windows[i] * kDay;
  }
  for (const std::uint32_t count : counts) out->push_back(static_cast<float>(count));
}

void AppendShareVector(const std::vector<std::uint32_t>& counts, std::vector<float>* out) {
  std::uint64_t all = 0;
  for (const std::uint32_t count : counts) all += count;
  for (const std::uint32_t count : counts)
    out->push_back(all == 0 ? kMissing
                            : static_cast<float>(static_cast<double>(count) / static_cast<double>(all)));
}

}  // namespace

UserFeatures::UserFeatures(const ShopSchema& schema)
    : schema_(schema),
      purchases_(HasKind(EventKind::kPurchase)),
      items_(schema.events.item.has_value()),
      prices_(purchases_ && (schema.events.price || (schema.items && schema.items->price))),
      categories_(schema.items && schema.items->category),
      brands_(schema.items && schema.items->brand),
      contacts_(schema.campaigns.has_value()),
      item_keys_("last_items"),
      category_keys_("last_categories"),
      brand_keys_("last_brands"),
      arm_keys_("last_arm") {
  const FeatureKeys kinds("last_kinds"), gaps("last_gaps");
  for (int kind = 0; kind < kEventKinds; ++kind)
    kind_keys_.push_back(kinds.Category(kEventKindNames[static_cast<std::size_t>(kind)]));
  for (int bits = 0; bits <= 64; ++bits) gap_keys_.push_back(gaps.Category(std::to_string(bits)));
  first_gap_key_ = gaps.Category("first");
  Describe();
}

void UserFeatures::Describe() {
  const auto add = [&](const std::string& name, FeatureType type) -> FeatureInfo& {
    FeatureInfo info;
    info.name = name;
    info.type = type;
    infos_.push_back(std::move(info));
    return infos_.back();
  };
  const auto amount = [&](const std::string& name) {
    add(name, FeatureType::kNumeric).scale = NumericScale::kLog1p;
  };
  const auto share = [&](const std::string& name) { add(name, FeatureType::kNumeric); };
  const auto windows = [&](const std::string& name) {
    amount(name);
    for (const int days : schema_.features.windows_days) amount(name + "_" + std::to_string(days) + "d");
  };
  const auto sequence = [&](const std::string& name) { add(name, FeatureType::kBag).sequence = true; };
  // In the order of AppendNumeric.
  amount("recency_days");
  amount("tenure_days");
  for (int kind = 0; kind < kEventKinds; ++kind) {
    if (HasKind(static_cast<EventKind>(kind)) && static_cast<EventKind>(kind) != EventKind::kPurchase)
      windows(std::string(kEventKindNames[static_cast<std::size_t>(kind)]) + "s");
  }
  if (purchases_) {
    amount("order_recency_days");
    windows("orders");
    for (const char* name : {"order_gap_mean_days", "order_gap_deviation_days", "order_gap_last_days"})
      amount(name);
    if (items_) {
      amount("items_bought");
      share("popularity");
    }
  }
  if (prices_) {
    windows("revenue");
    amount("order_value");
    if (HasKind(EventKind::kReturn)) share("return_share");
    if (items_) share("discount_share");
  }
  if (categories_ && purchases_) {
    share("top_category_share");
    amount("categories_bought");
  }
  if (brands_ && purchases_) {
    share("top_brand_share");
    amount("brands_bought");
  }
  if (contacts_) {
    windows("contacts");
    amount("contact_recency_days");
  }
  if (schema_.features.forecast) {
    share("alive");
    if (schema_.labels.orders) share("log_expected_orders");
    if (schema_.labels.value && prices_) share("log_expected_value");
  }
  if (schema_.users) {
    for (const AttributeSchema& attribute : schema_.users->attributes) {
      if (attribute.numeric) share("user_" + attribute.name);
    }
  }
  // Categorical, in the order of Append.
  first_categorical_ = infos_.size();
  if (categories_ && purchases_)
    add("top_category", FeatureType::kCategorical).vocabulary = "last_categories";
  if (brands_ && purchases_) add("top_brand", FeatureType::kCategorical).vocabulary = "last_brands";
  if (contacts_) add("last_arm", FeatureType::kCategorical);
  if (schema_.users) {
    for (const AttributeSchema& attribute : schema_.users->attributes) {
      if (!attribute.numeric) add("user_" + attribute.name, FeatureType::kCategorical);
    }
  }
  // Bags, in the order of AppendSequences.
  sequence("last_kinds");
  sequence("last_gaps");
  if (items_) sequence("last_items");
  if (categories_) sequence("last_categories");
  if (brands_) sequence("last_brands");
  if (categories_ && purchases_) add("bought_categories", FeatureType::kBag).vocabulary = "last_categories";
  if (brands_ && purchases_) add("bought_brands", FeatureType::kBag).vocabulary = "last_brands";
  // Vectors, in the order of AppendShares.
  add("hour_shares", FeatureType::kVector).length = kHourBlocks;
  add("weekday_shares", FeatureType::kVector).length = kWeekdays;
  if (prices_)
    add("price_band_shares", FeatureType::kVector).length =
        static_cast<std::uint32_t>(schema_.features.price_bands);
}

std::vector<std::uint32_t> UserFeatures::bins() const {
  std::vector<std::uint32_t> bins;
  for (const FeatureInfo& info : infos_)
    bins.push_back(info.type == FeatureType::kNumeric ? schema_.features.bins : 0);
  return bins;
}

void UserFeatures::AppendNumeric(const UserPast& past, const UserRecord* description, std::size_t snapshot,
                                 const ItemTable& items, const OrderForecast& forecast,
                                 std::vector<float>* out) const {
  const Time now = schema_.snapshots[snapshot].time;
  const std::vector<int>& windows = schema_.features.windows_days;
  const std::vector<Event>& events = past.events();
  const auto put = [&](double value) { out->push_back(static_cast<float>(value)); };
  const auto put_ratio = [&](double above, double below) {
    out->push_back(below > 0 ? static_cast<float>(above / below) : kMissing);
  };

  put(events.empty() ? kMissing : InDays(now - events.back().time));
  Time since = events.empty() ? now : events.front().time;
  if (description != nullptr && description->sign_up != kNoTime)
    since = std::min(since, description->sign_up);
  put(InDays(now - since));
  for (int kind = 0; kind < kEventKinds; ++kind) {
    const auto which = static_cast<EventKind>(kind);
    if (HasKind(which) && which != EventKind::kPurchase) AppendCounts(events, which, now, windows, out);
  }
  // Orders: the times at which something was bought of which something is kept.
  std::vector<Time> orders;
  for (const Purchase& line : past.purchases()) {
    if (line.kept > 0 && (orders.empty() || orders.back() != line.time)) orders.push_back(line.time);
  }
  if (purchases_) {
    put(orders.empty() ? kMissing : InDays(now - orders.back()));
    put(static_cast<double>(orders.size()));
    for (const int days : windows) {
      const auto first = std::lower_bound(orders.begin(), orders.end(), now - days * kDay);
      put(static_cast<double>(orders.end() - first));
    }
    const std::size_t gaps = orders.empty() ? 0 : orders.size() - 1;
    double squares = 0;
    const double mean = gaps == 0 ? 0 : InDays(orders.back() - orders.front()) / static_cast<double>(gaps);
    for (std::size_t i = 0; i < gaps; ++i) {
      const double off = InDays(orders[i + 1] - orders[i]) - mean;
      squares += off * off;
    }
    put(gaps == 0 ? kMissing : mean);
    put(gaps == 0 ? kMissing : std::sqrt(squares / static_cast<double>(gaps)));
    put(gaps == 0 ? kMissing : InDays(orders[gaps] - orders[gaps - 1]));
    if (items_) {
      std::set<std::uint32_t> bought;
      double popularity = 0;
      std::size_t lines = 0;
      for (const Purchase& line : past.purchases()) {
        if (line.kept == 0 || line.item == kNoItem) continue;
        bought.insert(line.item);
        popularity += std::log1p(items.Sales(line.item, snapshot));
        ++lines;
      }
      put(static_cast<double>(bought.size()));
      put_ratio(popularity, static_cast<double>(lines));
    }
  }
  if (prices_) {
    Money kept = 0, bought = 0;
    std::vector<Money> by_window(windows.size());
    for (const Purchase& line : past.purchases()) {
      if (line.price == kNoMoney) continue;
      kept += line.amount();
      bought += Amount(line.price, line.bought);
      for (std::size_t i = 0; i < windows.size(); ++i) {
        if (line.time >= now - windows[i] * kDay) by_window[i] += line.amount();
      }
    }
    put(InCurrency(kept));
    for (const Money money : by_window) put(InCurrency(money));
    put_ratio(InCurrency(kept), static_cast<double>(orders.size()));
    if (HasKind(EventKind::kReturn))
      put_ratio(static_cast<double>(bought - kept), static_cast<double>(bought));
    if (items_) {
      std::size_t compared = 0, discounted = 0;
      for (const Purchase& line : past.purchases()) {
        if (line.kept == 0 || line.price == kNoMoney || line.item == kNoItem) continue;
        const Money list = items.item(line.item).price;
        const double usual = list != kNoMoney ? InCurrency(list) : items.MeanPrice(line.item, snapshot);
        if (std::isnan(usual)) continue;
        ++compared;
        discounted += InCurrency(line.price) < kDiscount * usual;
      }
      put_ratio(static_cast<double>(discounted), static_cast<double>(compared));
    }
  }
  if (categories_ && purchases_) AppendFavourite(FavouriteOf(past, items, &Item::category), out);
  if (brands_ && purchases_) AppendFavourite(FavouriteOf(past, items, &Item::brand), out);
  if (contacts_) {
    AppendCounts(past.contacts(), EventKind::kContact, now, windows, out);
    put(past.contacts().empty() ? kMissing : InDays(now - past.contacts().back().time));
  }
  if (schema_.features.forecast) AppendForecast(past, snapshot, forecast, out);
  if (schema_.users) {
    for (std::size_t i = 0; i < schema_.users->attributes.size(); ++i) {
      if (!schema_.users->attributes[i].numeric) continue;
      out->push_back(description == nullptr
                         ? kMissing
                         : std::bit_cast<float>(static_cast<std::uint32_t>(description->attributes[i])));
    }
  }
}

void UserFeatures::AppendForecast(const UserPast& past, std::size_t snapshot, const OrderForecast& forecast,
                                  std::vector<float>* out) const {
  const Time now = schema_.snapshots[snapshot].time;
  const OrdersSoFar so_far = OrderForecast::OrdersBefore(past.events(), now);
  const bool known = so_far.orders > 0;
  // The window of the row's label; where the row has no label, the horizon.
  const auto orders = [&](const HorizonLabel& label) {
    const Time window = schema_.Window(label, now);
    return forecast.Orders(snapshot, so_far, window > 0 ? window : label.horizon_days * kDay);
  };
  const auto put_log = [&](double expected) {
    out->push_back(static_cast<float>(std::log(std::max(expected, kLeastExpected))));
  };
  out->push_back(known ? static_cast<float>(forecast.Alive(snapshot, so_far)) : kMissing);
  if (schema_.labels.orders) known ? put_log(orders(*schema_.labels.orders)) : out->push_back(kMissing);
  if (!schema_.labels.value || !prices_) return;
  const double worth = known ? forecast.OrderValue(snapshot, so_far) : std::nan("");
  std::isnan(worth) ? out->push_back(kMissing) : put_log(orders(*schema_.labels.value) * worth);
}

void UserFeatures::AppendSequences(const UserPast& past, const ItemTable& items, RowBlock* block) const {
  const std::vector<Event>& events = past.events();
  const std::size_t first =
      events.size() - std::min(events.size(), static_cast<std::size_t>(schema_.features.history));
  std::size_t bag = 0;
  // One value per event, oldest first, so that the sequences stand side by side.
  const auto put_each = [&](const auto& key_of) {
    for (std::size_t i = first; i < events.size(); ++i) block->bag_keys[bag].push_back(key_of(i));
    block->bag_offsets[bag].push_back(block->bag_keys[bag].size());
    ++bag;
  };
  const auto item_key = [&](std::size_t i, Key Item::*attribute, const FeatureKeys& keys) {
    const Key key = events[i].item == kNoItem ? 0 : items.item(events[i].item).*attribute;
    return key != 0 ? key : keys.Missing();
  };
  put_each([&](std::size_t i) { return kind_keys_[IndexOf(events[i].kind)]; });
  put_each([&](std::size_t i) {
    if (i == 0) return first_gap_key_;
    return gap_keys_[static_cast<std::size_t>(
        std::bit_width(static_cast<std::uint64_t>(events[i].time - events[i - 1].time)))];
  });
  if (items_) put_each([&](std::size_t i) { return item_key(i, &Item::key, item_keys_); });
  if (categories_) put_each([&](std::size_t i) { return item_key(i, &Item::category, category_keys_); });
  if (brands_) put_each([&](std::size_t i) { return item_key(i, &Item::brand, brand_keys_); });
  const auto put_bought = [&](Key Item::*attribute) {
    std::vector<Key> keys;
    for (const Purchase& line : past.purchases()) {
      if (line.kept == 0 || line.item == kNoItem) continue;
      if (const Key key = items.item(line.item).*attribute; key != 0) keys.push_back(key);
    }
    const auto begin = keys.end() - static_cast<std::ptrdiff_t>(std::min(keys.size(), kMostBought));
    block->bag_keys[bag].insert(block->bag_keys[bag].end(), begin, keys.end());
    block->bag_offsets[bag].push_back(block->bag_keys[bag].size());
    ++bag;
  };
  if (categories_ && purchases_) put_bought(&Item::category);
  if (brands_ && purchases_) put_bought(&Item::brand);
}

void UserFeatures::AppendShares(const UserPast& past, std::size_t snapshot, const ItemTable& items,
                                RowBlock* block) const {
  std::vector<std::uint32_t> hours(kHourBlocks), weekdays(kWeekdays);
  for (const Event& event : past.events()) {
    ++hours[static_cast<std::size_t>(event.time % kDay * kHourBlocks / kDay)];
    ++weekdays[static_cast<std::size_t>((event.time / kDay + 3) % kWeekdays)];  // 1970-01-01 was a Thursday
  }
  AppendShareVector(hours, &block->vectors[0]);
  AppendShareVector(weekdays, &block->vectors[1]);
  if (!prices_) return;
  std::vector<std::uint32_t> bands(static_cast<std::size_t>(schema_.features.price_bands));
  for (const Purchase& line : past.purchases()) {
    if (line.kept > 0 && line.price != kNoMoney)
      ++bands[static_cast<std::size_t>(items.PriceBand(line.price, snapshot))];
  }
  AppendShareVector(bands, &block->vectors[2]);
}

void UserFeatures::Append(const UserPast& past, const UserRecord* description, std::size_t snapshot,
                          const ItemTable& items, const OrderForecast& forecast, RowBlock* block) const {
  const Time now = schema_.snapshots[snapshot].time;
  if (description != nullptr && description->sign_up != kNoTime && description->sign_up >= now)
    description = nullptr;
  AppendNumeric(past, description, snapshot, items, forecast, &block->numeric);
  std::size_t feature = first_categorical_;
  const auto put = [&](Key key) {
    block->categorical.push_back(key != 0 ? key : MissingKey(infos_[feature].name));
    ++feature;
  };
  if (categories_ && purchases_) put(FavouriteOf(past, items, &Item::category).key);
  if (brands_ && purchases_) put(FavouriteOf(past, items, &Item::brand).key);
  if (contacts_) {
    const bool any = !past.contacts().empty() && past.contacts().back().item != kNoItem;
    put(any ? items.item(past.contacts().back().item).key : 0);
  }
  if (schema_.users) {
    for (std::size_t i = 0; i < schema_.users->attributes.size(); ++i) {
      if (!schema_.users->attributes[i].numeric) put(description == nullptr ? 0 : description->attributes[i]);
    }
  }
  AppendSequences(past, items, block);
  AppendShares(past, snapshot, items, block);
}

}  // namespace cohort
