// DatasetSink: the way of rows into DATASET.h5. It gathers them in blocks by split, measures features (train) and labels (every
// split), and writes. One thread. Memory does not depend on the number of rows.
#ifndef COHORT_PREPARE_DATASET_SINK_H_
#define COHORT_PREPARE_DATASET_SINK_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"
#include "prepare/prepare.h"
#include "prepare/row_part.h"
#include "prepare/statistics.h"

namespace cohort {

// Empties a block and gives it the shape of `info`; its next row follows the last one it held.
void ClearBlock(const DatasetInfo& info, RowBlock* block);

class DatasetSink {
 public:
  // `info`: shapes, no statistics yet. `bins`: by feature, 0 for none.
  static Result<std::unique_ptr<DatasetSink>> Create(const std::string& path, const DatasetInfo& info,
                                                     std::vector<std::uint32_t> bins);

  // Where the next row of a split goes; RowAdded after each.
  RowBlock& block(Split split) { return blocks_[static_cast<std::size_t>(split)]; }
  Status RowAdded(Split split) { return block(split).rows < kBlockRows ? Status() : Flush(split); }
  // The rows of a part, in their order: as if each had been made in its block.
  Status Append(const RowPart& part);
  // After the last row: what was measured, as `info` and `tasks` of the report.
  Status Measure(PrepareReport* report);
  // The file appears under its name. Adds output, output_bytes and warnings about features and tasks to the report.
  // REQUIRES: Measure was called with the same report.
  Status Finish(const DatasetNames& names, PrepareReport* report);

 private:
  DatasetSink(std::string path, DatasetInfo info, std::vector<std::uint32_t> bins,
              std::unique_ptr<DatasetWriter> writer);
  Status Flush(Split split);

  std::string path_;
  DatasetInfo info_;
  std::vector<std::uint32_t> bins_;
  std::unique_ptr<DatasetWriter> writer_;
  std::array<RowBlock, kSplitCount> blocks_;
  std::vector<FeatureStatistics> features_;
  std::array<std::vector<TaskStatistics>, kSplitCount> tasks_;
};

}  // namespace cohort

#endif  // COHORT_PREPARE_DATASET_SINK_H_
