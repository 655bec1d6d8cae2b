// Checkpoints of shards on a real disk: what a part holds, how it is damaged, and how it restores onto other shards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "common/checkpoint_files.h"
#include "common/model_files.h"
#include "common/random.h"
#include "server/snapshot.h"
#include "tests/support/checkpoint_cluster.h"
#include "tests/support/slowdown.h"

namespace cohort::checkpoint_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Shards that write and read real files, driven by a test.
class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cohort-checkpoint-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    fs::permissions(directory_, fs::perms::owner_all);
    fs::remove_all(directory_);
  }

  using Cluster = CheckpointCluster;
  std::unique_ptr<Cluster> MakeCluster(std::uint32_t count, const std::vector<TableSpec>& tables,
                                       Consistency consistency, std::uint32_t workers = 2,
                                       std::uint32_t full_every = 1) {
    return std::make_unique<Cluster>(count, tables, consistency, workers, directory_ + "/checkpoints",
                                     full_every);
  }

  static std::string WriteManifest(const Cluster& cluster, std::uint64_t number, bool with_groups) {
    return cluster.WriteManifest(number, with_groups);
  }

  // 5,000 times one bit, anywhere in any of a checkpoint's `count` files.
  void FlipBits(const std::string& folder, const std::vector<TableSpec>& tables, std::size_t count) {
    const auto whole = [&folder]() -> Status {
      COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(folder));
      for (const ModelPart& part : manifest.parts) COHORT_RETURN_IF_ERROR(CheckModelPart(folder, part));
      return {};
    };
    ASSERT_TRUE(whole().ok());
    std::vector<std::fstream> files;
    std::vector<std::uint64_t> bits;
    for (const auto& entry : fs::directory_iterator(folder)) {
      files.emplace_back(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      bits.push_back(8 * entry.file_size());
    }
    ASSERT_EQ(files.size(), count);
    RandomStream random(1);
    for (int i = 0; i < 5000 / testing::kSlowdown; ++i) {
      const std::size_t f = random.Below(files.size());
      const std::uint64_t bit = random.Below(bits[f]);
      const auto flip = [&] {
        files[f].seekg(static_cast<std::streamoff>(bit / 8));
        const char byte = static_cast<char>(files[f].get() ^ (1 << bit % 8));
        files[f].seekp(static_cast<std::streamoff>(bit / 8));
        files[f].put(byte);
        files[f].flush();
      };
      flip();
      ASSERT_EQ(whole().code(), ErrorCode::kCorrupt) << "file " << f << ", bit " << bit;
      if (i % 500 == 0) {
        auto after = MakeCluster(1, tables, Consistency::kBsp);
        after->welcome.model_path = folder;
        after->welcome.resume = true;
        after->Begin(0, 3);
        EXPECT_EQ(after->shards[0]->failure().code(), ErrorCode::kCorrupt);
      }
      flip();
    }
    EXPECT_TRUE(whole().ok());
  }

  std::string directory_;
};

