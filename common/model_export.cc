#include "common/model_export.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <memory>
#include <numeric>
#include <unordered_map>

#include "common/atomic_file.h"
#include "common/csv_cell.h"
#include "common/hdf5_file.h"
#include "common/model_files.h"
#include "common/model_part_reader.h"
#include "common/process.h"

namespace cohort {
namespace {

constexpr std::uint64_t kFloatsExported = 64u << 10;

// The rows of one table of one part, in key order.
class Cursor {
 public:
  Cursor(ModelPartReader* part, const TableSpec& table)
      : part_(part), table_(&table), total_(part->rows(table.id)) {}

  bool done() const { return next_ == total_ && at_ == keys_.size(); }
  Key key() const { return keys_[at_]; }
  const float* weights() const { return rows_.data() + at_ * part_->row_floats(table_->id); }
  // REQUIRED before the first key(), and after each.
  Status Advance() {
    if (at_ < keys_.size()) ++at_;
    if (at_ < keys_.size() || next_ == total_) return {};
    if (!part_->ascending()) return ReadAllSorted();
    const std::uint64_t block = std::max<std::uint64_t>(1, kFloatsExported / part_->row_floats(table_->id));
    const std::uint64_t count = std::min(block, total_ - next_);
    COHORT_RETURN_IF_ERROR(part_->Read(table_->id, next_, count, &keys_, &rows_));
    next_ += count;
    at_ = 0;
    return {};
  }

 private:
  // A checkpoint's rows lie in no order.
  Status ReadAllSorted() {
    const std::uint32_t floats = part_->row_floats(table_->id);
    std::vector<Key> keys;
    std::vector<float> rows;
    COHORT_RETURN_IF_ERROR(part_->Read(table_->id, 0, total_, &keys, &rows));
    std::vector<std::uint64_t> order(keys.size());
    std::iota(order.begin(), order.end(), std::uint64_t{0});
    std::sort(order.begin(), order.end(), [&](std::uint64_t a, std::uint64_t b) { return keys[a] < keys[b]; });
    keys_.clear();
    rows_.clear();
    for (const std::uint64_t i : order) {
      keys_.push_back(keys[i]);
      rows_.insert(rows_.end(), rows.begin() + static_cast<std::ptrdiff_t>(i * floats),
                   rows.begin() + static_cast<std::ptrdiff_t>((i + 1) * floats));
    }
    next_ = total_;
    at_ = 0;
    return {};
  }

  ModelPartReader* part_;
  const TableSpec* table_;
  std::uint64_t total_;
  std::uint64_t next_ = 0;
  std::vector<Key> keys_;
  std::vector<float> rows_;
  std::size_t at_ = 0;
};

// Visits a table's rows over all parts, ascending by key.
Status VisitSorted(std::vector<std::unique_ptr<ModelPartReader>>& parts, const TableSpec& table,
                   const std::function<Status(Key, const float*)>& visit) {
  std::vector<Cursor> cursors;
  for (const auto& part : parts) {
    cursors.emplace_back(part.get(), table);
    COHORT_RETURN_IF_ERROR(cursors.back().Advance());
  }
  std::erase_if(cursors, [](const Cursor& cursor) { return cursor.done(); });
  while (!cursors.empty()) {
    const auto lowest = std::min_element(cursors.begin(), cursors.end(),
                                         [](const Cursor& a, const Cursor& b) { return a.key() < b.key(); });
    COHORT_RETURN_IF_ERROR(visit(lowest->key(), lowest->weights()));
    COHORT_RETURN_IF_ERROR(lowest->Advance());
    if (lowest->done()) cursors.erase(lowest);
  }
  return {};
}

void AppendNumber(float value, std::string* out) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  out->append(text, end);
}

// One form of output: a table is begun, gets its rows, is ended.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual Status Begin(const TableSpec& table, bool named) = 0;
  virtual Status Row(const NamedValue* name, Key key, const float* weights) = 0;  // null weights: not found
  virtual Status End() = 0;
  virtual Status Close() = 0;
};

