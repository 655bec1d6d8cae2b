#include "prepare/csv_reader.h"

#include <immintrin.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "common/nearest.h"

namespace cohort {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;
constexpr std::size_t kScanBytes = 64;  // a bit per byte of one mask

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

std::string NameOf(char delimiter) {
  return delimiter == '\t' ? "tabs" : std::string("\"") + delimiter + "\"";
}

std::string SeparatedBy(char other, char delimiter) {
  return "the cells seem to be separated by " + NameOf(other) + "; expected " + NameOf(delimiter);
}

}  // namespace

Result<std::unique_ptr<CsvReader>> CsvReader::Open(const std::string& path, const CsvOptions& options) {
  COHORT_ASSIGN_OR_RETURN(std::unique_ptr<ByteSource> source, ByteSource::Open(path));
  return std::unique_ptr<CsvReader>(new CsvReader(path, options, std::move(source)));
}

Result<std::unique_ptr<CsvReader>> CsvReader::OpenNamed(const std::string& path, const CsvOptions& options) {
  auto reader = Open(path, options);
  if (reader || ::access(path.c_str(), F_OK) == 0) return reader;
  return Error(
      reader.error().code(),
      reader.error().text() +
          "; file names are relative to the file that names them, or to --data-dir when it is given");
}

CsvReader::CsvReader(std::string path, const CsvOptions& options, std::unique_ptr<ByteSource> source)
    : path_(std::move(path)),
      options_(options),
      source_(std::move(source)),
      buffer_(kBufferBytes + kScanBytes),
      cells_(64) {}

// A bit for every byte from `from` on that may end or change a cell: delimiter, line feed, quote, NUL.
inline std::uint64_t CsvReader::Scan(std::size_t from) const {
  const auto* bytes = reinterpret_cast<const __m256i*>(buffer_.data() + from);
  const __m256i delimiter = _mm256_set1_epi8(options_.delimiter), newline = _mm256_set1_epi8('\n'),
                quote = _mm256_set1_epi8(options_.quote), zero = _mm256_setzero_si256();
  auto half = [&](__m256i block) {
    __m256i found = _mm256_or_si256(
        _mm256_or_si256(_mm256_cmpeq_epi8(block, delimiter), _mm256_cmpeq_epi8(block, newline)),
        _mm256_or_si256(_mm256_cmpeq_epi8(block, quote), _mm256_cmpeq_epi8(block, zero)));
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(found)));
  };
  std::uint64_t mask = half(_mm256_loadu_si256(bytes)) | half(_mm256_loadu_si256(bytes + 1)) << 32;
  if (end_ - from < kScanBytes) mask &= (std::uint64_t{1} << (end_ - from)) - 1;
  return mask;
}

// Cells beyond the limit are counted and not kept: FinishRecord refuses the record.
inline void CsvReader::Keep(std::string_view cell) {
  if (cell_count_ == cells_.size() && cells_.size() < options_.max_cells)
    cells_.resize(std::min(2 * cells_.size(), options_.max_cells));
  if (cell_count_ < cells_.size()) cells_[cell_count_] = cell;
  ++cell_count_;
}

inline void CsvReader::Emit(std::size_t begin, std::size_t end) {
  const char* bytes = buffer_.data();
  if (options_.trim) {
    while (begin < end && IsBlank(bytes[begin])) ++begin;
    while (begin < end && IsBlank(bytes[end - 1])) --end;
  }
  Keep({bytes + begin, end - begin});
}

Result<bool> CsvReader::Next() {
  if (!started_) {
    started_ = true;
    // Four bytes decide about what is no CSV, and three about a byte order mark; a pipe may bring them one by one.
    while (end_ < 4 && !at_end_) COHORT_RETURN_IF_ERROR(Refill());
    const std::string_view head(buffer_.data(), std::min<std::size_t>(end_, 4));
    if (head.starts_with("\xEF\xBB\xBF")) next_ = 3;
    if (head == "\x89HDF")
      return InvalidInput(path_ + ":1:1: the file is HDF5, no text; expected a CSV file");
    if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF")) {
      return InvalidInput(path_ + ":1:1: the file is UTF-16; convert it first (iconv -f UTF-16 -t UTF-8)");
    }
    block_ = next_;
    mask_ = Scan(next_);
  }
  for (;;) {
    switch (Parse()) {
      case Outcome::kRecord:
        return true;
      case Outcome::kBlank:
        continue;
      case Outcome::kEnd:
        return false;
      case Outcome::kError:
        return tl::unexpected<Status>(error_);
      case Outcome::kNeedMore:
        COHORT_RETURN_IF_ERROR(Refill());
    }
  }
}

Status CsvReader::ContinueAt(std::uint64_t offset, std::uint64_t line) {
  COHORT_RETURN_IF_ERROR(source_->Seek(offset));
  next_ = end_ = block_ = 0;
  mask_ = 0;
  at_end_ = false;
  last_byte_ = '\n';  // of what is before a record
  line_ = line;
  return {};
}

