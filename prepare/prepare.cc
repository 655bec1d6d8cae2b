#include "prepare/prepare.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <memory>
#include <optional>
#include <set>

#include "common/atomic_file.h"
#include "common/input_file.h"
#include "common/process.h"
#include "prepare/csv_reader.h"
#include "prepare/dataset_sink.h"
#include "prepare/number.h"
#include "prepare/row_builder.h"
#include "prepare/schema.h"

namespace cohort {
namespace {

constexpr std::uint64_t kProgressRecords = 4096;
constexpr std::size_t kMostClasses = 1024;

struct SourceFile {
  std::string path;
  FileGroup group;
};

class Preparation {
 public:
  explicit Preparation(const PrepareOptions& options)
      : options_(options),
        log_(options.strict),
        duplicates_(DirectoryOf(options.output), options.duplicate_memory_rows) {}

  Result<PrepareReport> Run() {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    COHORT_ASSIGN_OR_RETURN(schema_, LoadSchema(options_.schema, options_.data_directory));
    std::vector<std::string> inputs = schema_.files;
    inputs.insert(inputs.end(), schema_.split.valid_files.begin(), schema_.split.valid_files.end());
    inputs.insert(inputs.end(), schema_.split.test_files.begin(), schema_.split.test_files.end());
    inputs.push_back(options_.schema);
    COHORT_RETURN_IF_ERROR(CheckOutput(options_.output, options_.overwrite, inputs));
    builder_.emplace(schema_, &log_);
    ListFiles();
    Describe();
    report_.passes = NeedsSurvey() ? 2 : 1;
    if (NeedsSurvey()) {
      for (const SourceFile& file : files_) COHORT_RETURN_IF_ERROR(CheckRegularFile(file.path));
      COHORT_RETURN_IF_ERROR(Survey());
      ++pass_;
    }
    COHORT_RETURN_IF_ERROR(Convert());
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    report_.cpu_seconds = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
    return std::move(report_);
  }

 private:
  void ListFiles() {
    for (const std::string& path : schema_.files) files_.push_back({path, FileGroup::kSource});
    for (const std::string& path : schema_.split.valid_files) files_.push_back({path, FileGroup::kValid});
    for (const std::string& path : schema_.split.test_files) files_.push_back({path, FileGroup::kTest});
    for (const SourceFile& file : files_) {
      struct stat found {};
      if (::stat(file.path.c_str(), &found) == 0) total_bytes_ += static_cast<std::uint64_t>(found.st_size);
    }
  }

  void Describe() {
    DatasetInfo& info = report_.info;
    info.has_id = schema_.id.has_value();
    info.has_weight = schema_.weight.has_value();
    info.has_group = schema_.group.has_value();
    const auto come_from = [&](Split split, FileGroup files) {
      info.files[static_cast<std::size_t>(split)] = static_cast<std::uint8_t>(files);
    };
    if (!schema_.split.test_files.empty()) come_from(Split::kTest, FileGroup::kTest);
    if (!schema_.split.valid_files.empty()) come_from(Split::kValid, FileGroup::kValid);
    if (schema_.split.valid_row_of_test >= 0) come_from(Split::kValid, FileGroup::kTest);
    for (const FeatureSchema& feature : schema_.features) {
      FeatureInfo described;
      described.name = feature.name;
      described.type = feature.type;
      described.scale = feature.scale;
      described.pooling = feature.pooling;
      described.sequence = feature.sequence;
      described.vocabulary = feature.vocabulary;
      described.ngrams = feature.ngrams;
      described.length = feature.length;
      info.features.push_back(std::move(described));
    }
    for (const TaskSchema& task : schema_.tasks) {
      TaskInfo described;
      described.name = task.name;
      described.type = task.type;
      described.classes = task.classes;
      described.periods = task.periods;
      described.at_risk.assign(task.periods, 0);
      described.hazards.assign(task.periods, 0);
      info.tasks.push_back(std::move(described));
    }
  }

