// The checkpoints of a simulated run as files on a SimDisk: parts and manifests, written with the steps of the real ones
// (common/atomic_file.h: write, sync, rename, sync of the folder; the manifest when all parts are there), chosen by the rule of
// launch/checkpoints.h (the newest whose manifest and parts have the right sizes and checksums), kept and removed alike.
//
// A file's bytes stand for a part; what the part holds is found by the bytes' checksum. So what is read is what was written with
// these very bytes, or nothing. An incremental part is put together when it is written: its file has all rows.
//
// Seams for planted bugs are here, beside the roles: what is done on a disk, and with what was read from one.
#ifndef COHORT_TESTS_SIMULATION_SIM_CHECKPOINT_FILES_H_
#define COHORT_TESTS_SIMULATION_SIM_CHECKPOINT_FILES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "common/types.h"
#include "scheduler/run_observer.h"
#include "scheduler/run_position.h"
#include "server/snapshot_store.h"
#include "tests/simulation/planted_bugs.h"
#include "tests/simulation/sim_disk.h"
#include "tests/support/memory_checkpoints.h"

namespace cohort {

class SimCheckpointFiles : public SnapshotStore, public RunObserver {
 public:
  // `delay`: of each step on the disk. `keep`: whole checkpoints, at least 1.
  SimCheckpointFiles(SimDisk* disk, std::string path, std::uint32_t keep, std::function<Duration()> delay,
                     PlantedBug bug);
  ~SimCheckpointFiles() override;

  // SnapshotStore: what shards do. Snapshots are not kept.
  SnapshotDone Write(const std::string& directory, std::uint32_t shard,
                     std::span<const EmbeddingTable* const> tables) override;
  Status Load(const std::string& model_path, const OwnedGroups& owned,
              std::span<EmbeddingTable* const> tables) override;
  bool HasCheckpoint(const std::string& path, std::uint64_t number) override;
  std::unique_ptr<CheckpointWriter> WriteCheckpoint(const CheckpointPart& part) override;
  Result<std::vector<ShardState>> Resume(const std::string& model_path, const OwnedGroups& owned,
                                         std::span<EmbeddingTable* const> tables) override;
  // RunObserver: what the scheduler's process does.
  void OnSample(const MetricsSample&) override {}
  void OnPhaseEnd(const PhaseSummary&) override {}
  void OnEvent(const std::string&) override {}
  void OnWarning(const std::string&) override {}
  void OnCheckpoint(const RunPosition& position, const std::vector<CheckpointDone>& parts,
                    const std::string& kernels) override;

  // What the supervisor does before a life: the newest whole checkpoint, if there is one; those beyond it are removed.
  std::optional<RunPosition> GoOn();

  // A file rots: the checkpoint that it is of is not promised any more.
  void Rot();
  // Not empty: a checkpoint that was promised, and that nothing has damaged, was not there when it was looked for.
  const std::string& violation() const { return violation_; }
  // Left out because they were damaged.
  std::uint64_t refused() const { return refused_; }

 private:
  class AtomicFile;
  class Writer;
  struct Manifest {
    RunPosition position;
    struct File {
      std::string name;
      std::uint64_t bytes = 0, checksum = 0;
    };
    std::vector<File> parts;  // by shard
  };

  std::string Folder(std::uint64_t number) const;
  std::optional<Manifest> ReadManifest(std::uint64_t number) const;
  bool Whole(std::uint64_t number, const Manifest& manifest) const;
  std::set<std::uint64_t> Numbers() const;
  void Remove(std::uint64_t number);

  SimDisk* const disk_;
  const std::string path_;
  const std::uint32_t keep_;
  const std::function<Duration()> delay_;
  const PlantedBug bug_;
  MemoryCheckpoints memory_;                                   // parts whose rows are being copied
  std::map<std::uint64_t, MemoryCheckpoints::Part> contents_;  // by checksum
  std::set<std::uint64_t> promised_;                           // written durably; not removed since
  std::vector<AtomicFile> late_;                               // the bug: told of, and not written
  std::string violation_;
  std::uint64_t written_ = 0, refused_ = 0;
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_CHECKPOINT_FILES_H_
