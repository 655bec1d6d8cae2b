#include "server/applied_pushes.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "common/random.h"

namespace cohort::applied_pushes_test {
namespace {

TEST(AppliedPushes, EachPartOnce) {
  AppliedPushes applied(2);
  const PushName push{3, 1, 9};
  EXPECT_TRUE(applied.Mark(0, push, 7));
  EXPECT_FALSE(applied.Mark(0, push, 7));
  EXPECT_TRUE(applied.Mark(0, push, 8));
  EXPECT_TRUE(applied.Mark(1, push, 7));
  EXPECT_TRUE(applied.Mark(0, {3, 1, 10}, 7));
  EXPECT_TRUE(applied.Mark(0, {3, 2, 9}, 7));
  EXPECT_TRUE(applied.Mark(0, {4, 1, 9}, 7));
  EXPECT_TRUE(applied.Contains(0, push, 8));
  EXPECT_FALSE(applied.Contains(1, push, 8));
}

TEST(AppliedPushes, FollowsAPlainSetThroughRandomHistory) {
  RandomStream random(5);
  AppliedPushes applied(3);
  std::set<std::tuple<std::uint32_t, PushName, int>> reference;
  std::vector<Clock> closed(3, -1);
  for (int i = 0; i < 20000; ++i) {
    const auto worker = static_cast<std::uint32_t>(random.Below(3));
    if (random.Below(50) == 0) {
      applied.Forget(worker, ++closed[worker]);
      continue;
    }
    const PushName push{closed[worker] + 1 + static_cast<Clock>(random.Below(3)),
                        static_cast<TableId>(random.Below(2)),
                        static_cast<std::uint16_t>(1 + random.Below(3))};
    const int group = static_cast<int>(random.Below(256));
    ASSERT_EQ(applied.Mark(worker, push, group), reference.emplace(worker, push, group).second);
  }
  EXPECT_LE(applied.entries(), 3u * 3 * 2 * 3);  // only what is not closed
  applied.Forget(0, kClockInfinity);
  applied.Clear();
  EXPECT_EQ(applied.entries(), 0u);
}

}  // namespace
}  // namespace cohort::applied_pushes_test
