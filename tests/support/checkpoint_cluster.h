// Shards that write checkpoints to a real disk and begin from them, driven by a test: it is their scheduler, workers and
// network.
#ifndef COHORT_TESTS_SUPPORT_CHECKPOINT_CLUSTER_H_
#define COHORT_TESTS_SUPPORT_CHECKPOINT_CLUSTER_H_

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/checkpoint_files.h"
#include "common/model_files.h"
#include "common/random.h"
#include "server/snapshot.h"
#include "tests/server/shard_harness.h"

namespace cohort {

// A dense table and a sparse one, in which every kind of admission and eviction has something to do.
inline std::vector<TableSpec> CheckpointTables(Admission admit = Admission::kAlways) {
  TableSpec dense;
  dense.id = 0;
  dense.name = "dense";
  dense.kind = TableKind::kDense;
  dense.dim = 4;
  dense.row_count = 300;
  dense.optimizer.kind = OptimizerKind::kAdam;
  dense.init = {{0, 0.0f, 0.2f}};
  TableSpec sparse;
  sparse.id = 1;
  sparse.name = "embedding";
  sparse.dim = 3;
  sparse.optimizer.kind = OptimizerKind::kFtrl;
  sparse.init = {{0, 0.0f, 0.05f}};
  sparse.policy.admit = admit;
  if (admit != Admission::kAlways) {
    sparse.policy.sketch_bytes = kSlotCount * 64;
    sparse.policy.evict_idle_clocks = 5;
    sparse.policy.max_bytes = kSlotCount * BytesPerRow(sparse) * 2;
  }
  return {dense, sparse};
}

// Half of them in a few slots, which then hold more rows than a budget allows.
inline Key SparseKey(std::uint64_t number) {
  const std::uint64_t bits = RandomBits(4, number);
  const std::uint64_t slot = number % 7 * 2300;
  return number % 2 == 0 ? bits : UnMix64(slot << 50 | bits >> 14);
}

struct CheckpointCluster {
  Hdf5SnapshotStore store;
  std::vector<std::unique_ptr<Shard>> shards;
  std::vector<CheckpointDone> done;  // in order of arrival
  std::vector<std::string> warnings;
  Welcome welcome;
  RequestId next_id = 1;
  TimePoint now{};

  CheckpointCluster(std::uint32_t count, const std::vector<TableSpec>& tables, Consistency consistency,
                    std::uint32_t workers, std::string checkpoint_path, std::uint32_t full_every = 1) {
    for (std::uint32_t s = 0; s < count; ++s) {
      ShardOptions options;
      options.scheduler.run_id = kTestRun;
      options.checkpoint_turn_bytes = 2000;
      options.checkpoint_block_bytes = 3000;
      options.checkpoint_full_every = full_every;
      shards.push_back(std::make_unique<Shard>(ShardNode(s), options, store));
      Outbox out;
      shards.back()->Start(now, out);
    }
    welcome.request_id = 1;
    welcome.worker_count = workers;
    welcome.seed = 5;
    welcome.consistency = consistency;
    welcome.staleness = 3;
    welcome.slices = consistency == Consistency::kBsp ? 2 : 1;
    welcome.slot_map = SlotMap::Even(count);
    welcome.tables = tables;
    welcome.checkpoint_path = std::move(checkpoint_path);
  }

