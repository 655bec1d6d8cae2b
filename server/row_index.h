// RowIndex: the row number of every ring position that a table has a row for. Rows themselves lie elsewhere
// (embedding_table.h).
//
// The index is cut by the leading bits of the position into 16,384 segments, one per slot; each is an array of buckets of
// one cache line, which hold six entries each, in ascending order of position throughout the segment. An entry's home is the
// bucket that its position points to in proportion; what finds no room there stands in the next one that has some (linear
// probing over buckets). A lookup reads one cache line, and a second one for every fourth position or so. A segment grows by
// itself, when it is 88 % full and by a ninth to a thirteenth, so no insertion rebuilds more than one slot's index. With the free
// room that leaves, an entry takes about 13 bytes.
//
// If a policy asks for them, 8 bytes of statistics stand beside each entry.
//
// Every entry has a mark, for whoever has to deal with each row once while rows come, go and change (table_copy.h):
// BeginMarking takes all marks off, in no time; new entries are born with one. One thread.
#ifndef COHORT_SERVER_ROW_INDEX_H_
#define COHORT_SERVER_ROW_INDEX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "common/table_spec.h"
#include "common/types.h"

namespace cohort {

// How often and when last a row was updated, as far as a policy needs to know.
struct RowStatistics {
  std::uint64_t count : 24 = 0;  // sightings; stays at its highest value
  std::uint64_t last : 40 = 0;   // clock
};

// As files keep them.
inline std::uint64_t PackedStatistics(const RowStatistics& s) {
  return std::uint64_t{s.count} | std::uint64_t{s.last} << 24;
}
inline RowStatistics UnpackedStatistics(std::uint64_t packed) {
  RowStatistics statistics;
  statistics.count = packed & ((1u << 24) - 1);
  statistics.last = packed >> 24;
  return statistics;
}

class RowIndex {
 public:
  static constexpr std::uint32_t kMostRows = 0xffffu << 14;  // row numbers are below it
  static constexpr std::uint32_t kNoRow = (1u << 30) - 1;
  // Positions that Find takes at a time.
  static constexpr std::size_t kMostAtOnce = 1024;

  explicit RowIndex(bool keeps_statistics) : keeps_statistics_(keeps_statistics) {}

  std::uint64_t size() const { return size_; }
  // As allocated.
  std::uint64_t bytes() const { return bytes_; }

  // rows[i] = the row at positions[i], or kNoRow. Ascending positions are the fastest. REQUIRES: at most kMostAtOnce.
  void Find(std::span<const std::uint64_t> positions, std::uint32_t* rows) const;
  std::uint32_t Find(std::uint64_t position) const;
  // REQUIRES: the position has no row; row < kMostRows.
  void Insert(std::uint64_t position, std::uint32_t row);
  // Gives a position's row another number. REQUIRES: the position has one; row < kMostRows.
  void Replace(std::uint64_t position, std::uint32_t row);
  // Returns the row's number; `*marked`, if wanted, is what its mark was. REQUIRES: the position has a row.
  std::uint32_t Erase(std::uint64_t position, bool* marked = nullptr);

  // An entry, as visitors of marks see it.
  struct Entry {
    std::uint64_t position = 0;
    std::uint32_t row = 0;
    RowStatistics statistics;  // all zeros if none are kept
  };
  // Takes the marks off all entries. REQUIRES: unmarked() is 0.
  void BeginMarking();
  std::uint64_t unmarked() const { return unmarked_; }
  // Marks what is not marked of some positions, and appends it to `found`. Positions without a row are skipped.
  void Mark(std::span<const std::uint64_t> positions, std::vector<Entry>* found);
  // Marks what is not marked of a slot from `*from` on, ascending, at most `most` entries, and appends it to `found`.
  // False: the slot has no more; else `*from` is where to go on.
  bool MarkSlot(int slot, std::uint64_t* from, std::size_t most, std::vector<Entry>* found);
  // Calls visit(position, statistics) for every entry of a slot without a mark.
  template <typename Visit>
  void VisitUnmarked(int slot, Visit visit) const;

  std::uint64_t RowsOfSlot(int slot) const;
  // Calls visit(position) for every row of a slot, ascending.
  template <typename Visit>
  void VisitPositions(int slot, Visit visit) const;

  // With statistics only.
  RowStatistics& Statistics(std::uint64_t position);  // REQUIRES: the position has a row
  // Calls visit(position, statistics) for every row of a slot, ascending. `visit` makes and erases none.
  template <typename Visit>
  void VisitStatistics(int slot, Visit visit);

 private:
  static constexpr std::uint32_t kBucketEntries = 6;
  static constexpr int kRowBits = 14;              // of a row number, below the position in `words`
  static constexpr std::uint16_t kEmpty = 0xffff;  // in `rows`

  struct alignas(64) Bucket {
    // The lower 50 bits of the position (the slot's are the segment's), then the lower 14 of the row number. Entries come
    // first, ascending; the others are all ones.
    std::uint64_t words[kBucketEntries];
    std::uint16_t rows[kBucketEntries];  // the upper 16 bits of the row number
    std::uint32_t marks;                 // entry i's is bit i; which value means "marked" is mark_

