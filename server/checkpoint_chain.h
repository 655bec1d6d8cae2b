// CheckpointChain: which former checkpoint the next one of a shard can be laid over, so that only the rows that have changed
// since are written.
//
// A checkpoint can be a base when it is complete: this shard's part and all others are written, and its manifest is. That is
// known when the next one begins, or not until later; so what has changed is taken down from each instant to the next, and
// what changed since a base is the sum of these pieces. One thread.
#ifndef COHORT_SERVER_CHECKPOINT_CHAIN_H_
#define COHORT_SERVER_CHECKPOINT_CHAIN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "common/message.h"
#include "server/changed_rows.h"
#include "server/shard_table.h"

namespace cohort {

class CheckpointChain {
 public:
  // At most so many files make a part: one that has all rows, and full_every - 1 over it. 1: every part has all rows, and
  // nothing is taken down.
  explicit CheckpointChain(std::uint32_t full_every) : full_every_(full_every) {}

  struct Base {
    std::vector<PartLayer> layers;      // the base's files, the oldest first; none: write all rows
    std::vector<ChangesSince> changed;  // by table, since the base
  };
  // A checkpoint begins: this is its instant. `slots` of the ring are the shard's. There is no base when none is complete, when a
  // table keeps statistics of its rows (they age all the time, and rows go), when about half of the rows have changed, and when the
  // newest complete one has full_every files, or layers that are together larger than the lowest. The tables must outlive the
  // chain or not change any more.
  Base Begin(std::uint64_t number, std::span<ShardTable* const> tables, std::uint64_t slots,
             const std::function<bool(std::uint64_t number)>& is_complete);
  // This shard's part is written, or is not. The one after one that is not has all rows; after two incremental ones that are not, none
  // is incremental any more: a disk without hard links will not have them later.
  void End(const CheckpointDone& done);

 private:
  struct Instant {
    std::uint64_t number = 0;
    std::uint64_t rows = 0;         // of all tables
    std::vector<PartLayer> layers;  // of its part, its own file last; none: it is not written
    std::vector<std::shared_ptr<ChangedRows>> changed;  // by table, until the next instant
  };
  bool CanBeBase(std::span<ShardTable* const> tables) const;

  const std::uint32_t full_every_;
  int failed_ = 0;                 // incremental ones in a row
  std::vector<Instant> instants_;  // ascending; the first one may be the base
};

}  // namespace cohort

#endif  // COHORT_SERVER_CHECKPOINT_CHAIN_H_
