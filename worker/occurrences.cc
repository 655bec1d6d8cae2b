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
  std::vector<std::uint32_t> counts;
  counts.reserve(rows.positions.size());
  for (const std::uint64_t rank : rows.positions) {
    COHORT_CHECK(by_rank_[rank] > 0);
    counts.push_back(std::exchange(by_rank_[rank], 0u));
  }
  return Buffer::Own(std::move(counts));
}

}  // namespace cohort
