// ShardTable: the rows of one table at one shard, and how gradients change them: with the optimizer, under the
// table's policy (row_policy.h). 16-bit weights are widened, updated as floats, and rounded at random, drawn from
// (seed, table, clock, key, position); what does not fit is clipped and counted. One thread.
#ifndef COHORT_SERVER_SHARD_TABLE_H_
#define COHORT_SERVER_SHARD_TABLE_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "server/cold_rows.h"
#include "server/embedding_table.h"
#include "server/pushed_rows.h"
#include "server/row_policy.h"

namespace cohort {

class ShardTable {
 public:
  // `log` and `slabs` may be null and must outlive the table.
  ShardTable(const TableSpec& spec, std::uint64_t seed, RowLog* log, SlabSource* slabs = nullptr);

  EmbeddingTable& rows() { return rows_; }
  const EmbeddingTable& rows() const { return rows_; }
  const TableSpec& spec() const { return rows_.spec(); }

  // Training goes on in an epoch that begins at a clock: for the optimizer's schedule.
  void BeginEpoch(std::uint32_t epoch, Clock first_clock) { epoch_ = epoch, first_clock_ = first_clock; }
  // One step of the optimizer for every row, with gradients float[count x dim] of `clock`. counts[i] is how often
  // key i occurred: as many as rows if the policy needs counts, else none.
  void Apply(const PushedRows& pushed, const float* gradients, std::span<const std::uint32_t> counts,
             Clock clock);
  // All updates up to `clock` are applied.
  void EndClock(Clock clock);

  // ---- with a tier: operations are numbered, ascending from 1, and wait for their rows.
  // `max_bytes`: of rows in memory, about.
  void UseTier(std::unique_ptr<ColdRows> cold, std::uint64_t max_bytes);
  bool tiered() const { return cold_ != nullptr; }
  void LimitMemory(std::uint64_t max_bytes) { rows_.LimitMemory(max_bytes / TierRowBytes()); }
  // What all its rows would take in memory.
  std::uint64_t TierBytes() const { return rows_.size() * TierRowBytes(); }
  // Asks for the rows of operation `use` that are on disk. Returns how many have to come first; 0: all are in memory, as
  // found() says until the table is changed.
  std::size_t Fetch(std::span<const std::uint64_t> positions, std::uint64_t use, TimePoint now);
  std::span<float* const> found() const { return found_; }
  // Takes in what has come. Calls came(use) for every row that Fetch(…, use) has counted.
  void TakeIn(TimePoint now, const std::function<void(std::uint64_t use)>& came);
  // When TakeIn may have something to do: ColdRows::NextArrival.
  TimePoint NextArrival() const { return cold_->NextArrival(); }
  std::uint64_t rows_read() const { return rows_read_; }  // that operations have waited for

  // ---- checkpoints: what the table is beside its rows, as RowPolicy's copies.
  void BeginCopy();
  bool StepCopy(std::size_t bytes) { return policy_ == nullptr || policy_->StepCopy(bytes); }
  TableState TakeCopy();
  void AbandonCopy();
  // Errors (kInvalidInput): it is of another policy.
  Status Restore(const TableState& state, const OwnedGroups& groups, bool first, bool counts);

  const RowPolicyCounters& policy_counters() const;
  // Weights that an update made too large for the dtype.
  std::uint64_t clipped_weights() const { return clipped_weights_; }

 private:
  std::uint64_t TierRowBytes() const {
    return rows_.row_words() * sizeof(float) + EmbeddingTable::kTierBytesPerRow;
  }
  void Step(const float* gradient, Key key, std::uint64_t clock_seed, float share, float* row);
  std::uint64_t ClockSeed(Clock clock) const;
  float RateShareAt(Clock clock) const {
    return RateShare(spec().optimizer.schedule, epoch_, std::max<Clock>(clock - first_clock_, 0));
  }
  void ApplyUnderPolicy(const PushedRows& pushed, const float* gradients,
                        std::span<const std::uint32_t> counts, Clock clock);

  const std::uint64_t seed_;
  std::uint32_t epoch_ = 0;
  Clock first_clock_ = 0;           // of the epoch
  std::unique_ptr<ColdRows> cold_;  // null: no tier
  EmbeddingTable rows_;
  std::unique_ptr<RowPolicy> policy_;  // null: every key has a row, no row goes
  std::vector<float> weights_;         // reused: a row's, widened
  std::uint64_t clipped_weights_ = 0;
  std::uint64_t clipped_at_copy_ = 0;  // when the copy began
  std::unordered_multimap<std::uint32_t, std::uint64_t>
      fetching_;  // by place: operations that wait for its row
  std::uint64_t rows_read_ = 0;
  std::vector<EmbeddingTable::ColdEntry> cold_entries_;  // reused
  std::vector<float*> found_;                            // of the last Fetch; reused
  std::vector<std::uint32_t> places_;                    // reused
};

}  // namespace cohort

#endif  // COHORT_SERVER_SHARD_TABLE_H_