    // How many entries are below `word`. Without a branch.
    std::uint32_t Below(std::uint64_t word) const {
      std::uint32_t below = 0;
      for (std::uint32_t i = 0; i < kBucketEntries; ++i) below += words[i] < word;
      return below;
    }
    bool full() const { return rows[kBucketEntries - 1] != kEmpty; }
    std::uint32_t mark(std::uint32_t i) const { return marks >> i & 1u; }
    void SetMark(std::uint32_t i, std::uint32_t value) { marks = (marks & ~(1u << i)) | value << i; }
    // Makes room for a mark at i, of `value`; returns the last one, which falls out.
    std::uint32_t InsertMark(std::uint32_t i, std::uint32_t value) {
      const std::uint32_t below = (1u << i) - 1, last = mark(kBucketEntries - 1);
      marks = ((marks & below) | value << i | (marks & ~below) << 1) & ((1u << kBucketEntries) - 1);
      return last;
    }
    void EraseMark(std::uint32_t i) {
      const std::uint32_t below = (1u << i) - 1;
      marks = (marks & below) | (marks >> 1 & ~below);
    }
    // REQUIRES: i < kBucketEntries.
    std::uint32_t Row(std::uint32_t i) const {
      return static_cast<std::uint32_t>(rows[i]) << kRowBits |
             static_cast<std::uint32_t>(words[i] & ((1u << kRowBits) - 1));
    }
    // The row of entry i if that one is `word`'s, else kNoRow. Without a branch.
    std::uint32_t RowIf(std::uint32_t i, std::uint64_t word) const {
      const auto other = static_cast<std::uint32_t>((words[i] ^ word) >> kRowBits != 0);
      return (Row(i) | (0u - other)) & kNoRow;
    }
  };
  static_assert(sizeof(Bucket) == 64);
  struct FreeBuckets {
    void operator()(Bucket* buckets) const { std::free(buckets); }
  };
  struct Segment {
    std::unique_ptr<Bucket[], FreeBuckets> buckets;
    std::unique_ptr<RowStatistics[]> statistics;  // of entry i of bucket b: b * kBucketEntries + i
    std::uint32_t homes = 0;                      // buckets that are somebody's home
    std::uint32_t physical = 0;  // and room for those displaced at the end; the last one is never full
    std::uint32_t count = 0;     // entries

    std::uint32_t Home(std::uint64_t word) const {
      return static_cast<std::uint32_t>(((word >> 32) * homes) >> 32);
    }
  };
  // Where an entry is or would be inserted.
  struct Place {
    std::uint32_t bucket = 0, entry = 0;
  };
  using Group = std::array<Segment, kSlotsPerGroup>;

  static std::uint64_t WordOf(std::uint64_t position) { return position << kRowBits; }
  static std::uint64_t PositionOf(int slot, std::uint64_t word) {
    return static_cast<std::uint64_t>(slot) << (64 - kRowBits) | word >> kRowBits;
  }
  static_assert(kSlotCount == 1 << kRowBits, "a word has room for the row's bits where the slot's were");

  const Segment* SegmentOf(std::uint64_t position) const;
  Segment& SegmentForInsertion(std::uint64_t position);
  const Bucket* HomeOf(std::uint64_t position) const;
  static Place Search(const Segment& segment, std::uint64_t word);
  std::uint64_t BytesOf(const Segment& segment) const;
  void Rebuild(Segment& segment, std::uint32_t homes, std::uint32_t slack);

  // Where a search ends at once.
  static const Bucket kNowhere;

  const bool keeps_statistics_;
  std::array<std::unique_ptr<Group>, kSlotGroupCount> groups_;
  std::uint64_t size_ = 0, bytes_ = 0;
  std::uint32_t mark_ = 0;  // the bit of entries that are marked
  std::uint64_t unmarked_ = 0;
};

inline const RowIndex::Segment* RowIndex::SegmentOf(std::uint64_t position) const {
  const Group* group = groups_[static_cast<std::size_t>(GroupOf(position))].get();
  return group == nullptr ? nullptr : &(*group)[static_cast<std::size_t>(SlotOf(position)) % kSlotsPerGroup];
}

template <typename Visit>
void RowIndex::VisitPositions(int slot, Visit visit) const {
  const Group* group = groups_[static_cast<std::size_t>(slot / kSlotsPerGroup)].get();
  if (group == nullptr) return;
  const Segment& segment = (*group)[static_cast<std::size_t>(slot % kSlotsPerGroup)];
  for (std::uint32_t b = 0; b < segment.physical; ++b) {
    const Bucket& bucket = segment.buckets[b];
    for (std::uint32_t i = 0; i < kBucketEntries && bucket.rows[i] != kEmpty; ++i)
      visit(PositionOf(slot, bucket.words[i]));
  }
}

template <typename Visit>
void RowIndex::VisitStatistics(int slot, Visit visit) {
  Group* group = groups_[static_cast<std::size_t>(slot / kSlotsPerGroup)].get();
  if (group == nullptr) return;
  Segment& segment = (*group)[static_cast<std::size_t>(slot % kSlotsPerGroup)];
  for (std::uint32_t b = 0; b < segment.physical; ++b) {
    const Bucket& bucket = segment.buckets[b];
    for (std::uint32_t i = 0; i < kBucketEntries && bucket.rows[i] != kEmpty; ++i)
      visit(PositionOf(slot, bucket.words[i]), segment.statistics[b * kBucketEntries + i]);
  }
}

template <typename Visit>
void RowIndex::VisitUnmarked(int slot, Visit visit) const {
  const Group* group = groups_[static_cast<std::size_t>(slot / kSlotsPerGroup)].get();
  if (group == nullptr) return;
  const Segment& segment = (*group)[static_cast<std::size_t>(slot % kSlotsPerGroup)];
  for (std::uint32_t b = 0; b < segment.physical; ++b) {
    const Bucket& bucket = segment.buckets[b];
    for (std::uint32_t i = 0; i < kBucketEntries && bucket.rows[i] != kEmpty; ++i) {
      if (bucket.mark(i) == mark_) continue;
      visit(PositionOf(slot, bucket.words[i]),
            keeps_statistics_ ? segment.statistics[b * kBucketEntries + i] : RowStatistics());
    }
  }
}

}  // namespace cohort

#endif  // COHORT_SERVER_ROW_INDEX_H_
