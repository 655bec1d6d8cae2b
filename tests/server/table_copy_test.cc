#include "server/table_copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/random.h"
#include "server/cold_file.h"
#include "server/shard_table.h"
#include "tests/support/rows_of.h"

namespace cohort::table_copy_test {
namespace {

namespace fs = std::filesystem;

struct CopiedRow {
  std::vector<float> values;
  std::uint64_t statistics = 0;
  bool operator==(const CopiedRow&) const = default;
};
using Rows = std::map<Key, CopiedRow>;

Rows RowsNow(EmbeddingTable& table) {
  Rows rows;
  for (const auto& [key, values] : AllRowsOf(table)) rows[key].values = values;
  if (!table.spec().policy.NeedsStatistics()) return rows;
  for (int slot = 0; slot < kSlotCount; ++slot) {
    table.VisitSlot(slot, [&](std::uint64_t position, RowStatistics& statistics) {
      rows[KeyAt(table.spec(), position)].statistics = PackedStatistics(statistics);
    });
  }
  return rows;
}

// Adds what has been copied; no row may come twice.
void Collect(TableCopy& copy, const EmbeddingTable& table, Rows* rows) {
  while (const auto block = copy.TakeBlock()) {
    EXPECT_EQ(block->table, table.spec().id);
    const RowLayout& layout = table.layout();
    for (std::size_t i = 0; i < block->positions.size(); ++i) {
      CopiedRow row;
      row.values.resize(layout.dim + layout.state_floats);
      layout.Load(block->words.data() + i * table.row_words(), row.values.data());
      if (!block->statistics.empty()) row.statistics = block->statistics[i];
      const Key key = KeyAt(table.spec(), block->positions[i]);
      EXPECT_TRUE(rows->emplace(key, std::move(row)).second) << "key " << key << " twice";
    }
  }
}

TableSpec Sparse() {
  TableSpec spec;
  spec.id = 1;
  spec.name = "embedding";
  spec.dim = 3;
  spec.optimizer.kind = OptimizerKind::kAdagrad;
  spec.init = {{0, 0.0f, 0.5f}};
  return spec;
}

// A disk in memory that forgets a row when its place is freed, brings pieces late, and notices what is freed twice.
class StrictDisk : public ColdRows {
 public:
  StrictDisk(std::uint32_t row_words, std::uint64_t seed) : row_words_(row_words), random_(seed, 5) {}
  std::optional<std::uint32_t> Write(std::uint64_t position, const float* row) override {
    rows_[next_] = {position, std::vector<float>(row, row + row_words_)};
    return next_++;
  }
  bool WaitForRoom() override { return true; }
  void Free(std::uint32_t place) override { EXPECT_EQ(rows_.erase(place), 1u) << "freed twice"; }
  void Request(std::span<const std::uint32_t> places, TimePoint) override {
    for (const std::uint32_t place : places) coming_.emplace_back(place, rows_.at(place));
  }
  std::optional<Arrived> Take(TimePoint) override {
    if (coming_.empty()) return std::nullopt;
    taken_ = std::move(coming_.back());
    coming_.pop_back();
    return Arrived{taken_.second.first, taken_.first, taken_.second.second.data()};
  }
  TimePoint NextArrival() const override { return TimePoint(); }
  Status Read(std::span<const std::uint32_t> places, float* rows) override {
    for (const std::uint32_t place : places)
      rows = std::copy(rows_.at(place).second.begin(), rows_.at(place).second.end(), rows);
    return {};
  }
  std::uint32_t pieces() const override { return next_ / kPiece + 1; }
  void RequestPiece(std::uint32_t piece, TimePoint) override { pieces_.push_back(piece); }
  bool TakePiece(TimePoint, const std::function<void(const Arrived&)>& visit) override {
    if (pieces_.empty() || random_.Below(3) != 0) return false;
    const std::uint32_t piece = pieces_.front();
    pieces_.pop_front();
    const std::vector<float> nothing(row_words_, 7.0f);
    for (std::uint32_t place = piece * kPiece; place < (piece + 1) * kPiece; ++place) {
      const auto row = rows_.find(place);
      visit(row == rows_.end()
                ? Arrived{RingPosition(TableKind::kSparse, 0, RandomBits(3, place)), place, nothing.data()}
                : Arrived{row->second.first, place, row->second.second.data()});
    }
    return true;
  }
  const Status& full() const override { return ok_; }
  const Status& failure() const override { return ok_; }

