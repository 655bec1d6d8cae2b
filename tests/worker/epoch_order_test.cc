#include "worker/epoch_order.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "common/dataset.h"

namespace cohort::epoch_order_test {
namespace {

std::vector<std::uint64_t> Visit(const EpochOrder& order, std::uint64_t window_blocks) {
  std::vector<std::uint64_t> rows;
  std::vector<EpochOrder::Place> places;
  for (std::uint64_t first = 0; first < order.block_count(); first += window_blocks) {
    const std::uint64_t count = std::min(window_blocks, order.block_count() - first);
    order.ShuffleWindow(first, count, &places);
    EXPECT_EQ(places.size(), order.RowsOfWindow(first, count));
    for (const auto& place : places)
      rows.push_back(order.BlockAt(first + place.block) * kBlockRows + place.row);
  }
  return rows;
}

TEST(EpochOrder, VisitsEveryRowOnce) {
  for (const std::uint64_t rows : {1ull, 1023ull, 1024ull, 1025ull, 10'000ull}) {
    for (const std::uint64_t window : {1ull, 3ull, 100ull}) {
      const auto visited = Visit(EpochOrder(7, rows, 2), window);
      EXPECT_EQ(visited.size(), rows);
      EXPECT_EQ(std::set<std::uint64_t>(visited.begin(), visited.end()).size(), rows);
      EXPECT_EQ(*std::max_element(visited.begin(), visited.end()), rows - 1);
    }
  }
}

TEST(EpochOrder, IsAFunctionOfSeedAndEpoch) {
  EXPECT_EQ(Visit(EpochOrder(7, 5000, 2), 2), Visit(EpochOrder(7, 5000, 2), 2));
  EXPECT_NE(Visit(EpochOrder(7, 5000, 2), 2), Visit(EpochOrder(7, 5000, 3), 2));
  EXPECT_NE(Visit(EpochOrder(7, 5000, 2), 2), Visit(EpochOrder(8, 5000, 2), 2));
}

TEST(EpochOrder, OfNoRowsIsEmpty) { EXPECT_EQ(EpochOrder(1, 0, 0).block_count(), 0u); }

// A shuffle that leaves rows near their place would train on sorted data in sorted order.
TEST(EpochOrder, SpreadsNeighboursOverTheEpoch) {
  const auto visited = Visit(EpochOrder(1, 100'000, 0), 16);
  double displacement = 0;
  for (std::size_t i = 0; i < visited.size(); ++i) {
    displacement += std::abs(static_cast<double>(visited[i]) - static_cast<double>(i));
  }
  EXPECT_GT(displacement / static_cast<double>(visited.size()), 20'000);  // uniform: rows / 3
}

}  // namespace
}  // namespace cohort::epoch_order_test