// bsp: a run that goes on from a checkpoint, on any number of shards, is one that was never interrupted, with all that
// policies remember.
TEST_F(CheckpointTest, ABspRunGoesOnOnAnyNumberOfShards) {
  for (const Admission admit : {Admission::kAlways, Admission::kCount, Admission::kProbability}) {
    const auto step = [](Cluster& cluster, Clock clock) {
      for (std::uint32_t worker = 0; worker < 2; ++worker)
        cluster.Push(worker, clock, static_cast<std::uint16_t>(2 + worker), worker);
      for (std::uint32_t worker = 0; worker < 2; ++worker) cluster.Close(worker, clock);
    };
    constexpr Clock kEnd = 24;
    auto whole = MakeCluster(1, CheckpointTables(admit), Consistency::kBsp);
    whole->Begin();
    for (Clock clock = 0; clock < kEnd; ++clock) step(*whole, clock);
    if (admit != Admission::kAlways) {
      EXPECT_GT(whole->Count(ShardEvent::kNotAdmitted), 0u);
      EXPECT_GT(whole->Count(ShardEvent::kEvictedIdle), 0u);
      EXPECT_GT(whole->Count(ShardEvent::kEvictedMemory), 0u);
    }
    for (const std::uint32_t from : {1u, 3u, 8u}) {
      fs::remove_all(directory_ + "/checkpoints");
      auto before = MakeCluster(from, CheckpointTables(admit), Consistency::kBsp);
      before->welcome.checkpoint_every = 7;
      before->Begin();
      // Goes on while the checkpoint is written: 7 and 14, of which the latter may be left out by shards still busy.
      for (Clock clock = 0; clock < 12; ++clock) step(*before, clock);
      before->WaitForParts(from);
      for (const CheckpointDone& done : before->done) {
        EXPECT_EQ(done.number, 7u);
        EXPECT_EQ(done.closed, (std::vector<Clock>{6, 6}));
      }
      const std::string folder = WriteManifest(*before, 7, from != 3);
      ASSERT_TRUE(VerifyModel(folder).has_value()) << VerifyModel(folder).error().text();
      for (const std::uint32_t to : {1u, 2u, 3u, 5u, 8u}) {
        SCOPED_TRACE(std::to_string(from) + " to " + std::to_string(to) + " shards");
        auto after = MakeCluster(to, CheckpointTables(admit), Consistency::kBsp);
        after->welcome.model_path = folder;
        after->welcome.resume = true;
        after->Begin(0, 7);
        after->ExpectNoFailure();
        for (Clock clock = 7; clock < kEnd; ++clock) step(*after, clock);
        ASSERT_EQ(after->Rows(), whole->Rows());
        for (const ShardEvent event :
             {ShardEvent::kNotAdmitted, ShardEvent::kEvictedIdle, ShardEvent::kEvictedMemory})
          EXPECT_EQ(after->Count(event), whole->Count(event)) << ShardEventName(event);
      }
    }
  }
}

// Checkpoints of the rows that have changed since the one before: each is the state of its instant, whatever becomes of those that it
// was laid over, on any number of shards.
TEST_F(CheckpointTest, AnIncrementalOneIsAsGoodAsAWholeOne) {
  for (const Consistency consistency : {Consistency::kBsp, Consistency::kAsp}) {
    for (const std::uint32_t from : {1u, 3u}) {
      fs::remove_all(directory_ + "/checkpoints");
      std::vector<TableSpec> tables = CheckpointTables();
      tables[0].row_count = 12000;
      auto before = MakeCluster(from, tables, consistency, 1, /*full_every=*/3);
      before->welcome.slices = 1;
      before->Begin();
      std::map<std::uint64_t, std::map<std::pair<TableId, Key>, std::vector<float>>> expected;
      std::map<std::uint64_t, std::uint64_t> bytes;
      for (Clock clock = 0; clock < 8; ++clock) {
        before->Push(0, clock, 1, 0, std::nullopt, clock == 0 ? 1000 : 40);
        before->Close(0, clock);
        const auto number = static_cast<std::uint64_t>(clock) + 1;
        expected[number] = before->Rows();
        before->done.clear();
        before->Order(number);
        // Changes while it is written; in bsp none are held for it.
        if (consistency == Consistency::kAsp) before->Push(0, clock + 100, 1, 7, std::nullopt, 5);
        before->WaitForParts(from);
        for (const CheckpointDone& done : before->done) {
          EXPECT_EQ(done.error, "");
          bytes[number] += done.bytes;
          // One of all rows, and two over it; the fourth could not be laid over the third, which is not whole.
          const std::size_t layers[] = {0, 1, 2, 2, 0, 1, 2, 0};
          EXPECT_EQ(done.layers.size(), layers[clock]) << "checkpoint " << number;
        }
        if (number == 3) continue;  // nobody writes its manifest
        const std::string folder = WriteManifest(*before, number, true);
        EXPECT_EQ(ReadModelManifest(folder)->hash.has_value(), before->done[0].layers.empty());
        if (number > 2) fs::remove_all(CheckpointFolder(before->welcome.checkpoint_path, number - 2));
      }
      EXPECT_LT(bytes[2] * 3, bytes[1]);
      for (const std::uint64_t number : {7u, 8u}) {
        const std::string folder = CheckpointFolder(before->welcome.checkpoint_path, number);
        const auto verified = VerifyModel(folder);
        ASSERT_TRUE(verified.has_value()) << verified.error().text();
        EXPECT_EQ(verified->rows(), expected[number].size());
        for (const std::uint32_t to : {1u, 2u, 3u, 5u, 8u}) {
          SCOPED_TRACE(std::to_string(from) + " to " + std::to_string(to) + " shards");
          auto after = MakeCluster(to, tables, consistency, 1);
          after->welcome.slices = 1;
          after->welcome.model_path = folder;
          after->welcome.resume = true;
          after->Begin(0, static_cast<Clock>(number));
          after->ExpectNoFailure();
          ASSERT_EQ(after->Rows(), expected[number]);
        }
      }
    }
  }
}

