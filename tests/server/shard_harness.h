// A Shard driven directly with messages: the test is scheduler, workers and network.
#ifndef COHORT_TESTS_SERVER_SHARD_HARNESS_H_
#define COHORT_TESTS_SERVER_SHARD_HARNESS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/wire.h"
#include "server/shard.h"
#include "tests/support/memory_checkpoints.h"
#include "tests/support/rows_of.h"

namespace cohort {

inline constexpr std::uint64_t kTestRun = 77;

// Counts calls; loads what it is told to.
class FakeStore : public SnapshotStore {
 public:
  SnapshotDone Write(const std::string& directory, std::uint32_t shard,
                     std::span<const EmbeddingTable* const> tables) override {
    written.push_back(directory);
    SnapshotDone done;
    done.file = "part-" + std::to_string(shard);
    for (const EmbeddingTable* table : tables) done.rows += table->size();
    return done;
  }
  Status Load(const std::string& path, const OwnedGroups&, std::span<EmbeddingTable* const>) override {
    loaded.push_back(path);
    return load_result;
  }
  bool HasCheckpoint(const std::string& path, std::uint64_t number) override {
    return checkpoints.Has(path, number);
  }
  std::unique_ptr<CheckpointWriter> WriteCheckpoint(const CheckpointPart& part) override {
    return checkpoints.Write(part);
  }
  Result<std::vector<ShardState>> Resume(const std::string& path, const OwnedGroups& owned,
                                         std::span<EmbeddingTable* const> tables) override {
    return checkpoints.Resume(path, owned, tables);
  }
  std::vector<std::string> written, loaded;
  MemoryCheckpoints checkpoints;
  Status load_result;
};

// Rows of gradients in any order.
using Gradients = std::map<Key, std::vector<float>>;

inline std::vector<std::pair<std::uint64_t, Key>> OnRing(const TableSpec& table,
                                                         const std::vector<Key>& keys) {
  std::vector<std::pair<std::uint64_t, Key>> sorted;
  for (const Key key : keys) sorted.emplace_back(RingPosition(table, key), key);
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

inline PullRequest MakePull(const TableSpec& table, const std::vector<Key>& keys, Clock clock, RequestId id) {
  PullRequest pull;
  pull.request_id = id;
  pull.phase = 1;
  pull.clock = clock;
  pull.table = table.id;
  std::vector<Key> sorted;
  for (const auto& [position, key] : OnRing(table, keys)) sorted.push_back(key);
  pull.keys = Buffer::Own(std::move(sorted));
  return pull;
}

inline PushRequest MakePush(const TableSpec& table, const Gradients& gradients, Clock clock,
                            std::uint16_t node, RequestId id) {
  PushRequest push;
  push.request_id = id;
  push.phase = 1;
  push.clock = clock;
  push.table = table.id;
  push.node = node;
  push.dim = table.dim;
  std::vector<Key> all, keys;
  for (const auto& [key, values] : gradients) all.push_back(key);
  std::vector<GroupRun> runs;
  std::vector<float> flat;
  for (const auto& [position, key] : OnRing(table, all)) {
    const auto group = static_cast<std::uint32_t>(GroupOf(position));
    if (runs.empty() || runs.back().group != group) runs.push_back({group, 0});
    ++runs.back().rows;
    keys.push_back(key);
    const std::vector<float>& values = gradients.at(key);
    flat.insert(flat.end(), values.begin(), values.end());
  }
  push.runs = Buffer::Own(std::move(runs));
  push.keys = Buffer::Own(std::move(keys));
  push.values = Buffer::Own(std::move(flat));
  if (table.policy.NeedsCounts()) push.counts = Buffer::Own(std::vector<std::uint32_t>(gradients.size(), 1));
  return push;
}

inline CloseRequest MakeClose(Clock clock, RequestId id) { return {id, 1, clock}; }

class ShardHarness {
 public:
  explicit ShardHarness(std::vector<TableSpec> tables, std::uint32_t workers, Consistency consistency,
                        std::uint32_t slices = 8, std::uint32_t staleness = 0, std::uint32_t shards = 1,
                        std::uint32_t index = 0, ShardOptions options = {}, bool backup = false) {
    options.scheduler.run_id = kTestRun;
    options.row_log = &log;
    shard = std::make_unique<Shard>(backup ? BackupNode(index) : ShardNode(index), options, store);
    welcome.worker_count = workers;
    welcome.seed = 5;
    welcome.consistency = consistency;
    welcome.staleness = staleness;
    welcome.slices = slices;
    welcome.slot_map = SlotMap::Even(shards);
    welcome.tables = std::move(tables);
    Outbox out;
    shard->Start(now, out);
    for (const Outgoing& each : out.Take()) welcome.request_id = RequestIdOf(each.message);
  }

  // Joins and begins phase 1 (training from clock 0).
  void Begin() {
    Scheduler(welcome);
    Phase(1, PhaseKind::kTrain, 0);
  }
  // Without `workers`: those of Welcome take part.
  std::vector<Outgoing> Phase(std::uint32_t phase, PhaseKind kind, Clock first_clock,
                              std::vector<std::uint32_t> workers = {}) {
    PhaseOrder order;
    order.request_id = next_order++;
    order.phase = phase;
    order.kind = kind;
    order.first_clock = first_clock;
    for (std::uint32_t worker = 0; workers.empty() && worker < welcome.worker_count; ++worker)
      order.workers.push_back(worker);
    if (!workers.empty()) order.workers = std::move(workers);
    return Scheduler(order);
  }
  std::vector<Outgoing> Scheduler(Message message) {
    Stamp stamp;
    stamp.sender = kSchedulerNode;
    stamp.run_id = kTestRun;
    return Deliver(stamp, std::move(message));
  }
  std::vector<Outgoing> Worker(std::uint32_t worker, Message message) {
    return Deliver(WorkerStamp(worker), std::move(message));
  }
  Stamp WorkerStamp(std::uint32_t worker) const {
    Stamp stamp;
    stamp.sender = WorkerNode(worker);
    stamp.run_id = kTestRun;
    stamp.generation = welcome.slot_map->generation;
    return stamp;
  }
  std::vector<Outgoing> Deliver(const Stamp& stamp, Message message) {
    Outbox out;
    now += std::chrono::milliseconds(1);
    shard->OnMessage(stamp, std::move(message), now, out);
    return out.Take();
  }
  // The weights and state of a row; empty if there is none.
  std::vector<float> Row(TableId table, Key key) const {
    const auto rows = AllRowsOf(*shard->table(table));
    const auto row = rows.find(key);
    return row == rows.end() ? std::vector<float>() : row->second;
  }
  // All rows of all tables.
  std::map<std::pair<TableId, Key>, std::vector<float>> Rows() const {
    std::map<std::pair<TableId, Key>, std::vector<float>> all;
    for (const TableSpec& spec : welcome.tables) {
      for (const auto& [key, row] : AllRowsOf(*shard->table(spec.id))) all[{spec.id, key}] = row;
    }
    return all;
  }

  struct Records : RowLog {
    void Record(const RowRecord& record) override { all.push_back(record); }
    std::vector<RowRecord> all;
  };
  Records log;
  FakeStore store;
  Welcome welcome;
  std::unique_ptr<Shard> shard;
  TimePoint now{};
  RequestId next_order = 1;
};

// The only message of a batch, as type T.
template <typename T>
const T& Only(const std::vector<Outgoing>& messages) {
  static const T kNone{};
  EXPECT_EQ(messages.size(), 1u);
  if (messages.size() != 1 || !std::holds_alternative<T>(messages[0].message)) {
    ADD_FAILURE() << "another message than expected, or none";
    return kNone;
  }
  return std::get<T>(messages[0].message);
}

}  // namespace cohort

#endif  // COHORT_TESTS_SERVER_SHARD_HARNESS_H_