  // Calls visit(record) -> Status for every record of every file that has the right number of cells.
  template <typename Visit>
  Status ForEachRecord(const Visit& visit) {
    std::array<std::uint64_t, 3> rows{};  // by group
    std::uint64_t bytes_before = 0, records = 0;
    for (const SourceFile& file : files_) {
      COHORT_ASSIGN_OR_RETURN(std::unique_ptr<CsvReader> csv, CsvReader::OpenNamed(file.path, schema_.csv));
      COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());
      if (!more)
        return {ErrorCode::kInvalidInput, file.path + ":1: the file is empty; expected rows of a CSV file"};
      std::vector<std::string> header;
      if (schema_.header) header.assign(csv->cells().begin(), csv->cells().end());
      COHORT_ASSIGN_OR_RETURN(
          const ColumnBinding columns,
          BindColumns(schema_, file.path, csv->cells().size(), header, file.group == FileGroup::kTest));
      if (schema_.header) {
        COHORT_ASSIGN_OR_RETURN(more, csv->Next());
      }
      while (more) {
        const std::uint64_t row = rows[static_cast<std::size_t>(file.group)]++;
        if (csv->cells().size() == columns.width) {
          const std::string_view raw = csv->raw();
          const Record record{*csv, columns, file.group, row, XXH3_64bits(raw.data(), raw.size())};
          COHORT_RETURN_IF_ERROR(visit(record));
        } else if (pass_ == report_.passes) {
          log_.Add(FindingKind::kWrongCellCount, "", *csv, -1,
                   std::to_string(csv->cells().size()) + " cells, where the " +
                       (schema_.header ? "header" : "first row") + " has " + std::to_string(columns.width) +
                       "; the row is dropped");
        }
        if (!log_.status().ok()) return log_.status();
        if (++records % kProgressRecords == 0) {
          COHORT_RETURN_IF_ERROR(CheckStopSignal());
          if (options_.progress)
            options_.progress(
                {pass_, report_.passes, bytes_before + csv->source().consumed(), total_bytes_, records});
        }
        COHORT_ASSIGN_OR_RETURN(more, csv->Next());
      }
      bytes_before += csv->source().consumed();
    }
    report_.records = records;
    report_.input_bytes = bytes_before;
    return {};
  }

  // ---- the first pass, when the second could not know what it needs

  static bool NeedsClasses(const TaskSchema& task) {
    return task.type == TaskType::kMulticlass && task.classes.empty();
  }
  bool NeedsSurvey() const {
    return std::any_of(schema_.tasks.begin(), schema_.tasks.end(), NeedsClasses) ||
           std::any_of(schema_.features.begin(), schema_.features.end(),
                       [](const FeatureSchema& feature) { return feature.clip.has_value(); });
  }

  // Finds the classes of multiclass tasks and the quantiles of clipped features in the training rows.
  Status Survey() {
    std::vector<std::set<std::string, std::less<>>> classes(schema_.tasks.size());
    std::vector<QuantileSketch> quantiles(schema_.features.size());
    FindingLog silent(false);  // the second pass reports
    RowBuilder splitter(schema_, &silent);
    Status status = ForEachRecord([&](const Record& record) -> Status {
      if (splitter.SplitOf(record) != Split::kTrain) return {};
      const auto cells = record.csv.cells();
      for (std::size_t i = 0; i < schema_.tasks.size(); ++i) {
        if (!NeedsClasses(schema_.tasks[i])) continue;
        const std::string_view cell = cells[static_cast<std::size_t>(record.columns.tasks[i])];
        if (splitter.IsMissing(cell) || classes[i].contains(cell)) continue;
        classes[i].emplace(cell);
        if (classes[i].size() > kMostClasses) {
          return {ErrorCode::kInvalidInput,
                  schema_.tasks[i].column.where + ": task \"" + schema_.tasks[i].name + "\" has more than " +
                      std::to_string(kMostClasses) + " classes; is it a regression, or the wrong column?"};
        }
      }
      for (std::size_t i = 0; i < schema_.features.size(); ++i) {
        if (!schema_.features[i].clip) continue;
        const std::string_view cell = cells[static_cast<std::size_t>(record.columns.features[i])];
        float value = 0;
        if (!splitter.IsMissing(cell) && ParseNumber(cell, &value) == NumberKind::kNumber)
          quantiles[i].Add(value);
      }
      return {};
    });
    COHORT_RETURN_IF_ERROR(std::move(status));
    for (std::size_t i = 0; i < schema_.tasks.size(); ++i) {
      if (!NeedsClasses(schema_.tasks[i])) continue;
      if (classes[i].size() < 2) {
        return {ErrorCode::kInvalidInput, schema_.tasks[i].column.where + ": task \"" +
                                              schema_.tasks[i].name +
                                              "\" has fewer than two classes in the training rows"};
      }
      report_.info.tasks[i].classes.assign(classes[i].begin(), classes[i].end());
      builder_->SetClasses(i, report_.info.tasks[i].classes);
    }
    for (std::size_t i = 0; i < schema_.features.size(); ++i) {
      const auto& clip = schema_.features[i].clip;
      if (!clip || quantiles[i].count() == 0) continue;
      builder_->SetLimits(i, quantiles[i].Quantile((*clip)[0]), quantiles[i].Quantile((*clip)[1]));
    }
    return {};
  }

