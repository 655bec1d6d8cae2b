// EmbeddingTable: one shard's rows of one table, sparse or dense. A row is words of 4 bytes: `dim` weights in
// the table's dtype, then the optimizer's state (row_layout.h). All 2^64 keys are legal.
//
// Rows lie in slabs of 2 MB and never move. Which row is whose, the index knows (row_index.h). Rows come and go: an erased
// row's memory serves the next new one, and an index segment that has emptied shrinks.
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

#include "common/table_spec.h"
#include "common/types.h"
#include "server/optimizer.h"
#include "server/row_index.h"
#include "server/row_layout.h"
#include "server/slab_source.h"

namespace cohort {

// The slot groups that a shard holds.
using OwnedGroups = std::bitset<kSlotGroupCount>;

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
  // Index and rows, as allocated.
  std::uint64_t memory_bytes() const;
  // What the index alone takes.
  std::uint64_t index_bytes() const { return index_.bytes(); }

  // Calls visit(i, row) for every position, in order; `row` is null where there is none. Its first cache lines have been
  // fetched by then. The larger the batch, the better; ascending positions are the fastest. `visit` may make rows, and
  // make and erase none else.
  template <typename Visit>
  void ForEach(std::span<const std::uint64_t> positions, Visit visit) const;
  // rows[i] = the row at positions[i], or null.
  void Find(std::span<const std::uint64_t> positions, std::span<float*> rows) const;
  // As ForEach, to change the rows: one that is absent is made, with its initial values and state. positions[i] is
  // keys[i]'s. `known`: what ForEach gave for the same positions before; then nothing is looked up again, but for rows
  // that were absent. Empty: nothing is known.
  template <typename Change>
  void Update(std::span<const Key> keys, std::span<const std::uint64_t> positions,
              std::span<float* const> known, Change change);
  // The row of a key, made if it is absent.
  float* FindOrCreate(Key key, std::uint64_t position);
  // Makes every dense row of the groups. No-op for a sparse table.
  void CreateDenseRows(const OwnedGroups& groups);
  // Replaces a row, or makes it: weights and state as floats. Weights that the dtype does not hold are rounded.
  void Put(Key key, const float* row);
  // What a fresh row's weights would be: for pulls of absent rows, which make none.
  void InitialWeights(Key key, float* out) const { InitializeRow(spec_, seed_, key, out); }

  // Forgets a row; pointers to it are void. REQUIRES: it exists.
  void Erase(std::uint64_t position);

  // For policies. REQUIRES: spec().policy.NeedsStatistics().
  // A row has been updated: adds to its count, and moves its last clock forward. REQUIRES: it exists.
  void NoteUpdate(std::uint64_t position, std::uint32_t sightings, Clock clock);
  std::uint64_t RowsOfSlot(int slot) const { return index_.RowsOfSlot(slot); }
  // Calls visit(position, statistics) for every row of a slot, ascending. `visit` makes and erases no row.
  template <typename Visit>
  void VisitSlot(int slot, Visit visit) {
    index_.VisitStatistics(slot, visit);
  }

  // The keys of all rows, ascending.
  std::vector<Key> SortedKeys() const;
  // The rows of some keys, weights and state as floats, one after the other. REQUIRES: they exist.
  void CopyRows(std::span<const Key> keys, float* out) const;

 private:
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
  float* NewRow(std::uint64_t position);

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
  std::vector<float> fresh_;  // reused: the weights of a row being made
};

template <typename Visit>
void EmbeddingTable::ForEach(std::span<const std::uint64_t> positions, Visit visit) const {
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
  const auto update = [&](std::size_t i, float* row) {
    change(i, row != nullptr ? row : FindOrCreate(keys[i], positions[i]));
  };
  if (known.empty()) return ForEach(positions, update);
  for (std::size_t i = 0; i < std::min(kAhead, known.size()); ++i) PrefetchRow(known[i]);
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (i + kAhead < known.size()) PrefetchRow(known[i + kAhead]);
    update(i, known[i]);
  }
}

inline void EmbeddingTable::PrefetchRow(const float* row) const {
  if (row == nullptr) return;
  for (std::size_t line = 0; line < row_lines_; ++line) __builtin_prefetch(row + line * kLineFloats);
}

}  // namespace cohort

#endif  // COHORT_SERVER_EMBEDDING_TABLE_H_
