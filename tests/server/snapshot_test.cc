#include "server/snapshot.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>

#include "common/model_files.h"
#include "common/random.h"
#include "common/slot_map.h"
#include "tests/server/shard_harness.h"
#include "tests/support/rows_of.h"

namespace cohort::snapshot_test {
namespace {

namespace fs = std::filesystem;

std::vector<TableSpec> Tables() {
  TableSpec dense;
  dense.id = 0;
  dense.name = "dense";
  dense.kind = TableKind::kDense;
  dense.dim = 8;
  dense.row_count = 300;
  dense.optimizer.kind = OptimizerKind::kAdam;
  dense.init = {{0, 0.0f, 0.2f}};
  TableSpec sparse;
  sparse.id = 1;
  sparse.name = "embedding";
  sparse.dim = 5;
  sparse.optimizer.kind = OptimizerKind::kFtrl;
  sparse.init = {{0, 0.0f, 0.05f}};
  TableSpec plain = sparse;
  plain.id = 2;
  plain.name = "without state";
  plain.optimizer.kind = OptimizerKind::kSgd;
  return {dense, sparse, plain};
}

// The tables of one of `shards` shards.
struct ShardTables {
  ShardTables(std::uint32_t shards, std::uint32_t shard, const std::vector<TableSpec>& specs = Tables()) {
    const SlotMap map = SlotMap::Even(shards);
    for (int g = 0; g < kSlotGroupCount; ++g)
      owned[static_cast<std::size_t>(g)] = map.ShardOfGroup(g) == shard;
    for (const TableSpec& spec : specs) {
      tables.push_back(std::make_unique<EmbeddingTable>(spec, 3));
      tables.back()->CreateDenseRows(owned);
      raw.push_back(tables.back().get());
    }
  }
  std::vector<const EmbeddingTable*> view() const { return {raw.begin(), raw.end()}; }

  OwnedGroups owned;
  std::vector<std::unique_ptr<EmbeddingTable>> tables;
  std::vector<EmbeddingTable*> raw;
};

using State = std::map<std::pair<TableId, Key>, std::vector<float>>;

void Collect(const ShardTables& shard, State* state) {
  for (const EmbeddingTable* table : shard.raw) {
    for (const auto& [key, row] : AllRowsOf(*table)) {
      EXPECT_TRUE(state->try_emplace({table->spec().id, key}, row).second) << "a row at two shards";
    }
  }
}

class SnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cohort-snapshot-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  // A model with odd rows, written by `shards` shards to `directory`; its manifest.
  ModelManifest Write(const std::string& directory, std::uint32_t shards, const State* from, State* state) {
    fs::create_directories(directory);
    ModelManifest manifest;
    manifest.tables = Tables();
    Hdf5SnapshotStore store;
    for (std::uint32_t s = 0; s < shards; ++s) {
      ShardTables shard(shards, s);
      if (from != nullptr) {
        for (const auto& [name, row] : *from) {
          const TableSpec& spec = shard.raw[name.first]->spec();
          if (shard.owned[static_cast<std::size_t>(GroupOf(RingPosition(spec, name.second)))]) {
            shard.raw[name.first]->Put(name.second, row.data());
          }
        }
      } else {
        RandomStream random(9);
        std::set<Key> keys = {0, ~Key{0}, Key{1} << 63};
        while (keys.size() < 20000) keys.insert(random());
        for (EmbeddingTable* table : shard.raw) {
          if (table->spec().kind == TableKind::kDense) continue;
          for (const Key key : keys) {
            const std::uint64_t position = RingPosition(table->spec(), key);
            if (!shard.owned[static_cast<std::size_t>(GroupOf(position))]) continue;
            float* const row = table->FindOrCreate(key, position);
            const float g[] = {0.1f, -0.0f, 1e-30f, 3e10f, static_cast<float>(key % 97)};
            table->optimizer().Step(g, row);
          }
        }
      }
      const SnapshotDone done = store.Write(directory, s, shard.view());
      EXPECT_EQ(done.error, "");
      manifest.parts.push_back({done.file, done.bytes, done.checksum, done.rows});
      manifest.hash = manifest.hash.value_or(Hash128()) + Hash128{done.hash_low, done.hash_high};
      if (state != nullptr) Collect(shard, state);
    }
    const Status status = WriteModelManifest(directory, manifest);
    EXPECT_TRUE(status.ok()) << status.text();
    return manifest;
  }

