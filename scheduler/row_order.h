// RowOrder: takes blocks of predictions as workers send them and gives them back in row order, each once.
// What it holds is bounded by the leases that are out (the coordinator grants none too far ahead of the first
// missing row).
#ifndef COHORT_SCHEDULER_ROW_ORDER_H_
#define COHORT_SCHEDULER_ROW_ORDER_H_

#include <cstdint>
#include <map>
#include <optional>

#include "common/message.h"
#include "common/status.h"
#include "scheduler/leases.h"

namespace cohort {

class RowOrder {
 public:
  explicit RowOrder(std::uint64_t rows = 0) : rows_(rows) {}

  // Holds a block, or ignores it if it was taken before. An error: sizes that do not fit, rows outside its
  // lease, or a partial overlap with a block taken before.
  Status Take(ScoreBlock block, const LeaseRecord& lease, std::uint32_t prediction_columns);
  // The block that begins at next_row(), if it is here.
  std::optional<ScoreBlock> Next();

  std::uint64_t next_row() const { return next_row_; }
  bool complete() const { return next_row_ == rows_; }

 private:
  std::uint64_t rows_;
  std::uint64_t next_row_ = 0;
  std::map<std::uint64_t, ScoreBlock> held_;  // by first row; no overlaps, nothing before next_row_
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_ROW_ORDER_H_
