// SplitRows: some columns of all rows of a split, side by side, and whether a file of scores is of these rows.
#ifndef COHORT_LAUNCH_SPLIT_ROWS_H_
#define COHORT_LAUNCH_SPLIT_ROWS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"
#include "launch/score_file.h"

namespace cohort {

struct SplitRows {
  std::vector<std::string> ids;  // or row numbers, where the dataset has no ids
  std::vector<float> values;     // (rows, numeric columns that were asked for)
  std::vector<Key> keys;         // (rows, categorical columns that were asked for)
  std::vector<float> labels;     // (rows, tasks)
};

// `numeric_columns`, `categorical_columns`: DatasetInfo::ColumnOf features of these types.
Result<SplitRows> ReadSplitRows(DatasetReader& data, Split split,
                                const std::vector<std::size_t>& numeric_columns,
                                const std::vector<std::size_t>& categorical_columns);

// kInvalidInput, with the first row that differs: the file at `path` has other rows than `ids`, those of the split.
Status CheckScoredRows(const std::string& path, const ScoreFile& file, const std::vector<std::string>& ids,
                       const std::string& split);

}  // namespace cohort

#endif  // COHORT_LAUNCH_SPLIT_ROWS_H_
