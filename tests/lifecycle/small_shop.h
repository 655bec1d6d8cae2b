// Small random shops in memory, and the rows that ShopRows makes of them.
#ifndef COHORT_TESTS_LIFECYCLE_SMALL_SHOP_H_
#define COHORT_TESTS_LIFECYCLE_SMALL_SHOP_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/random.h"
#include "lifecycle/shop_rows.h"
#include "lifecycle/shop_schema.h"
#include "prepare/dataset_sink.h"

namespace cohort::testing {

// As it would stand in the files; empty texts and kNoMoney are missing cells.
struct SmallEvent {
  std::string user, item;
  EventKind kind = EventKind::kView;
  Time time = 0;
  Quantity quantity = kOnePiece;
  Money price = kNoMoney;
  friend bool operator==(const SmallEvent&, const SmallEvent&) = default;
};
struct SmallItem {
  std::string category, brand;
  Money price = kNoMoney, cost = kNoMoney;
};
struct SmallUser {
  Time sign_up = kNoTime;
  float cost = 0, age = 0;
  std::string channel;
};
struct SmallShop {
  std::map<std::string, SmallItem> items;
  std::map<std::string, SmallUser> users;
  std::vector<SmallEvent> events;  // a contact's item is its arm
};

inline std::string SmallSchemaText(bool hazard) {
  return std::string(R"(
[shop]
until = "1970-08-01"
[events]
files = ["events.csv"]
user = "u"
time = "t"
kind = "k"
item = "i"
quantity = "q"
price = "p"
[users]
files = ["users.csv"]
user = "u"
sign_up = "s"
acquisition_cost = "c"
channel = "channel"
[[users.attribute]]
name = "age"
type = "numeric"
[items]
files = ["items.csv"]
item = "i"
category = "c"
brand = "b"
price = "p"
cost = "k"
[campaigns]
files = ["campaigns.csv"]
user = "u"
time = "t"
arm = "a"
randomised = "r"
outcome = "o"
[snapshots]
train = ["1970-03-01", "1970-03-21"]
valid = "1970-04-20"
test = "1970-06-01"
[features]
windows_days = [10, 40]
history = 8
price_bands = 3
[labels.acquisition_cost]
days = 40
[labels.activation]
days = 30
activities = ["purchase", "favourite"]
[labels.purchase]
horizon_days = 20
[labels.value]
horizon_days = 30
[labels.campaign]
horizon_days = 10
arms = ["i0", "i1", "i2"]
[labels.churn]
cost = true
)") + (hazard ? "horizon_days = 15\nperiods = 4\nseen_within_days = 0\n" : "horizon_days = 30\n");
}

// With a forecast of orders, and windows that end with the test snapshot.
inline std::string SmallForecastSchemaText() {
  std::string text = SmallSchemaText(false);
  const auto put = [&](const std::string& before, const std::string& line) {
    text.insert(text.find(before), line);
  };
  put("[labels.acquisition_cost]", "forecast = true\n");
  put("[labels.value]", "[labels.orders]\nhorizon_days = 60\nshortest_days = 20\n");
  text.replace(text.find("horizon_days = 30", text.find("[labels.value]")), 17,
               "horizon_days = 60\nshortest_days = 25");
  return text;
}

inline ShopSchema SmallSchema(const std::string& text) {
  Result<ShopSchema> schema = ParseShopSchema(text, "shop.toml", "");
  EXPECT_TRUE(schema) << (schema ? "" : schema.error().text());
  return *schema;
}

// An event of one of few users with one of few items, at a time of [from, to), often at midnight: equal times and times that are
// a snapshot's are common.
inline SmallEvent RandomEvent(Time from, Time to, RandomStream* random) {
  SmallEvent event;
  event.user = "u" + std::to_string(random->Below(4));
  event.kind = static_cast<EventKind>(random->Below(kEventKinds + 1));
  if (random->Below(3) == 0) event.kind = EventKind::kPurchase;
  event.time = from + static_cast<Time>(random->Below(static_cast<std::uint64_t>(to - from)));
  if (random->Below(2) == 0) event.time = std::max(from, event.time / kDay * kDay);
  if (random->Below(4) == 0) event.time = std::max(from, event.time / (20 * kDay) * (20 * kDay));
  if (random->Below(5) > 0) event.item = "i" + std::to_string(random->Below(5));
  if (event.kind == EventKind::kContact) {
    if (random->Below(3) > 0) event.quantity = kRandomised;
    if (random->Below(4) > 0) event.price = static_cast<Money>(random->Below(100'000)) - 20'000;
    // Often on the day of a snapshot of SmallSchemaText, or right after it.
    constexpr Time kDays[] = {59, 79, 109, 151};
    const Time near = kDays[random->Below(4)] * kDay + static_cast<Time>(random->Below(28)) * kDay / 24;
    if (random->Below(4) > 0 && near >= from && near < to) event.time = near;
    return event;
  }
  event.quantity = random->Below(4) == 0 ? static_cast<Quantity>(1 + random->Below(3000))
                                         : kOnePiece * static_cast<Quantity>(1 + random->Below(3));
  if (random->Below(4) > 0)
    event.price = static_cast<Money>(random->Below(random->Below(3) == 0 ? 50 : 300'000));
  return event;
}

inline SmallShop RandomShop(Time end, RandomStream* random) {
  SmallShop shop;
  for (int i = 0; i < 5; ++i) {
    if (random->Below(5) == 0) continue;  // not described
    SmallItem& item = shop.items["i" + std::to_string(i)];
    if (random->Below(5) > 0) item.category = "c" + std::to_string(random->Below(2));
    if (random->Below(3) > 0) item.brand = "b" + std::to_string(random->Below(3));
    if (random->Below(2) > 0) item.price = static_cast<Money>(random->Below(300'000));
    if (random->Below(2) > 0) item.cost = static_cast<Money>(random->Below(200'000));
  }
  for (int i = 0; i < 5; ++i) {
    if (random->Below(5) == 0) continue;
    SmallUser& user = shop.users["u" + std::to_string(i)];
    if (random->Below(4) > 0)
      user.sign_up = static_cast<Time>(random->Below(static_cast<std::uint64_t>(end / kDay))) * kDay;
    user.cost = static_cast<float>(random->Below(100));
    user.age = static_cast<float>(random->Below(60));
    if (random->Below(3) > 0) user.channel = "ad" + std::to_string(random->Below(2));
  }
  const std::uint64_t events = random->Below(70);
  for (std::uint64_t i = 0; i < events; ++i) {
    shop.events.push_back(RandomEvent(0, end, random));
    if (random->Below(10) == 0) shop.events.push_back(shop.events.back());  // there twice
  }
  return shop;
}

struct SmallRow {
  std::vector<float> numeric, labels;
  std::vector<Key> categorical;
  std::vector<std::vector<Key>> bags;
  std::vector<std::vector<float>> vectors;
};
using SmallRows =
    std::map<std::pair<std::string, std::size_t>, SmallRow>;  // by user and number of the snapshot

// Tells `rows` of a shop in a random order, and cleans.
inline void FillRows(const SmallShop& shop, RandomStream* random, ShopRows* filled) {
  ShopRows& rows = *filled;
  const FeatureKeys channels("user_channel");
  std::vector<std::size_t> order(shop.events.size());
  for (std::size_t i = 0; i < order.size(); ++i) std::swap(order[i] = i, order[random->Below(i + 1)]);
  std::vector<std::string> item_order;
  for (const auto& [id, described] : shop.items)
    item_order.insert(item_order.begin() + static_cast<std::ptrdiff_t>(random->Below(item_order.size() + 1)),
                      id);
  for (const std::string& id : item_order) {
    const SmallItem& described = shop.items.at(id);
    Item& item = rows.items().item(rows.ItemNumber(id));
    if (!described.category.empty()) item.category = rows.features().CategoryKey(described.category);
    if (!described.brand.empty()) item.brand = rows.features().BrandKey(described.brand);
    item.price = described.price;
    item.cost = described.cost;
  }
  for (const auto& [id, user] : shop.users) {
    UserRecord record;
    record.sign_up = user.sign_up;
    record.acquisition_cost = user.cost;
    record.attributes = {user.channel.empty() ? 0 : channels.Category(user.channel),
                         std::bit_cast<std::uint32_t>(user.age)};
    EXPECT_TRUE(rows.AddUser(id, record).ok());
  }
  for (const std::size_t i : order) {
    const SmallEvent& small = shop.events[i];
    Event event{.time = small.time, .price = small.price, .quantity = small.quantity, .kind = small.kind};
    if (!small.item.empty())
      event.item =
          small.kind == EventKind::kContact ? rows.ArmNumber(small.item) : rows.ItemNumber(small.item);
    EXPECT_TRUE(rows.AddEvent(small.user, event).ok());
  }
  EXPECT_TRUE(rows.Clean().ok());
}

// The rows of a shop whose records are read in a random order.
inline SmallRows RowsOf(const ShopSchema& schema, const SmallShop& shop, RandomStream* random,
                        std::size_t memory_bytes = EventStore::kDefaultMemoryBytes) {
  FindingLog log(false);
  ShopRows rows(schema, &log, ::testing::TempDir(), memory_bytes);
  FillRows(shop, random, &rows);
  SmallRows made;
  RowBlock block;
  const DatasetInfo info = rows.info();
  ClearBlock(info, &block);
  const Status status =
      rows.Write({[&](std::size_t) -> RowBlock& { return block; },
                  [&](std::size_t snapshot) {
                    EXPECT_TRUE(made.emplace(std::pair(block.ids.at(0), snapshot),
                                             SmallRow{block.numeric, block.labels, block.categorical,
                                                      block.bag_keys, block.vectors})
                                    .second);
                    ClearBlock(info, &block);
                    return Status();
                  }});
  EXPECT_TRUE(status.ok()) << status.text();
  return made;
}

}  // namespace cohort::testing

#endif  // COHORT_TESTS_LIFECYCLE_SMALL_SHOP_H_
