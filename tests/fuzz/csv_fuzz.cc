// CSV, plain and gzip (told apart by content). Input: delimiter, quote (0: none), flags u8 (1: trim, 2: large limits), the
// file's bytes. Cells that are written with quotes are read as the same cells.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "prepare/csv_reader.h"
#include "tests/fuzz/fuzz.h"

namespace cohort::fuzz {
namespace {

// What reading a gzip file takes.
constexpr std::size_t kFixed = std::size_t{464} << 10;

using Records = std::vector<std::vector<std::string>>;

// A file in memory that can be opened by name.
std::string MemoryFile(std::string_view content) {
  static const int file = ::memfd_create("fuzz.csv", MFD_CLOEXEC);
  COHORT_CHECK(file >= 0 && ::ftruncate(file, 0) == 0 &&
               ::pwrite(file, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  return "/proc/self/fd/" + std::to_string(file);
}

// All records; what is wrong with the first that cannot be read.
Status Read(const std::string& path, const CsvOptions& options, Records* records) {
  auto reader = CsvReader::Open(path, options);
  if (!reader) return reader.error();
  for (std::uint64_t line = 0;;) {
    Result<bool> next = (*reader)->Next();
    if (!next) return next.error();
    if (!*next) return {};
    COHORT_CHECK(!(*reader)->cells().empty() && (*reader)->cells().size() <= options.max_cells);
    COHORT_CHECK((*reader)->line() > line);
    line = (*reader)->line();
    if (records != nullptr) records->emplace_back();
    for (const std::string_view cell : (*reader)->cells()) {
      COHORT_CHECK(cell.size() <= options.max_cell_bytes);
      if (records != nullptr) records->back().emplace_back(cell);
    }
    COHORT_CHECK(!(*reader)->Where(0).empty() && !(*reader)->Where().empty());
    (void)(*reader)->raw();
  }
}

std::string Written(const Records& records, const CsvOptions& options) {
  std::string text = "\n";  // so that no quote and cell are taken for gzip
  for (const auto& record : records) {
    for (std::size_t i = 0; i < record.size(); ++i) {
      if (i > 0) text += options.delimiter;
      text += options.quote;
      for (const char c : record[i]) text += std::string(c == options.quote ? 2 : 1, c);
      text += options.quote;
    }
    text += '\n';
  }
  return text;
}

}  // namespace
}  // namespace cohort::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  fuzz::Input input(data, size);
  CsvOptions options;
  options.delimiter = input.Take<char>();
  options.quote = input.Take<char>();
  const auto flags = input.Take<std::uint8_t>();
  options.trim = (flags & 1) != 0;
  // Limits that inputs reach: then the memory of a gzip file, which may be 1,032 times as long inside, is bounded, too.
  if ((flags & 2) == 0) options.max_cell_bytes = 256, options.max_record_bytes = 4096, options.max_cells = 64;
  // What the schema makes sure of.
  for (const char c : {options.delimiter, options.quote}) {
    if (c == '\n' || c == '\r' || static_cast<unsigned char>(c) >= 0x80) return -1;
  }
  if (options.delimiter == '\0' || options.delimiter == options.quote) return -1;
  const std::string path = fuzz::MemoryFile(input.left());
  const bool gzip = input.left().starts_with("\x1f\x8b");
  const Status status = [&] {
    if (gzip && (flags & 2) != 0) return fuzz::Read(path, options, nullptr);
    // The list of cells, while it grows to its limit of 65,536, takes 1.5 MiB.
    const std::size_t slack = ((flags & 2) == 0 ? std::size_t{512} : std::size_t{1536}) << 10;
    const fuzz::AllocationBound bound(size, {.slack = slack, .fixed = fuzz::kFixed});
    return fuzz::Read(path, options, nullptr);
  }();
  if (!status.ok()) fuzz::CheckRefusal(status);
  if (gzip) return 0;
  fuzz::Records records, again;
  (void)fuzz::Read(path, options, &records);
  if (options.quote == '\0' || records.empty()) return 0;
  CsvOptions wide = options;
  wide.max_cell_bytes = wide.max_record_bytes = std::size_t{1} << 24;
  const Status second = fuzz::Read(fuzz::MemoryFile(fuzz::Written(records, options)), wide, &again);
  COHORT_CHECK(second.ok(), "%s", second.text().c_str());
  COHORT_CHECK(again == records);
  return 0;
}
