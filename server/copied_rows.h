// CopiedRows: rows of one table as they lie in memory, on their way from a shard to whoever writes them away.
#ifndef COHORT_SERVER_COPIED_ROWS_H_
#define COHORT_SERVER_COPIED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/types.h"

namespace cohort {

struct CopiedRows {
  TableId table = 0;
  std::vector<std::uint64_t> positions;   // on the ring
  std::vector<float> words;               // each row's, one after the other (row_layout.h, filled up)
  std::vector<std::uint64_t> statistics;  // PackedStatistics (row_index.h); empty if the table keeps none

  std::size_t bytes() const {
    return words.size() * sizeof(float) + (positions.size() + statistics.size()) * sizeof(std::uint64_t);
  }
  void Clear() { positions.clear(), words.clear(), statistics.clear(); }
};

}  // namespace cohort

#endif  // COHORT_SERVER_COPIED_ROWS_H_
