#include "launch/reshard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/model_diff.h"
#include "tests/support/checkpoint_cluster.h"
#include "tests/support/subprocess.h"
#include "tests/support/written_model.h"

namespace cohort::reshard_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

std::unique_ptr<CheckpointCluster> Resumed(const std::vector<TableSpec>& tables, Consistency consistency,
                                           const std::string& from, Clock clock) {
  auto cluster = std::make_unique<CheckpointCluster>(3, tables, consistency, 2, "/unused");
  cluster->welcome.model_path = from;
  cluster->welcome.resume = true;
  cluster->Begin(0, clock);
  cluster->ExpectNoFailure();
  return cluster;
}

// What shards were beside their rows (policies' sketches, clocks, applied pushes, counters) goes with them: a run that goes on
// from the resharded checkpoint is one that goes on from the checkpoint, and one that was never interrupted.
TEST(Reshard, ABspRunGoesOnFromIt) {
  const auto step = [](CheckpointCluster& cluster, Clock clock) {
    for (std::uint32_t worker = 0; worker < 2; ++worker)
      cluster.Push(worker, clock, static_cast<std::uint16_t>(2 + worker), worker);
    for (std::uint32_t worker = 0; worker < 2; ++worker) cluster.Close(worker, clock);
  };
  const auto tables = CheckpointTables(Admission::kCount);
  CheckpointCluster whole(1, tables, Consistency::kBsp, 2, "/unused");
  whole.Begin();
  for (Clock clock = 0; clock < 20; ++clock) step(whole, clock);
  EXPECT_GT(whole.Count(ShardEvent::kEvictedMemory), 0u);
  EXPECT_GT(whole.Count(ShardEvent::kNotAdmitted), 0u);
  for (const std::uint32_t from : {1u, 3u}) {
    TemporaryFolder folder;
    CheckpointCluster before(from, tables, Consistency::kBsp, 2, folder / "checkpoints");
    before.Begin();
    for (Clock clock = 0; clock < 8; ++clock) step(before, clock);
    before.Order(8);
    before.WaitForParts(from);
    const std::string checkpoint = before.WriteManifest(8, true);
    for (const std::uint32_t to : {1u, 2u, 5u, from == 3 ? 256u : 8u}) {
      SCOPED_TRACE(std::to_string(from) + " to " + std::to_string(to));
      const std::string out = folder / "to-" + std::to_string(to);
      const auto manifest = Reshard(checkpoint, to, out);
      ASSERT_TRUE(manifest.has_value()) << manifest.error().text();
      EXPECT_EQ(manifest->parts.size(), to);
      const auto verified = VerifyModel(out);
      ASSERT_TRUE(verified.has_value()) << verified.error().text();
      EXPECT_EQ(verified->hash, ReadModelManifest(checkpoint)->hash);
      EXPECT_EQ(verified->checkpoint, ReadModelManifest(checkpoint)->checkpoint);
      EXPECT_TRUE(DiffModels(checkpoint, out)->same());
      auto after = Resumed(tables, Consistency::kBsp, out, 8);
      for (Clock clock = 8; clock < 20; ++clock) step(*after, clock);
      EXPECT_TRUE(after->Rows() == whole.Rows());
      for (const ShardEvent event :
           {ShardEvent::kNotAdmitted, ShardEvent::kEvictedIdle, ShardEvent::kEvictedMemory})
        EXPECT_EQ(after->Count(event), whole.Count(event)) << ShardEventName(event);
    }
  }
}

// Three clocks, each with a checkpoint, of which the last two are incremental; returns the last one's folder.
std::string TrainThreeClocks(CheckpointCluster& cluster) {
  cluster.welcome.slices = 1;
  cluster.Begin();
  std::string checkpoint;
  for (Clock clock = 0; clock < 3; ++clock) {
    cluster.Push(0, clock, 1, 0, std::nullopt, clock == 0 ? 1000 : 10);
    cluster.Close(0, clock);
    cluster.Order(static_cast<std::uint64_t>(clock) + 1);
    cluster.WaitForParts(3 * (static_cast<std::size_t>(clock) + 1));
    checkpoint = cluster.WriteManifest(static_cast<std::uint64_t>(clock) + 1, true);
  }
  return checkpoint;
}