// A table whose rows are watched, and go, is written whole; one that has changed all over as well; and after a failure nothing is
// taken for granted.
TEST_F(CheckpointTest, NotWorthwhileOrNotPossibleItIsAWholeOne) {
  auto watched = MakeCluster(1, CheckpointTables(Admission::kCount), Consistency::kAsp, 1, 8);
  watched->Begin();
  for (std::uint64_t number = 1; number <= 2; ++number) {
    watched->Order(number);
    watched->WaitForParts(number);
    EXPECT_TRUE(watched->done[number - 1].layers.empty());
    WriteManifest(*watched, number, true);
  }
  fs::remove_all(directory_ + "/checkpoints");
  auto cluster = MakeCluster(1, CheckpointTables(), Consistency::kAsp, 1, 8);
  cluster->Begin();
  const auto checkpoint = [&](std::uint64_t number, int rows) {
    cluster->Push(0, static_cast<Clock>(number), 1, number, std::nullopt, rows);
    cluster->Order(number);
    cluster->WaitForParts(number);
    if (cluster->done.back().error.empty()) WriteManifest(*cluster, number, true);
    return cluster->done.back();
  };
  EXPECT_TRUE(checkpoint(1, 1000).layers.empty());
  EXPECT_TRUE(checkpoint(2, 1000).layers.empty()) << "everything has changed";
  EXPECT_EQ(checkpoint(3, 5).layers.size(), 1u);
  // The file that it would go over cannot be linked, for it has gone.
  fs::remove(CheckpointFolder(cluster->welcome.checkpoint_path, 3) + "/part-00000.h5");
  const CheckpointDone failed = checkpoint(4, 5);
  EXPECT_THAT(failed.error, HasSubstr("checkpoint.full_every = 1"));
  EXPECT_THAT(failed.error, HasSubstr("part-00000-0000000003.h5: cannot be made as a hard link to"));
  for (int i = 0; i < 1000; ++i) {  // what is left of it to be done
    Outbox out;
    cluster->shards[0]->OnTimer(cluster->now, out);
    cluster->Take(out);
  }
  EXPECT_FALSE(
      fs::exists(CheckpointFolder(cluster->welcome.checkpoint_path, 4) + "/part-00000-0000000001.h5"));
  const CheckpointDone next = checkpoint(5, 5);
  EXPECT_EQ(next.error, "");
  EXPECT_TRUE(next.layers.empty());
  // A second order of the same number, of a scheduler that knows of none: what is written stays as it is.
  cluster->Order(5);
  EXPECT_THAT(cluster->done.back().error, HasSubstr("checkpoint 5 has begun before"));
  EXPECT_TRUE(VerifyModel(CheckpointFolder(cluster->welcome.checkpoint_path, 5)).has_value());
}