  // ---- the pass that writes

  Status Convert() {
    std::vector<std::uint32_t> bins;
    for (const FeatureSchema& feature : schema_.features) bins.push_back(feature.bins);
    COHORT_ASSIGN_OR_RETURN(sink_, DatasetSink::Create(options_.output, report_.info, std::move(bins)));
    Status converted = ForEachRecord([this](const Record& record) -> Status {
      const std::optional<Split> split = builder_->SplitOf(record);
      if (!split) return {};
      if (!builder_->Append(record, *split, &sink_->block(*split))) return {};
      if (!log_.status().ok()) return log_.status();
      COHORT_RETURN_IF_ERROR(duplicates_.Add(record.hash, *split));
      return sink_->RowAdded(*split);
    });
    COHORT_RETURN_IF_ERROR(std::move(converted));
    COHORT_RETURN_IF_ERROR(sink_->Measure(&report_));
    report_.findings = log_.Take();
    COHORT_RETURN_IF_ERROR(CheckTraining());
    COHORT_RETURN_IF_ERROR(CheckLabels());
    COHORT_ASSIGN_OR_RETURN(report_.duplicates, duplicates_.Count());
    COHORT_RETURN_IF_ERROR(sink_->Finish(builder_->Names(), &report_));
    AddWarnings();
    return {};
  }

  Status CheckTraining() const {
    if (report_.info.rows[static_cast<std::size_t>(Split::kTrain)] > 0) return {};
    std::string text =
        options_.schema + ": no row is left to train on: " + std::to_string(report_.records) + " read from " +
        schema_.files.front() +
        (schema_.files.size() > 1 ? " and " + std::to_string(schema_.files.size() - 1) + " more" : "");
    for (const auto& [key, finding] : report_.findings) {
      if (!IsDroppedRow(key.first)) continue;
      text += ", " + std::to_string(finding.count) + " dropped (" + FindingText(key.first) + ": " +
              finding.places[0] + ")";
    }
    return {ErrorCode::kInvalidInput, text + "; check the columns and the split"};
  }

  // A task that cannot be learnt is most often one that is misspelt.
  Status CheckLabels() const {
    for (std::size_t i = 0; i < schema_.tasks.size(); ++i) {
      const TaskSchema& schema = schema_.tasks[i];
      const TaskInfo& task = report_.info.tasks[i];
      if (task.labelled == 0) {
        std::string text =
            schema.column.where + ": task \"" + task.name + "\" has no label in any training row";
        for (const auto& [key, finding] : report_.findings) {
          if (key.second == task.name && !finding.places.empty()) text += "; " + finding.places[0];
        }
        return {ErrorCode::kInvalidInput, text};
      }
      if (task.type == TaskType::kBinary && !schema.positive.empty() && task.mean == 0) {
        return {ErrorCode::kInvalidInput,
                schema.column.where + ": task \"" + task.name +
                    "\": no training row is positive: no cell is \"" + schema.positive[0] + "\"" +
                    (schema.positive.size() > 1 ? " or any other of its values" : "")};
      }
    }
    return {};
  }

  void AddWarnings() {
    const DatasetInfo& info = report_.info;
    const SplitSchema& split = schema_.split;
    const bool test = split.test > 0 || split.kind == SplitSchema::Kind::kTime || !split.test_files.empty();
    const bool valid =
        split.valid > 0 || split.valid_from || !split.valid_files.empty() || split.valid_row_of_test >= 0;
    if (test && info.rows[2] == 0) report_.warnings.push_back("the test split is empty");
    if (valid && info.rows[1] == 0) report_.warnings.push_back("the valid split is empty");
  }

  const PrepareOptions& options_;
  Schema schema_;
  FindingLog log_;
  std::optional<RowBuilder> builder_;
  std::vector<SourceFile> files_;
  std::uint64_t total_bytes_ = 0;
  int pass_ = 1;
  PrepareReport report_;
  std::unique_ptr<DatasetSink> sink_;
  DuplicateCounter duplicates_;
};

}  // namespace

Result<PrepareReport> Prepare(const PrepareOptions& options) { return Preparation(options).Run(); }

}  // namespace cohort
