#include "server/embedding_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "common/random.h"

namespace cohort::embedding_table_test {
namespace {

TableSpec Sparse(std::uint32_t dim, OptimizerKind kind = OptimizerKind::kAdagrad) {
  TableSpec spec;
  spec.id = 3;
  spec.name = "items";
  spec.dim = dim;
  spec.optimizer.kind = kind;
  spec.init = {{0, 0.0f, 0.5f}};
  return spec;
}

float* Touch(EmbeddingTable& table, Key key) {
  return table.FindOrCreate(key, RingPosition(table.spec(), key));
}
float* Look(const EmbeddingTable& table, Key key) {
  const std::uint64_t position = RingPosition(table.spec(), key);
  float* row = nullptr;
  table.Find({&position, 1}, {&row, 1});
  return row;
}

TEST(EmbeddingTable, PositionsHaveKeys) {
  RandomStream random(1);
  const TableSpec sparse = Sparse(1);
  for (const Key key : {Key{0}, Key{1}, ~Key{0}, Key{1} << 63}) {
    EXPECT_EQ(KeyAt(sparse, RingPosition(sparse, key)), key);
  }
  for (int i = 0; i < 10000; ++i) {
    const Key key = random();
    ASSERT_EQ(KeyAt(sparse, RingPosition(sparse, key)), key);
  }
  TableSpec dense = Sparse(1);
  dense.kind = TableKind::kDense;
  for (const std::uint64_t rows : {1ull, 2ull, 3ull, 255ull, 256ull, 257ull, 100003ull}) {
    dense.row_count = rows;
    for (Key key = 0; key < rows; ++key) ASSERT_EQ(KeyAt(dense, RingPosition(dense, key)), key) << rows;
  }
}

TEST(EmbeddingTable, RowsAppearWithTheirInitialValuesAndNeverMove) {
  EmbeddingTable table(Sparse(5), 17);
  std::map<Key, float*> expected;
  RandomStream random(2);
  for (const Key key : {Key{0}, ~Key{0}, Key{1}, Key{1} << 63}) expected[key] = Touch(table, key);
  while (expected.size() < 60000) {
    const Key key = random.Below(2) ? random() : random.Below(100000);
    ASSERT_EQ(Look(table, key) != nullptr, expected.contains(key));
    expected[key] = Touch(table, key);
  }
  EXPECT_EQ(table.size(), expected.size());
  EXPECT_EQ(Look(table, 0x123456789ull << 20), nullptr);
  std::set<float*> distinct;
  for (const auto& [key, row] : expected) {
    ASSERT_EQ(Look(table, key), row) << "a row moved or was lost";
    distinct.insert(row);
    float initial[5];
    InitializeRow(table.spec(), 17, key, initial);
    ASSERT_EQ(std::memcmp(row, initial, sizeof(initial)), 0);
    ASSERT_EQ(row[5], table.spec().optimizer.initial_accumulator);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(row) % 16, 0u);
  }
  EXPECT_EQ(distinct.size(), expected.size());
  const std::vector<Key> keys = table.SortedKeys();
  ASSERT_EQ(keys.size(), expected.size());
  auto it = expected.begin();
  for (const Key key : keys) ASSERT_EQ(key, (it++)->first);
}

TEST(EmbeddingTable, BatchesFindWhatSinglesFind) {
  EmbeddingTable table(Sparse(2), 1);
  for (Key key = 0; key < 1000; key += 2) Touch(table, key);
  std::vector<Key> keys;
  std::vector<std::uint64_t> positions;
  for (Key key = 0; key < 1000; ++key) keys.push_back(key);
  keys.push_back(7);  // twice in one batch
  for (const Key key : keys) positions.push_back(RingPosition(table.spec(), key));
  std::vector<float*> rows(keys.size());
  table.Find(positions, rows);
  for (std::size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(rows[i] == nullptr, keys[i] % 2 == 1);
  table.Update(keys, positions, {}, [&](std::size_t i, float* row) { rows[i] = row; });
  EXPECT_EQ(table.size(), 1000u);
  for (std::size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(rows[i], Look(table, keys[i]));
  EXPECT_EQ(rows[7], rows[1000]);
}

// Keys made so that all positions share their leading 50 bits: the index must stay correct, and small.
TEST(EmbeddingTable, CrowdedPositionsStayCorrect) {
  EmbeddingTable table(Sparse(1), 1);
  std::vector<Key> keys;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    keys.push_back(KeyAt(table.spec(), 0xffffffffffff0000ull + (i * 7919) % 65536));
  }
  for (const Key key : keys) Touch(table, key);
  EXPECT_EQ(table.size(), keys.size());
  for (const Key key : keys) ASSERT_NE(Look(table, key), nullptr);
  EXPECT_LT(table.index_bytes(), 1u << 20);
}

void Erase(EmbeddingTable& table, Key key) { table.Erase(RingPosition(table.spec(), key)); }

TEST(EmbeddingTable, RowsComeAndGo) {
  for (const bool crowded : {false, true}) {
    TableSpec spec = Sparse(3);
    spec.policy.evict_idle_clocks = 1;  // statistics move with their entries
    EmbeddingTable table(spec, 17);
    std::map<Key, std::uint32_t> expected;  // key -> sightings
    RandomStream random(crowded);
    const auto key_of = [&] {
      return crowded ? KeyAt(spec, 0xffffffffffff0000ull + random.Below(900)) : Mix64(random.Below(200000));
    };
    for (int i = 0; i < 60000; ++i) {
      const Key key = key_of();
      const auto found = expected.find(key);
      ASSERT_EQ(Look(table, key) != nullptr, found != expected.end());
      if (found != expected.end() && random.Below(2) == 0) {
        Erase(table, key);
        expected.erase(found);
        ASSERT_EQ(Look(table, key), nullptr);
        continue;
      }
      float* row = Touch(table, key);
      if (found == expected.end()) {
        float initial[3];
        InitializeRow(spec, 17, key, initial);
        ASSERT_EQ(std::memcmp(row, initial, sizeof(initial)), 0) << "a row that comes back starts afresh";
        row[0] = 1e9f;
      }
      table.NoteUpdate(RingPosition(spec, key), 2, i);
      expected[key] += 2;
    }
    ASSERT_EQ(table.size(), expected.size());
    std::uint64_t visited = 0;
    for (int slot = 0; slot < kSlotCount; ++slot) {
      std::uint64_t rows = 0, last = 0;
      table.VisitSlot(slot, [&](std::uint64_t position, RowStatistics& statistics) {
        ASSERT_EQ(SlotOf(position), slot);
        ASSERT_TRUE(rows == 0 || last < position);
        ASSERT_EQ(statistics.count, expected.at(KeyAt(spec, position)));
        last = position;
        ++rows;
      });
      ASSERT_EQ(table.RowsOfSlot(slot), rows);
      visited += rows;
    }
    EXPECT_EQ(visited, expected.size());
  }
}

TEST(EmbeddingTable, MemoryOfErasedRowsServesAgain) {
  EmbeddingTable table(Sparse(16), 1);
  std::uint64_t most = 0;
  for (int round = 0; round < 5; ++round) {
    for (Key key = 0; key < 50000; ++key) Touch(table, key + static_cast<Key>(round) * 1000000);
    if (round == 0) most = table.memory_bytes();
    EXPECT_LE(table.memory_bytes(), most + most / 20);
    for (Key key = 0; key < 50000; ++key) Erase(table, key + static_cast<Key>(round) * 1000000);
    EXPECT_EQ(table.size(), 0u);
    EXPECT_LT(table.index_bytes(), 16384u * 8 * 24 + (1u << 20)) << "segments shrink";
  }
}

TEST(EmbeddingTable, DenseRowsAreAllThere) {
  TableSpec spec = Sparse(4, OptimizerKind::kAdam);
  spec.kind = TableKind::kDense;
  spec.row_count = 700;
  spec.init = {{0, 1.0f, 0.0f}, {2795, 2.0f, 0.0f}};
  OwnedGroups owned;
  for (std::size_t g = 100; g < 200; ++g) owned[g] = true;
  EmbeddingTable table(spec, 1);
  table.CreateDenseRows(owned);
  const std::vector<Key> keys = table.SortedKeys();
  ASSERT_FALSE(keys.empty());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_TRUE(owned[static_cast<std::size_t>(GroupOf(RingPosition(spec, keys[i])))]);
    EXPECT_EQ(keys[i], keys[0] + i) << "a contiguous range";
  }
  EmbeddingTable all(spec, 1);
  all.CreateDenseRows(OwnedGroups().set());
  EXPECT_EQ(all.size(), 700u);
  EXPECT_EQ(Look(all, 698)[2], 1.0f);
  EXPECT_EQ(Look(all, 698)[3], 2.0f);
}

TEST(EmbeddingTable, PutReplacesWeightsAndState) {
  EmbeddingTable table(Sparse(2), 1);
  const float first[] = {1, 2, 3, 4}, second[] = {5, 6, 7, 8};
  table.Put(42, first);
  table.Put(42, second);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(std::memcmp(Look(table, 42), second, sizeof(second)), 0);
}

TEST(EmbeddingTable, NarrowRowsHoldWhatTheirDtypeCan) {
  for (const FloatType dtype : {FloatType::kBfloat16, FloatType::kFloat16}) {
    for (const std::uint32_t dim : {1u, 5u, 16u}) {
      TableSpec spec = Sparse(dim);
      spec.dtype = dtype;
      EmbeddingTable table(spec, 17);
      std::vector<float> initial(dim), row(2 * dim);
      Touch(table, 9);
      table.InitialWeights(9, initial.data());
      const Key key = 9;
      ASSERT_TRUE(table.CopyRows({&key, 1}, row.data()).ok());
      EXPECT_TRUE(std::equal(initial.begin(), initial.end(), row.begin()))
          << "a fresh row is what a pull was told";
      EXPECT_EQ(row[dim], spec.optimizer.initial_accumulator) << "state is float32";
      for (std::size_t i = 0; i < row.size(); ++i) row[i] = 0.25f * static_cast<float>(i) - 1;
      row[2 * dim - 1] = 1.0f / 3;
      table.Put(9, row.data());
      std::vector<float> back(2 * dim);
      ASSERT_TRUE(table.CopyRows({&key, 1}, back.data()).ok());
      EXPECT_EQ(back, row);
    }
  }
}

TEST(EmbeddingTable, NarrowRowsTakeHalfTheMemory) {
  TableSpec spec = Sparse(64, OptimizerKind::kSgd);
  EmbeddingTable wide(spec, 1);
  spec.dtype = FloatType::kBfloat16;
  EmbeddingTable narrow(spec, 1);
  for (Key key = 0; key < 200000; ++key) Touch(wide, key), Touch(narrow, key);
  const auto per_row = [](const EmbeddingTable& table) {
    return static_cast<double>(table.memory_bytes() - table.index_bytes()) /
           static_cast<double>(table.size());
  };
  std::printf("bytes a row: float32 %.1f, bfloat16 %.1f, and %.1f of index\n", per_row(wide), per_row(narrow),
              static_cast<double>(narrow.index_bytes()) / 200000);
  EXPECT_NEAR(per_row(narrow), per_row(wide) / 2, 12);
}

// The index is promised to cost about 15 bytes a row, and growth to be local.
TEST(EmbeddingTable, IndexIsSmall) {
  EmbeddingTable table(Sparse(1, OptimizerKind::kSgd), 1);
  double sum = 0;
  int samples = 0;
  for (Key key = 0; key < 1500000; ++key) {
    Touch(table, key);
    if (key >= 1000000 && key % 10000 == 0) {
      sum += static_cast<double>(table.index_bytes()) / static_cast<double>(table.size());
      ++samples;
    }
  }
  std::printf("index: %.2f bytes a row\n", sum / samples);
  EXPECT_LT(sum / samples, 19.0);
}

}  // namespace
}  // namespace cohort::embedding_table_test
