#include "prepare/dataset_sink.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace cohort {
namespace {

void AddWarnings(PrepareReport* report) {
  const DatasetInfo& info = report->info;
  std::vector<std::string>& warnings = report->warnings;
  const std::uint64_t rows = info.rows[static_cast<std::size_t>(Split::kTrain)];
  for (const FeatureInfo& feature : info.features) {
    if (feature.missing == rows) {
      warnings.push_back("feature \"" + feature.name + "\" is missing in every training row");
    } else if (feature.type == FeatureType::kNumeric ? feature.minimum == feature.maximum
                                                     : feature.distinct < 1.5) {
      warnings.push_back("feature \"" + feature.name + "\" has the same value in every training row" +
                         (feature.missing == 0 ? "" : " that has one"));
    }
  }
  for (const TaskInfo& task : info.tasks) {
    if (task.type == TaskType::kBinary && (task.mean == 0 || task.mean == 1)) {
      warnings.push_back("task \"" + task.name + "\" has the same label in every training row");
    }
    if (task.type != TaskType::kHazard) continue;
    if (task.mean == 0)
      warnings.push_back("task \"" + task.name + "\": the event happens in no training row");
    for (std::uint32_t k = 0; k < task.periods; ++k) {
      if (task.at_risk[k] > 0) continue;
      warnings.push_back("task \"" + task.name + "\": no training row is seen in period " +
                         std::to_string(k + 1) + (k + 1 < task.periods ? " or a later one" : "") +
                         ", so nothing can be learnt of it; give fewer periods");
      break;
    }
  }
}

}  // namespace

void ClearBlock(const DatasetInfo& info, RowBlock* block) {
  const std::size_t bags = info.CountOf(FeatureType::kBag);
  block->vectors.resize(info.CountOf(FeatureType::kVector));
  for (auto& values : block->vectors) values.clear();
  block->first_row += block->rows;
  block->rows = 0;
  block->numeric.clear();
  block->categorical.clear();
  block->labels.clear();
  block->weights.clear();
  block->ids.clear();
  block->groups.clear();
  block->input_rows.clear();
  block->bag_keys.resize(bags);
  block->bag_offsets.resize(bags);
  for (auto& keys : block->bag_keys) keys.clear();
  for (auto& offsets : block->bag_offsets) offsets.assign(1, 0);
}

DatasetSink::DatasetSink(std::string path, DatasetInfo info, std::vector<std::uint32_t> bins,
                         std::unique_ptr<DatasetWriter> writer)
    : path_(std::move(path)), info_(std::move(info)), bins_(std::move(bins)), writer_(std::move(writer)) {
  for (std::size_t i = 0; i < info_.features.size(); ++i) {
    features_.emplace_back(info_.features[i], info_.ColumnOf(i), info_.CountOf(info_.features[i].type),
                           bins_[i] > 0);
  }
  for (auto& tasks : tasks_) {
    for (const TaskInfo& task : info_.tasks) tasks.emplace_back(task);
  }
  for (RowBlock& block : blocks_) ClearBlock(info_, &block);
}

Result<std::unique_ptr<DatasetSink>> DatasetSink::Create(const std::string& path, const DatasetInfo& info,
                                                         std::vector<std::uint32_t> bins) {
  COHORT_ASSIGN_OR_RETURN(std::unique_ptr<DatasetWriter> writer, DatasetWriter::Create(path, info));
  return std::unique_ptr<DatasetSink>(new DatasetSink(path, info, std::move(bins), std::move(writer)));
}

Status DatasetSink::Flush(Split split) {
  const auto index = static_cast<std::size_t>(split);
  RowBlock& block = blocks_[index];
  if (block.rows == 0) return {};
  COHORT_RETURN_IF_ERROR(writer_->Append(split, block));
  if (split == Split::kTrain) {
    for (FeatureStatistics& feature : features_) feature.Add(block);
  }
  const std::size_t tasks = info_.tasks.size();
  for (std::size_t row = 0; row < block.rows; ++row) {
    const double weight = block.weights.empty() ? 1 : block.weights[row];
    for (std::size_t i = 0; i < tasks; ++i) {
      tasks_[index][i].Add(info_.tasks[i], block.labels[row * tasks + i], weight);
    }
  }
  info_.rows[index] += block.rows;
  ClearBlock(info_, &block);
  return {};
}

Status DatasetSink::Append(const RowPart& part) {
  const auto rows = static_cast<std::uint32_t>(part.splits.size());
  for (std::uint32_t first = 0, end = 0; first < rows; first = end) {
    const Split split = part.splits[first];
    const std::uint32_t most = std::min(rows, first + (kBlockRows - block(split).rows));
    for (end = first + 1; end < most && part.splits[end] == split;) ++end;
    AppendRows(part.rows, first, end - first, &block(split));
    COHORT_RETURN_IF_ERROR(RowAdded(split));
  }
  return {};
}

Status DatasetSink::Measure(PrepareReport* report) {
  for (int split = 0; split < kSplitCount; ++split) COHORT_RETURN_IF_ERROR(Flush(static_cast<Split>(split)));
  for (std::size_t i = 0; i < features_.size(); ++i) features_[i].Fill(bins_[i], &info_.features[i]);
  for (std::size_t split = 0; split < tasks_.size(); ++split) {
    report->tasks[split] = info_.tasks;
    for (std::size_t i = 0; i < info_.tasks.size(); ++i) tasks_[split][i].Fill(&report->tasks[split][i]);
  }
  info_.tasks = report->tasks[static_cast<std::size_t>(Split::kTrain)];
  report->info = info_;
  return {};
}

Status DatasetSink::Finish(const DatasetNames& names, PrepareReport* report) {
  AddWarnings(report);
  COHORT_RETURN_IF_ERROR(writer_->AddNames(names));
  COHORT_RETURN_IF_ERROR(writer_->Finish(info_));
  report->output = path_;
  std::error_code ignored;
  report->output_bytes = std::filesystem::file_size(path_, ignored);
  return {};
}

}  // namespace cohort
