// EmbeddingTable: one shard's rows of one table, sparse or dense. A row is words of 4 bytes: `dim` weights in
// the table's dtype, then the optimizer's state (row_layout.h). All 2^64 keys are legal.
//
// Rows lie in slabs of 2 MB and never move. Which row is whose, the index knows (row_index.h). Rows come and go: an erased
// row's memory serves the next new one, and an index segment that has emptied shrinks.
//
// With a tier (embedding_table_tier.cc), only so many rows stay in memory; the others lie on disk (cold_rows.h), and the
// index knows where. What looks rows up or changes them needs them in memory: Use says which are not, Install brings
// them in, Trim moves those out that have not been used for long (by a clock hand [1]). Rows then move.
//
// [1] F. J. Corbato: A paging experiment with the Multics system, 1968.
//
// The interface takes batches: index buckets, then rows, are prefetched ahead of their use. Keys come with
// their ring positions (table_spec.h), which whoever checked the request has computed. One thread.
#ifndef COHORT_SERVER_EMBEDDING_TABLE_H_
#define COHORT_SERVER_EMBEDDING_TABLE_H_

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/status.h"
#include "common/table_spec.h"
#include "common/types.h"
#include "server/cold_rows.h"
#include "server/optimizer.h"
#include "server/row_index.h"
#include "server/row_layout.h"
#include "server/slab_source.h"

namespace cohort {

// The slot groups that a shard holds.
using OwnedGroups = std::bitset<kSlotGroupCount>;

class ChangedRows;
class TableCopy;

// The key of a ring position: the inverse of RingPosition. REQUIRES: a key has that position.
Key KeyAt(const TableSpec& table, std::uint64_t position);

class EmbeddingTable {
 public:
  // `seed` is the run's; it decides the initial values of rows. `slabs`, where memory comes from once the table is no
  // longer small, may be null and must outlive the table. REQUIRES: spec.dim > 0.
  EmbeddingTable(const TableSpec& spec, std::uint64_t seed, SlabSource* slabs = nullptr);
  ~EmbeddingTable();
  EmbeddingTable(const EmbeddingTable&) = delete;
  EmbeddingTable& operator=(const EmbeddingTable&) = delete;

  const TableSpec& spec() const { return spec_; }
  const Optimizer& optimizer() const { return optimizer_; }
  const RowLayout& layout() const { return layout_; }
  std::uint64_t size() const { return index_.size(); }
  // Whether a pointer to a row stays good for ever.
  bool rows_stay() const { return cold_ == nullptr && !spec_.policy.Any(); }
  // Index and rows, as allocated.
  std::uint64_t memory_bytes() const;
  // What the index alone takes.
  std::uint64_t index_bytes() const { return index_.bytes(); }

  // Calls visit(i, row) for every position, in order; `row` is null where there is none. Its first cache lines have been
  // fetched by then. The larger the batch, the better; ascending positions are the fastest. `visit` may make rows, and
  // make and erase none else. `known`: what was found for the same positions before, and still holds; then nothing is
  // looked up. Empty: nothing is known.
  template <typename Visit>
  void ForEach(std::span<const std::uint64_t> positions, std::span<float* const> known, Visit visit) const;
  // rows[i] = the row at positions[i], or null.
  void Find(std::span<const std::uint64_t> positions, std::span<float*> rows) const;
  // As ForEach, to change the rows: one that is absent is made, with its initial values and state. positions[i] is
  // keys[i]'s; they ascend. `known`: as for ForEach; but rows that were absent are looked up again.
  template <typename Change>
  void Update(std::span<const Key> keys, std::span<const std::uint64_t> positions,
              std::span<float* const> known, Change change);
  // The row of a key, made if it is absent.
  float* FindOrCreate(Key key, std::uint64_t position);
  // Makes every dense row of the groups. No-op for a sparse table.
  void CreateDenseRows(const OwnedGroups& groups);
  // Replaces a row, or makes it: weights and state as floats. Weights that the dtype does not hold are rounded.
  void Put(Key key, const float* row);
  // Statistics of a row as a checkpoint has kept them. REQUIRES: spec().policy.NeedsStatistics(); the row exists.
  void PutStatistics(Key key, const RowStatistics& statistics) {
    index_.Statistics(RingPosition(spec_, key)) = statistics;
  }
  // What a fresh row's weights would be: for pulls of absent rows, which make none.
  void InitialWeights(Key key, float* out) const { InitializeRow(spec_, seed_, key, out); }

