// Reads CSV (RFC 4180, and what is found in practice) record by record, at about a byte per clock cycle.
//
//  - cells are separated by one delimiter; records end with LF or CRLF; the last one may lack it; blank lines
//  are skipped
//  - a cell that begins with a quote runs to the next single quote: delimiters, line ends and doubled quotes
//  are content;
//    a quote further inside a cell is an ordinary character
//  - trim takes spaces and tabs from both ends of a cell, never from inside quotes
//  - a UTF-8 byte order mark is skipped; bytes need not be UTF-8
// Errors name file:line:column (column in bytes from 1): a quote without end, text after a closing quote, a
// NUL byte, a cell or record over the limit, a file in UTF-16 or HDF5, what ByteSource finds. Memory is bounded by the limits, whatever
// the file.
#ifndef COHORT_PREPARE_CSV_READER_H_
#define COHORT_PREPARE_CSV_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "prepare/byte_source.h"

namespace cohort {

struct CsvOptions {
  char delimiter = ',';
  char quote = '"';  // NUL: quotes are ordinary characters
  bool trim = true;
  std::size_t max_cell_bytes = std::size_t{1} << 20;
  std::size_t max_record_bytes = std::size_t{1} << 24;
  std::size_t max_cells = 1 << 16;
};

class CsvReader {
 public:
  static Result<std::unique_ptr<CsvReader>> Open(const std::string& path, const CsvOptions& options);
  // The same of a file that a schema or a description names: the error about one that is not there says what the name is relative to.
  static Result<std::unique_ptr<CsvReader>> OpenNamed(const std::string& path, const CsvOptions& options);

  // Reads the next record; false at the end of the file. What the accessors gave before is gone then.
  Result<bool> Next();
  // The next record is the one that begins at byte `offset` of the file as it lies on disk (of gzip: with a member), on line `line`.
  // begin() and end() mean nothing from then on. REQUIRES: a record was read, the header's say.
  Status ContinueAt(std::uint64_t offset, std::uint64_t line);

  std::span<const std::string_view> cells() const { return {cells_.data(), cell_count_}; }
  // The record's bytes without its line end (doubled quotes already undone): equal records have equal bytes.
  std::string_view raw() const { return {buffer_.data() + record_begin_, record_end_ - record_begin_}; }
  // Where in the bytes of the file (unpacked, if it is gzip) the record begins, and where its line end ends.
  std::uint64_t begin() const { return before_ + record_begin_; }
  std::uint64_t end() const { return before_ + next_; }
  // "file:line:column" of a cell of the record, and "file:line" of the record.
  std::string Where(std::size_t cell) const;
  std::string Where() const;
  // The place of the column of that name. REQUIRES: the header was read, and nothing since. kInvalidInput: there is none, or more than one.
  Result<std::size_t> Column(std::string_view name) const;
  // Of a header without a column that is asked for: by what its cells seem to be separated, to stand behind the message. Empty: that is
  // not it.
  std::string OtherDelimiter() const;
  // The first line of the record, from 1.
  std::uint64_t line() const { return record_line_; }
  // The line that follows the record.
  std::uint64_t next_line() const { return line_; }
  // Whether what was read ends with a line feed: of a file that was read to its end, whether a record can be added to it.
  bool ends_line() const { return last_byte_ == '\n'; }
  const std::string& path() const { return path_; }
  const ByteSource& source() const { return *source_; }

 private:
  enum class Outcome { kRecord, kEnd, kNeedMore, kBlank, kError };

  CsvReader(std::string path, const CsvOptions& options, std::unique_ptr<ByteSource> source);
  std::uint64_t Scan(std::size_t from) const;
  Outcome Parse();
  Outcome ParseQuoted(std::size_t quote, std::size_t* after);
  Outcome FinishRecord(std::size_t end, std::size_t next);
  void Keep(std::string_view cell);
  void Emit(std::size_t begin, std::size_t end);
  bool Blank(std::size_t begin, std::size_t end) const;
  void Unescape(std::string_view* cell);
  Status Refill();
  Outcome Fail(std::size_t position, const std::string& what);
  std::string Place(std::size_t position) const;

  std::string path_;
  CsvOptions options_;
  std::unique_ptr<ByteSource> source_;
  std::vector<char> buffer_;  // with kScanBytes of room after end_, so that a scan may read past it
  std::size_t next_ = 0;      // where the next record begins
  std::size_t end_ = 0;       // end of what was read
  bool at_end_ = false;       // of the file
  char last_byte_ = '\0';     // of what was read
  bool started_ = false;
  // The scanner: special characters of the block at block_ that were not looked at yet.
  std::size_t block_ = 0;
  std::uint64_t mask_ = 0;

  std::vector<std::string_view> cells_;
  std::size_t cell_count_ = 0;
  std::vector<std::size_t> quoted_;   // cells of this record that were quoted,
  std::vector<std::size_t> doubled_;  // and those with doubled quotes inside
  std::size_t record_begin_ = 0, record_end_ = 0;
  std::uint64_t line_ = 1;  // of next_
  std::uint64_t record_line_ = 1;
  Status error_;
  std::uint64_t before_ = 0;  // bytes of the file before buffer_
};

}  // namespace cohort

#endif  // COHORT_PREPARE_CSV_READER_H_
