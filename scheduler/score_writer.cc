#include "scheduler/score_writer.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "common/atomic_file.h"
#include "common/csv_cell.h"
#include "common/hdf5_file.h"

namespace cohort {
namespace {

constexpr std::uint64_t kChunkRows = 4096;
constexpr std::size_t kCsvBufferBytes = 1u << 20;

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// A file that is closed with the object.
struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

Status IoError(const std::string& path, const std::string& what) {
  return {ErrorCode::kIo, path + ": " + what + ": " + std::strerror(errno)};
}

class CsvScoreWriter : public ScoreWriter {
 public:
  CsvScoreWriter(AtomicFile target, File file, const std::vector<TaskInfo>& tasks)
      : target_(std::move(target)), file_(std::move(file)) {
    text_ = "id";
    for (const TaskInfo& task : tasks) {
      for (const std::string& name : task.PredictionNames())
        text_ += ',', AppendCsvCell(name, &text_), ++columns_;
    }
    text_ += '\n';
  }

  Status Append(std::span<const std::string> ids, std::span<const std::uint64_t> numbers,
                std::span<const float> predictions) override {
    char number[48];
    for (std::size_t row = 0; row < numbers.size(); ++row) {
      if (ids.empty()) {
        text_ += std::to_string(numbers[row]);
      } else {
        AppendCsvCell(ids[row], &text_);
      }
      for (std::size_t column = 0; column < columns_; ++column) {
        const auto end = std::to_chars(number, number + sizeof(number), predictions[row * columns_ + column]);
        text_ += ',';
        text_.append(number, end.ptr);
      }
      text_ += '\n';
      if (text_.size() >= kCsvBufferBytes) COHORT_RETURN_IF_ERROR(Flush());
    }
    return {};
  }

  Status Finish() override {
    COHORT_RETURN_IF_ERROR(Flush());
    if (std::fclose(file_.release()) != 0) return IoError(target_.final_path(), "cannot be written");
    return target_.Commit();
  }

 private:
  Status Flush() {
    if (std::fwrite(text_.data(), 1, text_.size(), file_.get()) != text_.size()) {
      return IoError(target_.final_path(), "cannot be written");
    }
    text_.clear();
    return {};
  }

  AtomicFile target_;
  File file_;
  std::size_t columns_ = 0;
  std::string text_;
};

class Hdf5ScoreWriter : public ScoreWriter {
 public:
  Hdf5ScoreWriter(AtomicFile target, std::unique_ptr<Hdf5Writer> file, std::vector<TaskInfo> tasks)
      : target_(std::move(target)), file_(std::move(file)), tasks_(std::move(tasks)) {
    for (const TaskInfo& task : tasks_) columns_ += task.PredictionColumns();
  }

  Status Begin(bool has_id) {
    COHORT_RETURN_IF_ERROR(has_id ? file_->CreateExtendableText("id", kChunkRows)
                                  : file_->CreateExtendable<std::uint64_t>("id", 0, kChunkRows));
    for (const TaskInfo& task : tasks_) {
      COHORT_RETURN_IF_ERROR(
          file_->CreateExtendable<float>(NameOf(task), task.PredictionColumns(), kChunkRows));
    }
    return {};
  }

  Status Append(std::span<const std::string> ids, std::span<const std::uint64_t> numbers,
                std::span<const float> predictions) override {
    COHORT_RETURN_IF_ERROR(ids.empty() ? file_->Append<std::uint64_t>("id", numbers)
                                       : file_->AppendText("id", ids));
    std::size_t first = 0;
    for (const TaskInfo& task : tasks_) {
      const std::size_t width = task.PredictionColumns();
      values_.clear();
      for (std::size_t row = 0; row < numbers.size(); ++row) {
        const float* from = predictions.data() + row * columns_ + first;
        values_.insert(values_.end(), from, from + width);
      }
      COHORT_RETURN_IF_ERROR(file_->Append<float>(NameOf(task), values_));
      first += width;
    }
    return {};
  }

  Status Finish() override {
    COHORT_RETURN_IF_ERROR(file_->Close());
    return target_.Commit();
  }

 private:
  static std::string NameOf(const TaskInfo& task) { return "scores/" + task.name; }

  AtomicFile target_;
  std::unique_ptr<Hdf5Writer> file_;
  std::vector<TaskInfo> tasks_;
  std::size_t columns_ = 0;
  std::vector<float> values_;
};

// A split's rows and predictions, a block at a time.
class SplitStream {
 public:
  SplitStream(DatasetReader& dataset, const SpilledScores& scores, std::uint32_t columns, File file)
      : dataset_(dataset),
        split_(scores.split),
        path_(scores.path),
        columns_(columns),
        rows_(dataset.info().rows[static_cast<std::size_t>(scores.split)]),
        files_(dataset.info().files[static_cast<std::size_t>(scores.split)]),
        file_(std::move(file)) {}