class CsvSink : public Sink {
 public:
  static Result<std::unique_ptr<Sink>> Create(const std::string& path) {
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wbe"), &std::fclose);
    if (!file) return Error(ErrorCode::kIo, path + ": cannot be written");
    return std::unique_ptr<Sink>(new CsvSink(path, std::move(file)));
  }
  Status Begin(const TableSpec& table, bool named) override {
    table_ = &table;
    if (table.kind == TableKind::kDense) {
      text_ += "index,value\n";
      return {};
    }
    text_ += named ? "feature,value,key" : "key";
    for (std::uint32_t i = 0; i < table.dim; ++i) text_ += ",w" + std::to_string(i);
    text_ += '\n';
    return {};
  }
  Status Row(const NamedValue* name, Key key, const float* weights) override {
    if (table_->kind == TableKind::kDense) {
      for (std::uint32_t i = 0; i < table_->dim; ++i) {
        text_ += std::to_string(key * table_->dim + i) + ",";
        AppendNumber(weights[i], &text_);
        text_ += '\n';
      }
      return Flush(1u << 20);
    }
    if (name != nullptr) {
      AppendCsvCell(name->feature, &text_);
      text_ += ',';
      AppendCsvCell(name->value, &text_);
      text_ += ',';
    }
    text_ += ToHex(key);
    for (std::uint32_t i = 0; i < table_->dim; ++i) {
      text_ += ',';
      if (weights != nullptr) AppendNumber(weights[i], &text_);
    }
    text_ += '\n';
    return Flush(1u << 20);
  }
  Status End() override { return {}; }
  Status Close() override {
    COHORT_RETURN_IF_ERROR(Flush(0));
    if (std::fclose(file_.release()) != 0) return Failed();
    return {};
  }

 private:
  CsvSink(std::string path, std::unique_ptr<std::FILE, int (*)(std::FILE*)> file)
      : path_(std::move(path)), file_(std::move(file)) {}
  Status Flush(std::size_t limit) {
    if (text_.size() <= limit) return {};
    if (std::fwrite(text_.data(), 1, text_.size(), file_.get()) != text_.size()) return Failed();
    text_.clear();
    return {};
  }
  Status Failed() const { return {ErrorCode::kIo, path_ + ": cannot be written; is the disk full?"}; }

  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  const TableSpec* table_ = nullptr;
  std::string text_;
};

class Hdf5Sink : public Sink {
 public:
  static Result<std::unique_ptr<Sink>> Create(const std::string& path) {
    COHORT_ASSIGN_OR_RETURN(auto writer, Hdf5Writer::Create(path));
    return std::unique_ptr<Sink>(new Hdf5Sink(std::move(writer)));
  }
  Status Begin(const TableSpec& table, bool named) override {
    table_ = &table;
    block_ = std::max<std::uint64_t>(1, kFloatsExported / table.dim);
    if (table.kind == TableKind::kDense) {
      return writer_->CreateExtendable<float>(table.name + "/weights", 0, block_ * table.dim);
    }
    if (named) {
      COHORT_RETURN_IF_ERROR(writer_->CreateExtendableText(table.name + "/feature", block_));
      COHORT_RETURN_IF_ERROR(writer_->CreateExtendableText(table.name + "/value", block_));
    }
    COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<std::uint64_t>(table.name + "/keys", 0, block_));
    return writer_->CreateExtendable<float>(table.name + "/weights", table.dim, block_);
  }
  Status Row(const NamedValue* name, Key key, const float* weights) override {
    if (name != nullptr) {
      features_.push_back(name->feature);
      values_.push_back(name->value);
    }
    keys_.push_back(key);
    if (weights != nullptr) {
      weights_.insert(weights_.end(), weights, weights + table_->dim);
    } else {
      weights_.insert(weights_.end(), table_->dim, std::numeric_limits<float>::quiet_NaN());
    }
    return keys_.size() < block_ ? Status() : End();
  }
  Status End() override {
    if (!features_.empty()) {
      COHORT_RETURN_IF_ERROR(writer_->AppendText(table_->name + "/feature", features_));
      COHORT_RETURN_IF_ERROR(writer_->AppendText(table_->name + "/value", values_));
    }
    if (!keys_.empty()) {
      if (table_->kind == TableKind::kSparse) {
        COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(table_->name + "/keys", keys_));
      }
      COHORT_RETURN_IF_ERROR(writer_->Append<float>(table_->name + "/weights", weights_));
    }
    features_.clear();
    values_.clear();
    keys_.clear();
    weights_.clear();
    return {};
  }
  Status Close() override { return writer_->Close(); }

 private:
  explicit Hdf5Sink(std::unique_ptr<Hdf5Writer> writer) : writer_(std::move(writer)) {}

  std::unique_ptr<Hdf5Writer> writer_;
  const TableSpec* table_ = nullptr;
  std::uint64_t block_ = 1;
  std::vector<std::string> features_, values_;
  std::vector<std::uint64_t> keys_;
  std::vector<float> weights_;
};

