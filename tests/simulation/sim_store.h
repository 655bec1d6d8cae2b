// What simulated shards write, kept in memory: snapshots and checkpoints.
#ifndef COHORT_TESTS_SIMULATION_SIM_STORE_H_
#define COHORT_TESTS_SIMULATION_SIM_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/snapshot_store.h"
#include "tests/simulation/sim_oracle.h"
#include "tests/support/memory_checkpoints.h"

namespace cohort {

class MemoryStore : public SnapshotStore {
 public:
  explicit MemoryStore(MemoryCheckpoints::Disk disk) : checkpoints(std::move(disk)) {}
  SnapshotDone Write(const std::string& directory, std::uint32_t shard,
                     std::span<const EmbeddingTable* const> tables) override {
    PlainTables& part = snapshots[directory][shard];
    part.clear();
    for (const EmbeddingTable* table : tables) part.merge(RowsOf(*table));
    SnapshotDone done;
    done.file = "shard " + std::to_string(shard);
    return done;
  }
  Status Load(const std::string&, const OwnedGroups&, std::span<EmbeddingTable* const>) override {
    return {};
  }
  bool HasCheckpoint(const std::string& path, std::uint64_t number) override {
    return checkpoints.Has(path, number) && number % 4 != 3;  // some are never whole
  }
  std::unique_ptr<CheckpointWriter> WriteCheckpoint(const CheckpointPart& part) override {
    return checkpoints.Write(part);
  }
  Result<std::vector<ShardState>> Resume(const std::string& path, const OwnedGroups& owned,
                                         std::span<EmbeddingTable* const> tables) override {
    return checkpoints.Resume(path, owned, tables);
  }

  MemoryCheckpoints checkpoints;
  std::map<std::string, std::map<std::uint32_t, PlainTables>> snapshots;
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_STORE_H_