  // Makes the next row there, if there is one.
  Status Fill() {
    if (done() || at_ < block_.rows) return {};
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows_ - next_row_));
    COHORT_RETURN_IF_ERROR(dataset_.Read(split_, next_row_, count, /*with_ids=*/true, &block_));
    predictions_.resize(std::size_t{count} * columns_);
    if (std::fread(predictions_.data(), sizeof(float), predictions_.size(), file_.get()) !=
        predictions_.size()) {
      return IoError(path_, "cannot be read back");
    }
    next_row_ += count;
    at_ = 0;
    return {};
  }
  bool done() const { return next_row_ == rows_ && at_ >= block_.rows; }
  // Where a row stands in the input: its files, its number in them.
  using Place = std::pair<std::uint32_t, std::uint64_t>;
  Place place() const { return {files_, block_.input_rows[at_]}; }

  // The run of rows here that stand before `limit` (at least one row).
  Status WriteBelow(const Place& limit, ScoreWriter& writer) {
    const std::size_t first = at_++;
    while (at_ < block_.rows && place() < limit) ++at_;
    const std::size_t count = at_ - first;
    std::span<const std::string> ids;
    if (!block_.ids.empty()) ids = std::span<const std::string>(block_.ids).subspan(first, count);
    return writer.Append(ids, std::span<const std::uint64_t>(block_.input_rows).subspan(first, count),
                         std::span<const float>(predictions_).subspan(first * columns_, count * columns_));
  }
  std::size_t at() const { return at_; }

 private:
  DatasetReader& dataset_;
  const Split split_;
  const std::string path_;
  const std::uint32_t columns_;
  const std::uint64_t rows_;
  const std::uint32_t files_;
  File file_;
  RowBlock block_;
  std::vector<float> predictions_;
  std::uint64_t next_row_ = 0;
  std::size_t at_ = 0;
};

}  // namespace

Result<std::unique_ptr<ScoreWriter>> ScoreWriter::Create(const std::string& path, std::vector<TaskInfo> tasks,
                                                         bool has_id) {
  const bool csv = EndsWith(path, ".csv");
  if (!csv && !EndsWith(path, ".h5"))
    return InvalidInput(path + ": unknown format; expected a name ending in .csv or .h5");
  COHORT_ASSIGN_OR_RETURN(AtomicFile target, AtomicFile::Create(path));
  const std::string temporary = target.temporary_path();
  if (csv) {
    File file(std::fopen(temporary.c_str(), "wb"));
    if (!file) return tl::unexpected<Status>(IoError(path, "cannot be written"));
    return std::make_unique<CsvScoreWriter>(std::move(target), std::move(file), tasks);
  }
  COHORT_ASSIGN_OR_RETURN(std::unique_ptr<Hdf5Writer> file, Hdf5Writer::Create(temporary));
  auto writer = std::make_unique<Hdf5ScoreWriter>(std::move(target), std::move(file), std::move(tasks));
  COHORT_RETURN_IF_ERROR(writer->Begin(has_id));
  return writer;
}

Status MergeScores(DatasetReader& dataset, const std::vector<SpilledScores>& splits, std::uint32_t columns,
                   ScoreWriter& writer, const std::function<Status(std::uint64_t)>& progress) {
  std::vector<SplitStream> streams;
  for (const SpilledScores& split : splits) {
    File file(std::fopen(split.path.c_str(), "rb"));
    if (!file) return IoError(split.path, "cannot be read back");
    streams.emplace_back(dataset, split, columns, std::move(file));
  }
  std::uint64_t written = 0;
  for (;;) {
    // The stream with the first row writes as far as its rows stay the first.
    SplitStream* lowest = nullptr;
    SplitStream::Place limit = {UINT32_MAX, 0};
    for (SplitStream& stream : streams) {
      COHORT_RETURN_IF_ERROR(stream.Fill());
      if (stream.done()) continue;
      if (lowest == nullptr || stream.place() < lowest->place()) {
        if (lowest != nullptr) limit = std::min(limit, lowest->place());
        lowest = &stream;
      } else {
        limit = std::min(limit, stream.place());
      }
    }
    if (lowest == nullptr) return {};
    const std::size_t before = lowest->at();
    COHORT_RETURN_IF_ERROR(lowest->WriteBelow(limit, writer));
    written += lowest->at() - before;
    if (progress) COHORT_RETURN_IF_ERROR(progress(written));
  }
}

}  // namespace cohort
