// ShardState in a part of a checkpoint: arrays of its group "shard" (common/model_part.h).
//
//   groups (256) u8: 0 or 1 | phase (2) i64: number, first clock | closed (workers) i64 | counts (5) u64: ShardCounts in order
//   applied_worker, applied_table, applied_node (k) u32 | applied_clock (k) i64 | applied_groups (4 k) u64: 256 bits each
//   floor_worker, floor_group (f) u32 | floor_clock (f) i64
//   and for each table, in a group table_<id>: counts (4) u64: clipped weights, not admitted, evicted idle, evicted for memory |
//   of a table with a policy also: swept (1) i64 | sightings u64 | sketch_slots u32 | sketch_added u64 | sketch_counters u8
#ifndef COHORT_SERVER_PART_STATE_H_
#define COHORT_SERVER_PART_STATE_H_

#include <span>
#include <string>

#include "common/model_part.h"
#include "common/model_part_reader.h"
#include "common/status.h"
#include "server/shard_state.h"

namespace cohort {

Status WriteShardState(const ShardState& state, ModelPartWriter* writer);
// Errors (kCorrupt): something is missing or cannot be; `path` names the file in them. The part's checksum has been checked.
Result<ShardState> ReadShardState(const ModelPartReader& part, const std::string& path,
                                  std::span<const TableId> tables);

}  // namespace cohort

#endif  // COHORT_SERVER_PART_STATE_H_