// asp: each shard has its own instant. Redone from the lowest clock that is not closed everywhere, every part of every
// push counts once.
TEST_F(CheckpointTest, AnAspRunMakesUpWhatEachShardLacks) {
  std::vector<TableSpec> tables = CheckpointTables();
  for (TableSpec& table : tables) {
    table.optimizer = OptimizerSpec();
    table.optimizer.learning_rate = 1.0f;
    table.init = {{0, 2.0f, 0.0f}};
  }
  constexpr Clock kEnd = 8;
  const auto redo = [](Cluster& cluster, Clock from) {
    for (std::uint32_t worker = 0; worker < 2; ++worker) {
      for (Clock clock = from; clock < kEnd; ++clock) {
        cluster.Push(worker, clock, 1, worker);
        cluster.Close(worker, clock);
      }
    }
  };
  auto whole = MakeCluster(1, tables, Consistency::kAsp);
  whole->Begin();
  redo(*whole, 0);
  const auto expected = whole->Rows();
  for (const std::uint32_t from : {1u, 2u, 3u, 5u, 8u}) {
    fs::remove_all(directory_ + "/checkpoints");
    auto before = MakeCluster(from, tables, Consistency::kAsp);
    before->Begin();
    // Shard s has heard of clocks up to s of worker 0, and up to 4 of worker 1, out of order.
    for (std::uint32_t s = 0; s < from; ++s) {
      const Clock reached = std::min<Clock>(s, 5);
      for (Clock clock = 0; clock <= reached; ++clock) {
        before->Push(0, clock, 1, 0, s);
        if (clock < reached) before->FromWorker(0, s, MakeClose(clock, before->next_id++));
      }
      for (const Clock clock : {4, 1, 0}) before->Push(1, clock, 1, 1, s);
      if (s % 2 == 0) before->FromWorker(1, s, MakeClose(1, before->next_id++));
    }
    before->Order(1);
    for (std::uint32_t s = 0; s < from; ++s) before->Push(1, 5, 1, 1, s);  // too late
    before->WaitForParts(from);
    const std::string folder = WriteManifest(*before, 1, true);
    for (const std::uint32_t to : {1u, 2u, 3u, 5u, 8u}) {
      SCOPED_TRACE(std::to_string(from) + " to " + std::to_string(to) + " shards");
      auto after = MakeCluster(to, tables, Consistency::kAsp);
      after->welcome.model_path = folder;
      after->welcome.resume = true;
      after->Begin();
      after->ExpectNoFailure();
      // A checkpoint of what was just restored holds the floors as well.
      after->Order(2);
      after->WaitForParts(to);
      const std::string again = WriteManifest(*after, 2, true);
      auto third = MakeCluster(2, tables, Consistency::kAsp);
      third->welcome.model_path = again;
      third->welcome.resume = true;
      third->Begin();
      for (Cluster* cluster : {after.get(), third.get()}) {
        redo(*cluster, 0);
        cluster->ExpectNoFailure();
        ASSERT_EQ(cluster->Rows(), expected);
        EXPECT_GT(cluster->Count(ShardEvent::kPushDuplicate), 0u);
      }
    }
  }
}

TEST_F(CheckpointTest, AnotherNumberOfWorkersOutsideBspIsRefused) {
  auto before = MakeCluster(1, CheckpointTables(), Consistency::kAsp);
  before->Begin();
  before->Order(1);
  before->WaitForParts(1);
  auto after = MakeCluster(1, CheckpointTables(), Consistency::kAsp, 3);
  after->welcome.model_path = WriteManifest(*before, 1, true);
  after->welcome.resume = true;
  after->Begin();
  EXPECT_THAT(after->shards[0]->failure().text(), HasSubstr("of 2 workers"));
}

TEST_F(CheckpointTest, AModelIsNoCheckpoint) {
  auto before = MakeCluster(1, CheckpointTables(), Consistency::kBsp);
  before->Begin();
  std::vector<const EmbeddingTable*> tables;
  for (const TableSpec& spec : CheckpointTables()) tables.push_back(before->shards[0]->table(spec.id));
  const SnapshotDone done = before->store.Write(directory_, 0, tables);
  ASSERT_EQ(done.error, "");
  ModelManifest manifest;
  manifest.tables = CheckpointTables();
  manifest.parts = {{done.file, done.bytes, done.checksum, done.rows}};
  manifest.hash = Hash128{done.hash_low, done.hash_high};
  ASSERT_TRUE(WriteModelManifest(directory_, manifest).ok());
  auto after = MakeCluster(1, CheckpointTables(), Consistency::kBsp);
  after->welcome.model_path = directory_;
  after->welcome.resume = true;
  after->Begin();
  EXPECT_THAT(after->shards[0]->failure().text(), HasSubstr("part-00000.h5: is a part of a model"));
}