// One record from next_ on. kNeedMore leaves everything as it was: the record is parsed again once there are
// more bytes, which happens once per buffer.
CsvReader::Outcome CsvReader::Parse() {
  cell_count_ = 0;
  quoted_.clear();
  doubled_.clear();
  record_begin_ = next_;
  record_line_ = line_;
  if (next_ == end_ && at_end_) return Outcome::kEnd;
  std::size_t cell = next_;
  const char delimiter = options_.delimiter;
  for (;;) {
    while (mask_ == 0 && block_ + kScanBytes < end_) {
      block_ += kScanBytes;
      mask_ = Scan(block_);
    }
    if (mask_ == 0) {
      if (end_ - cell > options_.max_cell_bytes)
        return Fail(cell, "a cell of more than the limit of bytes begins here");
      if (!at_end_) return Outcome::kNeedMore;
      Emit(cell, end_ - (end_ > cell && buffer_[end_ - 1] == '\r' ? 1 : 0));
      return FinishRecord(end_, end_);
    }
    const std::size_t position = block_ + static_cast<std::size_t>(std::countr_zero(mask_));
    mask_ &= mask_ - 1;
    const char c = buffer_[position];
    if (c == delimiter) {
      Emit(cell, position);
      cell = position + 1;
    } else if (c == '\n') {
      const std::size_t end = position - (position > cell && buffer_[position - 1] == '\r' ? 1 : 0);
      Emit(cell, end);
      return FinishRecord(end, position + 1);
    } else if (c == '\0') {
      return Fail(position, "a NUL byte; the file is no text, or is in UTF-16: convert it to UTF-8");
    } else if (position == cell || (options_.trim && Blank(cell, position))) {
      std::size_t after = 0;
      Outcome outcome = ParseQuoted(position, &after);
      if (outcome != Outcome::kRecord) return outcome;
      if (after == end_) return FinishRecord(end_, end_);
      if (buffer_[after] != delimiter) {
        return FinishRecord(after, after + (buffer_[after] == '\r' ? 2 : 1));
      }
      cell = after + 1;
      block_ = cell;
      mask_ = cell < end_ ? Scan(cell) : 0;
    }
  }
}

std::string CsvReader::OtherDelimiter() const {
  if (cell_count_ != 1) return "";
  const std::size_t at = cells_[0].find_first_of(";\t");
  return at == std::string_view::npos ? "" : "; " + SeparatedBy(cells_[0][at], options_.delimiter);
}

Result<std::size_t> CsvReader::Column(std::string_view name) const {
  const std::string quoted = "\"" + std::string(name) + "\"";
  if (cell_count_ == 0)
    return InvalidInput(Where() + ": the file is empty; expected a header with the column " + quoted);
  const auto begin = cells().begin(), end = cells().end();
  const auto found = std::find(begin, end, name);
  if (found == end) {
    const std::string other = OtherDelimiter();
    return InvalidInput(
        Where() + ": no column " + quoted +
        (!other.empty() ? other : DidYouMean(std::string(name), std::vector<std::string>(begin, end))));
  }
  if (std::find(found + 1, end, name) != end)
    return InvalidInput(Where() + ": more than one column " + quoted + "; leave one of them");
  return static_cast<std::size_t>(found - begin);
}

bool CsvReader::Blank(std::size_t begin, std::size_t end) const {
  return std::all_of(buffer_.begin() + static_cast<std::ptrdiff_t>(begin),
                     buffer_.begin() + static_cast<std::ptrdiff_t>(end), IsBlank);
}

// A quoted cell whose first quote is at `quote`. kRecord: the cell was emitted and `after` is its delimiter,
// its line end (LF, or CR of CRLF) or the end of the file.
CsvReader::Outcome CsvReader::ParseQuoted(std::size_t quote, std::size_t* after) {
  const std::size_t begin = quote + 1;
  const char* bytes = buffer_.data();
  std::size_t from = begin;
  bool doubled = false;
  for (;;) {
    const void* found = std::memchr(bytes + from, options_.quote, end_ - from);
    const std::size_t close =
        found == nullptr ? end_ : static_cast<std::size_t>(static_cast<const char*>(found) - bytes);
    if (close - begin > options_.max_cell_bytes) {
      return Fail(quote,
                  "the quoted cell that begins here is longer than the limit; is its closing quote missing?");
    }
    if (found == nullptr) {
      return at_end_ ? Fail(quote, "the quote that opens here is never closed") : Outcome::kNeedMore;
    }
    if (close + 1 == end_ && !at_end_) return Outcome::kNeedMore;
    if (close + 1 < end_ && bytes[close + 1] == options_.quote) {
      doubled = true;
      from = close + 2;
      continue;
    }
    std::size_t next = close + 1;
    while (options_.trim && next < end_ && IsBlank(bytes[next]) && bytes[next] != options_.delimiter) ++next;
    if (next == end_ && !at_end_) return Outcome::kNeedMore;
    if (next < end_ && bytes[next] == '\r') {
      if (next + 1 == end_ && !at_end_) return Outcome::kNeedMore;
      // A CR as the file's last byte ends the record, too.
      if (next + 1 == end_) end_ = next;
    }
    const bool ends = next == end_ || bytes[next] == options_.delimiter || bytes[next] == '\n' ||
                      (bytes[next] == '\r' && bytes[next + 1] == '\n');
    if (!ends && (bytes[next] == ';' || bytes[next] == '\t'))
      return Fail(next, "text after a closing quote; " + SeparatedBy(bytes[next], options_.delimiter));
    if (!ends) {
      return Fail(next,
                  "text after a closing quote; a quote inside a quoted cell is written twice (or set "
                  "quote = \"\" in [source] when quotes have no meaning)");
    }
    if (const void* zero = std::memchr(bytes + begin, 0, close - begin); zero != nullptr) {
      return Fail(static_cast<std::size_t>(static_cast<const char*>(zero) - bytes),
                  "a NUL byte; the file is no text");
    }
    if (cell_count_ < options_.max_cells) {
      quoted_.push_back(cell_count_);
      if (doubled) doubled_.push_back(cell_count_);
    }
    Keep({bytes + begin, close - begin});
    *after = next;
    return Outcome::kRecord;
  }
}

