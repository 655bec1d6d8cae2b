#include "lifecycle/order_forecast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lifecycle/draws.h"
#include "tests/lifecycle/small_shop.h"

namespace cohort::testing {
namespace {

Event Purchase(Time day, double price, Quantity quantity = kOnePiece) {
  Event event;
  event.kind = EventKind::kPurchase;
  event.time = day * kDay;
  event.price = std::isnan(price) ? kNoMoney : static_cast<Money>(price * kMoneyUnit);
  event.quantity = quantity;
  return event;
}

TEST(OrderForecast, OrdersAreTimesOfPurchases) {
  Event view, returned = Purchase(9, 10);
  view.time = 2 * kDay;
  returned.kind = EventKind::kReturn;
  const std::vector<Event> events = {
      view,     Purchase(3, 10), Purchase(3, 5, 2 * kOnePiece), Purchase(8, std::nan("")),
      returned, Purchase(20, 7)};
  const auto at = [&](Time day) { return OrderForecast::OrdersBefore(events, day * kDay); };
  EXPECT_EQ(at(3).orders, 0u);
  EXPECT_EQ(at(4).orders, 1u);
  EXPECT_EQ(at(4).money, 20);
  EXPECT_EQ(at(20).orders, 2u);
  EXPECT_EQ(at(20).priced, 1u);
  EXPECT_EQ(at(20).last, 8 * kDay);
  EXPECT_EQ(at(21).orders, 3u);
  EXPECT_EQ(at(21).money, 27);
  EXPECT_EQ(at(21).squares, 449);
  EXPECT_EQ(at(21).first, 3 * kDay);
}

ShopSchema Schema() { return SmallSchema(SmallForecastSchemaText()); }

// Customers whose orders are worth 20 + 5 N(0, 1) (their own mean) + 10 N(0, 1): k = 100 / 25.
TEST(OrderForecast, WorthOfAnOrderIsCredibility) {
  const ShopSchema schema = Schema();
  OrderForecast forecast(schema);
  RandomStream random(1);
  for (int i = 0; i < 8000; ++i) {
    const double mean = 40 + 5 * DrawNormal(&random);
    std::vector<Event> events;
    for (std::uint64_t n = 1 + random.Below(6), day = 1; n > 0; --n, ++day)
      events.push_back(Purchase(static_cast<Time>(day), std::max(0.0, mean + 10 * DrawNormal(&random))));
    forecast.AddUser("u" + std::to_string(i), events);
  }
  forecast.Fit();
  OrdersSoFar none;
  EXPECT_NEAR(forecast.OrderValue(0, none), 40, 0.3);
  OrdersSoFar some;
  some.orders = some.priced = 6, some.money = 6 * 60;
  EXPECT_NEAR(forecast.OrderValue(0, some), (4 * 40 + 6 * 60) / 10.0, 0.8);
}

// More customers than are fitted on: which ones depends on no order, and the fit is that of all.
TEST(OrderForecast, ASampleOfTheUsersInAnyOrder) {
  const ShopSchema schema = Schema();
  const BgNbd truth = {0.9, 15, 1.4, 6};  // days
  constexpr int kUsers = 40'000;
  ASSERT_GT(static_cast<std::size_t>(kUsers), OrderForecast::kMostCustomers);
  std::vector<std::vector<Event>> users;
  RandomStream random(2);
  const Time end = schema.snapshots.back().time / kDay;
  for (int i = 0; i < kUsers; ++i) {
    const double rate = DrawGamma(truth.r, &random) / truth.alpha,
                 dropout = DrawBeta(truth.a, truth.b, &random);
    std::vector<Event>& events = users.emplace_back();
    double t = 40 * random.Uniform();
    for (; t < static_cast<double>(end); t += DrawExponential(&random) / rate) {
      events.push_back(Purchase(0, 10));
      events.back().time = static_cast<Time>(t * static_cast<double>(kDay));
      if (events.size() > 1 && random.Uniform() < dropout) break;
    }
  }
  const auto fit = [&](bool backwards) {
    OrderForecast forecast(schema);
    for (int i = 0; i < kUsers; ++i) {
      const int user = backwards ? kUsers - 1 - i : i;
      forecast.AddUser("u" + std::to_string(user), users[static_cast<std::size_t>(user)]);
    }
    forecast.Fit();
    return forecast.model(schema.snapshots.size() - 1);
  };
  const BgNbd forwards = fit(false), backwards = fit(true);
  EXPECT_EQ(forwards.r, backwards.r);
  EXPECT_EQ(forwards.b, backwards.b);
  EXPECT_NEAR(forwards.r, truth.r, 0.05);
  EXPECT_NEAR(forwards.a / (forwards.a + forwards.b), truth.a / (truth.a + truth.b), 0.02);
}

// A row's orders are those of its window, and its forecast is for the same one: cut at the test snapshot, whole from it on.
TEST(OrderForecast, RowsHaveTheForecastOfTheirLabelsWindow) {
  const ShopSchema schema = Schema();  // snapshots on days 59, 79, 109 and, test, 151; until day 212
  SmallShop shop;
  const auto buy = [&](const std::string& user, Time day) {
    shop.events.push_back({user, "i", EventKind::kPurchase, day * kDay, kOnePiece, 10 * kMoneyUnit});
  };
  for (const Time day : {10, 60, 60, 100, 110, 112, 150, 151, 200, 210, 211}) buy("a", day);
  buy("b", 30);
  RandomStream random(1);
  const SmallRows rows = RowsOf(schema, shop, &random);
  const ShopRows shape(schema, nullptr, ::testing::TempDir());
  const DatasetInfo info = shape.info();
  const auto feature = [&](const char* name) {
    const auto found = std::find_if(info.features.begin(), info.features.end(),
                                    [&](const FeatureInfo& each) { return each.name == name; });
    EXPECT_NE(found, info.features.end()) << name;
    return static_cast<std::size_t>(found - info.features.begin());
  };
  const auto task = [&](const char* name) {
    const auto found = std::find_if(info.tasks.begin(), info.tasks.end(),
                                    [&](const TaskInfo& each) { return each.name == name; });
    return static_cast<std::size_t>(found - info.tasks.begin());
  };
  const auto orders = [&](const char* user, std::size_t snapshot) {
    return rows.at({user, snapshot}).labels[task("orders")];
  };
  EXPECT_EQ(orders("a", 0), 4);  // days 59 to 118: 60 (two lines at once), 100, 110, 112
  EXPECT_EQ(orders("a", 1), 3);  // days 79 to 138
  EXPECT_EQ(orders("a", 2), 3);  // days 109 to 150: 42 days, cut
  EXPECT_EQ(orders("a", 3), 3);  // days 151 to 210
  EXPECT_EQ(orders("b", 3), 0);
  EXPECT_EQ(rows.at({"a", 2}).labels[task("value")], 30);

  OrderForecast forecast(schema);
  for (const char* user : {"a", "b"}) {
    std::vector<Event> events;
    for (const SmallEvent& event : shop.events) {
      if (event.user != user || (!events.empty() && events.back().time == event.time)) continue;
      events.push_back(Purchase(event.time / kDay, 10));
    }
    forecast.AddUser(user, events);
  }
  forecast.Fit();
  for (const auto& [snapshot, days] : {std::pair<std::size_t, Time>{0, 60}, {2, 42}, {3, 60}}) {
    OrdersSoFar b;
    b.orders = b.priced = 1, b.first = b.last = 30 * kDay, b.money = 10, b.squares = 100;
    const SmallRow& row = rows.at({"b", snapshot});
    EXPECT_NEAR(row.numeric[feature("log_expected_orders")],
                std::log(forecast.Orders(snapshot, b, days * kDay)), 1e-5);
    EXPECT_NEAR(row.numeric[feature("log_expected_value")],
                std::log(forecast.Orders(snapshot, b, days * kDay) * 10), 1e-5);
    EXPECT_EQ(row.numeric[feature("alive")], 1);
  }
}

TEST(OrderForecast, WindowsOfDifferentLengthsNeedIt) {
  std::string text = SmallForecastSchemaText();
  const auto error = [&] {
    const Result<ShopSchema> schema = ParseShopSchema(text, "shop.toml", "");
    return schema ? std::string() : schema.error().text();
  };
  EXPECT_EQ(error(), "");
  const auto replace = [&](const std::string& before, const std::string& after) {
    text.replace(text.find(before), before.size(), after);
  };
  replace("shortest_days = 20", "shortest_days = 70");
  EXPECT_THAT(error(), ::testing::HasSubstr("shortest_days = 70: expected at most horizon_days, 60"));
  replace("shortest_days = 70", "shortest_days = 20");
  replace("forecast = true", "forecast = false");
  EXPECT_THAT(error(), ::testing::HasSubstr("set forecast = true in [features]"));
}

}  // namespace
}  // namespace cohort::testing
