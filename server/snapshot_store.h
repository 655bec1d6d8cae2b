// What a Shard knows of disks: someone who writes its rows away and brings rows back. The real one is
// Hdf5SnapshotStore (snapshot.h); simulations keep rows in memory.
//
// A snapshot is written at once, while the shard serves nobody; a part of a checkpoint beside its work, by someone else.
#ifndef COHORT_SERVER_SNAPSHOT_STORE_H_
#define COHORT_SERVER_SNAPSHOT_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/message.h"
#include "common/status.h"
#include "common/table_spec.h"
#include "common/types.h"
#include "server/copied_rows.h"
#include "server/embedding_table.h"
#include "server/shard_state.h"

namespace cohort {

// What a part of a checkpoint is to be.
struct CheckpointPart {
  std::string checkpoint_path;  // of the run; the checkpoint's folder is below (checkpoint_files.h)
  std::uint64_t number = 0;
  std::uint32_t shard = 0;
  struct Table {
    TableSpec spec;
    std::uint64_t rows = 0;
    std::uint64_t coming = 0;  // of these, about
  };
  std::vector<Table> tables;
  // Files of a former checkpoint's part, the oldest first; the last one is that checkpoint's own, and has its number. Then only
  // rows that have changed since will come, and the part is these files and a new one. None: all rows will come.
  std::vector<PartLayer> layers;
};

// A part being written. One thread calls.
class CheckpointWriter {
 public:
  // What is not finished by then is given up; nothing of it stays.
  virtual ~CheckpointWriter() = default;
  // Takes rows over, however many are still to be written. Does not block.
  virtual void Append(CopiedRows rows, TimePoint now) = 0;
  // The rest: all rows have come. Does not block.
  virtual void Finish(ShardState state, TimePoint now) = 0;
  // Whether rows that can wait should come now.
  virtual bool HasRoom(TimePoint now) const = 0;
  // Once: the part is written, durably, or error says why not, and nothing of it stays. May fail before Finish.
  virtual std::optional<CheckpointDone> Take(TimePoint now) = 0;
  // Memory of rows that have been written, to serve again; empty: none is left.
  virtual CopiedRows TakeSpare() { return {}; }
  // When HasRoom or Take may have something new to say: past, then or kNever. Who waits for a real disk is woken up when
  // this changes.
  virtual TimePoint NextEvent() const = 0;
};

class SnapshotStore {
 public:
  virtual ~SnapshotStore() = default;
  // Writes all rows of all tables as one part of a snapshot. Failure is told in SnapshotDone::error; nothing
  // is left behind then.
  virtual SnapshotDone Write(const std::string& directory, std::uint32_t shard,
                             std::span<const EmbeddingTable* const> tables) = 0;
  // Puts the rows of the owned groups of the model at `model_path` into the tables. Errors name the file.
  virtual Status Load(const std::string& model_path, const OwnedGroups& owned,
                      std::span<EmbeddingTable* const> tables) = 0;
  // Whether a checkpoint is there, manifest and all, for another one to be laid over. Does not read it.
  virtual bool HasCheckpoint(const std::string& checkpoint_path, std::uint64_t number) = 0;
  // Begins a part of a checkpoint. Does not block; failure is told by the writer.
  virtual std::unique_ptr<CheckpointWriter> WriteCheckpoint(const CheckpointPart& part) = 0;
  // As Load, from a checkpoint; also the states of all shards that had one of the groups.
  virtual Result<std::vector<ShardState>> Resume(const std::string& model_path, const OwnedGroups& owned,
                                                 std::span<EmbeddingTable* const> tables) = 0;
};

}  // namespace cohort

#endif  // COHORT_SERVER_SNAPSHOT_STORE_H_