  // Forgets a row; pointers to it are void. REQUIRES: it exists.
  void Erase(std::uint64_t position);

  // For policies. REQUIRES: spec().policy.NeedsStatistics().
  // A row has been updated: adds to its count, and moves its last clock forward. REQUIRES: it exists.
  void NoteUpdate(std::uint64_t position, std::uint32_t sightings, Clock clock);
  std::uint64_t RowsOfSlot(int slot) const { return index_.RowsOfSlot(slot); }
  // Before the statistics of a slot's rows are changed otherwise.
  void BeforeStatistics(int slot) {
    if (copy_ != nullptr) TellCopyOfStatistics(slot);
  }
  // Calls visit(position, statistics) for every row of a slot, ascending. `visit` makes and erases no row.
  template <typename Visit>
  void VisitSlot(int slot, Visit visit) {
    index_.VisitStatistics(slot, visit);
  }

  // Before rows are changed through pointers that ForEach or Find gave. Update and the others do it themselves. Positions
  // ascend.
  void BeforeChange(std::span<const std::uint64_t> positions) {
    if (copy_ != nullptr || changed_ != nullptr) TellOfChange(positions);
  }
  // From now on rows that are made or changed are taken down there; null: nowhere. It must outlive the table. REQUIRES: no
  // row is erased while they are.
  void TakeDownChanges(ChangedRows* changed) { changed_ = changed; }

  // The keys of all rows, ascending.
  std::vector<Key> SortedKeys() const;
  // The rows of some keys, weights and state as floats, one after the other; reads those on disk, blocking. REQUIRES: they
  // exist. Errors: the disk's.
  Status CopyRows(std::span<const Key> keys, float* out) const;

  // ---- with a tier: Find, ForEach, Update, FindOrCreate and Put are then for rows in memory, or absent.
  struct ColdEntry {
    std::uint64_t position = 0;
    std::uint32_t place = 0;
  };
  // From now on at most `max_rows` rows stay in memory, but for those in use. `cold` must outlive the table. REQUIRES:
  // sparse; no rows yet.
  void UseTier(ColdRows* cold, std::uint64_t max_rows);
  void LimitMemory(std::uint64_t max_rows) { max_rows_ = max_rows; }
  // Words of a row in memory and on disk.
  std::uint32_t row_words() const { return static_cast<std::uint32_t>(stride_); }
  // Bytes that a row in memory takes beyond its words and its place in the index.
  static constexpr std::size_t kTierBytesPerRow = 16;
  std::uint64_t rows_in_memory() const { return rows_in_memory_; }
  // Not ok: rows can be read from the disk no more. Ok without a tier.
  const Status& tier_failure() const;
  // Not ok: the disk has no room, so more than max_rows are in memory until it has. Ok without a tier.
  const Status& tier_full() const;
  // Operation `use` needs these rows; operations are numbered, ascending from 1. `cold` is replaced by the rows that are not
  // in memory; keys without a row are skipped. Rows made from now on count as used by the highest number seen. `found`
  // is replaced by the rows in memory, null for the other positions: good until rows are installed or trimmed.
  void Use(std::span<const std::uint64_t> positions, std::uint64_t use, std::vector<ColdEntry>* cold,
           std::vector<float*>* found);
  // A row that lay at a place has been read, for operation `use` (0: for none). If it lies there no more, nothing happens.
  void Install(const ColdEntry& entry, const float* row, std::uint64_t use);
  // Moves rows out that are too many, as far as their last use is below `before` and the disk takes them. When an eighth
  // more than max_rows are in memory, waits for a disk that is busy.
  void Trim(std::uint64_t before);

 private:
  friend class TableCopy;
  void TellOfChange(std::span<const std::uint64_t> positions);
  void TellCopyOfStatistics(int slot);

  // Whose a row in memory is, and its last use: what the clock hand looks at.
  struct Hot {
    std::uint64_t position = 0;
    std::uint64_t use = 0;
  };
  static_assert(sizeof(Hot) == kTierBytesPerRow);
  // With a tier, this and a place stand in the index for a row on disk.
  static constexpr std::uint32_t kCold = 1u << 29;
  static_assert(kCold + kMaxPlaces <= RowIndex::kMostRows);
  static constexpr std::uint64_t kFreeRow = ~0ull;  // as a use: nobody's row

