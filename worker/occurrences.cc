#include "worker/occurrences.h"

#include <utility>

#include "common/check.h"

namespace cohort {

Buffer Occurrences::Count(const Batch& batch, SliceRange slices, const GradientRows& rows) {
  by_rank_.resize(batch.keys->size());
  for (std::size_t s = 0; s < batch.slice_count; ++s) {
    const Slice& slice = batch.slices[s];
    if (slice.index < slices.begin || slice.index >= slices.end) continue;
    for (const std::uint32_t id : slice.positions) ++by_rank_[slice.distinct[id]];
  }
  // Both are in ring order, and the push's keys are some of the batch's.
  std::vector<std::uint32_t> counts;
  counts.reserve(rows.keys.size());
  std::size_t rank = 0;
  for (const std::uint64_t position : rows.positions) {
    while (batch.positions[rank] < position) ++rank;
    COHORT_CHECK(by_rank_[rank] > 0);
    counts.push_back(std::exchange(by_rank_[rank], 0u));
  }
  return Buffer::Own(std::move(counts));
}

}  // namespace cohort
