// The memory and the disk of a tier, shared by the tables of a shard.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "server/cold_file.h"
#include "tests/server/shard_harness.h"
#include "tests/support/subprocess.h"

namespace cohort::shared_tier_test {
namespace {

TableSpec Sparse(TableId id, std::uint32_t dim) {
  TableSpec table;
  table.id = id;
  table.name = "t" + std::to_string(id);
  table.dim = dim;
  table.init = {{0, 0.0f, 0.5f}};
  return table;
}

// A disk that takes every row and is asked for none.
class RoomyDisk : public ColdRows {
 public:
  std::optional<std::uint32_t> Write(std::uint64_t, const float*) override { return next_++; }
  bool WaitForRoom() override { return true; }
  void Free(std::uint32_t) override {}
  void Request(std::span<const std::uint32_t>, TimePoint) override { ADD_FAILURE(); }
  std::optional<Arrived> Take(TimePoint) override { return std::nullopt; }
  TimePoint NextArrival() const override { return kNever; }
  Status Read(std::span<const std::uint32_t>, float*) override { return {}; }
  std::uint32_t pieces() const override { return 0; }
  void RequestPiece(std::uint32_t, TimePoint) override { ADD_FAILURE(); }
  bool TakePiece(TimePoint, const std::function<void(const Arrived&)>&) override { return false; }
  const Status& full() const override { return ok_; }
  const Status& failure() const override { return ok_; }

 private:
  std::uint32_t next_ = 0;
  const Status ok_;
};

TEST(SharedTier, ATableThatFitsLeavesTheRestToTheOthers) {
  const TableSpec small = Sparse(1, 4), large = Sparse(2, 12);
  constexpr std::uint64_t kSmallBytes = 4 * 4 + 16, kLargeBytes = 12 * 4 + 16;
  ShardOptions options;
  options.cold_rows = [](std::uint32_t) -> Result<std::unique_ptr<ColdRows>> {
    return std::make_unique<RoomyDisk>();
  };
  options.tier_bytes = 1000 * kLargeBytes;
  ShardHarness harness({small, large, Sparse(3, 8)}, 1, Consistency::kAsp, 8, 0, 1, 0, options);
  harness.Begin();
  Clock clock = 0;
  const auto push = [&](const TableSpec& table, Key first, Key count) {
    Gradients gradients;
    for (Key key = first; key < first + count; ++key) gradients[key] = std::vector<float>(table.dim, 1.0f);
    harness.Worker(0, MakePush(table, gradients, clock, 1, static_cast<RequestId>(clock) + 1));
    ++clock;
  };
  const auto in_memory = [&](const TableSpec& table) {
    return harness.shard->table(table.id)->rows_in_memory();
  };
  push(small, 0, 100);
  for (Key i = 0; i < 50; ++i) push(large, 1000 * i, 1000);
  EXPECT_EQ(harness.shard->table(2)->size(), 50000u);
  EXPECT_EQ(in_memory(small), 100u);
  // All but what the 100 rows take, and up to an eighth more.
  const std::uint64_t left = 1000 - (100 * kSmallBytes + kLargeBytes - 1) / kLargeBytes;
  EXPECT_GE(in_memory(large), left - 1);
  EXPECT_LE(in_memory(large), left + left / 8);
  // When the small one has grown, each has a half.
  for (Key i = 1; i < 50; ++i) push(small, 1000 * i, 1000);
  push(large, 50000, 10);
  const std::uint64_t half = 1000 * kLargeBytes / 2;
  EXPECT_GE(in_memory(small), half / kSmallBytes);
  EXPECT_LE(in_memory(small), half / kSmallBytes * 9 / 8);
  EXPECT_LE(in_memory(large), half / kLargeBytes * 9 / 8);
  EXPECT_TRUE(harness.shard->failure().ok());
}

TEST(SharedTier, FilesOfOneOwnerShareItsDisk) {
  testing::TemporaryFolder folder;
  ColdFile::Options options;
  options.directory = folder / "";
  options.row_words = 1024;  // 255 rows to the segment
  options.most_bytes = 4u << 20;
  options.taken = std::make_shared<std::uint64_t>(0);
  options.threads = 2;
  const auto first = ColdFile::Create(options).value(), second = ColdFile::Create(options).value();
  const std::vector<float> row(options.row_words, 1.0f);
  const auto fill = [&](ColdFile& file, std::size_t most) {
    std::size_t taken = 0;
    while (taken < most) {
      if (file.Write(taken, row.data())) {
        ++taken;
      } else if (!file.WaitForRoom()) {
        break;
      }
    }
    return taken;
  };
  EXPECT_EQ(fill(*first, 255), 255u);
  EXPECT_EQ(fill(*second, 10000), 3 * 255u);
  EXPECT_THAT(second->full().text(), ::testing::HasSubstr("tier.max_disk_bytes"));
  EXPECT_EQ(fill(*first, 10000), 0u);
  EXPECT_EQ(*options.taken, options.most_bytes);
}

}  // namespace
}  // namespace cohort::shared_tier_test
