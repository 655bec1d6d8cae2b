// TableCopy: the rows of an EmbeddingTable as they were at one instant, copied piece by piece while the table goes on
// changing.
//
// From the instant on, every row of the table lacks a mark in its index (row_index.h). A row is copied, and gets its mark,
//  - when its turn comes: first those on disk, piece by piece as they lie there, so that the disk is read front to back;
//    then those in memory, slot by slot;
//  - or before, when it is about to be changed, erased or moved out to the disk.
// Rows made after the instant are born with a mark. So each row is copied once, as it was, in no particular order; what has
// been copied needs no place at the side, and a row that comes into memory or changes its number is still one row.
//
// A copy may be of the rows alone that have changed since an earlier instant (changed_rows.h): the others get their marks, and are
// not copied.
//
// A row that is erased while it lies on disk keeps its place there until its piece has been read. Statistics that age (a
// policy halves them by slot) are kept beside until their row is copied.
//
// The table tells of changes (embedding_table.h); the owner gives the copy its turns and takes what is copied. One thread.
#ifndef COHORT_SERVER_TABLE_COPY_H_
#define COHORT_SERVER_TABLE_COPY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/types.h"
#include "server/changed_rows.h"
#include "server/copied_rows.h"
#include "server/row_index.h"

namespace cohort {

class EmbeddingTable;

class TableCopy {
 public:
  // Begins the copy: this is the instant. `block_bytes`: of a block handed over, about. `changed`: the rows to be copied are
  // those that one of these has; empty: all are. The table must outlive the copy. REQUIRES: no other copy of the table is under
  // way.
  TableCopy(EmbeddingTable& table, std::size_t block_bytes, ChangesSince changed = {});
  // REQUIRES: done(), or the table will not be copied again.
  ~TableCopy();
  TableCopy(const TableCopy&) = delete;
  TableCopy& operator=(const TableCopy&) = delete;

  // Copies about `bytes` of rows whose turn it is.
  void Step(std::size_t bytes, TimePoint now);
  // Whether Step has something to do, other than wait for the disk.
  bool CanStep() const;
  // Takes in what the disk has brought; to be called whenever it may have, lest it pile up there.
  void TakePieces(TimePoint now);
  // All rows are copied, or it has been abandoned and nothing of it is left in the table.
  bool done() const { return done_; }
  // The next block that is full; once all rows are copied, also one that is not.
  std::optional<CopiedRows> TakeBlock();
  // Memory for blocks to come: fresh memory would take longer to be made than to be filled.
  void GiveSpare(CopiedRows spare) { spare_.push_back(std::move(spare)); }
  bool NeedsSpare() const { return !done_ && spare_.size() < 2; }
  // Copies no more. Steps are still to be given until done(): marks have to be put on.
  void Abandon();

  std::uint64_t rows_copied() const { return copied_; }
  // Of these, rows that were about to change before it was their turn.
  std::uint64_t rows_saved() const { return saved_; }

  // ---- for the table: before rows are changed or moved, a row is erased, a slot's statistics change.
  // REQUIRES: positions ascend.
  void BeforeChange(std::span<const std::uint64_t> positions);
  // The entry has left the index. True: its place on the disk is still needed, and will be given back by the copy.
  bool BeforeErase(const RowIndex::Entry& entry);
  void BeforeStatistics(int slot);

 private:
  void Copy(const RowIndex::Entry& entry, const float* row);
  void CopyFound();
  bool IsWanted(std::uint64_t position) const { return changed_.empty() || HasChanged(changed_, position); }
  // Whether a position is not known to have its mark. From now on it is known.
  bool MayLackMark(std::uint64_t position);
  void Arrived(std::uint64_t position, std::uint32_t place, const float* row);
  void StepDisk(TimePoint now);
  void StepMemory(std::size_t bytes);
  void FinishIfDone();

  EmbeddingTable& table_;
  const std::size_t block_bytes_;
  const ChangesSince changed_;
  const bool statistics_;
  bool abandoned_ = false, done_ = false;
  std::uint32_t next_piece_ = 0, pieces_ = 0, pieces_asked_ = 0;  // the latter: that have not come
  int slot_ = 0;
  std::uint64_t from_ = 0;         // in the slot
  std::deque<CopiedRows> blocks_;  // the last one is being filled
  std::vector<CopiedRows> spare_;
  std::unordered_map<std::uint64_t, RowStatistics> aged_;      // by position: what they were
  std::unordered_map<std::uint32_t, RowIndex::Entry> erased_;  // by place: erased, their piece still to come
  std::vector<RowIndex::Entry> found_;                         // reused
  // Positions that have their mark, as far as they are remembered: those that change often need no look into the index. What
  // has a mark keeps it, and what is made anew is born with one. Each has one place, by some bits of its own.
  std::vector<std::uint64_t> marked_;
  std::vector<std::uint64_t> positions_;  // reused
  std::uint64_t copied_ = 0, saved_ = 0;
};

}  // namespace cohort

#endif  // COHORT_SERVER_TABLE_COPY_H_
