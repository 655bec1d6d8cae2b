// A shard's rows on disk: one part (common/model_part.h) per shard, named by the shard; the scheduler joins
// the parts to a model by its manifest (common/model_files.h).
#ifndef COHORT_SERVER_SNAPSHOT_H_
#define COHORT_SERVER_SNAPSHOT_H_

#include <cstdint>
#include <span>
#include <string>

#include "common/wake_signal.h"
#include "server/snapshot_store.h"

namespace cohort {

// "part-00003.h5"; a later snapshot's: "part-00003-2.h5".
std::string PartFileName(std::uint32_t shard, std::uint32_t number = 0);

// Blocks its thread while it writes a snapshot or reads: the shard serves nobody meanwhile. Parts of checkpoints have a
// thread of their own (part_writer.h).
class Hdf5SnapshotStore : public SnapshotStore {
 public:
  struct Options {
    WakeSignal* wake =
        nullptr;            // given when a part has been written, or there is room; must outlive the store
    double core_share = 1;  // that writing a part may take of a core; 1: as fast as it can
  };
  Hdf5SnapshotStore() = default;
  explicit Hdf5SnapshotStore(Options options) : options_(options) {}

  // Replaces no part of a former snapshot in `directory`, but takes the next free name: until the manifest names the new
  // parts, and at once, the former model is whole.
  SnapshotDone Write(const std::string& directory, std::uint32_t shard,
                     std::span<const EmbeddingTable* const> tables) override;
  // Also refused: a model whose tables are not those of the run (shape, optimizer), or that lacks a dense
  // row.
  Status Load(const std::string& model_path, const OwnedGroups& owned,
              std::span<EmbeddingTable* const> tables) override;
  bool HasCheckpoint(const std::string& checkpoint_path, std::uint64_t number) override;
  std::unique_ptr<CheckpointWriter> WriteCheckpoint(const CheckpointPart& part) override;
  // Reads the parts that have something for the groups, as far as the manifest tells.
  Result<std::vector<ShardState>> Resume(const std::string& model_path, const OwnedGroups& owned,
                                         std::span<EmbeddingTable* const> tables) override;

 private:
  Options options_;
};

}  // namespace cohort

#endif  // COHORT_SERVER_SNAPSHOT_H_
