#include "server/row_index.h"

#include <algorithm>
#include <new>
#include <utility>

#include "common/check.h"

namespace cohort {
namespace {

constexpr std::size_t kAhead = 24;  // buckets fetched before they are read
constexpr std::uint32_t kFirstSlack = 1;

// Full enough to grow: 88 %.
bool Dense(std::uint32_t count, std::uint32_t homes, std::uint32_t entries) {
  return std::uint64_t{count} * 25 > std::uint64_t{homes} * entries * 22;
}

std::size_t SlotInGroup(std::uint64_t position) {
  return static_cast<std::size_t>(SlotOf(position)) % kSlotsPerGroup;
}

}  // namespace

const RowIndex::Bucket RowIndex::kNowhere = {
    {~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull}, {kEmpty, kEmpty, kEmpty, kEmpty, kEmpty, kEmpty}, 0};

RowIndex::Segment& RowIndex::SegmentForInsertion(std::uint64_t position) {
  std::unique_ptr<Group>& group = groups_[static_cast<std::size_t>(GroupOf(position))];
  if (group == nullptr) {
    group = std::make_unique<Group>();
    bytes_ += sizeof(Group);
  }
  return (*group)[SlotInGroup(position)];
}

const RowIndex::Bucket* RowIndex::HomeOf(std::uint64_t position) const {
  const Segment* segment = SegmentOf(position);
  return segment == nullptr || segment->homes == 0 ? &kNowhere
                                                   : &segment->buckets[segment->Home(WordOf(position))];
}

// Each pass fetches what the next one reads. There is no branch that could be guessed wrongly but in the last pass, for the
// few positions that are not decided by one bucket: a wrong guess would stop the fetching as well.
void RowIndex::Find(std::span<const std::uint64_t> positions, std::uint32_t* rows) const {
  COHORT_CHECK(positions.size() <= kMostAtOnce);
  const Bucket* homes[kMostAtOnce];
  std::uint16_t undecided[kMostAtOnce];
  const std::size_t count = positions.size();
  for (std::size_t i = 0; i < count; ++i) homes[i] = HomeOf(positions[i]);
  for (std::size_t i = 0; i < std::min(kAhead, count); ++i) __builtin_prefetch(homes[i]);
  std::size_t left = 0;
  for (std::size_t i = 0; i < count; ++i) {
    __builtin_prefetch(homes[std::min(i + kAhead, count - 1)]);
    const std::uint64_t word = WordOf(positions[i]);
    const std::uint32_t below = homes[i]->Below(word);
    const auto beyond = static_cast<std::uint32_t>(below == kBucketEntries);
    __builtin_prefetch(homes[i] + beyond);
    rows[i] = homes[i]->RowIf(below - beyond * kBucketEntries, word);
    undecided[left] = static_cast<std::uint16_t>(i);
    left += beyond;
  }
  for (std::size_t u = 0; u < left; ++u) {
    const std::size_t i = undecided[u];
    const std::uint64_t word = WordOf(positions[i]);
    const Bucket* bucket = homes[i];
    std::uint32_t below = kBucketEntries;
    while (below == kBucketEntries) below = (++bucket)->Below(word);
    rows[i] = bucket->RowIf(below, word);
  }
}

std::uint32_t RowIndex::Find(std::uint64_t position) const {
  std::uint32_t row = kNoRow;
  Find({&position, 1}, &row);
  return row;
}

RowIndex::Place RowIndex::Search(const Segment& segment, std::uint64_t word) {
  for (std::uint32_t bucket = segment.Home(word);; ++bucket) {
    const std::uint32_t below = segment.buckets[bucket].Below(word);
    if (below < kBucketEntries) return {bucket, below};
  }
}

std::uint64_t RowIndex::BytesOf(const Segment& segment) const {
  return segment.physical * sizeof(Bucket) +
         (keeps_statistics_ ? std::uint64_t{segment.physical} * kBucketEntries * sizeof(RowStatistics) : 0);
}

void RowIndex::Rebuild(Segment& segment, std::uint32_t homes, std::uint32_t slack) {
  // Displaced entries may need more room at the end than `slack`; then again with more.
  for (;; slack *= 2) {
    Segment grown;
    grown.homes = homes;
    grown.physical = homes + slack;
    grown.count = segment.count;
    grown.buckets.reset(
        static_cast<Bucket*>(std::aligned_alloc(alignof(Bucket), grown.physical * sizeof(Bucket))));
    if (grown.buckets == nullptr) throw std::bad_alloc();
    std::fill_n(grown.buckets.get(), grown.physical, kNowhere);
    if (keeps_statistics_)
      grown.statistics = std::make_unique<RowStatistics[]>(std::size_t{grown.physical} * kBucketEntries);
    std::uint32_t next = 0, entry = 0;  // where the next one may go
    bool fits = true;
    for (std::uint32_t b = 0; b < segment.physical && fits; ++b) {
      const Bucket& from = segment.buckets[b];
      for (std::uint32_t i = 0; i < kBucketEntries && from.rows[i] != kEmpty; ++i) {
        const std::uint32_t home = grown.Home(from.words[i]);
        if (home > next) next = home, entry = 0;
        fits = next + 1 < grown.physical || entry + 1 < kBucketEntries;
        if (!fits) break;
        grown.buckets[next].words[entry] = from.words[i];
        grown.buckets[next].rows[entry] = from.rows[i];
        grown.buckets[next].SetMark(entry, from.mark(i));
        if (keeps_statistics_)
          grown.statistics[next * kBucketEntries + entry] = segment.statistics[b * kBucketEntries + i];
        if (++entry == kBucketEntries) ++next, entry = 0;
      }
    }
    if (!fits) continue;
    bytes_ -= BytesOf(segment);
    bytes_ += BytesOf(grown);
    segment = std::move(grown);
    return;
  }
}

void RowIndex::Insert(std::uint64_t position, std::uint32_t row) {
  COHORT_CHECK(row < kMostRows);
  Segment& segment = SegmentForInsertion(position);
  if (segment.homes == 0) {
    Rebuild(segment, 1, kFirstSlack);
  } else if (Dense(segment.count + 1, segment.homes, kBucketEntries)) {
    // Slots fill evenly; their steps differ, lest all of them grow at once.
    const auto step = static_cast<std::uint32_t>(9 + SlotOf(position) % 5);
    Rebuild(segment, segment.homes + std::max(segment.homes / step, 1u), segment.physical - segment.homes);
  }
  // Room is made by moving what is behind the place: each full bucket's last entry goes to the front of the next one.
  Place place = Search(segment, WordOf(position));
  std::uint32_t end = place.bucket;
  for (;;) {
    while (segment.buckets[end].full()) ++end;
    if (end + 1 < segment.physical || segment.buckets[end].rows[kBucketEntries - 2] == kEmpty) break;
    Rebuild(segment, segment.homes, 2 * (segment.physical - segment.homes));
    place = Search(segment, WordOf(position));
    end = place.bucket;
  }
  std::uint64_t word = WordOf(position) | (row & ((1u << kRowBits) - 1));
  auto high = static_cast<std::uint16_t>(row >> kRowBits);
  std::uint32_t mark = mark_;
  RowStatistics statistics;
  for (std::uint32_t b = place.bucket, i = place.entry; b <= end; ++b, i = 0) {
    Bucket& bucket = segment.buckets[b];
    const std::uint64_t last_word = bucket.words[kBucketEntries - 1];
    const std::uint16_t last_row = bucket.rows[kBucketEntries - 1];
    std::move_backward(bucket.words + i, bucket.words + kBucketEntries - 1, bucket.words + kBucketEntries);
    std::move_backward(bucket.rows + i, bucket.rows + kBucketEntries - 1, bucket.rows + kBucketEntries);
    bucket.words[i] = std::exchange(word, last_word);
    bucket.rows[i] = std::exchange(high, last_row);
    mark = bucket.InsertMark(i, mark);
    if (!keeps_statistics_) continue;
    RowStatistics* const of = &segment.statistics[b * kBucketEntries];
    const RowStatistics last = of[kBucketEntries - 1];
    std::move_backward(of + i, of + kBucketEntries - 1, of + kBucketEntries);
    of[i] = std::exchange(statistics, last);
  }
  ++segment.count;
  ++size_;
}

void RowIndex::Replace(std::uint64_t position, std::uint32_t row) {
  COHORT_CHECK(row < kMostRows);
  Segment& segment = SegmentForInsertion(position);
  COHORT_CHECK(segment.count > 0);
  const std::uint64_t word = WordOf(position);
  const Place place = Search(segment, word);
  Bucket& bucket = segment.buckets[place.bucket];
  COHORT_CHECK(bucket.RowIf(place.entry, word) != kNoRow);
  bucket.words[place.entry] = word | (row & ((1u << kRowBits) - 1));
  bucket.rows[place.entry] = static_cast<std::uint16_t>(row >> kRowBits);
}

std::uint32_t RowIndex::Erase(std::uint64_t position, bool* marked) {
  Segment& segment = SegmentForInsertion(position);
  COHORT_CHECK(segment.count > 0);
  const Place place = Search(segment, WordOf(position));
  const std::uint32_t row = segment.buckets[place.bucket].RowIf(place.entry, WordOf(position));
  COHORT_CHECK(row != kNoRow, "erased a row that is not there");
  const bool was_marked = segment.buckets[place.bucket].mark(place.entry) == mark_;
  if (!was_marked) --unmarked_;
  if (marked != nullptr) *marked = was_marked;
  // What follows moves up; a bucket that was full takes the first entry of the next one, if that one is displaced.
  for (std::uint32_t b = place.bucket, i = place.entry;; ++b, i = 0) {
    Bucket& bucket = segment.buckets[b];
    const bool was_full = bucket.full();
    constexpr std::uint32_t kLast = kBucketEntries - 1;
    std::move(bucket.words + i + 1, bucket.words + kBucketEntries, bucket.words + i);
    std::move(bucket.rows + i + 1, bucket.rows + kBucketEntries, bucket.rows + i);
    bucket.words[kLast] = ~std::uint64_t{0};
    bucket.rows[kLast] = kEmpty;
    bucket.EraseMark(i);
    RowStatistics* const of = keeps_statistics_ ? &segment.statistics[b * kBucketEntries] : nullptr;
    if (of != nullptr) std::move(of + i + 1, of + kBucketEntries, of + i);
    // The last bucket is never full, so there is a next one.
    if (!was_full) break;
    const Bucket& next = segment.buckets[b + 1];
    if (next.rows[0] == kEmpty || segment.Home(next.words[0]) > b) break;
    bucket.words[kLast] = next.words[0];
    bucket.rows[kLast] = next.rows[0];
    bucket.SetMark(kLast, next.mark(0));
    if (of != nullptr) of[kLast] = of[kBucketEntries];
  }
  --segment.count;
  --size_;
  if (segment.homes > 1 && segment.count < segment.homes * kBucketEntries / 4)
    Rebuild(segment, std::max(segment.homes / 2, 1u), kFirstSlack);
  return row;
}

RowStatistics& RowIndex::Statistics(std::uint64_t position) {
  COHORT_CHECK(keeps_statistics_);
  Segment& segment = SegmentForInsertion(position);
  COHORT_CHECK(segment.count > 0);
  const Place place = Search(segment, WordOf(position));
  COHORT_CHECK(segment.buckets[place.bucket].RowIf(place.entry, WordOf(position)) != kNoRow);
  return segment.statistics[place.bucket * kBucketEntries + place.entry];
}

// ---------------------------------------------------------------- marks

void RowIndex::BeginMarking() {
  COHORT_CHECK(unmarked_ == 0);
  mark_ ^= 1u;
  unmarked_ = size_;
}

void RowIndex::Mark(std::span<const std::uint64_t> positions, std::vector<Entry>* found) {
  const std::size_t count = positions.size();
  for (std::size_t i = 0; i < std::min(kAhead, count); ++i) __builtin_prefetch(HomeOf(positions[i]), 1);
  for (std::size_t i = 0; i < count && unmarked_ > 0; ++i) {
    if (i + kAhead < count) __builtin_prefetch(HomeOf(positions[i + kAhead]), 1);
    const Segment* segment = SegmentOf(positions[i]);
    if (segment == nullptr || segment->homes == 0) continue;
    const std::uint64_t word = WordOf(positions[i]);
    const Place place = Search(*segment, word);
    Bucket& bucket = segment->buckets[place.bucket];
    const std::uint32_t row = bucket.RowIf(place.entry, word);
    if (row == kNoRow || bucket.mark(place.entry) == mark_) continue;
    bucket.SetMark(place.entry, mark_);
    --unmarked_;
    found->push_back({positions[i], row,
                      keeps_statistics_ ? segment->statistics[place.bucket * kBucketEntries + place.entry]
                                        : RowStatistics()});
  }
}

bool RowIndex::MarkSlot(int slot, std::uint64_t* from, std::size_t most, std::vector<Entry>* found) {
  const Group* group = groups_[static_cast<std::size_t>(slot / kSlotsPerGroup)].get();
  if (group == nullptr) return false;
  const Segment& segment = (*group)[static_cast<std::size_t>(slot % kSlotsPerGroup)];
  if (segment.homes == 0) return false;
  const std::uint64_t first = WordOf(*from);
  for (std::uint32_t b = segment.Home(first); b < segment.physical; ++b) {
    Bucket& bucket = segment.buckets[b];
    for (std::uint32_t i = 0; i < kBucketEntries && bucket.rows[i] != kEmpty; ++i) {
      if (bucket.words[i] < first || bucket.mark(i) == mark_) continue;
      if (most == 0) {
        *from = PositionOf(slot, bucket.words[i]);
        return true;
      }
      --most;
      bucket.SetMark(i, mark_);
      --unmarked_;
      found->push_back({PositionOf(slot, bucket.words[i]), bucket.Row(i),
                        keeps_statistics_ ? segment.statistics[b * kBucketEntries + i] : RowStatistics()});
    }
  }
  return false;
}

std::uint64_t RowIndex::RowsOfSlot(int slot) const {
  const Group* group = groups_[static_cast<std::size_t>(slot / kSlotsPerGroup)].get();
  return group == nullptr ? 0 : (*group)[static_cast<std::size_t>(slot % kSlotsPerGroup)].count;
}

}  // namespace cohort
