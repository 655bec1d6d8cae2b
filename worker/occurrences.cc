#include "worker/occurrences.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace cohort {

Buffer Occurrences::Count(const Batch& batch, std::size_t table, SliceRange slices,
                          const GradientRows& rows) {
  by_rank_.resize(std::max(by_rank_.size(), batch.keys[table]->size()));
  for (std::size_t s = 0; s < batch.slice_count; ++s) {
    const Slice& slice = batch.slices[s];
    if (slice.index < slices.begin || slice.index >= slices.end) continue;
    const SliceIds& ids = slice.ids[table];
    for (const std::uint32_t id : ids.positions) ++by_rank_[ids.distinct[id]];
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
