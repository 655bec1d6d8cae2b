#include "lifecycle/shop_history.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

#include "common/random.h"
#include "lifecycle/shop_reader.h"
#include "lifecycle/shop_rows.h"

namespace cohort {
namespace {

template <typename T>
std::vector<T> InOrder(std::vector<T>& values, const std::vector<std::uint32_t>& order) {
  std::vector<T> sorted;
  sorted.reserve(order.size());
  for (const std::uint32_t from : order) sorted.push_back(std::move(values[from]));
  return sorted;
}

}  // namespace

std::uint32_t ShopHistory::FindItem(std::string_view name) const {
  const auto found =
      std::lower_bound(items.begin(), items.end(), name,
                       [](const ItemWords& item, std::string_view wanted) { return item.name < wanted; });
  return found == items.end() || found->name != name ? kNoItem
                                                     : static_cast<std::uint32_t>(found - items.begin());
}

std::uint64_t ShopHistory::Fingerprint() const {
  std::uint64_t hash = RandomBits(users.size(), items.size(), acts.size());
  const auto add = [&hash](const auto& values) {
    hash = XXH3_64bits_withSeed(values.data(), values.size() * sizeof(values[0]), hash);
  };
  for (const std::string& user : users) add(user);
  for (const ItemWords& item : items) {
    add(item.name), add(item.category), add(item.brand), add(item.text);
    for (const std::string& tag : item.tags) add(tag);
  }
  for (const Act& act : acts)  // not as bytes: between its members there may be anything
    hash = RandomBits(hash, static_cast<std::uint64_t>(act.time),
                      std::uint64_t{act.item} << 8 | static_cast<std::uint64_t>(act.kind));
  add(first_act), add(attributes), add(user_since), add(item_since), add(prices), add(price_since);
  return hash;
}

Result<ShopHistory> ReadShopHistory(const std::string& shop_file, const std::string& data_directory,
                                    const std::string& directory,
                                    const std::function<void(const std::string&)>& progress) {
  ShopHistory history;
  COHORT_ASSIGN_OR_RETURN(history.schema, LoadShopSchema(shop_file, data_directory));
  const ShopSchema& schema = history.schema;
  if (!schema.events.item)
    return InvalidInput(
        shop_file + ": [events] names no column of items (item = \"...\"): there is nothing to recommend");
  FindingLog log(false);
  ShopRows rows(schema, &log, directory);
  rows.items().KeepWords();
  ShopReader reader(schema, &rows, &log, [&](std::uint64_t, std::uint64_t records) {
    progress("reading: " + std::to_string(records) + " records");
  });
  COHORT_RETURN_IF_ERROR(reader.Read());
  COHORT_RETURN_IF_ERROR(rows.Clean([&](std::size_t done) {
    progress("sorting: " + std::to_string(100 * done / EventStore::kPartitions) + " %");
  }));
  history.end = rows.end();
  history.findings = log.Take();

  struct Place {
    std::string name;
    Time since;
    std::uint64_t begin, end, attributes;
  };
  std::vector<Place> places;
  std::vector<Act> acts;
  std::vector<std::uint64_t> attributes;
  std::vector<ItemWords>& words = rows.items().words();
  constexpr Time kNotYet = std::numeric_limits<Time>::max();
  std::vector<Time> since(words.size(), kNotYet);
  std::vector<std::pair<Time, Money>> first_price(words.size(), {kNotYet, kNoMoney});
  for (std::uint32_t i = 0; i < words.size(); ++i) {
    if (rows.items().item(i).described) since[i] = kNoTime;
  }
  std::vector<std::uint64_t> unknown;
  if (schema.users) {
    for (const AttributeSchema& attribute : schema.users->attributes) {
      unknown.push_back(
          attribute.numeric ? std::bit_cast<std::uint32_t>(std::numeric_limits<float>::quiet_NaN()) : 0);
    }
  }
  COHORT_RETURN_IF_ERROR(rows.Visit([&](UserRecords& user) {
    const std::uint64_t begin = acts.size();
    for (const Event& event : user.events) {
      if (event.kind == EventKind::kContact || event.item == kNoItem) continue;
      acts.push_back({event.time, event.item, event.kind});
      since[event.item] = std::min(since[event.item], event.time);
      if (event.price == kNoMoney) continue;
      first_price[event.item] = std::min(first_price[event.item], std::pair(event.time, event.price));
    }
    Time user_since = user.events.empty() ? kNotYet : user.events[0].time;
    if (!user.descriptions.empty()) user_since = std::min(user_since, user.descriptions[0].sign_up);
    places.push_back({user.user, user_since, begin, acts.size(), attributes.size()});
    history.undescribed_users += user.descriptions.empty();
    const std::vector<std::uint64_t>& known =
        user.descriptions.empty() ? unknown : user.descriptions[0].attributes;
    attributes.insert(attributes.end(), known.begin(), known.end());
  }));
  if (acts.empty())
    return InvalidInput(shop_file + ": no event has an item: there is nothing to recommend by");

  // By name.
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < words.size(); ++i) {
    if (since[i] != kNotYet) order.push_back(i);  // the others are arms of campaigns
  }
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return words[a].name < words[b].name; });
  std::vector<std::uint32_t> number_of(words.size(), kNoItem);
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    const std::uint32_t from = order[i];
    number_of[from] = i;
    history.item_since.push_back(since[from]);
    const Money list = rows.items().item(from).price;
    history.prices.push_back(list != kNoMoney ? list : first_price[from].second);
    history.price_since.push_back(list != kNoMoney ? kNoTime : first_price[from].first);
  }
  history.items = InOrder(words, order);
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.name < b.name; });
  history.acts.reserve(acts.size());
  history.first_act.push_back(0);
  for (Place& place : places) {
    history.users.push_back(std::move(place.name));
    history.user_since.push_back(place.since);
    for (std::uint64_t i = place.begin; i < place.end; ++i) {
      history.acts.push_back(acts[i]);
      history.acts.back().item = number_of[acts[i].item];
    }
    history.first_act.push_back(history.acts.size());
    const auto known = attributes.begin() + static_cast<std::ptrdiff_t>(place.attributes);
    history.attributes.insert(history.attributes.end(), known,
                              known + static_cast<std::ptrdiff_t>(unknown.size()));
  }
  return history;
}

}  // namespace cohort
