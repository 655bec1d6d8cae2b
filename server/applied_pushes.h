// The memory of pushes that are held or applied, so that each counts once (DESIGN 2.1).
//
// A part of a push is named (worker, clock, table, node, slot group). An entry holds one bit per slot group,
// so that a group's memory can move with its rows. What a worker has closed is forgotten: a worker closes a
// clock only when all its parts are acknowledged, so anything at or below it is a repetition. The shard
// refuses pushes too far beyond the worker's closed clock, which bounds the memory.
#ifndef COHORT_SERVER_APPLIED_PUSHES_H_
#define COHORT_SERVER_APPLIED_PUSHES_H_

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

class AppliedPushes {
 public:
  AppliedPushes() = default;
  explicit AppliedPushes(std::uint32_t workers) : by_worker_(workers) {}

  // Notes a part. False: it had been noted before.
  bool Mark(std::uint32_t worker, const PushName& push, int group);
  bool Contains(std::uint32_t worker, const PushName& push, int group) const;
  // Forgets everything of the worker up to `closed`.
  void Forget(std::uint32_t worker, Clock closed);
  void Clear();
  std::size_t entries() const;

 private:
  struct Entry {
    PushName push;
    std::bitset<kSlotGroupCount> groups;
  };
  // Ascending by name; a few entries, new ones nearly always last, old ones leave at the front.
  std::vector<std::vector<Entry>> by_worker_;
};

}  // namespace cohort

#endif  // COHORT_SERVER_APPLIED_PUSHES_H_