  std::string directory_;
};

TEST_F(SnapshotTest, RestoresOntoAnyNumberOfShards) {
  State written;
  const ModelManifest model = Write(directory_ + "/model", 3, nullptr, &written);
  EXPECT_EQ(written.size(), 40300u);
  auto verified = VerifyModel(directory_);
  ASSERT_TRUE(verified.has_value()) << verified.error().text();
  EXPECT_EQ(verified->rows(), 40300u);
  Hdf5SnapshotStore store;
  for (const std::uint32_t shards : {1u, 2u, 5u}) {
    State loaded;
    for (std::uint32_t s = 0; s < shards; ++s) {
      ShardTables shard(shards, s);
      const Status status = store.Load(directory_, shard.owned, shard.raw);
      ASSERT_TRUE(status.ok()) << status.text();
      Collect(shard, &loaded);
    }
    ASSERT_EQ(loaded.size(), written.size());
    for (const auto& [name, row] : written) {
      ASSERT_EQ(std::memcmp(row.data(), loaded.at(name).data(), row.size() * sizeof(float)), 0);
    }
    const std::string again = directory_ + "/again-" + std::to_string(shards);
    EXPECT_EQ(Write(again, shards, &loaded, nullptr).hash, model.hash) << shards << " shards";
    EXPECT_EQ(VerifyModel(again)->hash, model.hash);
  }
}

TEST_F(SnapshotTest, OneBitOfOneWeightChangesTheHash) {
  State state;
  const ModelManifest model = Write(directory_ + "/a", 2, nullptr, &state);
  state.begin()->second[0] = -state.begin()->second[0];
  EXPECT_NE(Write(directory_ + "/b", 2, &state, nullptr).hash, model.hash);
}

// A run that dies while it writes a later snapshot into the same folder leaves the former one, whole.
TEST_F(SnapshotTest, ALaterSnapshotLeavesTheFormerWholeUntilTheManifestNamesIt) {
  State state;
  const ModelManifest first = Write(directory_, 2, nullptr, &state);
  for (auto& [name, row] : state) row[0] += 1.0f;
  {
    ShardTables shard(2, 0);  // one of two shards writes its part
    EXPECT_EQ(Hdf5SnapshotStore().Write(directory_, 0, shard.view()).error, "");
  }
  auto verified = VerifyModel(directory_);
  ASSERT_TRUE(verified) << verified.error().text();
  EXPECT_EQ(verified->hash, first.hash);
  const ModelManifest second = Write(directory_, 2, &state, nullptr);
  EXPECT_EQ(second.parts[0].file, PartFileName(0, 2));
  EXPECT_EQ(second.parts[1].file, PartFileName(1, 1));
  EXPECT_NE(second.hash, first.hash);
  verified = VerifyModel(directory_);
  ASSERT_TRUE(verified) << verified.error().text();
  EXPECT_EQ(verified->hash, second.hash);
}

TEST_F(SnapshotTest, DamageAndForeignModelsAreRefused) {
  Write(directory_, 2, nullptr, nullptr);
  Hdf5SnapshotStore store;
  {
    std::vector<TableSpec> other = Tables();
    other[1].dim = 6;
    ShardTables shard(1, 0, other);
    const Status status = store.Load(directory_, shard.owned, shard.raw);
    EXPECT_EQ(status.code(), ErrorCode::kInvalidInput);
    EXPECT_NE(status.text().find("embedding"), std::string::npos);
  }
  {
    ShardTables shard(1, 0);
    EXPECT_EQ(store.Load(directory_ + "/nowhere", shard.owned, shard.raw).code(), ErrorCode::kInvalidInput);
  }
  const std::string path = directory_ + "/" + PartFileName(1);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(5000);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(5000);
  file.put(byte);
  file.close();
  ShardTables shard(1, 0);
  const Status status = store.Load(directory_, shard.owned, shard.raw);
  EXPECT_EQ(status.code(), ErrorCode::kCorrupt);
  EXPECT_NE(status.text().find(path + ": damaged"), std::string::npos) << status.text();
}

TEST_F(SnapshotTest, AFullOrMissingDirectoryIsToldNotFatal) {
  ShardTables shard(1, 0);
  Hdf5SnapshotStore store;
  const SnapshotDone done = store.Write(directory_ + "/nowhere", 0, shard.view());
  EXPECT_NE(done.error.find("nowhere"), std::string::npos);
}

// The whole way: three shards train and write, two others start from what they wrote and serve the same values.
TEST_F(SnapshotTest, ShardsStartFromAModel) {
  const std::vector<TableSpec> tables = Tables();
  Hdf5SnapshotStore store;
  ModelManifest manifest;
  manifest.tables = tables;
  State expected;
  Gradients gradients;
  for (Key key = 0; key < 500; ++key) gradients[key * 977] = {1, 2, 3, 4, 5};
  for (std::uint32_t s = 0; s < 3; ++s) {
    ShardHarness harness(tables, 1, Consistency::kBsp, 8, 0, 3, s);
    harness.Begin();
    Gradients mine;
    for (const auto& [key, row] : gradients) {
      if (harness.welcome.slot_map->ShardOfGroup(GroupOf(RingPosition(tables[1], key))) == s) mine[key] = row;
    }
    harness.Worker(0, MakePush(tables[1], mine, 0, 1, 1));
    harness.Worker(0, MakeClose(0, 2));
    const auto rows = harness.Rows();
    expected.insert(rows.begin(), rows.end());
    std::vector<const EmbeddingTable*> views;
    for (const TableSpec& spec : tables) views.push_back(harness.shard->table(spec.id));
    const SnapshotDone done = store.Write(directory_, s, views);
    ASSERT_EQ(done.error, "");
    manifest.parts.push_back({done.file, done.bytes, done.checksum, done.rows});
    manifest.hash = manifest.hash.value_or(Hash128()) + Hash128{done.hash_low, done.hash_high};
  }
  ASSERT_TRUE(WriteModelManifest(directory_, manifest).ok());
  State restored;
  for (std::uint32_t s = 0; s < 2; ++s) {
    ShardOptions options;
    options.scheduler.run_id = kTestRun;
    Shard shard(ShardNode(s), options, store);
    Outbox out;
    shard.Start(TimePoint{}, out);
    Welcome welcome;
    welcome.request_id = 1;
    welcome.worker_count = 1;
    welcome.seed = 5;
    welcome.slices = 8;
    welcome.slot_map = SlotMap::Even(2);
    welcome.tables = tables;
    welcome.model_path = directory_;
    Stamp stamp;
    stamp.run_id = kTestRun;
    shard.OnMessage(stamp, welcome, TimePoint{}, out);
    ASSERT_TRUE(shard.failure().ok()) << shard.failure().text();
    for (const TableSpec& spec : tables) {
      for (const auto& [key, row] : AllRowsOf(*shard.table(spec.id))) restored[{spec.id, key}] = row;
    }
  }
  EXPECT_EQ(restored, expected);
}

// 16-bit weights are floats in a model, exactly, and come back as they were; into another dtype they do not.
TEST_F(SnapshotTest, NarrowRowsComeBackAsTheyWere) {
  for (const FloatType dtype : {FloatType::kBfloat16, FloatType::kFloat16}) {
    TableSpec spec;
    spec.id = 1;
    spec.name = "narrow";
    spec.dim = 5;
    spec.dtype = dtype;
    spec.optimizer.kind = OptimizerKind::kAdagrad;
    spec.init = {{0, 0.0f, 0.5f}};
    EmbeddingTable table(spec, 5);
    for (Key key = 0; key < 3000; ++key) table.FindOrCreate(key, RingPosition(spec, key));
    Hdf5SnapshotStore store;
    const std::string directory = directory_ + "/" + FloatTypeName(dtype);
    fs::create_directories(directory);
    const EmbeddingTable* view[] = {&table};
    const SnapshotDone done = store.Write(directory, 0, view);
    ASSERT_EQ(done.error, "");
    ModelManifest manifest;
    manifest.tables = {spec};
    manifest.parts = {{done.file, done.bytes, done.checksum, done.rows}};
    manifest.hash = Hash128{done.hash_low, done.hash_high};
    manifest.dataset_info = "{}";
    ASSERT_TRUE(WriteModelManifest(directory, manifest).ok());
    const auto verified = VerifyModel(directory);
    ASSERT_TRUE(verified) << verified.error().text();
    EXPECT_EQ(verified->tables[0].dtype, dtype);

    EmbeddingTable loaded(spec, 5);
    EmbeddingTable* into[] = {&loaded};
    const Status status = store.Load(directory, OwnedGroups().set(), into);
    ASSERT_TRUE(status.ok()) << status.text();
    EXPECT_EQ(AllRowsOf(loaded), AllRowsOf(table));
    TableSpec wide_spec = spec;
    wide_spec.dtype = FloatType::kFloat32;
    EmbeddingTable wide(wide_spec, 5);
    into[0] = &wide;
    const Status refused = store.Load(directory, OwnedGroups().set(), into);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.text().find("float32"), std::string::npos) << refused.text();
  }
}

}  // namespace
}  // namespace cohort::snapshot_test