// The tables to write, in the model's order.
Result<std::vector<const TableSpec*>> Choose(const ModelManifest& manifest, const ExportOptions& options) {
  std::string names;
  for (const TableSpec& table : manifest.tables) names += (names.empty() ? "" : ", ") + table.name;
  for (const std::string& name : options.tables) {
    if (std::none_of(manifest.tables.begin(), manifest.tables.end(),
                     [&](const TableSpec& table) { return table.name == name; })) {
      return InvalidInput("the model has no table '" + name + "'; it has " + names);
    }
  }
  std::vector<const TableSpec*> chosen;
  for (const TableSpec& table : manifest.tables) {
    const bool named =
        std::find(options.tables.begin(), options.tables.end(), table.name) != options.tables.end();
    // Values have rows in sparse tables only.
    const bool fits = !options.values || table.kind == TableKind::kSparse;
    if (named || (options.tables.empty() && fits)) chosen.push_back(&table);
    if (named && !fits) return InvalidInput("table '" + table.name + "' is dense: no value has a row there");
  }
  if (options.format == ExportFormat::kCsv && chosen.size() != 1) {
    return InvalidInput("a CSV file holds one table: choose it with --table (the model has " + names + ")");
  }
  return chosen;
}

}  // namespace

Result<ExportSummary> ExportModel(const std::string& path, const ExportOptions& options,
                                  const std::function<void(std::uint64_t)>& progress) {
  COHORT_ASSIGN_OR_RETURN(const std::string directory, FindModel(path));
  COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(directory));
  COHORT_ASSIGN_OR_RETURN(const std::vector<const TableSpec*> tables, Choose(manifest, options));
  std::vector<std::unique_ptr<ModelPartReader>> parts;
  for (const ModelPart& part : manifest.parts) {
    COHORT_RETURN_IF_ERROR(CheckModelPart(directory, part));
    COHORT_ASSIGN_OR_RETURN(auto reader, OpenModelPart(directory, part, manifest.tables));
    parts.push_back(std::move(reader));
  }
  CatchStopSignals();  // before, they end the process at once: nothing is written yet
  COHORT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(options.out));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Sink> sink, options.format == ExportFormat::kCsv
                                                                ? CsvSink::Create(file.temporary_path())
                                                                : Hdf5Sink::Create(file.temporary_path()));
  ExportSummary summary;
  std::uint64_t visited = 0;
  std::unordered_map<Key, std::vector<float>> found;  // with values: their rows
  for (const TableSpec* table : tables) {
    summary.tables.push_back(table->name);
    COHORT_RETURN_IF_ERROR(sink->Begin(*table, options.values.has_value()));
    found.clear();
    if (options.values) {
      for (const NamedValue& value : *options.values) found[value.key];
    }
    COHORT_RETURN_IF_ERROR(VisitSorted(parts, *table, [&](Key key, const float* weights) -> Status {
      if (++visited % 65536 == 0) {
        if (Status stopped = CheckStopSignal(); !stopped.ok()) return stopped;
        if (progress) progress(visited);
      }
      if (options.values) {
        if (const auto it = found.find(key); it != found.end())
          it->second.assign(weights, weights + table->dim);
        return {};
      }
      ++summary.rows;
      return sink->Row(nullptr, key, weights);
    }));
    if (options.values) {
      for (const NamedValue& value : *options.values) {
        const std::vector<float>& row = found[value.key];
        summary.values_not_found += row.empty();
        ++summary.rows;
        COHORT_RETURN_IF_ERROR(sink->Row(&value, value.key, row.empty() ? nullptr : row.data()));
      }
    }
    COHORT_RETURN_IF_ERROR(sink->End());
  }
  COHORT_RETURN_IF_ERROR(sink->Close());
  COHORT_RETURN_IF_ERROR(file.Commit());
  return summary;
}

}  // namespace cohort
