// How often each key of a push occurred in the rows that it is the gradient of: what a table's policy decides
// from (RowPolicySpec).
#ifndef COHORT_WORKER_OCCURRENCES_H_
#define COHORT_WORKER_OCCURRENCES_H_

#include <cstdint>
#include <vector>

#include "common/buffer.h"
#include "common/gradient_tree.h"
#include "worker/batch.h"

namespace cohort {

// One thread. Memory is reused from batch to batch.
class Occurrences {
 public:
  // uint32[rows.positions.size()]: for each of `rows`, which are by place in the batch's keys of the table and the sum of
  // `batch`'s slices within `slices`.
  Buffer Count(const Batch& batch, std::size_t table, SliceRange slices, const GradientRows& rows);

 private:
  std::vector<std::uint32_t> by_rank_;  // of Batch::keys; 0 between calls
};

}  // namespace cohort

#endif  // COHORT_WORKER_OCCURRENCES_H_
