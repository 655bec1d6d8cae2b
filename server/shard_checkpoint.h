// ShardCheckpoint: one checkpoint of a shard under way: copies of its tables' rows (table_copy.h) and of the rest
// (shard_state.h), all of the instant at which it began, on their way to a CheckpointWriter (snapshot_store.h).
//
// It gets its turns between messages. What is copied in a turn is bounded, and rows that can wait do so while the writer is
// behind; rows that are about to change cannot, and take memory until they are written. One thread.
#ifndef COHORT_SERVER_SHARD_CHECKPOINT_H_
#define COHORT_SERVER_SHARD_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/message.h"
#include "common/types.h"
#include "server/shard_state.h"
#include "server/shard_table.h"
#include "server/snapshot_store.h"
#include "server/table_copy.h"

namespace cohort {

class ShardCheckpoint {
 public:
  // Begins: this is the instant. `state`: but for its tables. `changed`, by table: of which rows are to be copied
  // (TableCopy); empty: all are. The tables must outlive the checkpoint.
  ShardCheckpoint(std::uint64_t number, ShardState state, std::vector<ShardTable*> tables,
                  std::size_t block_bytes, std::unique_ptr<CheckpointWriter> writer,
                  std::vector<ChangesSince> changed = {});

  // A turn of about `bytes`.
  void Step(std::size_t bytes, TimePoint now);
  // The outcome, once; error says why there is no part.
  std::optional<CheckpointDone> Take();
  // Nothing is left to be done: the next one may begin.
  bool over() const;
  // When it wants its next turn.
  TimePoint NextStep() const;

  std::uint64_t number() const { return number_; }
  std::uint64_t rows_copied() const;
  std::uint64_t rows_saved() const;

 private:
  void HandOver(TimePoint now);
  void FinishIfCopied(std::size_t bytes, TimePoint now);
  void Abandon();
  // The copy whose turn it is; null: all are done.
  TableCopy* Current() const;

  const std::uint64_t number_;
  const std::uint32_t phase_;
  const std::vector<Clock> closed_;
  ShardState state_;
  const std::vector<ShardTable*> tables_;
  std::vector<std::unique_ptr<TableCopy>> copies_;
  std::unique_ptr<CheckpointWriter> writer_;
  bool finished_ = false;   // everything has been handed over
  bool abandoned_ = false;  // the writer has failed
  std::optional<CheckpointDone> outcome_;
  bool taken_ = false;
  TimePoint now_{};  // of the last turn
};

}  // namespace cohort

#endif  // COHORT_SERVER_SHARD_CHECKPOINT_H_
