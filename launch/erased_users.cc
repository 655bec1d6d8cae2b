#include "launch/erased_users.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>

#include "common/atomic_file.h"
#include "common/dataset.h"
#include "common/hdf5_file.h"
#include "lifecycle/shop_records_file.h"
#include "prepare/byte_source.h"

namespace cohort {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
// An id may be that long; what lies that near to the end of a piece is looked at with the next one.
constexpr std::size_t kMostWordBytes = 1 << 16;
constexpr std::uint32_t kMostIds = 1 << 16;  // read at once

bool IsWordByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
         byte == '_' || byte >= 0x80;
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::size_t BucketOf(const char* bytes) {
  return static_cast<std::size_t>(static_cast<unsigned char>(bytes[0])) << 8 |
         static_cast<unsigned char>(bytes[1]);
}

bool IsHdf5(const std::string& path) { return path.ends_with(".h5") || path.ends_with(".h5.tmp"); }

std::vector<Hash128> Sorted(std::vector<Hash128> digests) {
  std::sort(digests.begin(), digests.end(), [](const Hash128& a, const Hash128& b) {
    return a.high != b.high ? a.high < b.high : a.low < b.low;
  });
  return digests;
}

}  // namespace

ErasedUsers::ErasedUsers(SecretKey secret, Users users)
    : secret_(secret), users_(std::move(users)), words_of_(1 << 16) {
  for (const std::string& user : users_) {
    if (user.size() < kLeastWordBytes || user.size() > kMostWordBytes ||
        std::all_of(user.begin(), user.end(), IsDigit))
      continue;
    words_of_[BucketOf(user.data())].push_back(user);
    ++words_;
  }
}

std::vector<Hash128> ErasedUsers::UserDigests() const {
  std::vector<Hash128> digests;
  for (const std::string& user : users_) digests.push_back(secret_.Digest(user));
  return Sorted(std::move(digests));
}

std::vector<Hash128> ErasedUsers::KeyDigests() const { return Sorted({keys_.begin(), keys_.end()}); }

Hash128 ErasedUsers::DigestOf(Key key) const {
  char bytes[sizeof key];
  std::memcpy(bytes, &key, sizeof key);
  return secret_.Digest({bytes, sizeof bytes});
}

// As a number (row_log_file.h) or as `cohort export` prints it.
bool ErasedUsers::IsKeyText(std::string_view word) const {
  if (word.size() < 12 || word.size() > 20) return false;
  Key key = 0;
  const auto is_key = [&](int base) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), key, base);
    return error == std::errc() && end == word.data() + word.size() && IsKey(key);
  };
  return is_key(10) || (word.size() == 16 && is_key(16));
}

template <typename Found>
void ErasedUsers::Match(std::string_view bytes, std::size_t from, std::size_t to, bool text,
                        const Found& found) const {
  const auto word_at = [&](std::size_t at) { return at < bytes.size() && IsWordByte(bytes[at]); };
  for (std::size_t at = from; at < to; ++at) {
    const bool inside = at > 0 && IsWordByte(bytes[at - 1]);
    if (words_ > 0 && at + 1 < bytes.size()) {
      for (const std::string_view word : words_of_[BucketOf(bytes.data() + at)]) {
        if (bytes.compare(at, word.size(), word) != 0 || (inside && IsWordByte(word.front())) ||
            (IsWordByte(word.back()) && word_at(at + word.size())))
          continue;
        found(at, false);
      }
    }
    if (keys_.empty()) continue;
    if (at + sizeof(Key) <= bytes.size()) {
      Key key = 0;
      std::memcpy(&key, bytes.data() + at, sizeof key);
      if (IsKey(key)) found(at, true);
    }
    if (!text || inside || !word_at(at)) continue;
    std::size_t end = at;
    while (end - at <= 20 && word_at(end)) ++end;
    if (IsKeyText(bytes.substr(at, end - at))) found(at, true);
  }
}

