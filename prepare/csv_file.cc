#include "prepare/csv_file.h"

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace cohort {

void AppendCsvNumber(double value, std::string* text) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value, std::chars_format::general, 8).ptr;
  text->append(digits, end);
}

Result<CsvFile> CsvFile::Create(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  std::FILE* stream = std::fopen(file.temporary_path().c_str(), "wb");
  if (!stream)
    return Error(ErrorCode::kIo, "cannot write " + file.temporary_path() + ": " + std::strerror(errno));
  return CsvFile(std::move(file), stream);
}

CsvFile& CsvFile::Whole(std::int64_t value) {
  Separate();
  AppendWhole(value);
  return *this;
}

CsvFile& CsvFile::Fixed(std::int64_t value, int decimals) {
  Separate();
  if (value < 0) buffer_.push_back('-');
  const std::int64_t unit = decimals == 1 ? 10 : 100, size = std::abs(value);
  AppendWhole(size / unit);
  buffer_.push_back('.');
  if (decimals == 2) buffer_.push_back(static_cast<char>('0' + size % 100 / 10));
  buffer_.push_back(static_cast<char>('0' + size % 10));
  return *this;
}

Status CsvFile::Close() {
  Flush();
  if (std::fclose(stream_.release()) != 0 && error_ == 0) error_ = errno;
  if (error_ == 0) return {};
  return {ErrorCode::kIo, "cannot write " + file_.temporary_path() + ": " + std::strerror(error_)};
}

void CsvFile::AppendWhole(std::int64_t value) {
  char text[24];
  buffer_.append(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

void CsvFile::Flush() {
  if (error_ == 0 && std::fwrite(buffer_.data(), 1, buffer_.size(), stream_.get()) != buffer_.size())
    error_ = errno;
  bytes_ += buffer_.size();
  buffer_.clear();
}

}  // namespace cohort
