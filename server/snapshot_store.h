// What a Shard knows of disks: someone who writes its rows away and brings rows back. The real one is
// Hdf5SnapshotStore (snapshot.h); simulations keep rows in memory.
#ifndef COHORT_SERVER_SNAPSHOT_STORE_H_
#define COHORT_SERVER_SNAPSHOT_STORE_H_

#include <cstdint>
#include <span>
#include <string>

#include "common/message.h"
#include "common/status.h"
#include "server/embedding_table.h"

namespace cohort {

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
};

}  // namespace cohort

#endif  // COHORT_SERVER_SNAPSHOT_STORE_H_
