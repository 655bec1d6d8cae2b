// The memory of pushes that are held or applied, so that each counts once (DESIGN 2.1).
//
// A part of a push is named (worker, clock, table, node, slot group). An entry holds one bit per slot group,
// so that a group's memory can move with its rows. What a worker has closed is forgotten: a worker closes a
// clock only when all its parts are acknowledged, so anything at or below it is a repetition. The shard
// refuses pushes too far beyond the worker's closed clock, which bounds the memory.
//
// A shard that begins from a checkpoint may have groups of several former shards, which had closed different clocks of the
// same worker. Its own closed clock is then the lowest of these, and a floor per group says up to which clock everything
// counts as applied there.
#ifndef COHORT_SERVER_APPLIED_PUSHES_H_
#define COHORT_SERVER_APPLIED_PUSHES_H_

#include <array>
#include <bitset>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/types.h"

namespace cohort {

// A push without its sender; the groups are counted one by one.
struct PushName {
  Clock clock = 0;
  TableId table = 0;
  std::uint16_t node = 1;
  auto operator<=>(const PushName&) const = default;
};

// The memory as a checkpoint keeps it.
struct AppliedPart {
  std::uint32_t worker = 0;
  PushName push;
  std::bitset<kSlotGroupCount> groups;
};
struct AppliedFloor {
  std::uint32_t worker = 0;
  std::uint16_t group = 0;
  Clock clock = 0;
};

class AppliedPushes {
 public:
  AppliedPushes() = default;
  explicit AppliedPushes(std::uint32_t workers) : by_worker_(workers) {}

  // Notes a part. False: it had been noted before, or lies at or below the floor.
  bool Mark(std::uint32_t worker, const PushName& push, int group);
  bool Contains(std::uint32_t worker, const PushName& push, int group) const;
  // Forgets everything of the worker up to `closed`.
  void Forget(std::uint32_t worker, Clock closed);
  // There may be so many workers from now on.
  void Count(std::uint32_t workers);
  // Entries and floors.
  void Clear();
  std::size_t entries() const;

  // Everything of the worker up to `clock` counts as applied in a group.
  void RaiseFloor(std::uint32_t worker, int group, Clock clock);
  std::vector<AppliedPart> Parts() const;
  std::vector<AppliedFloor> Floors() const;

 private:
  static constexpr Clock kNoFloor = -1;
  struct Entry {
    PushName push;
    std::bitset<kSlotGroupCount> groups;
  };
  bool BelowFloor(std::uint32_t worker, const PushName& push, int group) const {
    return worker < floors_.size() && push.clock <= floors_[worker][static_cast<std::size_t>(group)];
  }

  // Ascending by name; a few entries, new ones nearly always last, old ones leave at the front.
  std::vector<std::vector<Entry>> by_worker_;
  std::vector<std::array<Clock, kSlotGroupCount>> floors_;  // by worker; empty: none
};

}  // namespace cohort

#endif  // COHORT_SERVER_APPLIED_PUSHES_H_