 private:
  static constexpr std::uint32_t kPiece = 64;
  using Row = std::pair<std::uint64_t, std::vector<float>>;
  const std::uint32_t row_words_;
  RandomStream random_;
  std::uint32_t next_ = 0;
  std::map<std::uint32_t, Row> rows_;
  std::vector<std::pair<std::uint32_t, Row>> coming_;
  std::pair<std::uint32_t, Row> taken_;
  std::deque<std::uint32_t> pieces_;
  const Status ok_;
};

// A table that changes at random, as a shard changes it.
class ChangingTable {
 public:
  ChangingTable(const TableSpec& spec, std::uint64_t seed, std::uint64_t keys, const std::string& disk)
      : table_(spec, 7, nullptr), random_(seed), keys_(keys) {
    if (disk.empty()) return;
    ColdFile::Options options;
    options.directory = disk;
    options.row_words = table_.rows().row_words();
    std::unique_ptr<ColdRows> cold = std::make_unique<StrictDisk>(options.row_words, seed);
    if (seed == 3) cold = *ColdFile::Create(options);
    table_.UseTier(std::move(cold), 300 * (table_.rows().row_words() * 4 + EmbeddingTable::kTierBytesPerRow));
  }

  void Change() {
    // Few keys at a time, of few slots: so that some are met again.
    std::vector<std::pair<std::uint64_t, Key>> ring;
    const std::uint64_t count = 1 + random_.Below(40);
    for (std::uint64_t i = 0; i < count; ++i) {
      const Key key = RandomBits(3, random_.Below(keys_));
      ring.emplace_back(RingPosition(table_.spec(), key), key);
    }
    std::sort(ring.begin(), ring.end());
    ring.erase(std::unique(ring.begin(), ring.end()), ring.end());
    std::vector<Key> keys;
    std::vector<std::uint64_t> positions;
    std::vector<float> gradients;
    std::vector<std::uint32_t> counts;
    for (const auto& [position, key] : ring) {
      keys.push_back(key);
      positions.push_back(position);
      for (std::uint32_t d = 0; d < table_.spec().dim; ++d)
        gradients.push_back(static_cast<float>(random_.Uniform()));
      if (table_.spec().policy.NeedsCounts())
        counts.push_back(1 + static_cast<std::uint32_t>(random_.Below(4)));
    }
    BringIn(positions);
    table_.Apply({keys.size(), keys.data(), positions.data(), nullptr}, gradients.data(), counts, ++clock_);
    if (random_.Below(4) == 0) table_.EndClock(clock_);
    if (table_.tiered()) table_.rows().Trim(use_);
    if (random_.Below(10) == 0 && erases) EraseAnyRow();  // may lie on disk
  }
  bool erases = true;
  EmbeddingTable& rows() { return table_.rows(); }

 private:
  void BringIn(std::span<const std::uint64_t> positions) {
    if (!table_.tiered()) return;
    std::size_t missing = table_.Fetch(positions, ++use_, {});
    while (missing > 0) {
      table_.TakeIn({}, [&](std::uint64_t use) { missing -= use == use_; });
      std::this_thread::yield();
    }
  }
  void EraseAnyRow() {
    const std::vector<Key> keys = rows().SortedKeys();
    if (!keys.empty()) rows().Erase(RingPosition(rows().spec(), keys[random_.Below(keys.size())]));
  }

  ShardTable table_;
  RandomStream random_;
  const std::uint64_t keys_;
  std::uint64_t use_ = 0;
  Clock clock_ = 0;
};

enum class Kind : std::uint8_t { kPlain, kNarrow, kPolicy, kTier, kTierAndPolicy };

class TableCopyTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cohort-copy-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }
  TableSpec Spec() const {
    TableSpec spec = Sparse();
    if (Tiered()) spec.dim = 150;  // several pieces on the disk
    if (GetParam() == Kind::kNarrow) spec.dtype = FloatType::kBfloat16;
    if (GetParam() == Kind::kPolicy || GetParam() == Kind::kTierAndPolicy) {
      spec.policy.evict_idle_clocks = 400;
      spec.policy.max_bytes = kSlotCount * BytesPerRow(spec) * 2;
    }
    return spec;
  }
  bool Tiered() const { return GetParam() == Kind::kTier || GetParam() == Kind::kTierAndPolicy; }

  std::string directory_;
};

// Gives the copy its turns until it is done, with so many changes of the table before each.
Rows CopyToTheEnd(TableCopy& copy, ChangingTable& table, std::uint64_t changes, RandomStream& random) {
  const std::size_t row_bytes = table.rows().row_words() * sizeof(float);
  Rows copied;
  while (!copy.done()) {
    for (std::uint64_t i = 0; i < changes; ++i) table.Change();
    copy.TakePieces({});
    if (copy.CanStep()) copy.Step(1 + random.Below(400 * row_bytes), {});
    if (random.Below(3) == 0) Collect(copy, table.rows(), &copied);
  }
  Collect(copy, table.rows(), &copied);
  return copied;
}

