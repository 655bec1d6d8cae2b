// The heart of lifecycle/: features know nothing of what comes at or after their snapshot, labels nothing of what came before.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "tests/lifecycle/small_shop.h"

namespace cohort::testing::no_leak_test {
namespace {

constexpr Time kEnd = 212 * kDay;  // 1970-08-01

// COHORT_LEAK_CASES: how many shops; the seed of a failure is printed, COHORT_LEAK_SEED begins with it.
std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}
template <typename T>
bool SameBits(const std::vector<std::vector<T>>& a, const std::vector<std::vector<T>>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return SameBits(x, y); });
}

// Removes, changes, repeats and adds events of [from, to), anywhere in the list, of any user; the others stay.
SmallShop Changed(const SmallShop& shop, Time from, Time to, RandomStream* random) {
  SmallShop changed = shop;
  changed.events.clear();
  const std::uint64_t kept = random->Below(4);  // of 4; 0: none
  const auto add = [&] {
    SmallEvent event = RandomEvent(from, to, random);
    if (random->Below(3) == 0) event.kind = EventKind::kReturn;
    if (random->Below(10) == 0) event.user = "stranger";
    if (random->Below(10) == 0 && event.kind != EventKind::kContact) event.item = "new";
    changed.events.push_back(event);
  };
  for (const SmallEvent& event : shop.events) {
    if (random->Below(8) == 0) add();
    if (event.time < from || event.time >= to) {
      changed.events.push_back(event);
    } else if (random->Below(4) < kept) {
      changed.events.push_back(event);
      if (random->Below(4) == 0) changed.events.back().price = static_cast<Money>(random->Below(1'000'000));
      if (random->Below(8) == 0) changed.events.push_back(event);
    }
  }
  for (std::uint64_t i = random->Below(20); i > 0; --i) add();
  return changed;
}

TEST(NoLeak, NothingAfterASnapshotChangesAFeatureAndNothingBeforeItALabel) {
  const std::uint64_t cases = FromEnvironment("COHORT_LEAK_CASES", 500);
  const std::uint64_t first_seed = FromEnvironment("COHORT_LEAK_SEED", 1);
  const ShopSchema schemas[] = {SmallSchema(SmallSchemaText(false)), SmallSchema(SmallSchemaText(true)),
                                SmallSchema(SmallForecastSchemaText())};
  std::uint64_t features_compared = 0, labels_compared = 0, events_changed = 0;
  for (std::uint64_t seed = first_seed; seed < first_seed + cases; ++seed) {
    SCOPED_TRACE("COHORT_LEAK_SEED=" + std::to_string(seed));
    RandomStream random(seed);
    const ShopSchema& schema = schemas[seed % 3];
    const SmallShop shop = RandomShop(kEnd, &random);
    const SmallRows rows = RowsOf(schema, shop, &random);
    const std::size_t at = random.Below(schema.snapshots.size());
    const Time now = schema.snapshots[at].time;

    const SmallShop other_future = Changed(shop, now, kEnd, &random);
    events_changed += other_future.events != shop.events;
    const SmallRows with_other_future = RowsOf(schema, other_future, &random);
    std::size_t here = 0, there = 0;
    for (const auto& [key, row] : with_other_future) there += key.second <= at;
    for (const auto& [key, row] : rows) {
      if (key.second > at) continue;
      ++here;
      const auto found = with_other_future.find(key);
      ASSERT_NE(found, with_other_future.end()) << key.first << " at " << key.second;
      const SmallRow& other = found->second;
      ASSERT_TRUE(SameBits(row.numeric, other.numeric) && SameBits(row.categorical, other.categorical) &&
                  SameBits(row.bags, other.bags) && SameBits(row.vectors, other.vectors))
          << "a feature of " << key.first << " at snapshot " << key.second << " saw what came after";
      ++features_compared;
    }
    ASSERT_EQ(here, there);

    // The cost of churn is about the horizon before the snapshot: only what came before that may not matter.
    const Time horizon = schema.labels.churn->horizon_days * kDay;
    const bool long_before = random.Below(2) == 0;
    const SmallRows with_other_past =
        RowsOf(schema, Changed(shop, 0, long_before ? now - horizon : now, &random), &random);
    for (const auto& [key, row] : rows) {
      const auto found = with_other_past.find(key);
      if (key.second < at || found == with_other_past.end()) continue;
      for (std::size_t task = 0; task < row.labels.size(); ++task) {
        constexpr std::size_t kChurnCost = 3;
        if (task == kChurnCost && !long_before) continue;
        const float label = row.labels[task], other = found->second.labels[task];
        if (std::isnan(label) || std::isnan(other)) continue;
        ASSERT_EQ(label, other) << "label " << task << " of " << key.first << " at snapshot " << key.second
                                << " saw what came before";
        ++labels_compared;
      }
    }
  }
  EXPECT_GT(features_compared, 3 * cases);
  EXPECT_GT(labels_compared, 3 * cases);
  EXPECT_GT(events_changed, cases * 9 / 10);
}

}  // namespace
}  // namespace cohort::testing::no_leak_test
