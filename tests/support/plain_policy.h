// What RowPolicy must decide, written for being obviously right: one map of all rows of a table, looked through from
// end to end. It shares OccurrenceSketch with the system, whose estimates are what they are.
#ifndef COHORT_TESTS_SUPPORT_PLAIN_POLICY_H_
#define COHORT_TESTS_SUPPORT_PLAIN_POLICY_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "common/random.h"
#include "common/table_spec.h"
#include "server/occurrence_sketch.h"

namespace cohort {

class PlainPolicy {
 public:
  PlainPolicy(const TableSpec& spec, std::uint64_t seed) : spec_(spec), seed_(seed) {}

  // A gradient of a key, which occurred `count` times. False: it has no row and gets none.
  bool Update(Key key, std::uint32_t count, Clock clock) {
    const std::uint64_t position = RingPosition(spec_, key);
    const int slot = SlotOf(position);
    touched_[slot] += count;
    if (!rows_.contains(position) && !Admits(key, position, count, clock)) {
      ++not_admitted;
      return false;
    }
    Row& row = rows_[position];
    row.key = key;
    row.count += count;
    row.last = std::max(row.last, clock);
    return true;
  }

  // The clock is over: the keys whose rows go.
  std::vector<Key> EndClock(Clock clock) {
    std::vector<Key> gone;
    const std::uint64_t budget = spec_.policy.max_bytes / kSlotCount / BytesPerRow(spec_);
    for (const auto& [slot, count] : touched_) {
      if (budget == 0) break;
      seen_[slot] += count;
      if (seen_[slot] > 10 * budget) {
        seen_[slot] = 0;
        for (auto& [position, row] : rows_) row.count /= SlotOf(position) == slot ? 2 : 1;
      }
      for (;;) {
        std::uint64_t held = 0, victim = 0;
        for (const auto& [position, row] : rows_) {
          if (SlotOf(position) != slot) continue;
          if (++held == 1 || Order(position, clock) < Order(victim, clock)) victim = position;
        }
        if (held <= budget) break;
        gone.push_back(rows_[victim].key);
        rows_.erase(victim);
        ++evicted_memory;
      }
    }
    touched_.clear();
    const auto idle = static_cast<Clock>(spec_.policy.evict_idle_clocks);
    if (idle == 0) return gone;
    const Clock turns = std::clamp<Clock>(idle / 4, 1, 1024);
    for (auto it = rows_.begin(); it != rows_.end();) {
      const bool turn = SlotOf(it->first) % turns == clock % turns;
      if (!turn || clock - it->second.last < idle) {
        ++it;
        continue;
      }
      gone.push_back(it->second.key);
      it = rows_.erase(it);
      ++evicted_idle;
    }
    return gone;
  }

  std::uint64_t not_admitted = 0, evicted_idle = 0, evicted_memory = 0;

 private:
  struct Row {
    Key key = 0;
    std::uint64_t count = 0;
    Clock last = 0;
  };
  std::tuple<bool, std::uint64_t, Clock, std::uint64_t> Order(std::uint64_t position, Clock clock) const {
    const Row& row = rows_.at(position);
    return {row.last == clock, row.count, row.last, position};
  }
  bool Admits(Key key, std::uint64_t position, std::uint32_t count, Clock clock) {
    if (spec_.policy.admit == Admission::kCount) {
      auto sketch = sketches_.try_emplace(SlotOf(position), spec_.policy.sketch_bytes / kSlotCount).first;
      return sketch->second.Add(position, count) >= spec_.policy.admit_count;
    }
    if (spec_.policy.admit == Admission::kProbability) {
      const std::uint64_t stream = RandomBits(seed_, spec_.id, 0x61646d6974);
      const double draw = UniformDouble(RandomBits(stream, static_cast<std::uint64_t>(clock), key));
      return draw >= std::pow(1 - static_cast<double>(spec_.policy.admit_probability), count);
    }
    return true;
  }

  const TableSpec spec_;
  const std::uint64_t seed_;
  std::map<std::uint64_t, Row> rows_;  // by position
  std::map<int, OccurrenceSketch> sketches_;
  std::map<int, std::uint64_t> seen_, touched_;  // by slot
};

}  // namespace cohort

#endif  // COHORT_TESTS_SUPPORT_PLAIN_POLICY_H_
