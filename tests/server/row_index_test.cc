#include "server/row_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "common/random.h"

namespace cohort::row_index_test {
namespace {

constexpr std::uint64_t kSlotBits = std::uint64_t{1} << 50;  // positions of a slot

struct Expected {
  std::uint32_t row = 0, count = 0;
};

// Everything the index says, of present and of absent positions.
void ExpectHolds(RowIndex& index, const std::map<std::uint64_t, Expected>& expected, bool statistics) {
  ASSERT_EQ(index.size(), expected.size());
  std::vector<std::uint64_t> positions;
  for (const auto& [position, row] : expected) {
    for (const std::uint64_t near : {position - 1, position, position + 1}) positions.push_back(near);
  }
  std::sort(positions.begin(), positions.end());
  std::vector<std::uint32_t> rows(positions.size());
  for (std::size_t i = 0; i < positions.size(); i += RowIndex::kMostAtOnce) {
    const std::size_t n = std::min(RowIndex::kMostAtOnce, positions.size() - i);
    index.Find({positions.data() + i, n}, rows.data() + i);
  }
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const auto it = expected.find(positions[i]);
    ASSERT_EQ(rows[i], it == expected.end() ? RowIndex::kNoRow : it->second.row) << positions[i];
  }
  std::vector<std::uint64_t> visited;
  for (int slot = 0; slot < kSlotCount; ++slot) {
    const std::size_t before = visited.size();
    index.VisitPositions(slot, [&](std::uint64_t position) { visited.push_back(position); });
    ASSERT_EQ(visited.size() - before, index.RowsOfSlot(slot));
    if (!statistics) continue;
    std::size_t i = before;
    index.VisitStatistics(slot, [&](std::uint64_t position, RowStatistics& of) {
      ASSERT_EQ(position, visited[i++]);
      ASSERT_EQ(of.count, expected.at(position).count);
    });
  }
  ASSERT_EQ(visited.size(), expected.size());
  auto it = expected.begin();
  for (const std::uint64_t position : visited) ASSERT_EQ(position, (it++)->first);
}

// Insertions and removals at random, at positions that crowd: neighbours share a home, the highest ones stand at a segment's
// end, and both ends of the ring have entries whose words are all zeros or all ones.
void Churn(std::uint64_t seed, bool statistics, std::uint64_t most) {
  SCOPED_TRACE(seed);
  RandomStream random(seed);
  RowIndex index(statistics);
  std::map<std::uint64_t, Expected> expected;
  std::vector<std::uint32_t> free_rows = {0, 1, (1u << 14) - 1, RowIndex::kMostRows - 1};
  std::uint32_t next_row = 16383 * 3;
  const auto draw = [&]() -> std::uint64_t {
    const std::uint64_t slot = random.Below(3) == 0 ? 0 : random.Below(2) ? kSlotCount - 1 : 5000;
    switch (random.Below(4)) {
      case 0:
        return slot * kSlotBits + random.Below(300);
      case 1:
        return slot * kSlotBits + kSlotBits - 1 - random.Below(300);
      case 2:
        return slot * kSlotBits + kSlotBits / 2 + (random.Below(300) << 18);
      default:
        return slot * kSlotBits + random.Below(kSlotBits);
    }
  };
  for (int turn = 0; turn < 4; ++turn) {
    while (expected.size() < most) {
      const std::uint64_t position = draw();
      if (expected.contains(position)) continue;
      std::uint32_t row = next_row;
      if (free_rows.empty()) {
        ++next_row;
      } else {
        row = free_rows.back();
        free_rows.pop_back();
      }
      index.Insert(position, row);
      expected[position] = {row, static_cast<std::uint32_t>(random.Below(1000))};
      if (statistics) index.Statistics(position).count = expected[position].count;
    }
    ExpectHolds(index, expected, statistics);
    for (auto& [position, row] : expected) {
      if (random.Below(10) != 0) continue;
      index.Replace(position, next_row);
      free_rows.push_back(std::exchange(row.row, next_row++));
    }
    ExpectHolds(index, expected, statistics);
    const std::uint64_t least = turn == 3 ? 0 : random.Below(most);
    while (expected.size() > least) {
      auto it = expected.lower_bound(draw());
      if (it == expected.end()) it = expected.begin();
      ASSERT_EQ(index.Erase(it->first), it->second.row);
      free_rows.push_back(it->second.row);
      expected.erase(it);
    }
    ExpectHolds(index, expected, statistics);
  }
  // Three segments as small as they begin, and their groups.
  EXPECT_LT(index.bytes(), 3u * 64 * 64 + 3 * 2 * 64 * 2);
}

TEST(RowIndex, HoldsWhatAMapHolds) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) Churn(seed, seed % 2 == 0, 40 << seed);
}

TEST(RowIndex, AnEntryTakesAboutThirteenBytes) {
  RowIndex index(false);
  std::uint32_t row = 0;
  double sum = 0;
  int samples = 0;
  while (row < 3'000'000) {
    index.Insert(Mix64(row), row);
    if (++row < 1'000'000 || row % 100'000 != 0) continue;
    sum += static_cast<double>(index.bytes()) / row;
    ++samples;
  }
  EXPECT_LT(sum / samples, 13.8);
  EXPECT_EQ(index.Find(Mix64(77)), 77u);
  EXPECT_EQ(index.Find(Mix64(row)), RowIndex::kNoRow);
}

TEST(RowIndex, NeverTakesARowTwiceOrOneThatIsNotThere) {
  RowIndex index(false);
  index.Insert(5, 1);
  EXPECT_DEATH(index.Erase(6), "not there");
  EXPECT_DEATH(index.Insert(6, RowIndex::kMostRows), "");
}

}  // namespace
}  // namespace cohort::row_index_test
