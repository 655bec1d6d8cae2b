#include "launch/journal_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <type_traits>

#include "common/row_hash.h"
#include "common/wire.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMark = "CHRTJRN1";
constexpr std::size_t kFrontBytes = 12;  // length and checksum

template <typename T>
void Put(T value, std::string* bytes) {
  static_assert(std::is_arithmetic_v<T>);
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void Put(std::string_view text, std::string* bytes) {
  Put(static_cast<std::uint32_t>(text.size()), bytes);
  bytes->append(text);
}

// Takes values off the front of bytes; once there are too few, nothing but zeros.
class Taker {
 public:
  explicit Taker(std::string_view bytes) : left_(bytes) {}
  template <typename T>
  T Take() {
    T value{};
    const std::string_view bytes = TakeBytes(sizeof(T));
    if (ok_) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  std::string_view TakeText() { return TakeBytes(Take<std::uint32_t>()); }
  bool ok() const { return ok_; }
  bool empty() const { return left_.empty(); }

 private:
  std::string_view TakeBytes(std::size_t count) {
    ok_ = ok_ && count <= left_.size();
    if (!ok_) return {};
    const std::string_view bytes = left_.substr(0, count);
    left_.remove_prefix(count);
    return bytes;
  }
  std::string_view left_;
  bool ok_ = true;
};

std::string RecordOf(const std::string& content) {
  std::string bytes;
  bytes.reserve(kFrontBytes + content.size());
  Put(static_cast<std::uint32_t>(content.size()), &bytes);
  Put(ChecksumOf(content), &bytes);
  return bytes + content;
}

std::string ToJson(const JournalHeader& header) {
  return Json{
      {"wire_version", kWireVersion},    {"run_id", header.run_id},     {"endpoint", header.endpoint},
      {"servers", header.servers},       {"workers", header.workers},   {"progress", header.progress},
      {"checkpoint", header.checkpoint}, {"restarts", header.restarts}, {"acknowledged", header.acknowledged}}
      .dump();
}

Result<JournalHeader> HeaderFromJson(const std::string& text, const std::string& path) {
  JournalHeader header;
  try {
    const Json json = Json::parse(text);
    if (json.at("wire_version") != kWireVersion)
      return Error(ErrorCode::kCorrupt, path + ": of another version of Cohort");
    json.at("run_id").get_to(header.run_id);
    json.at("endpoint").get_to(header.endpoint);
    json.at("servers").get_to(header.servers);
    json.at("workers").get_to(header.workers);
    json.at("progress").get_to(header.progress);
    json.at("checkpoint").get_to(header.checkpoint);
    json.at("restarts").get_to(header.restarts);
    json.at("acknowledged").get_to(header.acknowledged);
  } catch (const Json::exception& error) {
    return Error(ErrorCode::kCorrupt, path + ": not a scheduler's journal: " + error.what());
  }
  return header;
}

}  // namespace

// ---------------------------------------------------------------- writing

Result<std::unique_ptr<JournalFile>> JournalFile::Create(const std::string& path,
                                                         const JournalHeader& header) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) return Error(ErrorCode::kIo, path + ": cannot be made: " + std::strerror(errno));
  auto file = std::unique_ptr<JournalFile>(new JournalFile(path, descriptor));
  file->Write(std::string(kMark) + RecordOf(ToJson(header)));
  if (!file->failure_.ok()) return tl::unexpected(file->failure_);
  return file;
}

Result<std::unique_ptr<JournalFile>> JournalFile::Reopen(const std::string& path, std::uint64_t place) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor < 0 || ftruncate(descriptor, static_cast<off_t>(place)) != 0) {
    const std::string why = std::strerror(errno);
    if (descriptor >= 0) close(descriptor);
    return Error(ErrorCode::kIo, path + ": cannot be written: " + why);
  }
  return std::unique_ptr<JournalFile>(new JournalFile(path, descriptor));
}

JournalFile::~JournalFile() { close(descriptor_); }

