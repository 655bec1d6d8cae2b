// Funnel, retention and moves: a log counted by hand, and random shops against a plain, slow count.
#include "lifecycle/lifecycle_counts.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "tests/lifecycle/small_shop.h"

namespace cohort::testing::lifecycle_counts_test {
namespace {

using ::testing::ElementsAre;

constexpr Time kHour = kDay / 24;
constexpr Time kEnd = 212 * kDay;  // 1970-08-01, the `until` of SmallSchemaText

LifecycleCounts CountsOf(const ShopSchema& schema, const SmallShop& shop,
                         const std::optional<LifeStageRule>& stages, RandomStream* random) {
  FindingLog log(false);
  ShopRows rows(schema, &log, ::testing::TempDir());
  FillRows(shop, random, &rows);
  const Result<LifecycleCounts> counts = CountLifecycles(schema, rows, stages);
  EXPECT_TRUE(counts);
  return *counts;
}

// By gaps; the usual one is 50 days.
std::optional<LifeStageRule> Stages(const ShopSchema& schema) {
  DatasetInfo info;
  info.features = UserFeatures(schema).infos();
  info.rows[0] = 10;
  for (FeatureInfo& feature : info.features) {
    if (feature.name == "order_gap_mean_days") feature.mean = std::log1p(50.0);
  }
  return LifeStageRule::Of(info);
}

std::vector<std::uint64_t> Reached(const LifecycleCounts& counts) {
  std::vector<std::uint64_t> reached;
  for (const LifecycleCounts::Step& step : counts.funnel) reached.push_back(step.reached);
  return reached;
}

TEST(LifecycleCounts, OfALogCountedByHand) {
  const ShopSchema schema = SmallSchema(SmallSchemaText(false));
  RandomStream random(1);
  SmallShop shop;
  const auto act = [&](const char* user, EventKind kind, Time time, Quantity quantity = kOnePiece) {
    shop.events.push_back({user, "i0", kind, time, quantity});
  };
  shop.users["signed up"].sign_up = 4 * kDay;
  shop.users["signs up later"].sign_up = kEnd + kDay;
  act("contacted", EventKind::kContact, 5 * kDay);
  act("returns", EventKind::kReturn, 40 * kDay);
  act("views", EventKind::kView, 9 * kDay), act("views", EventKind::kView, 33 * kDay);  // January, February
  act("cart", EventKind::kCart, 31 * kDay);  // midnight of February
  act("once", EventKind::kPurchase, 10 * kHour, 2 * kOnePiece);
  act("once", EventKind::kPurchase, 10 * kHour, kOnePiece);  // another line of the same order
  act("once", EventKind::kReturn, 60 * kDay);                // no activity
  act("twice", EventKind::kPurchase, kDay), act("twice", EventKind::kPurchase, 88 * kDay);  // January, March
  act("late", EventKind::kFavourite, 124 * kDay);                                           // May
  const LifecycleCounts counts = CountsOf(schema, shop, Stages(schema), &random);

  std::vector<std::string> names;
  std::vector<std::uint64_t> furthest;
  for (const LifecycleCounts::Step& step : counts.funnel)
    names.push_back(step.name), furthest.push_back(step.furthest);
  EXPECT_THAT(names, ElementsAre("visited", "viewed", "cart", "bought", "bought again"));
  EXPECT_THAT(Reached(counts), ElementsAre(7, 5, 3, 2, 1));
  EXPECT_THAT(furthest, ElementsAre(2, 2, 1, 1, 1));

  ASSERT_EQ(counts.retention.size(), 3u);
  EXPECT_EQ(MonthText(counts.retention[0].month), "1970-01");
  EXPECT_THAT(counts.retention[0].active, ElementsAre(3, 1, 1, 0, 0, 0, 0));
  EXPECT_EQ(MonthText(counts.retention[1].month), "1970-02");
  EXPECT_THAT(counts.retention[1].active, ElementsAre(1, 0, 0, 0, 0, 0));
  EXPECT_EQ(MonthText(counts.retention[2].month), "1970-05");
  EXPECT_THAT(counts.retention[2].active, ElementsAre(1, 0, 0));
  EXPECT_TRUE(counts.last_month_whole);
  EXPECT_EQ(counts.earlier, 0u);

  // From the 20th of April to the 1st of June. "once" has been silent for three of everybody's gaps only at the second.
  ASSERT_TRUE(counts.moves);
  EXPECT_EQ(counts.moves->from, 109 * kDay);
  EXPECT_EQ(counts.moves->to, 151 * kDay);
  EXPECT_THAT(counts.moves->users[0], ElementsAre(4, 0, 0, 0));
  EXPECT_THAT(counts.moves->users[1], ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(counts.moves->users[2], ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(counts.moves->users[3], ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(counts.moves->users[4], ElementsAre(1, 0, 0, 0));
}

TEST(LifecycleCounts, ShowTheLastMonthsAndTheStepsThatAreLogged) {
  std::string text = SmallSchemaText(false);
  const auto replace = [&](const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
  };
  replace("1970-08-01", "1972-03-15");  // 27 months, the last one not whole
  replace("kind = \"k\"", "kind_is = \"purchase\"");
  replace("activities = [\"purchase\", \"favourite\"]", "activities = [\"purchase\"]");
  const ShopSchema schema = SmallSchema(text);
  RandomStream random(1);
  SmallShop shop;
  for (const Time day : {89, 90, 91}) {  // the 31st of March, the 1st and 2nd of April
    const std::string user = "u" + std::to_string(day);
    shop.events.push_back({user, "i0", EventKind::kPurchase, day * kDay});
    shop.events.push_back({user, "i0", EventKind::kPurchase, 800 * kDay});  // March 1972
  }
  const LifecycleCounts counts = CountsOf(schema, shop, std::nullopt, &random);
  EXPECT_EQ(counts.earlier, 1u);
  ASSERT_EQ(counts.retention.size(), 1u);
  EXPECT_EQ(counts.retention[0].active.size(), LifecycleCounts::kMostMonths);
  EXPECT_EQ(counts.retention[0].active.front(), 2u);
  EXPECT_EQ(counts.retention[0].active.back(), 2u);
  EXPECT_FALSE(counts.last_month_whole);
  EXPECT_THAT(Reached(counts), ElementsAre(3, 3, 3));
  EXPECT_EQ(counts.funnel[1].name, "bought");
  EXPECT_FALSE(counts.moves);
}

// The plain count.
LifecycleCounts Plain(const SmallShop& shop) {
  std::set<std::string> users;
  for (const auto& [name, user] : shop.users) users.insert(name);
  for (const SmallEvent& event : shop.events) users.insert(event.user);
  LifecycleCounts plain;
  for (const char* name : {"visited", "viewed", "cart", "bought", "bought again"})
    plain.funnel.push_back({name});
  std::map<int, std::vector<std::set<int>>> months;  // of activity, of each user, by the first one
  for (const std::string& user : users) {
    std::map<EventKind, std::set<Time>> times;
    std::set<int> active;
    for (const SmallEvent& event : shop.events) {
      if (event.user != user || event.kind == EventKind::kContact) continue;
      times[event.kind].insert(event.time);
      if (event.kind != EventKind::kReturn) active.insert(MonthOf(event.time));
    }
    const auto described = shop.users.find(user);
    const bool signed_up = described != shop.users.end() && described->second.sign_up != kNoTime &&
                           described->second.sign_up < kEnd;
    if (times.empty() && !signed_up) continue;
    const std::size_t step = times[EventKind::kPurchase].size() > 1                                      ? 4
                             : !times[EventKind::kPurchase].empty()                                      ? 3
                             : !times[EventKind::kCart].empty()                                          ? 2
                             : !times[EventKind::kView].empty() || !times[EventKind::kFavourite].empty() ? 1
                                                                                                         : 0;
    ++plain.funnel[step].furthest;
    for (std::size_t i = 0; i <= step; ++i) ++plain.funnel[i].reached;
    if (!active.empty()) months[*active.begin()].push_back(active);
  }
  for (const auto& [month, of] : months) {
    plain.retention.push_back({month, {}});
    for (int later = month; later <= MonthOf(kEnd - 1); ++later) {
      plain.retention.back().active.push_back(static_cast<std::uint64_t>(std::count_if(
          of.begin(), of.end(), [&](const std::set<int>& active) { return active.contains(later); })));
    }
  }
  return plain;
}

TEST(LifecycleCounts, AgreeWithAPlainCountAndWithTheRowsOfTheDataset) {
  for (const bool forecast : {false, true}) {
    const ShopSchema schema = SmallSchema(forecast ? SmallForecastSchemaText() : SmallSchemaText(false));
    const std::optional<LifeStageRule> stages = Stages(schema);
    ASSERT_TRUE(stages);
    std::uint64_t moved = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      RandomStream random(seed);
      const SmallShop shop = RandomShop(kEnd, &random);
      const LifecycleCounts counts = CountsOf(schema, shop, stages, &random), plain = Plain(shop);
      ASSERT_EQ(counts.funnel.size(), plain.funnel.size());
      for (std::size_t i = 0; i < plain.funnel.size(); ++i) {
        EXPECT_EQ(counts.funnel[i].name, plain.funnel[i].name);
        EXPECT_EQ(counts.funnel[i].reached, plain.funnel[i].reached) << "seed " << seed << ", step " << i;
        EXPECT_EQ(counts.funnel[i].furthest, plain.funnel[i].furthest) << "seed " << seed << ", step " << i;
      }
      ASSERT_EQ(counts.retention.size(), plain.retention.size()) << "seed " << seed;
      for (std::size_t i = 0; i < plain.retention.size(); ++i) {
        EXPECT_EQ(counts.retention[i].month, plain.retention[i].month);
        EXPECT_EQ(counts.retention[i].active, plain.retention[i].active) << "seed " << seed;
      }
      // Moves are those between the rows of the valid and the test snapshot.
      LifecycleCounts::StageMoves rows;
      const SmallRows made = RowsOf(schema, shop, &random);
      const auto stage = [&](const SmallRow& row) {
        return static_cast<std::size_t>(
            stages->StageOf(row.numeric.data(), std::numeric_limits<double>::quiet_NaN()));
      };
      for (const auto& [key, row] : made) {
        if (key.second != 3) continue;
        const auto before = made.find({key.first, 2});
        ++rows.users[before == made.end() ? kLifeStageNames.size() : stage(before->second)][stage(row)];
        moved += before != made.end() && stage(before->second) != stage(row);
      }
      ASSERT_TRUE(counts.moves);
      EXPECT_EQ(counts.moves->users, rows.users) << "seed " << seed;
    }
    EXPECT_GT(moved, 10u);
  }
}

}  // namespace
}  // namespace cohort::testing::lifecycle_counts_test