TEST_F(CheckpointTest, OneThatIsDueWhileAnotherIsWrittenIsLeftOutAndToldOnce) {
  ShardHarness harness(CheckpointTables(), 1, Consistency::kBsp, 1);
  harness.store.checkpoints = MemoryCheckpoints({[] { return std::chrono::hours(1); }, [] { return false; }});
  harness.welcome.checkpoint_path = "/checkpoints";
  harness.welcome.checkpoint_every = 2;
  harness.Begin();
  std::vector<CheckpointDone> done;
  std::vector<std::string> warnings;
  for (Clock clock = 0; clock < 8; ++clock) {
    for (const Outgoing& outgoing : harness.Worker(0, MakeClose(clock, static_cast<RequestId>(clock + 1)))) {
      if (const auto* d = std::get_if<CheckpointDone>(&outgoing.message)) done.push_back(*d);
      if (const auto* w = std::get_if<Warning>(&outgoing.message)) warnings.push_back(w->text);
    }
  }
  ASSERT_EQ(done.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(done[i].number, 4 + 2 * i);
    EXPECT_THAT(done[i].error, HasSubstr("checkpoint 2 is still being written"));
  }
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("checkpoint.every_steps"));
  EXPECT_EQ(harness.shard->count(ShardEvent::kCheckpointSkipped), 3u);
  EXPECT_EQ(harness.shard->count(ShardEvent::kCheckpointBegun), 1u);
}

TEST_F(CheckpointTest, OrdersThatMakeNoSenseAreAnswered) {
  auto cluster = MakeCluster(1, CheckpointTables(), Consistency::kBsp);
  cluster->FromScheduler(cluster->welcome);
  cluster->Order(0);  // no phase yet
  ASSERT_EQ(cluster->done.size(), 1u);
  EXPECT_THAT(cluster->done[0].error, HasSubstr("nothing to write"));
  cluster->Begin();
  cluster->Order(3);
  ASSERT_EQ(cluster->done.size(), 2u);
  EXPECT_THAT(cluster->done[1].error, HasSubstr("is not between clocks 3 and the one before"));
  cluster->Order(0);
  cluster->WaitForParts(3);
  EXPECT_EQ(cluster->done[2].error, "");
  EXPECT_EQ(cluster->done[2].closed, (std::vector<Clock>{-1, -1}));
}

// ---------------------------------------------------------------- disks

// One bit, anywhere in any file of a checkpoint.
TEST_F(CheckpointTest, EveryFlippedBitIsFound) {
  for (const bool incremental : {false, true}) {
    fs::remove_all(directory_ + "/checkpoints");
    const auto tables = CheckpointTables(incremental ? Admission::kAlways : Admission::kCount);
    auto cluster = MakeCluster(2, tables, Consistency::kBsp, 2, 2);
    cluster->Begin();
    std::string folder;
    for (Clock clock = 0; clock < 3; ++clock) {
      cluster->Push(0, clock, 2, 0, std::nullopt, clock < 2 ? 400 : 10);
      cluster->Close(0, clock);
      cluster->Close(1, clock);
      if (clock == 0) continue;
      cluster->done.clear();
      cluster->Order(static_cast<std::uint64_t>(clock) + 1);
      cluster->WaitForParts(2);
      folder = WriteManifest(*cluster, static_cast<std::uint64_t>(clock) + 1, true);
    }
    FlipBits(folder, tables, incremental ? 5 : 3);  // two parts and the manifest; and what lies below them
  }
}