void JournalFile::Append(const JournalEntry& entry) {
  if (!failure_.ok()) return;
  std::string content;
  Put(static_cast<std::uint8_t>(entry.kind), &content);
  Put(static_cast<std::int64_t>(entry.at.count()), &content);
  Put(entry.next_id, &content);
  Put(std::string_view(entry.text), &content);
  Put(static_cast<std::uint8_t>(entry.change.kind), &content);
  Put(entry.change.index, &content);
  Put(std::string_view(entry.change.host), &content);
  for (const Buffer& frame : Encode(entry.from, kSchedulerNode, entry.message))
    Put(std::string_view(reinterpret_cast<const char*>(frame.data()), frame.size()), &content);
  Write(RecordOf(content));
}

void JournalFile::Write(const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      failure_ = {ErrorCode::kIo, path_ + ": cannot be written: " + std::strerror(errno)};
      std::error_code error;
      if (std::filesystem::is_regular_file(path_, error)) unlink(path_.c_str());
      return;
    }
    done += static_cast<std::size_t>(count);
  }
}

// ---------------------------------------------------------------- reading

Result<JournalReader> JournalReader::Open(const std::string& path) {
  JournalReader reader;
  reader.path_ = path;
  reader.file_.reset(std::fopen(path.c_str(), "rb"));
  if (!reader.file_) return Error(ErrorCode::kIo, path + ": cannot be read: " + std::strerror(errno));
  std::error_code error;
  reader.size_ = std::filesystem::file_size(path, error);
  char mark[kMark.size()];
  if (std::fread(mark, 1, sizeof(mark), reader.file_.get()) != sizeof(mark) ||
      std::string_view(mark, sizeof(mark)) != kMark)
    return Error(ErrorCode::kCorrupt, path + ": not a scheduler's journal");
  reader.place_ = sizeof(mark);
  const auto header = reader.NextRecord();
  if (!header) return Error(ErrorCode::kCorrupt, path + ": it ends before it begins");
  COHORT_ASSIGN_OR_RETURN(reader.header_, HeaderFromJson(*header, path));
  return reader;
}

std::optional<std::string> JournalReader::NextRecord() {
  char front[kFrontBytes];
  if (std::fread(front, 1, sizeof(front), file_.get()) != sizeof(front)) return std::nullopt;
  Taker taker({front, sizeof(front)});
  const auto length = taker.Take<std::uint32_t>();
  const auto checksum = taker.Take<std::uint64_t>();
  if (length > size_ - place_) return std::nullopt;
  std::string content(length, '\0');
  if (std::fread(content.data(), 1, length, file_.get()) != length || ChecksumOf(content) != checksum)
    return std::nullopt;
  place_ += kFrontBytes + length;
  return content;
}

Result<bool> JournalReader::Next(JournalEntry* entry) {
  const std::uint64_t begin = place_;
  const auto content = NextRecord();
  if (!content) return false;
  Taker taker(*content);
  const auto kind = taker.Take<std::uint8_t>();
  entry->kind = static_cast<JournalEntry::Kind>(kind);
  entry->at = Duration(taker.Take<std::int64_t>());
  entry->next_id = taker.Take<RequestId>();
  entry->text = std::string(taker.TakeText());
  const auto change = taker.Take<std::uint8_t>();
  entry->change.kind = static_cast<ClusterChange::Kind>(change);
  entry->change.index = taker.Take<std::uint32_t>();
  entry->change.host = std::string(taker.TakeText());
  if (kind > static_cast<std::uint8_t>(JournalEntry::Kind::kChangeGivenUp) ||
      change > static_cast<std::uint8_t>(ClusterChange::kLastKind))
    return Error(ErrorCode::kCorrupt,
                 path_ + ": the entry at byte " + std::to_string(begin) + ": of no known kind");
  Frames frames;
  while (taker.ok() && !taker.empty()) {
    const std::string_view frame = taker.TakeText();
    frames.push_back(Buffer::Copy(std::span(frame.data(), frame.size())));
  }
  auto message = taker.ok() ? Decode(frames) : tl::unexpected(Status(ErrorCode::kCorrupt, "it is cut off"));
  if (!message)
    return Error(ErrorCode::kCorrupt,
                 path_ + ": the entry at byte " + std::to_string(begin) + ": " + message.error().text());
  entry->from = message->stamp;
  entry->message = std::move(message->message);
  return true;
}

}  // namespace cohort
