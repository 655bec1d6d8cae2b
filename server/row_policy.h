// RowPolicy: which keys of a table get a row, and which rows go (RowPolicySpec, common/table_spec.h).
//
// Everything is decided per slot and when a clock is applied, from the occurrence counts that pushes carry: in
// bsp the decisions are the same for any number of workers, servers and shards. A slot's sketch and budget
// are its own, so that they can move with its rows.
//
//   admission  count        a key gets its row with the gradient that brings its sightings to admit_count, by
//                           the slot's OccurrenceSketch
//              probability  each sighting admits with admit_probability: n of them in one gradient with
//                           1 - (1 - p)^n, drawn from (seed, table, clock, key) [1]
//   idleness   slots take turns, all within a quarter of evict_idle_clocks: rows whose last update is so
//              many clocks ago go
//   memory     a slot may hold max_bytes / 16,384 of rows; beyond it the row with the fewest sightings goes
//              (of equals: the one updated longest ago, then the lower position), rows of the clock being
//              applied last. Sightings are halved whenever a slot has seen ten times its rows: what was
//              frequent once does not stay for ever.
//
// A row that went is as if it had never been; its key may be admitted again and starts afresh. Nothing else
// refers to rows: held pushes, parked pulls and snapshots are not concerned.
//
// [1] McMahan et al. 2013, section 3.1, "Poisson inclusion".
#ifndef COHORT_SERVER_ROW_POLICY_H_
#define COHORT_SERVER_ROW_POLICY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/table_spec.h"
#include "server/embedding_table.h"
#include "server/occurrence_sketch.h"
#include "server/row_log.h"
#include "server/shard_state.h"

namespace cohort {

struct RowPolicyCounters {
  std::uint64_t not_admitted = 0;  // gradients dropped, one a row
  std::uint64_t evicted_idle = 0;
  std::uint64_t evicted_memory = 0;
};

// One table of one shard; one thread.
class RowPolicy {
 public:
  // `log` may be null. REQUIRES: spec.policy.Any(); a budget of at least one row a slot.
  RowPolicy(const TableSpec& spec, std::uint64_t seed, RowLog* log);

  // Whether the key, which has no row, gets one, having occurred `count` times in this gradient of `clock`.
  bool Admit(Key key, std::uint64_t position, std::uint32_t count, Clock clock);
  // Rows of the slot were updated at `clock`, on `sightings` occurrences: brings it within its budget.
  void AfterUpdate(EmbeddingTable& table, int slot, std::uint64_t sightings, Clock clock);
  // All updates up to `clock` are applied. Clocks ascend; those left out are made up for.
  void EndClock(EmbeddingTable& table, Clock clock);

  // A copy of its state at one instant, made while it goes on: what is large, the sketches, slot by slot in turns, or when a
  // slot is about to change. One at a time.
  void BeginCopy();
  // Copies about so many bytes. True: that was all.
  bool StepCopy(std::size_t bytes);
  // REQUIRES: StepCopy returned true.
  PolicyState TakeCopy();
  void AbandonCopy();
  // Takes over what concerns the groups. Several former shards' states are taken over one after the other; of these,
  // `counts` says whose counters are taken over. REQUIRES: FitsState.
  void Restore(const PolicyState& state, const OwnedGroups& groups, bool first, bool counts);
  // Whether a state is of a policy with the same options.
  bool FitsState(const PolicyState& state) const;

  const RowPolicyCounters& counters() const { return counters_; }
  // Of sketches and budgets.
  std::uint64_t memory_bytes() const;

 private:
  struct Candidate {
    std::uint64_t position = 0;
    std::uint64_t count = 0;
    Clock last = 0;
  };
  void Evict(EmbeddingTable& table, const Candidate& row, RowFate fate, Clock clock);
  void SweepSlot(EmbeddingTable& table, int slot, Clock clock);
  void CopySketch(std::size_t slot);
  std::size_t SketchBytes() const;

  const TableSpec spec_;
  const std::uint64_t seed_;
  RowLog* const log_;
  const Clock turns_;           // idleness: clocks in which every slot has its turn once
  const std::uint64_t budget_;  // memory: rows of a slot; 0: no limit
  Clock swept_ = -1;            // the last clock whose slots had their turn
  std::vector<std::unique_ptr<OccurrenceSketch>> sketches_;  // by slot; null: nothing seen yet
  std::vector<std::uint64_t> sightings_;                     // memory: by slot, since the last halving
  std::vector<Candidate> candidates_;                        // reused
  RowPolicyCounters counters_;

  struct Copy {
    PolicyState state;
    std::vector<bool> copied;  // sketches, by slot
    std::size_t next = 0;      // slot
  };
  std::unique_ptr<Copy> copy_;  // null: none under way
};

}  // namespace cohort

#endif  // COHORT_SERVER_ROW_POLICY_H_