TEST_F(CheckpointTest, AFullDiskIsToldLeavesNothingAndTrainingGoesOn) {
  auto cluster = MakeCluster(1, CheckpointTables(), Consistency::kBsp, 1);
  cluster->welcome.slices = 1;
  cluster->welcome.checkpoint_every = 2;
  cluster->Begin();
  const auto step = [&](Clock clock) {
    cluster->Push(0, clock, 1, 0);
    cluster->Close(0, clock);
  };
  step(0);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 4000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  step(1);
  cluster->WaitForParts(1);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(cluster->done[0].number, 2u);
  EXPECT_THAT(cluster->done[0].error, HasSubstr("File too large"));
  EXPECT_THAT(cluster->done[0].error, HasSubstr("shard 0: "));
  EXPECT_TRUE(fs::is_empty(CheckpointFolder(cluster->welcome.checkpoint_path, 2)));
  for (Clock clock = 2; clock < 4; ++clock) step(clock);
  cluster->WaitForParts(2);
  EXPECT_EQ(cluster->done[1].number, 4u);
  EXPECT_EQ(cluster->done[1].error, "");
  EXPECT_TRUE(VerifyModel(WriteManifest(*cluster, 4, true)).has_value());
  cluster->ExpectNoFailure();
}

TEST_F(CheckpointTest, AFolderThatCannotBeWrittenIsTold) {
  auto cluster = MakeCluster(1, CheckpointTables(), Consistency::kAsp);
  std::ofstream(directory_ + "/checkpoints") << "a file";
  cluster->Begin();
  cluster->Order(1);
  cluster->WaitForParts(1);
  EXPECT_THAT(cluster->done[0].error, HasSubstr("checkpoints"));
  cluster->ExpectNoFailure();
  EXPECT_EQ(cluster->Count(ShardEvent::kCheckpointFailed), 1u);
}

// What a killed process leaves is neither a part nor in the way, and goes when its shard writes again.
TEST_F(CheckpointTest, WhatAKilledWriterLeavesIsRemoved) {
  const std::string path = directory_ + "/checkpoints";
  for (const std::uint64_t number : {3u, 4u}) {
    ASSERT_TRUE(MakeCheckpointFolder(path, number).ok());
    std::ofstream(CheckpointFolder(path, number) + "/" + CheckpointPartName(0) + ".tmp") << "half a part";
    std::ofstream(CheckpointFolder(path, number) + "/" + CheckpointPartName(1) + ".tmp") << "another shard's";
  }
  auto cluster = MakeCluster(1, CheckpointTables(), Consistency::kAsp);
  cluster->Begin();
  cluster->Order(4);
  cluster->WaitForParts(1);
  EXPECT_EQ(cluster->done[0].error, "");
  EXPECT_FALSE(fs::exists(CheckpointFolder(path, 3) + "/" + CheckpointPartName(0) + ".tmp"));
  EXPECT_FALSE(fs::exists(CheckpointFolder(path, 4) + "/" + CheckpointPartName(0) + ".tmp"));
  EXPECT_TRUE(fs::exists(CheckpointFolder(path, 4) + "/" + CheckpointPartName(0)));
  EXPECT_TRUE(fs::exists(CheckpointFolder(path, 3) + "/" + CheckpointPartName(1) + ".tmp"));
  EXPECT_EQ(ListCheckpoints(path), (std::vector<std::uint64_t>{3, 4}));
}

// A shard that ends while it writes leaves nothing.
TEST_F(CheckpointTest, AShardThatEndsGivesItsPartUp) {
  auto cluster = MakeCluster(1, CheckpointTables(), Consistency::kAsp);
  cluster->Begin();
  cluster->Order(1);
  const std::string folder = CheckpointFolder(cluster->welcome.checkpoint_path, 1);
  const std::string path = folder + "/" + CheckpointPartName(0);
  while (!fs::exists(path + ".tmp")) std::this_thread::yield();
  cluster.reset();
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST(CheckpointFiles, NamesAndNumbers) {
  EXPECT_EQ(CheckpointFolder("a/b", 1000), "a/b/0000001000");
  EXPECT_EQ(CheckpointNumber("0000001000"), 1000u);
  EXPECT_EQ(CheckpointNumber("12345678901"), 12345678901u);
  for (const char* name : {"", "1000", "000000100x", "manifest.json", "00000010000", "-000000001"})
    EXPECT_FALSE(CheckpointNumber(name)) << name;
}

}  // namespace
}  // namespace cohort::checkpoint_test