  static constexpr std::size_t kAhead = 24;       // rows fetched before they are used
  static constexpr std::size_t kLineFloats = 16;  // a cache line
  static constexpr std::size_t kLinesAhead = 4;   // of a row; the processor follows by itself from there
  void PrefetchRow(const float* row) const;
  float* Row(std::uint32_t number) const {
    const auto slab = static_cast<std::uint32_t>(
        (static_cast<unsigned __int128>(number) * inverse_rows_per_slab_) >> 64);  // number / rows_per_slab_
    return slabs_[slab].get() + static_cast<std::size_t>(number - slab * rows_per_slab_) * stride_;
  }
  float* RowOrNull(std::uint32_t number) const { return number == RowIndex::kNoRow ? nullptr : Row(number); }
  bool IsCold(std::uint32_t number) const {
    return cold_ != nullptr && number >= kCold && number != RowIndex::kNoRow;
  }
  float* NewRow(std::uint64_t position);
  std::uint32_t TakeRow();  // the number of a row that is nobody's
  void FreeRow(std::uint32_t number);

  const TableSpec spec_;
  const std::uint64_t seed_;
  const Optimizer optimizer_;
  const RowLayout layout_;
  const std::size_t stride_;  // words from row to row: a multiple of 4
  const std::uint32_t rows_per_slab_;
  const std::uint64_t
      inverse_rows_per_slab_;    // 2^64 / rows_per_slab_, rounded up: exact for numbers of 32 bits
  const std::size_t row_lines_;  // to fetch
  RowIndex index_;
  SlabSource* const source_;  // null: none
  std::vector<Slab> slabs_;
  std::uint32_t used_rows_ = 0;  // of the slabs, from the front; some of them may be free again
  // Erased rows: a list through their first words, each the number of the next.
  std::uint32_t free_row_ = RowIndex::kNoRow;
  std::uint64_t rows_in_memory_ = 0;
  ColdRows* cold_ = nullptr;   // null: no tier
  TableCopy* copy_ = nullptr;  // under way; null: none
  ChangedRows* changed_ = nullptr;  // null: nobody wants to know
  std::uint64_t max_rows_ = 0;
  std::vector<Hot> hot_;  // by row number; with a tier only
  std::uint32_t hand_ = 0;
  std::uint64_t last_use_ = 0;    // the highest number seen
  std::uint64_t turn_use_ = 0;    // last_use_ when the hand's turn began
  std::uint64_t idle_since_ = 0;  // and its turn before: rows not used since may go
  std::vector<float> fresh_;      // reused: the weights of a row being made
};

template <typename Visit>
void EmbeddingTable::ForEach(std::span<const std::uint64_t> positions, std::span<float* const> known,
                             Visit visit) const {
  if (!known.empty()) {
    for (std::size_t i = 0; i < std::min(kAhead, known.size()); ++i) PrefetchRow(known[i]);
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (i + kAhead < known.size()) PrefetchRow(known[i + kAhead]);
      visit(i, known[i]);
    }
    return;
  }
  std::uint32_t numbers[RowIndex::kMostAtOnce];
  float* rows[RowIndex::kMostAtOnce];
  for (std::size_t begin = 0; begin < positions.size(); begin += RowIndex::kMostAtOnce) {
    const std::size_t count = std::min(RowIndex::kMostAtOnce, positions.size() - begin);
    index_.Find(positions.subspan(begin, count), numbers);
    const auto fetch = [&](std::size_t i) {
      rows[i] = RowOrNull(numbers[i]);
      PrefetchRow(rows[i]);
    };
    for (std::size_t i = 0; i < std::min(kAhead, count); ++i) fetch(i);
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) fetch(i + kAhead);
      visit(begin + i, rows[i]);
    }
  }
}

template <typename Change>
void EmbeddingTable::Update(std::span<const Key> keys, std::span<const std::uint64_t> positions,
                            std::span<float* const> known, Change change) {
  BeforeChange(positions);
  ForEach(positions, known, [&](std::size_t i, float* row) {
    change(i, row != nullptr ? row : FindOrCreate(keys[i], positions[i]));
  });
}

inline void EmbeddingTable::PrefetchRow(const float* row) const {
  if (row == nullptr) return;
  for (std::size_t line = 0; line < row_lines_; ++line) __builtin_prefetch(row + line * kLineFloats);
}

}  // namespace cohort

#endif  // COHORT_SERVER_EMBEDDING_TABLE_H_
