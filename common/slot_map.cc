#include "common/slot_map.h"

#include "common/check.h"

namespace cohort {

SlotMap SlotMap::Even(std::uint32_t shard_count) {
  COHORT_CHECK(shard_count >= 1 && shard_count <= kMaxShards, "%u shards", shard_count);
  SlotMap map;
  map.shard_count = shard_count;
  for (std::uint32_t shard = 0; shard < shard_count; ++shard) {
    const std::uint32_t begin = shard * kSlotGroupCount / shard_count;
    const std::uint32_t end = (shard + 1) * kSlotGroupCount / shard_count;
    for (std::uint32_t group = begin; group < end; ++group) map.shard_of_group[group] = static_cast<std::uint16_t>(shard);
  }
  return map;
}

}  // namespace cohort
