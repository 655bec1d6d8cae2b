// CsvFile: a CSV file that is written cell by cell and appears when it is complete. For generated data: cells are not quoted.
#ifndef COHORT_PREPARE_CSV_FILE_H_
#define COHORT_PREPARE_CSV_FILE_H_

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/atomic_file.h"
#include "common/status.h"

namespace cohort {

// Eight significant digits.
void AppendCsvNumber(double value, std::string* text);

// Cells are appended to a buffer of a megabyte; an error of the disk is kept until Close. One thread.
class CsvFile {
 public:
  static Result<CsvFile> Create(const std::string& path);

  // REQUIRES: no delimiter, quote or line end in it, save in a cell that AppendCsvCell wrote.
  CsvFile& Text(std::string_view text) {
    Separate();
    buffer_.append(text);
    return *this;
  }
  CsvFile& Empty() { return Text({}); }
  CsvFile& Whole(std::int64_t value);
  // `value` in units of 1 / 10^decimals; decimals: 1 or 2.
  CsvFile& Fixed(std::int64_t value, int decimals);
  CsvFile& Number(double value) {
    Separate();
    AppendCsvNumber(value, &buffer_);
    return *this;
  }
  void EndRow() {
    buffer_.push_back('\n');
    row_begins_ = true;
    if (buffer_.size() >= kFlushBytes) Flush();
  }
  // Whole lines, where a row begins.
  void Lines(std::string_view lines) {
    buffer_.append(lines);
    if (buffer_.size() >= kFlushBytes) Flush();
  }
  void Row(std::initializer_list<std::string_view> cells) {
    for (const std::string_view cell : cells) Text(cell);
    EndRow();
  }

  std::uint64_t bytes() const { return bytes_ + buffer_.size(); }
  bool failed() const { return error_ != 0; }

  // Everything on the disk, under the temporary name.
  Status Close();
  Status Commit() { return file_.Commit(); }

 private:
  struct CloseStream {
    void operator()(std::FILE* stream) const { std::fclose(stream); }
  };
  static constexpr std::size_t kFlushBytes = 1 << 20;

  CsvFile(AtomicFile file, std::FILE* stream) : file_(std::move(file)), stream_(stream) {}
  void Separate() {
    if (!row_begins_) buffer_.push_back(',');
    row_begins_ = false;
  }
  void AppendWhole(std::int64_t value);
  void Flush();

  AtomicFile file_;
  std::unique_ptr<std::FILE, CloseStream> stream_;
  std::string buffer_;
  std::uint64_t bytes_ = 0;
  bool row_begins_ = true;
  int error_ = 0;
};

}  // namespace cohort

#endif  // COHORT_PREPARE_CSV_FILE_H_