Result<UserTraces> ErasedUsers::Search(const std::string& path,
                                       const std::optional<UserColumn>& column) const {
  UserTraces traces;
  const bool text = !IsHdf5(path);
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, ByteSource::Open(path));
  std::string bytes;
  std::uint64_t before = 0;  // bytes of the file before `bytes`
  std::size_t looked_at = 0;
  for (bool more = true; more;) {
    const std::size_t kept = bytes.size();
    bytes.resize(kept + kPieceBytes);
    COHORT_ASSIGN_OR_RETURN(const std::size_t size, source->Read(bytes.data() + kept, kPieceBytes));
    bytes.resize(kept + size);
    traces.bytes += size;
    more = size > 0;
    const std::size_t to =
        more ? std::max(looked_at, bytes.size() - std::min(bytes.size(), kMostWordBytes)) : bytes.size();
    Match(bytes, looked_at, to, text, [&](std::size_t at, bool key) {
      if (traces.none()) traces.first = before + at;
      ++(key ? traces.keys : traces.words);
    });
    // The byte before the next place is looked at too.
    const std::size_t done = to > 0 ? to - 1 : 0;
    bytes.erase(0, done);
    before += done;
    looked_at = to - done;
  }
  if (!text || ShopRecordsReader::IsRecordsFile(path)) {
    COHORT_RETURN_IF_ERROR([&]() -> Status {
      COHORT_ASSIGN_OR_RETURN(const bool has_ids, VisitIds(path, [&](std::string_view id) {
                                traces.cells += IsUser(id) ? 1 : 0;
                              }));
      (void)has_ids;
      return {};
    }());
    return traces;
  }
  const std::optional<UserColumn> of = column ? column : ColumnOf(path);
  if (!of) return traces;
  COHORT_ASSIGN_OR_RETURN(const std::vector<ByteRange> records, Records(path, *of));
  traces.cells = records.size();
  return traces;
}

std::optional<UserColumn> ErasedUsers::ColumnOf(const std::string& path) {
  UserColumn column;
  const auto csv = CsvReader::Open(path, column.csv);
  if (!csv) return std::nullopt;
  const auto more = (*csv)->Next();
  if (!more || !*more || (*csv)->cells().size() < 2) return std::nullopt;
  const auto cells = (*csv)->cells();
  for (const std::string_view name : {"id", "user", "key"}) {
    const auto found = std::find(cells.begin(), cells.end(), name);
    if (found == cells.end()) continue;
    column.column = static_cast<std::size_t>(found - cells.begin());
    column.keys = name == "key";
    return column;
  }
  return std::nullopt;
}

Result<std::vector<ByteRange>> ErasedUsers::Records(const std::string& path, const UserColumn& column) const {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(path, column.csv));
  std::vector<ByteRange> records;
  COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());  // the header
  if (more) {
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
  }
  while (more) {
    const auto cells = csv->cells();
    if (column.column < cells.size()) {
      const std::string_view cell = cells[column.column];
      if (column.keys ? IsKeyText(cell) : IsUser(cell)) records.push_back({csv->begin(), csv->end()});
    }
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
  }
  return records;
}

Result<std::vector<ByteRange>> ErasedUsers::Lines(const std::string& path) const {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<ByteRange> lines;
  Match(text, 0, text.size(), /*text=*/true, [&](std::size_t at, bool) {
    if (!lines.empty() && at < lines.back().end) return;
    const std::size_t before = at == 0 ? text.npos : text.rfind('\n', at - 1), end = text.find('\n', at);
    lines.push_back({before == text.npos ? 0 : before + 1, end == text.npos ? text.size() : end + 1});
  });
  return lines;
}

Result<bool> VisitIds(const std::string& path, const std::function<void(std::string_view)>& visit) {
  if (ShopRecordsReader::IsRecordsFile(path)) {
    COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<ShopRecordsReader> records, ShopRecordsReader::Open(path));
    COHORT_RETURN_IF_ERROR(records->VisitUsers(visit));
    return true;
  }
  const auto file = Hdf5Reader::Open(path);
  if (!file) return false;  // bytes, of which each has been looked at
  if ((*file)->Has("id")) {
    COHORT_ASSIGN_OR_RETURN(const Hdf5Shape shape, (*file)->Shape("id"));
    if (shape.type != Hdf5Type::kText) return true;  // numbers of rows
    for (std::uint64_t first = 0; first < shape.rows(); first += kMostIds) {
      COHORT_ASSIGN_OR_RETURN(
          const std::vector<std::string> ids,
          (*file)->ReadText("id", first, std::min<std::uint64_t>(kMostIds, shape.rows() - first)));
      for (const std::string& id : ids) visit(id);
    }
    return true;
  }
  if (!(*file)->Has("train") && !(*file)->Has("test")) return false;
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> data, DatasetReader::Open(path));
  if (!data->info().has_id) return false;
  RowBlock block;
  for (std::size_t split = 0; split < kSplitCount; ++split) {
    const std::uint64_t rows = data->info().rows[split];
    for (std::uint64_t first = 0; first < rows; first += kBlockRows) {
      const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
      COHORT_RETURN_IF_ERROR(data->Read(static_cast<Split>(split), first, count, /*with_ids=*/true, &block));
      for (const std::string& id : block.ids) visit(id);
    }
  }
  return true;
}

}  // namespace cohort