// Whatever happens to a table between the turns, the copy is what it was when the copy began; and so is the next one.
TEST_P(TableCopyTest, IsTheTableAsItWas) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    RandomStream random(seed, 1);
    const std::uint64_t keys = seed % 4 == 0 ? 50 : 3000;
    ChangingTable table(Spec(), seed, keys, Tiered() ? directory_ : "");
    const std::size_t row_bytes = table.rows().row_words() * sizeof(float);
    for (int i = 0; i < 300; ++i) table.Change();
    for (int round = 0; round < 3; ++round) {
      const Rows expected = RowsNow(table.rows());
      TableCopy copy(table.rows(), 1 + random.Below(100 * row_bytes));
      const std::uint64_t changes = random.Below(4);
      const Rows copied = CopyToTheEnd(copy, table, changes, random);
      ASSERT_EQ(copied.size(), expected.size());
      ASSERT_EQ(copied, expected);
      EXPECT_EQ(copy.rows_copied(), expected.size());
      if (changes > 0 && keys > 1000) {
        EXPECT_GT(copy.rows_saved(), 0u);
      }
    }
  }
}

// A copy of what has changed, over the copies before it, is what one of all rows would have been; and the table goes on changing.
TEST_P(TableCopyTest, OfChangedRowsOverFormerOnes) {
  if (Spec().policy.NeedsStatistics()) return;  // rows that go: never
  std::uint64_t copied_rows = 0, all_rows = 0;
  const std::uint64_t seeds = Tiered() ? 4 : 12;  // the disk takes its time
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(seed);
    RandomStream random(seed, 3);
    ChangingTable table(Spec(), seed, seed % 4 == 0 ? 50 : 20000, Tiered() ? directory_ : "");
    table.erases = false;
    const std::size_t row_bytes = table.rows().row_words() * sizeof(float);
    for (int i = 0; i < 300; ++i) table.Change();
    Rows former;
    ChangesSince since;
    for (int round = 0; round < 6; ++round) {
      const Rows expected = RowsNow(table.rows());
      TableCopy copy(table.rows(), 1 + random.Below(100 * row_bytes), since);
      const auto changed = std::make_shared<ChangedRows>(table.rows().size(), kSlotCount);
      table.rows().TakeDownChanges(changed.get());
      if (round > 0 && random.Below(3) == 0) {
        since.push_back(changed);  // as if this one would not be whole
      } else {
        since = {changed};
      }
      const Rows copied = CopyToTheEnd(copy, table, /*changes=*/random.Below(3), random);
      EXPECT_EQ(copy.rows_copied(), copied.size());
      copied_rows += copied.size(), all_rows += expected.size();
      Rows whole = copied;
      whole.insert(former.begin(), former.end());
      ASSERT_EQ(whole, expected);
      if (since.size() == 1) former = std::move(whole);
      for (std::uint64_t i = random.Below(20); i > 0; --i) table.Change();
    }
    table.rows().TakeDownChanges(nullptr);
  }
  EXPECT_LT(copied_rows, all_rows * 2 / 3);
}

TEST_P(TableCopyTest, AfterOneThatWasGivenUpTheNextIsWhole) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    RandomStream random(seed, 2);
    ChangingTable table(Spec(), seed, 2000, Tiered() ? directory_ : "");
    for (int i = 0; i < 200; ++i) table.Change();
    const std::size_t row_bytes = table.rows().row_words() * sizeof(float);
    {
      TableCopy copy(table.rows(), 1000);
      for (std::uint64_t i = random.Below(40); i > 0 && !copy.done(); --i) {
        table.Change();
        copy.TakePieces({});
        if (copy.CanStep()) copy.Step(500 * row_bytes, {});
      }
      copy.Abandon();
      while (!copy.done()) {
        table.Change();
        copy.TakePieces({});
        if (copy.CanStep()) copy.Step(500 * row_bytes, {});
      }
    }
    const Rows expected = RowsNow(table.rows());
    TableCopy copy(table.rows(), 1000);
    Rows copied;
    while (!copy.done()) {
      table.Change();
      copy.TakePieces({});
      if (copy.CanStep()) copy.Step(200 * row_bytes, {});
    }
    Collect(copy, table.rows(), &copied);
    ASSERT_EQ(copied, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TableCopyTest,
                         ::testing::Values(Kind::kPlain, Kind::kNarrow, Kind::kPolicy, Kind::kTier,
                                           Kind::kTierAndPolicy));

TEST(TableCopyOfNothing, IsDoneAtOnce) {
  EmbeddingTable table(Sparse(), 1);
  TableCopy copy(table, 100);
  EXPECT_TRUE(copy.done());
  EXPECT_FALSE(copy.TakeBlock());
}

}  // namespace
}  // namespace cohort::table_copy_test