  void Take(Outbox& out) {
    for (Outgoing& outgoing : out.Take()) {
      if (const auto* d = std::get_if<CheckpointDone>(&outgoing.message)) {
        for (const CheckpointDone& other : done) {
          if (other.request_id == d->request_id && other.file == d->file) return;  // sent again
        }
        done.push_back(*d);
      } else if (const auto* warning = std::get_if<Warning>(&outgoing.message)) {
        warnings.push_back(warning->text);
      }
    }
  }
  void Send(std::uint32_t shard, const Stamp& stamp, Message message) {
    Outbox out;
    shards[shard]->OnMessage(stamp, std::move(message), now, out);
    Take(out);
  }
  void FromScheduler(Message message) {
    Stamp stamp;
    stamp.run_id = kTestRun;
    for (std::uint32_t s = 0; s < shards.size(); ++s) Send(s, stamp, message);
  }
  void FromWorker(std::uint32_t worker, std::uint32_t shard, Message message) {
    Stamp stamp;
    stamp.sender = WorkerNode(worker);
    stamp.run_id = kTestRun;
    stamp.generation = 1;
    Send(shard, stamp, std::move(message));
  }
  void Begin(Clock first_clock = 0, Clock resume_clock = 0) {
    FromScheduler(welcome);
    PhaseOrder order;
    order.request_id = next_id++;
    order.phase = 1;
    order.first_clock = first_clock;
    order.resume_clock = resume_clock;
    for (std::uint32_t worker = 0; worker < welcome.worker_count; ++worker) order.workers.push_back(worker);
    FromScheduler(order);
  }
  void Order(std::uint64_t number) { FromScheduler(CheckpointOrder{next_id++, number}); }
  // The gradients of one worker and clock, at the shards that have their rows; whole numbers.
  void Push(std::uint32_t worker, Clock clock, std::uint16_t node, std::uint64_t seed,
            std::optional<std::uint32_t> only_shard = std::nullopt, int rows = 60) {
    RandomStream random(seed, static_cast<std::uint64_t>(clock));
    for (const TableSpec& spec : welcome.tables) {
      std::vector<Gradients> mine(shards.size());
      for (int i = 0; i < rows; ++i) {
        const Key key =
            spec.kind == TableKind::kDense ? random.Below(spec.row_count) : SparseKey(random.Below(500));
        std::vector<float> row(spec.dim);
        for (float& value : row) value = static_cast<float>(random.Below(9)) - 4;
        mine[welcome.slot_map->ShardOfGroup(GroupOf(RingPosition(spec, key)))][key] = row;
      }
      for (std::uint32_t s = 0; s < shards.size(); ++s) {
        if (!mine[s].empty() && (!only_shard || *only_shard == s))
          FromWorker(worker, s, MakePush(spec, mine[s], clock, node, next_id++));
      }
    }
  }
  void Close(std::uint32_t worker, Clock clock) {
    for (std::uint32_t s = 0; s < shards.size(); ++s) FromWorker(worker, s, MakeClose(clock, next_id++));
  }
  // Until so many parts have been reported.
  void WaitForParts(std::size_t count) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (done.size() < count && std::chrono::steady_clock::now() < limit) {
      for (auto& shard : shards) {
        Outbox out;
        shard->OnTimer(now, out);
        Take(out);
      }
      std::this_thread::yield();
    }
    ASSERT_GE(done.size(), count);
  }
  std::map<std::pair<TableId, Key>, std::vector<float>> Rows() const {
    std::map<std::pair<TableId, Key>, std::vector<float>> rows;
    for (const auto& shard : shards) {
      for (const TableSpec& spec : welcome.tables) {
        for (const auto& [key, row] : AllRowsOf(*shard->table(spec.id))) rows[{spec.id, key}] = row;
      }
    }
    return rows;
  }
  std::uint64_t Count(ShardEvent event) const {
    std::uint64_t sum = 0;
    for (const auto& shard : shards) sum += shard->count(event);
    return sum;
  }
  void ExpectNoFailure() const {
    for (const auto& shard : shards) EXPECT_TRUE(shard->failure().ok()) << shard->failure().text();
  }
  // What the scheduler does with the parts; returns the folder.
  std::string WriteManifest(std::uint64_t number, bool with_groups) const {
    const std::string folder = CheckpointFolder(welcome.checkpoint_path, number);
    ModelManifest manifest;
    bool incremental = false;
    manifest.tables = welcome.tables;
    manifest.checkpoint = R"({"number":)" + std::to_string(number) + "}";
    for (std::uint32_t s = 0; s < shards.size(); ++s) {
      for (const CheckpointDone& part_done : done) {
        if (part_done.number != number || part_done.file != CheckpointPartName(s)) continue;
        EXPECT_EQ(part_done.error, "");
        ModelPart part{part_done.file, part_done.bytes, part_done.checksum, part_done.rows};
        for (const PartLayer& layer : part_done.layers)
          part.layers.push_back({CheckpointLayerName(s, layer.number), layer.bytes, layer.checksum});
        if (part.layers.empty()) part.hash = Hash128{part_done.hash_low, part_done.hash_high};
        if (with_groups) {
          part.groups.emplace();
          for (int g = 0; g < kSlotGroupCount; ++g)
            (*part.groups)[static_cast<std::size_t>(g)] = welcome.slot_map->ShardOfGroup(g) == s;
        }
        if (part.hash) manifest.hash = manifest.hash.value_or(Hash128()) + *part.hash;
        incremental = incremental || !part.layers.empty();
        manifest.parts.push_back(part);
      }
    }
    EXPECT_EQ(manifest.parts.size(), shards.size());
    if (incremental) manifest.hash.reset();
    const Status status = WriteModelManifest(folder, manifest);
    EXPECT_TRUE(status.ok()) << status.text();
    return folder;
  }
};

}  // namespace cohort

#endif  // COHORT_TESTS_SUPPORT_CHECKPOINT_CLUSTER_H_
