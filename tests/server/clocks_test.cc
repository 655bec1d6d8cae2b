#include "server/clocks.h"

#include <gtest/gtest.h>

#include <limits>

namespace cohort::clocks_test {
namespace {

std::span<const std::uint32_t> First(std::size_t members) {
  static constexpr std::uint32_t kNumbers[] = {0, 1, 2};
  return std::span(kNumbers).first(members);
}

TEST(Clocks, BspWaitsForEverybody) {
  Clocks clocks(3, Consistency::kBsp, 9);  // staleness is ssp's alone
  clocks.BeginPhase(0, First(3));
  EXPECT_TRUE(clocks.MayAnswer(0));
  EXPECT_FALSE(clocks.MayAnswer(1));
  clocks.Close(0, 0);
  clocks.Close(2, 0);
  EXPECT_EQ(clocks.slowest(), 1u);
  EXPECT_FALSE(clocks.MayAnswer(1));
  clocks.Close(1, 0);
  EXPECT_TRUE(clocks.MayAnswer(1));
  EXPECT_FALSE(clocks.MayAnswer(2));
  EXPECT_EQ(clocks.lowest(), 0);
}

TEST(Clocks, SspLetsTheFastRunAhead) {
  Clocks clocks(2, Consistency::kSsp, 4);
  clocks.BeginPhase(0, First(2));
  EXPECT_TRUE(clocks.MayAnswer(4));
  EXPECT_FALSE(clocks.MayAnswer(5));
  clocks.Close(0, 100);
  EXPECT_FALSE(clocks.MayAnswer(5));
  clocks.Close(1, 0);
  EXPECT_TRUE(clocks.MayAnswer(5));
}

TEST(Clocks, AspNeverWaits) {
  Clocks clocks(2, Consistency::kAsp, 0);
  clocks.BeginPhase(0, First(2));
  EXPECT_TRUE(clocks.MayAnswer(std::numeric_limits<Clock>::max()));
}

TEST(Clocks, ClosingBackwardsChangesNothing) {
  Clocks clocks(1, Consistency::kBsp, 0);
  clocks.BeginPhase(5, First(1));
  EXPECT_EQ(clocks.lowest(), 4);
  clocks.Close(0, 7);
  clocks.Close(0, 3);
  EXPECT_EQ(clocks.closed(0), 7);
}

TEST(Clocks, WithoutDataClosedAtInfinityUntilTheNextPhase) {
  Clocks clocks(2, Consistency::kSsp, 0xffffffffu);
  clocks.BeginPhase(0, First(2));
  clocks.Close(0, kClockInfinity);
  EXPECT_EQ(clocks.lowest(), -1);
  clocks.Close(1, kClockInfinity);
  EXPECT_EQ(clocks.lowest(), kClockInfinity);
  EXPECT_TRUE(clocks.MayAnswer(kClockInfinity));
  EXPECT_TRUE(clocks.MayAnswer(std::numeric_limits<Clock>::min()));
  clocks.BeginPhase(12, First(2));
  EXPECT_EQ(clocks.closed(0), 11);
  EXPECT_EQ(clocks.lowest(), 11);
}

// One comes under a number of its own, another goes: each phase has its members.
TEST(Clocks, OnlyThoseWhoTakePartAreWaitedFor) {
  Clocks clocks(2, Consistency::kBsp, 0);
  clocks.BeginPhase(0, First(2));
  for (const std::uint32_t member : First(2)) clocks.Close(member, 3);
  const std::uint32_t later[] = {1, 4};
  clocks.BeginPhase(4, later);
  EXPECT_EQ(clocks.closed(0), kClockInfinity) << "it has gone";
  EXPECT_EQ(clocks.closed(3), kClockInfinity) << "nobody has that number";
  EXPECT_EQ(clocks.closed(4), 3);
  clocks.Close(1, 4);
  EXPECT_EQ(clocks.slowest(), 4u);
  EXPECT_FALSE(clocks.MayAnswer(5));
  clocks.Close(4, 4);
  EXPECT_TRUE(clocks.MayAnswer(5));
}

}  // namespace
}  // namespace cohort::clocks_test
