// EmbeddingTable: one shard's rows of one table, sparse or dense. A row is words of 4 bytes: `dim` weights in
// the table's dtype, then the optimizer's state (row_layout.h). All 2^64 keys are legal.
//
// Rows lie in slabs of 2 MB and never move. The index is cut by the leading bits of the ring position into
// 16,384 segments, one per slot; each is a small sorted array with gaps (ordered linear probing) that grows
// by itself, so that no insertion ever rebuilds more than one slot's index. An entry is 12 bytes; at a load
// between 0.7 and 0.875 the index costs 15 to 17 bytes a row. Within a segment entries are ordered by
// position: requests, which are too, walk through memory forwards. If the table's policy asks for them, 8 bytes
// of statistics stand beside each entry.
//
// Rows come and go: an erased row's memory serves the next new one, and a segment that has emptied shrinks.
//
// The interface takes batches: index slots, then rows, are prefetched ahead of their use. Keys come with
// their ring positions (table_spec.h), which whoever checked the request has computed. One thread.
#ifndef COHORT_SERVER_EMBEDDING_TABLE_H_
#define COHORT_SERVER_EMBEDDING_TABLE_H_

#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "common/table_spec.h"
#include "common/types.h"
#include "server/optimizer.h"
#include "server/row_layout.h"

namespace cohort {

// The slot groups that a shard holds.
using OwnedGroups = std::bitset<kSlotGroupCount>;

// The key of a ring position: the inverse of RingPosition. REQUIRES: a key has that position.
Key KeyAt(const TableSpec& table, std::uint64_t position);

// How often and when last a row was updated, as far as a policy needs to know.
struct RowStatistics {
  std::uint64_t count : 24 = 0;  // sightings; stays at its highest value
  std::uint64_t last : 40 = 0;   // clock
};

class EmbeddingTable {
 public:
  // `seed` is the run's; it decides the initial values of rows. REQUIRES: spec.dim > 0.
  EmbeddingTable(const TableSpec& spec, std::uint64_t seed);
  ~EmbeddingTable();
  EmbeddingTable(const EmbeddingTable&) = delete;
  EmbeddingTable& operator=(const EmbeddingTable&) = delete;

  const TableSpec& spec() const { return spec_; }
  const Optimizer& optimizer() const { return optimizer_; }
  const RowLayout& layout() const { return layout_; }
  std::uint64_t size() const { return size_; }
  // Index and rows, as allocated.
  std::uint64_t memory_bytes() const;
  // What the index alone takes.
  std::uint64_t index_bytes() const { return index_bytes_; }

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
  std::uint64_t RowsOfSlot(int slot) const;
  // Calls visit(position, statistics) for every row of a slot, ascending. `visit` makes and erases no row.
  template <typename Visit>
  void VisitSlot(int slot, Visit visit);

  // The keys of all rows, ascending.
  std::vector<Key> SortedKeys() const;
  // The rows of some keys, weights and state as floats, one after the other. REQUIRES: they exist.
  void CopyRows(std::span<const Key> keys, float* out) const;

 private:
  struct Entry {  // 12 bytes; an empty one is all 0
    std::uint32_t low = 0, high = 0;
    std::uint32_t row = 0;  // row number + 1; 0 is empty
    std::uint64_t position() const { return (static_cast<std::uint64_t>(high) << 32) | low; }
  };
  // A search compares this many entries at a time, without a branch for each: that many lie behind the last one.
  static constexpr std::uint32_t kProbe = 4;
  static constexpr std::size_t kPiece = 1024;     // of a batch
  static constexpr std::size_t kAhead = 24;       // entries or rows fetched before they are used
  static constexpr std::size_t kLineFloats = 16;  // a cache line
  static constexpr std::size_t kLinesAhead = 4;   // of a row; the processor follows by itself from there

  struct Segment {
    std::unique_ptr<Entry[]> entries;
    std::uint32_t capacity = 0;  // home slots
    std::uint32_t physical =
        0;  // home slots, room for those displaced at the end, and a last one that stays empty
    std::uint32_t count = 0;
    std::unique_ptr<RowStatistics[]> statistics;  // beside the entries; null unless the policy needs them
    std::uint32_t Home(std::uint64_t position) const {
      const std::uint64_t bits = static_cast<std::uint32_t>(position >> 18);  // the 32 bits below the slot's
      return static_cast<std::uint32_t>((bits * capacity) >> 32);
    }
  };
  // Where a search ends at once.
  static const std::array<Entry, kProbe> kNowhere;
  using GroupIndex = std::array<Segment, kSlotsPerGroup>;
  struct FreeSlab {
    void operator()(float* slab) const { std::free(slab); }
  };

  const Segment* SegmentOf(std::uint64_t position) const;
  Segment& SegmentForInsertion(std::uint64_t position);
  // Where the search for a position begins.
  const Entry* HomeOf(std::uint64_t position) const;
  static void PrefetchEntries(const Entry* home);
  void PrefetchRow(const float* row) const;
  // The position's entry, or null.
  static const Entry* FindEntry(const Entry* home, std::uint64_t position);
  std::uint64_t IndexBytes(const Segment& segment) const;
  void Rebuild(Segment& segment, std::uint32_t capacity, std::uint32_t slack);
  std::uint32_t Insert(std::uint64_t position);  // the new row's number
  float* Row(std::uint32_t number) const {
    return slabs_[number / rows_per_slab_].get() +
           static_cast<std::size_t>(number % rows_per_slab_) * stride_;
  }
  float* FindOne(std::uint64_t position) const;
  std::uint32_t NewRow();