CsvReader::Outcome CsvReader::FinishRecord(std::size_t end, std::size_t next) {
  record_end_ = end;
  if (cell_count_ > options_.max_cells) {
    return Fail(record_begin_, std::to_string(cell_count_) + " cells in one record; is the delimiter right?");
  }
  // Only now, when the record is whole, may the buffer change.
  for (std::size_t i : quoted_)
    line_ += static_cast<std::uint64_t>(std::count(cells_[i].begin(), cells_[i].end(), '\n'));
  for (std::size_t i : doubled_) Unescape(&cells_[i]);
  ++line_;
  next_ = next;
  // The scanner may lie before `next` (a quoted cell ended the record) or already beyond it in the same
  // block.
  if (!quoted_.empty()) {
    block_ = next_;
    mask_ = next_ < end_ ? Scan(next_) : 0;
  }
  const bool blank = cell_count_ == 1 && quoted_.empty() && cells_[0].empty();
  if (!blank) {
    for (std::size_t i = 0; i < cell_count_; ++i) {
      if (cells_[i].size() > options_.max_cell_bytes) {
        return Fail(static_cast<std::size_t>(cells_[i].data() - buffer_.data()),
                    "this cell is longer than the limit");
      }
    }
  }
  return blank ? Outcome::kBlank : Outcome::kRecord;
}

// Doubled quotes become single ones, in place; the bytes saved become spaces, so that no line end is seen
// twice.
void CsvReader::Unescape(std::string_view* cell) {
  char* begin = buffer_.data() + (cell->data() - buffer_.data());
  char* out = begin;
  for (const char* in = begin, *end = begin + cell->size(); in < end; ++in) {
    *out++ = *in;
    if (*in == options_.quote) ++in;  // its twin
  }
  std::fill(out, begin + cell->size(), ' ');
  *cell = {begin, static_cast<std::size_t>(out - begin)};
}

// Moves the record that has begun to the front and reads on. Views into the buffer are void afterwards.
Status CsvReader::Refill() {
  const std::size_t kept = end_ - next_;
  if (kept > options_.max_record_bytes) {
    (void)Fail(next_, "a record of more than " + std::to_string(options_.max_record_bytes) +
                          " bytes begins here; are line ends or closing quotes missing?");
    return error_;
  }
  std::memmove(buffer_.data(), buffer_.data() + next_, kept);
  before_ += next_;
  next_ = 0;
  end_ = kept;
  if (buffer_.size() - kScanBytes < 2 * kept) buffer_.resize(4 * kept + kScanBytes);
  COHORT_ASSIGN_OR_RETURN(std::size_t count,
                          source_->Read(buffer_.data() + end_, buffer_.size() - kScanBytes - end_));
  at_end_ = count == 0;
  end_ += count;
  if (count > 0) last_byte_ = buffer_[end_ - 1];
  block_ = 0;
  mask_ = end_ > 0 ? Scan(0) : 0;
  return {};
}

CsvReader::Outcome CsvReader::Fail(std::size_t position, const std::string& what) {
  error_ = Status(ErrorCode::kInvalidInput, Place(position) + ": " + what);
  return Outcome::kError;
}

std::string CsvReader::Place(std::size_t position) const {
  std::uint64_t line = record_line_;
  std::size_t line_begin = record_begin_;
  for (std::size_t i = record_begin_; i < position; ++i) {
    if (buffer_[i] != '\n') continue;
    ++line;
    line_begin = i + 1;
  }
  return path_ + ":" + std::to_string(line) + ":" + std::to_string(position - line_begin + 1);
}

std::string CsvReader::Where(std::size_t cell) const {
  return Place(static_cast<std::size_t>(cells_[cell].data() - buffer_.data()));
}
std::string CsvReader::Where() const { return path_ + ":" + std::to_string(record_line_); }

}  // namespace cohort
