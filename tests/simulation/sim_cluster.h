// The processes of a simulated run: the real Coordinator and Shards, and workers, on one network. Who makes a cluster adds
// them one after the other, and decides when each starts.
#ifndef COHORT_TESTS_SIMULATION_SIM_CLUSTER_H_
#define COHORT_TESTS_SIMULATION_SIM_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/coordinator.h"
#include "server/shard.h"
#include "tests/simulation/planted_bugs.h"
#include "tests/simulation/sim_checkpoints.h"
#include "tests/simulation/sim_network.h"
#include "tests/simulation/sim_shape.h"
#include "tests/simulation/sim_worker.h"
#include "tests/support/workload.h"

namespace cohort {

class SimCluster {
 public:
  struct Options {
    RunPlan run;
    std::uint32_t incarnation = 2;                   // of shards and first workers; ghosts have lower ones
    Duration dead_after = std::chrono::seconds(60);  // of the scheduler, to others
    std::optional<std::uint64_t>
        checkpoint_every;  // orders come from beside the scheduler (CheckpointingShard)
    PlantedBug bug = PlantedBug::kNone;
    PushJournal* journal = nullptr;
  };
  // A life of a worker.
  struct Life {
    std::uint32_t incarnation = 0;
    std::uint64_t seed = 0;
    bool replaces = false;  // a dead one
    std::uint64_t pid = 0;
  };

  // All must outlive the cluster; `observer` may be null. `seed`: of what shards draw. `sinks`: makes one for each life of the
  // scheduler; may be empty.
  SimCluster(std::uint64_t seed, const Shape& shape, Options options, SimNetwork* network,
             SnapshotStore* store, Markers* markers, std::function<std::unique_ptr<ScoreSink>()> sinks,
             RunObserver* observer);

  void AddScheduler(TimePoint start);
  // Another one, from the journal of those before. They are dead, or live on and are not listened to.
  void ReplaceScheduler(TimePoint start);
  // In the order of their indices. `turn_bytes`, `block_bytes`: of checkpoints (ShardOptions).
  void AddShard(std::size_t turn_bytes, std::size_t block_bytes, TimePoint start);
  // Of the shard with this index, in this server process; once more: another life.
  void AddBackup(std::uint32_t index, std::uint32_t server, std::uint32_t incarnation, std::uint64_t pid,
                 TimePoint start);
  // Between any two events: whoever has taken a shard's place is that shard.
  void Follow();
  // The next one, or another life of one that is there. `compute`: how long a batch takes at most.
  void AddWorker(std::uint32_t index, const Life& life, Duration compute, TimePoint start);

  Coordinator& scheduler() { return *schedulers_.back().coordinator; }
  const Coordinator& scheduler() const { return *schedulers_.back().coordinator; }
  const std::vector<std::unique_ptr<Shard>>& shards() const { return shards_; }
  const std::vector<std::unique_ptr<SimWorker>>& workers() const { return workers_; }
  const std::map<std::uint32_t, std::unique_ptr<Shard>>& backups() const { return backups_; }

  // A worker that nobody has killed cannot go on, or has seen what must not be.
  bool Broken() const;
  // What went wrong, as far as it is known without a look at the model. `ended`: the run has, before its deadline.
  std::string Violation(bool ended) const;
  // The rows of all shards. Not empty: why they are not a model.
  std::string CollectRows(PlainTables* rows) const;
  // What shards, workers and the scheduler have counted.
  void AddCounts(Counts* counts) const;

 private:
  struct MemoryJournal : RunJournal {
    void Append(const JournalEntry& entry) override { entries.push_back(entry); }
    std::vector<JournalEntry> entries;
  };
  struct Scheduler {
    std::unique_ptr<ScoreSink> sink;
    std::unique_ptr<Coordinator> coordinator;
    std::unique_ptr<Node> unfenced;  // it, with the bug
    Node* node() const { return unfenced != nullptr ? unfenced.get() : coordinator.get(); }
  };
  void MakeScheduler();
  std::uint32_t Term() const { return scheduler().stamp().term; }

  const std::uint64_t seed_;
  const Shape& shape_;
  const Options options_;
  SimNetwork* const network_;
  SnapshotStore* const store_;
  Markers* const markers_;
  RunObserver* const observer_;
  const std::function<std::unique_ptr<ScoreSink>()> sinks_;
  MemoryJournal scheduler_journal_;
  std::vector<Scheduler> schedulers_;  // the newest is the last
  std::vector<std::unique_ptr<Shard>> shards_;
  std::map<std::uint32_t, std::unique_ptr<Shard>> backups_;  // by shard: the newest lives
  std::vector<std::unique_ptr<Shard>> dead_shards_;          // earlier lives, of backups too
  std::vector<std::unique_ptr<CheckpointingShard>> checkpointing_;
  std::vector<std::unique_ptr<SimWorker>> workers_;
  std::vector<std::unique_ptr<SimWorker>> dead_;  // earlier lives
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_CLUSTER_H_