  const TableSpec spec_;
  const std::uint64_t seed_;
  const Optimizer optimizer_;
  const RowLayout layout_;
  const bool keeps_statistics_;
  const std::size_t stride_;  // words from row to row: a multiple of 4
  const std::uint32_t rows_per_slab_;
  const std::size_t row_lines_;  // to fetch
  std::array<std::unique_ptr<GroupIndex>, kSlotGroupCount> groups_;
  std::vector<std::unique_ptr<float, FreeSlab>> slabs_;
  std::uint64_t size_ = 0;
  std::uint64_t used_rows_ = 0;  // of the slabs, from the front; some of them may be free again
  // Erased rows: a list through their first words, each the number + 1 of the next.
  std::uint32_t free_row_ = 0;
  std::uint64_t index_bytes_ = 0;
  std::vector<float> fresh_;  // reused: the weights of a row being made
};

// Three passes over a piece of the batch: where the index is to be searched; the search; the visits. Each fetches what it
// will need some steps ahead. One loop that did all three would be several times slower: a wrong guess in a search would
// stop the fetching as well.
template <typename Visit>
void EmbeddingTable::ForEach(std::span<const std::uint64_t> positions, Visit visit) const {
  const Entry* homes[kPiece];
  float* rows[kPiece];
  for (std::size_t begin = 0; begin < positions.size(); begin += kPiece) {
    const std::size_t count = std::min(kPiece, positions.size() - begin);
    const std::uint64_t* const piece = positions.data() + begin;
    for (std::size_t i = 0; i < count; ++i) homes[i] = HomeOf(piece[i]);
    for (std::size_t i = 0; i < std::min(kAhead, count); ++i) PrefetchEntries(homes[i]);
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) PrefetchEntries(homes[i + kAhead]);
      const Entry* const entry = FindEntry(homes[i], piece[i]);
      rows[i] = entry == nullptr ? nullptr : Row(entry->row - 1);
    }
    for (std::size_t i = 0; i < std::min(kAhead, count); ++i) PrefetchRow(rows[i]);
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) PrefetchRow(rows[i + kAhead]);
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

inline const EmbeddingTable::Segment* EmbeddingTable::SegmentOf(std::uint64_t position) const {
  const GroupIndex* group = groups_[static_cast<std::size_t>(GroupOf(position))].get();
  return group == nullptr ? nullptr : &(*group)[static_cast<std::size_t>(SlotOf(position)) % kSlotsPerGroup];
}

inline const EmbeddingTable::Entry* EmbeddingTable::HomeOf(std::uint64_t position) const {
  const Segment* segment = SegmentOf(position);
  return segment == nullptr || segment->count == 0 ? kNowhere.data()
                                                   : &segment->entries[segment->Home(position)];
}

inline void EmbeddingTable::PrefetchEntries(const Entry* home) {
  __builtin_prefetch(home);
  __builtin_prefetch(reinterpret_cast<const char*>(home + kProbe) - 1);
}

inline void EmbeddingTable::PrefetchRow(const float* row) const {
  if (row == nullptr) return;
  for (std::size_t line = 0; line < row_lines_; ++line) __builtin_prefetch(row + line * kLineFloats);
}

// Entries stand in ascending order, with gaps; a gap's position is 0, below every one that is looked for (or equal to it:
// then `row` tells). So the first entry that is not below it is the one, or the key is absent. The last entry of a
// segment is never below: its position is the highest.
inline const EmbeddingTable::Entry* EmbeddingTable::FindEntry(const Entry* home, std::uint64_t position) {
  for (const Entry* entry = home;; entry += kProbe) {
    std::uint32_t not_below = 0;
    for (std::uint32_t i = 0; i < kProbe; ++i)
      not_below |= static_cast<std::uint32_t>(entry[i].position() >= position) << i;
    if (not_below == 0) continue;
    entry += std::countr_zero(not_below);
    return entry->row != 0 && entry->position() == position ? entry : nullptr;
  }
}

inline float* EmbeddingTable::FindOne(std::uint64_t position) const {
  const Entry* const entry = FindEntry(HomeOf(position), position);
  return entry == nullptr ? nullptr : Row(entry->row - 1);
}

template <typename Visit>
void EmbeddingTable::VisitSlot(int slot, Visit visit) {
  const auto group = static_cast<std::size_t>(slot / kSlotsPerGroup);
  if (groups_[group] == nullptr) return;
  Segment& segment = (*groups_[group])[static_cast<std::size_t>(slot % kSlotsPerGroup)];
  for (std::uint32_t i = 0; i < segment.physical; ++i) {
    if (segment.entries[i].row != 0) visit(segment.entries[i].position(), segment.statistics[i]);
  }
}

}  // namespace cohort

#endif  // COHORT_SERVER_EMBEDDING_TABLE_H_
