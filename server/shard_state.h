// ShardState: what a shard is beside the rows of its tables, at one instant: clocks, the memory of applied pushes, the state
// of its policies, counters. A checkpoint's part holds one (snapshot.h), and shards that begin from a checkpoint take
// over those of all parts that had one of their slot groups: what is kept per group or slot goes where it went.
#ifndef COHORT_SERVER_SHARD_STATE_H_
#define COHORT_SERVER_SHARD_STATE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/buffer.h"
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

// For a backup: both ends are processes of one run.
Buffer EncodeShardState(const ShardState& state);
// Nothing: these are no bytes of EncodeShardState.
std::optional<ShardState> DecodeShardState(std::span<const std::byte> bytes);

}  // namespace cohort

#endif  // COHORT_SERVER_SHARD_STATE_H_
