#include "worker/hot_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/random.h"

namespace cohort::hot_rows_test {
namespace {

TEST(HotRows, ARowServesFromItsClockOn) {
  HotRows rows(8, 2);
  const float first[] = {1, 2}, second[] = {3, 4};
  EXPECT_EQ(rows.Find(0, -10), nullptr);  // a free place is no row, whatever the bound
  rows.Offer(0, 5, first);
  rows.Offer(~0ull, -1, second);
  ASSERT_NE(rows.Find(0, 5), nullptr);
  EXPECT_EQ(rows.Find(0, 5)[1], 2.0f);
  EXPECT_EQ(rows.Find(0, 6), nullptr);
  EXPECT_EQ(rows.Find(~0ull, -1)[0], 3.0f);
  rows.Offer(0, 4, second);  // an answer that was overtaken
  EXPECT_EQ(rows.Find(0, 5)[0], 1.0f);
  rows.Offer(0, 7, second);
  EXPECT_EQ(rows.Find(0, 7)[0], 3.0f);
  rows.Clear();
  EXPECT_EQ(rows.Find(0, -10), nullptr);
}

TEST(HotRows, KeysSeenOnceDisplaceNone) {
  HotRows rows(64, 1);
  const float value = 1;
  std::vector<std::uint64_t> hot;
  for (std::uint64_t i = 0; i < 32; ++i) hot.push_back(RandomBits(1, i));
  const auto see = [&](std::uint64_t position) {
    if (rows.Find(position, 0) != nullptr) return true;
    rows.Offer(position, 0, &value);
    return false;
  };
  for (int round = 0; round < 3; ++round) {
    for (const std::uint64_t position : hot) see(position);
  }
  std::size_t served = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    if (i % 50 == 0) {
      for (const std::uint64_t position : hot) served += see(position);
    }
    see(RandomBits(2, i));
  }
  // 400 rounds of 32; sets of eight may have to leave a few out.
  EXPECT_GT(served, 400u * 32 * 9 / 10);
}

// Zipf 1.1 over a hundred thousand keys: room for a hundredth of them serves most of what room for the best would.
TEST(HotRows, KeepsWhatIsAskedForMost) {
  constexpr std::size_t kKeys = 100000, kRows = 1000;
  std::vector<double> cumulative(kKeys);
  double sum = 0;
  for (std::size_t i = 0; i < kKeys; ++i) cumulative[i] = sum += std::pow(static_cast<double>(i + 1), -1.1);
  HotRows rows(kRows, 1);
  RandomStream random(3);
  const float value = 1;
  std::size_t served = 0, best = 0, asked = 0;
  for (std::size_t draw = 0; draw < 400000; ++draw) {
    const auto rank = static_cast<std::size_t>(
        std::lower_bound(cumulative.begin(), cumulative.end(), random.Uniform() * sum) - cumulative.begin());
    const std::uint64_t position = RandomBits(4, rank);
    const bool here = rows.Find(position, 0) != nullptr;
    if (!here) rows.Offer(position, 0, &value);
    if (draw < 100000) continue;  // until it is warm
    ++asked;
    served += here;
    best += rank < kRows;
  }
  EXPECT_GT(served, best * 9 / 10) << served << " of " << asked << ", the best would be " << best;
}

}  // namespace
}  // namespace cohort::hot_rows_test
