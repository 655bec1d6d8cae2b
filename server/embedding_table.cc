#include "server/embedding_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "common/check.h"

namespace cohort {
namespace {

constexpr std::size_t kSlabBytes = 2u << 20;   // a large page
constexpr std::size_t kSlabsOfSmallPages = 4;  // small tables stay small
// Segments begin with different capacities and grow by an eighth, so that at any time as many are about to grow as at any
// other, however evenly the keys come.
constexpr std::uint32_t kFirstCapacity = 8;
constexpr std::uint32_t kFirstCapacities = 8;
constexpr std::uint32_t kFirstSlack = 4;

// The inverse of x ^= x >> shift.
constexpr std::uint64_t UndoXorShift(std::uint64_t x, int shift) {
  std::uint64_t result = x;
  for (int done = shift; done < 64; done += shift) result = x ^ (result >> shift);
  return result;
}
// The inverse of an odd number modulo 2^64, by Newton's iteration.
constexpr std::uint64_t Inverse(std::uint64_t odd) {
  std::uint64_t x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
  return x;
}
constexpr std::uint64_t UnMix64(std::uint64_t x) {
  x = UndoXorShift(x, 31) * Inverse(0x94d049bb133111ebULL);
  x = UndoXorShift(x, 27) * Inverse(0xbf58476d1ce4e5b9ULL);
  return UndoXorShift(x, 30);
}
static_assert(UnMix64(Mix64(0x0123456789abcdefULL)) == 0x0123456789abcdefULL);

std::size_t SlotInGroup(std::uint64_t position) {
  return static_cast<std::size_t>(SlotOf(position)) % kSlotsPerGroup;
}

}  // namespace

Key KeyAt(const TableSpec& table, std::uint64_t position) {
  if (table.kind == TableKind::kSparse) return UnMix64(position);
  // position = floor(key 2^64 / n), so key = ceil(position n / 2^64).
  const auto product = static_cast<unsigned __int128>(position) * table.row_count;
  return static_cast<Key>((product + ~0ULL) >> 64);
}

EmbeddingTable::EmbeddingTable(const TableSpec& spec, std::uint64_t seed)
    : spec_(spec),
      seed_(seed),
      optimizer_(spec.optimizer, spec.dim),
      layout_(spec),
      keeps_statistics_(spec.policy.NeedsStatistics()),
      stride_((layout_.weight_words + layout_.state_floats + 3u) / 4 * 4),
      rows_per_slab_(
          static_cast<std::uint32_t>(std::max<std::size_t>(1, kSlabBytes / (stride_ * sizeof(float))))),
      row_lines_(std::min(kLinesAhead, (stride_ + kLineFloats - 1) / kLineFloats)),
      fresh_(spec.dim) {
  COHORT_CHECK(spec.dim > 0);
}

EmbeddingTable::~EmbeddingTable() = default;

const std::array<EmbeddingTable::Entry, EmbeddingTable::kProbe> EmbeddingTable::kNowhere{Entry{~0u, ~0u, 0}};

std::uint64_t EmbeddingTable::memory_bytes() const {
  const std::size_t slab = std::max(kSlabBytes, stride_ * sizeof(float));
  return index_bytes_ + slabs_.size() * slab;
}

EmbeddingTable::Segment& EmbeddingTable::SegmentForInsertion(std::uint64_t position) {
  std::unique_ptr<GroupIndex>& group = groups_[static_cast<std::size_t>(GroupOf(position))];
  if (group == nullptr) {
    group = std::make_unique<GroupIndex>();
    index_bytes_ += sizeof(GroupIndex);
  }
  return (*group)[SlotInGroup(position)];
}

void EmbeddingTable::Find(std::span<const std::uint64_t> positions, std::span<float*> rows) const {
  COHORT_CHECK(positions.size() == rows.size());
  ForEach(positions, [&](std::size_t i, float* row) { rows[i] = row; });
}

float* EmbeddingTable::FindOrCreate(Key key, std::uint64_t position) {
  if (float* found = FindOne(position)) return found;
  float* const row = Row(Insert(position));
  InitialWeights(key, fresh_.data());
  layout_.StoreWeights(fresh_.data(), row);
  optimizer_.InitState(fresh_.data(), layout_.State(row));
  return row;
}

void EmbeddingTable::CreateDenseRows(const OwnedGroups& groups) {
  if (spec_.kind != TableKind::kDense) return;
  for (Key key = 0; key < spec_.row_count; ++key) {
    const std::uint64_t position = RingPosition(spec_, key);
    if (!groups[static_cast<std::size_t>(GroupOf(position))]) continue;
    FindOrCreate(key, position);
  }
}

void EmbeddingTable::Put(Key key, const float* row) {
  const std::uint64_t position = RingPosition(spec_, key);
  float* place = FindOne(position);
  if (place == nullptr) place = Row(Insert(position));
  layout_.Store(row, place);
}

std::uint32_t EmbeddingTable::NewRow() {
  ++size_;
  if (free_row_ != 0) {
    const std::uint32_t row = free_row_ - 1;
    std::memcpy(&free_row_, Row(row), sizeof(free_row_));
    return row;
  }
  COHORT_CHECK(used_rows_ < 0xffffffffu, "table %s: 2^32 rows in one shard; use more shards",
               spec_.name.c_str());
  if (used_rows_ == static_cast<std::uint64_t>(slabs_.size()) * rows_per_slab_) {
    const std::size_t bytes =
        (std::max(kSlabBytes, stride_ * sizeof(float)) + kSlabBytes - 1) / kSlabBytes * kSlabBytes;
    auto* slab = static_cast<float*>(std::aligned_alloc(kSlabBytes, bytes));
    if (slab == nullptr) throw std::bad_alloc();
    // Advice only: the kernel may say no. Large pages are worth 1.4x for rows of 256 bytes and more.
    if (slabs_.size() >= kSlabsOfSmallPages) madvise(slab, bytes, MADV_HUGEPAGE);
    slabs_.emplace_back(slab);
  }
  return static_cast<std::uint32_t>(used_rows_++);
}

std::uint64_t EmbeddingTable::IndexBytes(const Segment& segment) const {
  if (segment.physical == 0) return 0;
  return (segment.physical + kProbe - 1) * sizeof(Entry) +
         (keeps_statistics_ ? segment.physical * sizeof(RowStatistics) : 0);
}

void EmbeddingTable::Rebuild(Segment& segment, std::uint32_t capacity, std::uint32_t slack) {
  // Displaced entries may need more room at the end than `slack`; then again with more.
  for (;; slack = 2 * slack + kFirstSlack) {
    Segment grown;
    grown.capacity = capacity;
    grown.physical = capacity + slack + 1;
    grown.count = segment.count;
    grown.entries = std::make_unique<Entry[]>(grown.physical + kProbe - 1);
    grown.entries[grown.physical - 1] = {~0u, ~0u, 0};  // ends every search
    if (keeps_statistics_) grown.statistics = std::make_unique<RowStatistics[]>(grown.physical);
    std::uint32_t next = 0;
    bool fits = true;
    for (std::uint32_t i = 0; i < segment.physical && fits; ++i) {
      if (segment.entries[i].row == 0) continue;
      next = std::max(next, grown.Home(segment.entries[i].position()));
      fits = next + 1 < grown.physical;
      if (!fits) continue;
      if (keeps_statistics_) grown.statistics[next] = segment.statistics[i];
      grown.entries[next++] = segment.entries[i];
    }
    if (!fits) continue;
    index_bytes_ -= IndexBytes(segment);
    index_bytes_ += IndexBytes(grown);
    segment = std::move(grown);
    return;
  }
}

std::uint32_t EmbeddingTable::Insert(std::uint64_t position) {
  Segment& segment = SegmentForInsertion(position);
  if (segment.capacity == 0) {
    const auto slot = static_cast<std::uint32_t>(SlotOf(position));
    Rebuild(segment, kFirstCapacity + slot % kFirstCapacities, kFirstSlack);
  } else if (segment.count + 1 > segment.capacity - std::max(segment.capacity / 10, 1u)) {
    Rebuild(segment, segment.capacity + std::max(segment.capacity / 8, 4u),
            segment.physical - segment.capacity - 1);
  }
  for (;;) {
    Entry* const entries = segment.entries.get();
    std::uint32_t place = segment.Home(position);
    while (entries[place].row != 0 && entries[place].position() < position) ++place;
    std::uint32_t gap = place;
    while (entries[gap].row != 0) ++gap;
    if (gap + 1 == segment.physical) {  // the last one stays as it is
      Rebuild(segment, segment.capacity, 2 * (segment.physical - segment.capacity));
      continue;
    }
    std::move_backward(entries + place, entries + gap, entries + gap + 1);
    if (keeps_statistics_) {
      RowStatistics* const statistics = segment.statistics.get();
      std::move_backward(statistics + place, statistics + gap, statistics + gap + 1);
      statistics[place] = {};
    }
    const std::uint32_t row = NewRow();
    entries[place] = {static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32),
                      row + 1};
    ++segment.count;
    return row;
  }
}

