// ShardState: what a shard is beside the rows of its tables, at one instant: clocks, the memory of applied pushes, the state
// of its policies, counters. A checkpoint's part holds one (snapshot.h), and shards that begin from a checkpoint take
// over those of all parts that had one of their slot groups: what is kept per group or slot goes where it went, and what is
// kept by shard (counters) to the shard that has the former one's first group.
#ifndef COHORT_SERVER_SHARD_STATE_H_
#define COHORT_SERVER_SHARD_STATE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/buffer.h"
#include "common/status.h"
#include "common/types.h"
#include "server/applied_pushes.h"
#include "server/embedding_table.h"

namespace cohort {

// Of a policy (row_policy.h).
struct PolicyState {
  Clock swept = -1;  // the last clock whose slots had their turn
  std::uint64_t not_admitted = 0, evicted_idle = 0, evicted_memory = 0;
  std::vector<std::uint64_t> sightings;  // by slot; empty: no budget
  // Of the slots that have seen anything, in any order: counters_per_sketch bytes each.
  std::vector<std::uint32_t> sketch_slots;
  std::vector<std::uint64_t> sketch_added;
  std::vector<std::uint8_t> sketch_counters;
};

struct TableState {
  TableId table = 0;
  std::uint64_t clipped_weights = 0;
  bool has_policy = false;
  PolicyState policy;
};

// Counted since the run began, in all lives of the shard.
struct ShardCounts {
  std::uint64_t parts_acknowledged = 0, parts_duplicated = 0, absent_rows = 0, non_finite = 0,
                clipped_values = 0;
  ShardCounts& operator+=(const ShardCounts& other) {
    parts_acknowledged += other.parts_acknowledged;
    parts_duplicated += other.parts_duplicated;
    absent_rows += other.absent_rows;
    non_finite += other.non_finite;
    clipped_values += other.clipped_values;
    return *this;
  }
};

struct ShardState {
  OwnedGroups groups;
  std::uint32_t phase = 0;
  Clock first_clock = 0;      // of the phase
  std::vector<Clock> closed;  // by worker
  std::vector<AppliedPart> applied;
  std::vector<AppliedFloor> floors;
  std::vector<TableState> tables;
  ShardCounts counts;
};

// Whether a shard with the groups `owned` takes over what a former one kept by shard.
bool TakesCounts(const ShardState& former, const OwnedGroups& owned);

// Clocks and applied pushes of a phase as a shard with the groups `owned` takes them over from former ones: a group's clocks
// are those of the shard that had it. What has not been told of a group was closed up to `first` - 1. Of a former shard that had not
// begun the phase, whose first clock is `phase_first`, nothing of it is known.
struct TakenClocks {
  std::vector<Clock> closed;  // by worker
  AppliedPushes applied;
};
TakenClocks TakeOverClocks(const std::vector<ShardState>& former, const OwnedGroups& owned,
                           std::uint32_t workers, Clock phase_first, Clock first);

// The state of a shard with the groups `owned`, made of those of the former shards, which have all of them. Errors (kCorrupt):
// they do not fit together.
Result<ShardState> StateOfGroups(const std::vector<ShardState>& former, const OwnedGroups& owned);

// For a backup: both ends are processes of one run.
Buffer EncodeShardState(const ShardState& state);
// Nothing: these are no bytes of EncodeShardState.
std::optional<ShardState> DecodeShardState(std::span<const std::byte> bytes);

}  // namespace cohort

#endif  // COHORT_SERVER_SHARD_STATE_H_
