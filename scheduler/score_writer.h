// The score file that users receive: a row per input row, in the order it is given.
//
//   CSV   a header, then `id` (the row number when the data has no ids) and a column per task: `<task>`, or
//         `<task>.<class>` for each class of a multiclass one, `<task>.1`, `<task>.2`, ... for each period of a
//         hazard one (P(event by its end)); numbers in the shortest form that reads back
//         to the same float; cells quoted where CSV needs it
//   HDF5  `id` (rows: text, or uint64 row numbers) and `scores/<task>` of shape (rows, k), float32
//
// The file appears under its name only when Finish succeeds.
#ifndef COHORT_SCHEDULER_SCORE_WRITER_H_
#define COHORT_SCHEDULER_SCORE_WRITER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"

namespace cohort {

class ScoreWriter {
 public:
  // The format follows the name: .csv or .h5; another is kInvalidInput. `tasks` in the order of the
  // prediction columns.
  static Result<std::unique_ptr<ScoreWriter>> Create(const std::string& path, std::vector<TaskInfo> tasks,
                                                     bool has_id);
  virtual ~ScoreWriter() = default;

  // ids: rows, or empty; numbers: rows; predictions: rows x columns.
  virtual Status Append(std::span<const std::string> ids, std::span<const std::uint64_t> numbers,
                        std::span<const float> predictions) = 0;
  virtual Status Finish() = 0;
};

// Predictions of a split, as raw floats in row order in a file of their own.
struct SpilledScores {
  Split split = Split::kTest;
  std::string path;
};

// Brings the splits together in the order of the input, in bounded memory (a block per split): by DatasetInfo::files, then by
// the rows' numbers in them. `progress` gets the rows written so far.
Status MergeScores(DatasetReader& dataset, const std::vector<SpilledScores>& splits, std::uint32_t columns,
                   ScoreWriter& writer, const std::function<Status(std::uint64_t)>& progress);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_SCORE_WRITER_H_
