#include "launch/split_rows.h"

#include <algorithm>
#include <cstdint>

namespace cohort {

Result<SplitRows> ReadSplitRows(DatasetReader& data, Split split,
                                const std::vector<std::size_t>& numeric_columns,
                                const std::vector<std::size_t>& categorical_columns) {
  SplitRows read;
  RowBlock block;
  const DatasetInfo& info = data.info();
  const std::size_t numeric = info.CountOf(FeatureType::kNumeric),
                    categorical = info.CountOf(FeatureType::kCategorical);
  const std::uint64_t rows = info.rows[static_cast<std::size_t>(split)];
  for (std::uint64_t first = 0; first < rows; first += block.rows) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
    COHORT_RETURN_IF_ERROR(data.Read(split, first, count, /*with_ids=*/true, &block));
    for (std::uint32_t row = 0; row < block.rows; ++row) {
      read.ids.push_back(block.ids.empty() ? std::to_string(block.input_rows[row]) : block.ids[row]);
      for (const std::size_t column : numeric_columns)
        read.values.push_back(block.numeric[row * numeric + column]);
      for (const std::size_t column : categorical_columns)
        read.keys.push_back(block.categorical[row * categorical + column]);
    }
    read.labels.insert(read.labels.end(), block.labels.begin(), block.labels.end());
  }
  return read;
}

Status CheckScoredRows(const std::string& path, const ScoreFile& file, const std::vector<std::string>& ids,
                       const std::string& split) {
  if (file.ids == ids) return {};
  std::size_t row = 0;
  while (row < ids.size() && row < file.ids.size() && file.ids[row] == ids[row]) ++row;
  const auto name = [&](const std::vector<std::string>& of) {
    return row < of.size() ? "\"" + of[row] + "\"" : std::string("nothing");
  };
  return {ErrorCode::kInvalidInput, path + ": row " + std::to_string(row + 1) + " is " + name(file.ids) +
                                        ", where the " + split + " split has " + name(ids) +
                                        "; score the same dataset with --split " + split};
}

}  // namespace cohort