// Without some keys: all other rows, and what shards were beside them, stay; the parts' bytes hold none of the keys.
TEST(Reshard, WithoutKeysTheOtherRowsStay) {
  const auto tables = CheckpointTables();
  TemporaryFolder folder;
  CheckpointCluster before(3, tables, Consistency::kBsp, 1, folder / "checkpoints", 4);
  const std::string checkpoint = TrainThreeClocks(before);
  std::vector<Key> sparse;
  std::uint64_t dense = 0;
  const auto model = ReadModelManifest(checkpoint);
  ASSERT_TRUE(VisitModel(checkpoint, *model, [&](const ModelRows& rows) -> Status {
                if (rows.table->kind == TableKind::kSparse) {
                  sparse.insert(sparse.end(), rows.keys.begin(), rows.keys.end());
                } else {
                  dense += rows.keys.size();
                }
                return {};
              }).ok());
  ASSERT_GT(sparse.size(), 100u);
  const std::set<Key> gone = {sparse.front(), sparse[sparse.size() / 2], sparse.back()};
  const auto expected = static_cast<std::uint64_t>(
      std::count_if(sparse.begin(), sparse.end(), [&](Key key) { return gone.contains(key); }));
  std::uint64_t rows_gone = 0;
  const auto manifest = WriteWithoutKeys(
      checkpoint, [&](Key key) { return gone.contains(key) || key < 100; }, folder / "without", &rows_gone);
  ASSERT_TRUE(manifest.has_value()) << manifest.error().text();
  const auto small = static_cast<std::uint64_t>(
      std::count_if(sparse.begin(), sparse.end(), [&](Key key) { return key < 100 && !gone.contains(key); }));
  EXPECT_EQ(rows_gone, expected + small);
  EXPECT_EQ(manifest->rows(), model->rows() - rows_gone);
  std::uint64_t dense_after = 0;
  ASSERT_TRUE(VisitModel(folder / "without", *manifest, [&](const ModelRows& rows) -> Status {
                for (const Key key : rows.keys) {
                  if (rows.table->kind != TableKind::kSparse) {
                    ++dense_after;
                  } else {
                    EXPECT_FALSE(gone.contains(key));
                  }
                }
                return {};
              }).ok());
  EXPECT_EQ(dense_after, dense);
  const auto diff = DiffModels(checkpoint, folder / "without");
  ASSERT_TRUE(diff.has_value());
  for (const auto& table : diff->tables) EXPECT_EQ(table.differ, 0u);
  EXPECT_TRUE(VerifyModel(folder / "without").has_value());
}

// The layers of an incremental checkpoint become parts of all rows, and its hash is known then.
TEST(Reshard, OfAnIncrementalOne) {
  const auto tables = CheckpointTables();
  TemporaryFolder folder;
  CheckpointCluster before(3, tables, Consistency::kBsp, 1, folder / "checkpoints", 4);
  const std::string checkpoint = TrainThreeClocks(before);
  EXPECT_FALSE(ReadModelManifest(checkpoint)->hash.has_value());
  EXPECT_EQ(ReadModelManifest(checkpoint)->parts[2].layers.size(), 2u);
  const auto manifest = Reshard(checkpoint, 2, folder / "whole");
  ASSERT_TRUE(manifest.has_value()) << manifest.error().text();
  EXPECT_TRUE(manifest->parts[0].layers.empty());
  EXPECT_EQ(manifest->hash, VerifyModel(checkpoint)->hash);
  EXPECT_EQ(VerifyModel(folder / "whole")->hash, manifest->hash);
  EXPECT_TRUE(DiffModels(checkpoint, folder / "whole")->same());
  DiffOptions little;
  little.memory_bytes = 1000;
  const auto changed = DiffModels(folder / "checkpoints/0000000002", folder / "whole", little);
  EXPECT_GT(changed->tables[0].differ, 0u);
  EXPECT_LE(changed->tables[0].differ, 10u);
  EXPECT_TRUE(Resumed(tables, Consistency::kBsp, folder / "whole", 3)->Rows() == before.Rows());
}

