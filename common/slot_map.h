// Slot group -> shard, with a generation number. Only the scheduler changes it; everyone else holds a copy.
#ifndef COHORT_COMMON_SLOT_MAP_H_
#define COHORT_COMMON_SLOT_MAP_H_

#include <array>
#include <cstdint>

#include "common/types.h"

namespace cohort {

struct SlotMap {
  std::uint32_t generation = 1;
  std::uint32_t shard_count = 0;
  std::array<std::uint16_t, kSlotGroupCount> shard_of_group{};

  std::uint32_t ShardOfGroup(int group) const { return shard_of_group[static_cast<std::size_t>(group)]; }

  // Contiguous, equal runs of groups: shard s holds groups [s*256/shards, (s+1)*256/shards).
  // REQUIRES: 1 <= shard_count <= kMaxShards.
  static SlotMap Even(std::uint32_t shard_count);

  template <class Archive>
  void serialize(Archive& archive) {
    archive(generation, shard_count);
    for (auto& shard : shard_of_group) archive(shard);
  }
};

}  // namespace cohort

#endif  // COHORT_COMMON_SLOT_MAP_H_