void EmbeddingTable::Erase(std::uint64_t position) {
  Segment& segment = SegmentForInsertion(position);
  Entry* const found = const_cast<Entry*>(FindEntry(HomeOf(position), position));
  COHORT_CHECK(found != nullptr, "table %s: erased a row that is not there", spec_.name.c_str());
  const std::uint32_t row = found->row - 1;
  std::memcpy(Row(row), &free_row_, sizeof(free_row_));
  free_row_ = row + 1;
  --size_;
  // Those behind it that do not stand at their home move one place back. The last one is always empty.
  Entry* const entries = segment.entries.get();
  const auto place = static_cast<std::uint32_t>(found - entries);
  std::uint32_t end = place + 1;
  while (entries[end].row != 0 && segment.Home(entries[end].position()) < end) ++end;
  std::move(entries + place + 1, entries + end, entries + place);
  entries[end - 1] = {};
  if (keeps_statistics_) {
    RowStatistics* const statistics = segment.statistics.get();
    std::move(statistics + place + 1, statistics + end, statistics + place);
  }
  --segment.count;
  if (segment.capacity > kFirstCapacity && segment.count < segment.capacity / 4)
    Rebuild(segment, std::max(kFirstCapacity, segment.capacity / 2), kFirstSlack);
}

void EmbeddingTable::NoteUpdate(std::uint64_t position, std::uint32_t sightings, Clock clock) {
  constexpr std::uint64_t kMostCount = (1ull << 24) - 1, kMostClock = (1ull << 40) - 1;
  Segment& segment = SegmentForInsertion(position);
  const Entry* const entry = FindEntry(HomeOf(position), position);
  COHORT_CHECK(entry != nullptr && keeps_statistics_);
  RowStatistics& row = segment.statistics[static_cast<std::size_t>(entry - segment.entries.get())];
  row.count = std::min(std::uint64_t{row.count} + sightings, kMostCount);
  row.last = std::max<std::uint64_t>(row.last, std::min(static_cast<std::uint64_t>(clock), kMostClock));
}

std::uint64_t EmbeddingTable::RowsOfSlot(int slot) const {
  const GroupIndex* group = groups_[static_cast<std::size_t>(slot / kSlotsPerGroup)].get();
  return group == nullptr ? 0 : (*group)[static_cast<std::size_t>(slot % kSlotsPerGroup)].count;
}

std::vector<Key> EmbeddingTable::SortedKeys() const {
  std::vector<Key> keys;
  keys.reserve(size_);
  for (const auto& group : groups_) {
    if (group == nullptr) continue;
    for (const Segment& segment : *group) {
      for (std::uint32_t i = 0; i < segment.physical; ++i) {
        if (segment.entries[i].row != 0) keys.push_back(KeyAt(spec_, segment.entries[i].position()));
      }
    }
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

void EmbeddingTable::CopyRows(std::span<const Key> keys, float* out) const {
  for (const Key key : keys) {
    const float* row = FindOne(RingPosition(spec_, key));
    COHORT_CHECK(row != nullptr);
    layout_.Load(row, out);
    out += optimizer_.row_floats();
  }
}

}  // namespace cohort