TEST(Reshard, AnAspRunGoesOnFromIt) {
  std::vector<TableSpec> tables = CheckpointTables();
  for (TableSpec& table : tables) {
    table.optimizer = OptimizerSpec();
    table.optimizer.learning_rate = 1.0f;
    table.init = {{0, 2.0f, 0.0f}};
  }
  const auto redo = [](CheckpointCluster& cluster) {
    for (std::uint32_t worker = 0; worker < 2; ++worker) {
      for (Clock clock = 0; clock < 8; ++clock) {
        cluster.Push(worker, clock, 1, worker);
        cluster.Close(worker, clock);
      }
    }
  };
  CheckpointCluster whole(1, tables, Consistency::kAsp, 2, "/unused");
  whole.Begin();
  redo(whole);
  TemporaryFolder folder;
  CheckpointCluster before(4, tables, Consistency::kAsp, 2, folder / "checkpoints");
  before.Begin();
  for (std::uint32_t s = 0; s < 4; ++s) {  // each has heard of something else
    for (Clock clock = 0; clock <= static_cast<Clock>(s); ++clock) {
      before.Push(0, clock, 1, 0, s);
      if (clock < static_cast<Clock>(s)) before.FromWorker(0, s, MakeClose(clock, before.next_id++));
    }
    for (const Clock clock : {4, 1, 0}) before.Push(1, clock, 1, 1, s);
    if (s % 2 == 0) before.FromWorker(1, s, MakeClose(1, before.next_id++));
  }
  before.Order(1);
  before.WaitForParts(4);
  std::string at = before.WriteManifest(1, true);
  for (const std::uint32_t to : {3u, 1u, 7u, 2u}) {  // one from the other
    const std::string out = folder / "to-" + std::to_string(to);
    const auto manifest = Reshard(at, to, out);
    ASSERT_TRUE(manifest.has_value()) << manifest.error().text();
    auto after = Resumed(tables, Consistency::kAsp, out, 0);
    redo(*after);
    EXPECT_TRUE(after->Rows() == whole.Rows()) << to;
    EXPECT_GT(after->Count(ShardEvent::kPushDuplicate), 0u);
    at = out;
  }
}

TEST(Reshard, AModelKeepsItsRowsAndItsHash) {
  TemporaryFolder folder;
  TableSpec table;
  table.id = 1;
  table.name = "embedding";
  table.dim = 2;
  testing::ModelContent content;
  for (Key key = 0; key < 100; ++key) content[1][key] = {static_cast<float>(key), 1};
  TableSpec empty = table;
  empty.id = 2, empty.name = "empty";
  const ModelManifest model = testing::WriteModel(folder / "model", {table, empty}, content, 2);
  std::vector<std::uint64_t> heard;
  const auto manifest = Reshard(folder.path(), 7, folder / "out",
                                [&](std::uint64_t rows, std::uint64_t) { heard.push_back(rows); });
  ASSERT_TRUE(manifest.has_value()) << manifest.error().text();
  EXPECT_EQ(manifest->hash, model.hash);
  EXPECT_EQ(heard.back(), 100u);
  const auto verified = VerifyModel(folder / "out");
  ASSERT_TRUE(verified.has_value()) << verified.error().text();
  EXPECT_TRUE(verified->checkpoint.empty());
}

TEST(Reshard, WhatCannotBeLeavesNothing) {
  TemporaryFolder folder;
  TableSpec table;
  table.id = 1;
  table.name = "embedding";
  table.dim = 1;
  testing::WriteModel(folder / "model", {table}, {{1, {{3, {1}}}}}, 1);
  const auto refused = [&](const std::string& path, std::uint32_t shards, const std::string& out) {
    const auto manifest = Reshard(path, shards, out);
    EXPECT_FALSE(manifest.has_value());
    return manifest ? Status() : manifest.error();
  };
  EXPECT_THAT(refused(folder / "model", 2, folder / "model").text(), HasSubstr("model exists"));
  EXPECT_TRUE(VerifyModel(folder / "model").has_value());
  folder.Write("file", "precious");
  EXPECT_EQ(refused(folder / "model", 2, folder / "file").code(), ErrorCode::kInvalidInput);
  EXPECT_EQ(refused(folder / "model", 2, folder / "no/where").code(), ErrorCode::kInvalidInput);
  EXPECT_EQ(refused(folder / "none", 2, folder / "out").code(), ErrorCode::kInvalidInput);
  EXPECT_EQ(refused(folder / "model", 0, folder / "out").code(), ErrorCode::kInvalidInput);
  EXPECT_EQ(refused(folder / "model", 257, folder / "out").code(), ErrorCode::kInvalidInput);
  std::ofstream(folder / "model/part-0.h5", std::ios::binary | std::ios::app) << "x";
  const Status damaged = refused(folder / "model", 2, folder / "out");
  EXPECT_EQ(damaged.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(damaged.text(), HasSubstr("part-0.h5"));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

}  // namespace
}  // namespace cohort::reshard_test
