#include "lifecycle/shop_records_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "common/byte_stream.h"
#include "common/check.h"
#include "common/input_file.h"
#include "common/row_hash.h"
#include "lifecycle/event_time.h"

namespace cohort {
namespace {

constexpr char kRecordsMagic[8] = {'c', 'o', 'h', 'o', 'r', 't', 'R', 'F'};
constexpr std::uint32_t kRecordsFormat = 1;
struct Beginning {
  char magic[8];
  std::uint32_t format = 0, zero = 0;
};
struct Tail {
  std::uint64_t head_offset = 0, head_bytes = 0, checksum = 0;
};

std::uint64_t BlockChecksum(std::span<const char> bytes) {
  return ChecksumOf(std::string_view(bytes.data(), bytes.size()));
}

void PutText(ByteWriter* out, std::string_view text) {
  out->Put<std::uint64_t>(text.size());
  out->PutAll(std::span<const char>(text));
}
bool GetText(ByteReader* in, std::string* text) {
  std::vector<char> bytes;
  if (!in->GetList(&bytes)) return false;
  text->assign(bytes.begin(), bytes.end());
  return true;
}

void PutFindings(ByteWriter* out, const Findings& findings) {
  out->Put<std::uint64_t>(findings.size());
  for (const auto& [key, finding] : findings) {
    out->Put(static_cast<std::uint32_t>(key.first));
    PutText(out, key.second);
    out->Put(finding.count);
    out->Put<std::uint64_t>(finding.places.size());
    for (const std::string& place : finding.places) PutText(out, place);
  }
}
bool GetFindings(ByteReader* in, Findings* findings) {
  std::uint64_t count = 0;
  if (!in->Get(&count)) return false;
  for (; count > 0; --count) {
    std::uint32_t kind = 0;
    std::string name;
    Finding finding;
    std::uint64_t places = 0;
    if (!in->Get(&kind) || kind >= kFindingKinds || !GetText(in, &name) || !in->Get(&finding.count) ||
        !in->Get(&places) || places > finding.count)
      return false;
    for (; places > 0; --places) {
      if (!GetText(in, &finding.places.emplace_back())) return false;
    }
    if (!findings->emplace(std::pair(static_cast<FindingKind>(kind), name), std::move(finding)).second)
      return false;
  }
  return true;
}

void PutHead(ByteWriter* out, const ShopRecordsHead& head) {
  PutText(out, head.rules);
  out->Put<std::uint64_t>(head.logs.size());
  for (const ReadLog& log : head.logs) {
    out->Put<std::uint8_t>(log.campaigns);
    PutText(out, log.path);
    for (const std::uint64_t number : {log.bytes, log.checksum, log.records, log.next_line}) out->Put(number);
    out->Put<std::uint8_t>(log.ends_line);
    PutFindings(out, log.findings);
  }
  out->Put<std::uint64_t>(head.items.size());
  for (const std::string& item : head.items) PutText(out, item);
}
bool GetHead(ByteReader* in, ShopRecordsHead* head) {
  std::uint64_t logs = 0, items = 0;
  if (!GetText(in, &head->rules) || !in->Get(&logs)) return false;
  for (; logs > 0; --logs) {
    ReadLog& log = head->logs.emplace_back();
    std::uint8_t campaigns = 0, ends_line = 0;
    if (!in->Get(&campaigns) || !GetText(in, &log.path) || !in->Get(&log.bytes) || !in->Get(&log.checksum) ||
        !in->Get(&log.records) || !in->Get(&log.next_line) || !in->Get(&ends_line) ||
        !GetFindings(in, &log.findings))
      return false;
    log.campaigns = campaigns != 0, log.ends_line = ends_line != 0;
  }
  if (!in->Get(&items) || items >= kNoItem) return false;
  for (; items > 0; --items) {
    if (!GetText(in, &head->items.emplace_back())) return false;
  }
  return true;
}

// Whether ShopReader makes such events: what cleaning takes for granted.
bool CanBe(const Event& event, const std::vector<std::string>& items) {
  if (event.time < 0 || event.time > kLatestTime || event.kind > EventKind::kContact) return false;
  const bool contact = event.kind == EventKind::kContact;
  if (event.item != kNoItem && (event.item >= items.size() || items[event.item].empty() ||
                                items[event.item].starts_with(kArmPrefix) != contact))
    return false;
  constexpr auto kMost = static_cast<Money>(kMostPrice) * kMoneyUnit;
  if (event.price != kNoMoney && (event.price > kMost || event.price < (contact ? -kMost : 0))) return false;
  if (contact) return event.quantity == kOnePiece || event.quantity == kRandomised;
  return event.quantity > 0 && event.quantity <= static_cast<Quantity>(kMostQuantity) * kOnePiece;
}

}  // namespace

Status ShopRecordsReader::Damaged(const std::string& what) const {
  return {ErrorCode::kCorrupt, path_ + ": is damaged or was cut: " + what +
                                   "; remove it, and the logs are read anew (and look after the disk)"};
}

bool ShopRecordsReader::IsRecordsFile(const std::string& path) {
  if (!CheckRegularFile(path).ok()) return false;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  char magic[sizeof kRecordsMagic] = {};
  return file && std::fread(magic, 1, sizeof magic, file.get()) == sizeof magic &&
         std::memcmp(magic, kRecordsMagic, sizeof magic) == 0;
}

Result<std::unique_ptr<ShopRecordsReader>> ShopRecordsReader::Open(const std::string& path) {
  COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
  COHORT_ASSIGN_OR_RETURN(const int descriptor, OpenInput(path));
  std::unique_ptr<ShopRecordsReader> reader(new ShopRecordsReader(path, descriptor));
  COHORT_RETURN_IF_ERROR(reader->ReadHead());
  return reader;
}

ShopRecordsReader::~ShopRecordsReader() { ::close(descriptor_); }

Status ShopRecordsReader::ReadBytes(std::uint64_t offset, std::span<char> bytes) const {
  for (std::size_t got = 0; got < bytes.size();) {
    const ssize_t count =
        ::pread(descriptor_, bytes.data() + got, bytes.size() - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return {ErrorCode::kIo, path_ + ": cannot read: " + std::strerror(errno)};
    if (count == 0) return Damaged("it has ended at byte " + std::to_string(offset + got));
    got += static_cast<std::size_t>(count);
  }
  return {};
}

Status ShopRecordsReader::ReadHead() {
  struct stat found {};
  if (::fstat(descriptor_, &found) != 0)
    return {ErrorCode::kIo, path_ + ": cannot look at it: " + std::strerror(errno)};
  const auto size = static_cast<std::uint64_t>(found.st_size);
  if (size == 0)
    return {
        ErrorCode::kInvalidInput,
        path_ +
            ": is empty; expected a records file of `cohort prepare --since`: remove it, or name one that is "
            "not there, and the logs are read anew"};
  Beginning begin{};
  const auto begun = static_cast<std::size_t>(std::min<std::uint64_t>(size, sizeof begin));
  COHORT_RETURN_IF_ERROR(ReadBytes(0, {reinterpret_cast<char*>(&begin), begun}));
  if (std::memcmp(begin.magic, kRecordsMagic, std::min(begun, sizeof kRecordsMagic)) != 0)
    return {ErrorCode::kInvalidInput,
            path_ +
                ": is no records file of `cohort prepare --since`; name another one (it is made if it is "
                "not there)"};
  if (begun < sizeof begin) return Damaged("it has ended at byte " + std::to_string(size));
  if (begin.format != kRecordsFormat)
    return {ErrorCode::kInvalidInput, path_ + ": is a records file of format " +
                                          std::to_string(begin.format) + ", this version reads format " +
                                          std::to_string(kRecordsFormat) +
                                          "; remove it, and the logs are read anew"};
  if (begin.zero != 0) return Damaged("its beginning does not hold what it must");
  Tail tail;
  if (size < sizeof begin + sizeof tail) return Damaged("it has no end");
  COHORT_RETURN_IF_ERROR(ReadBytes(size - sizeof tail, {reinterpret_cast<char*>(&tail), sizeof tail}));
  const std::uint64_t end = size - sizeof tail;
  if (tail.head_offset < sizeof begin || tail.head_offset > end || tail.head_bytes != end - tail.head_offset)
    return Damaged("it has no end");
  std::vector<char> bytes(tail.head_bytes);
  COHORT_RETURN_IF_ERROR(ReadBytes(tail.head_offset, bytes));
  if (BlockChecksum(bytes) != tail.checksum) return Damaged("its head has another checksum");
  ByteReader in(std::as_bytes(std::span<const char>(bytes)));
  std::vector<std::uint64_t> sizes, checksums;
  if (!GetHead(&in, &head_) || !in.GetList(&sizes) || !in.GetList(&checksums) || !in.AtEnd() ||
      sizes.size() != blocks_.size() || checksums.size() != blocks_.size())
    return Damaged("its head does not hold what it must");
  std::uint64_t offset = sizeof begin;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (sizes[i] > tail.head_offset - offset) return Damaged("its partitions are longer than it is");
    blocks_[i] = {offset, sizes[i], checksums[i]};
    offset += sizes[i];
  }
  if (offset != tail.head_offset) return Damaged("its partitions are shorter than it is");
  return {};
}

Result<std::vector<UserRecords>> ShopRecordsReader::Read(std::size_t partition) const {
  const Block& block = blocks_[partition];
  std::vector<char> bytes(block.bytes);
  COHORT_RETURN_IF_ERROR(ReadBytes(block.offset, bytes));
  const std::string where = "partition " + std::to_string(partition);
  if (BlockChecksum(bytes) != block.checksum)
    return tl::unexpected<Status>(Damaged(where + " has another checksum"));
  std::optional<std::vector<UserRecords>> users = EventStore::CheckedUsersOf(bytes);
  if (!users) return tl::unexpected<Status>(Damaged(where + " holds no records"));
  for (const UserRecords& user : *users) {
    const bool good = !user.user.empty() && user.user.size() <= 0xffff && user.descriptions.empty() &&
                      EventStore::PartitionOf(user.user) == partition &&
                      std::all_of(user.events.begin(), user.events.end(),
                                  [&](const Event& event) { return CanBe(event, head_.items); });
    if (!good) return tl::unexpected<Status>(Damaged(where + " holds records that no log gives"));
  }
  return std::move(*users);
}

Status ShopRecordsReader::VisitUsers(const std::function<void(std::string_view user)>& visit) const {
  for (std::size_t partition = 0; partition < blocks_.size(); ++partition) {
    COHORT_ASSIGN_OR_RETURN(const std::vector<UserRecords> users, Read(partition));
    for (const UserRecords& user : users) visit(user.user);
  }
  return {};
}

Result<std::unique_ptr<ShopRecordsWriter>> ShopRecordsWriter::Create(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  std::unique_ptr<ShopRecordsWriter> writer(new ShopRecordsWriter(std::move(file)));
  const std::string& temporary = writer->file_.temporary_path();
  writer->out_ = std::fopen(temporary.c_str(), "wbe");
  if (writer->out_ == nullptr || ::fchmod(::fileno(writer->out_), S_IRUSR | S_IWUSR) != 0)
    return Error(ErrorCode::kIo, temporary + ": cannot open for its owner alone: " + std::strerror(errno));
  Beginning begin{{}, kRecordsFormat, 0};
  std::memcpy(begin.magic, kRecordsMagic, sizeof kRecordsMagic);
  COHORT_RETURN_IF_ERROR(writer->Write({reinterpret_cast<const char*>(&begin), sizeof begin}));
  return writer;
}

ShopRecordsWriter::~ShopRecordsWriter() {
  if (out_ != nullptr) std::fclose(out_);
}

Status ShopRecordsWriter::Write(std::span<const char> bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), out_) != bytes.size())
    return {ErrorCode::kIo, file_.temporary_path() + ": cannot write: " + std::strerror(errno)};
  written_ += bytes.size();
  return {};
}

void ShopRecordsWriter::Add(std::string_view user, std::span<const Event> events) {
  EventStore::AppendRun(user, events, &partition_);
  for (const Event& event : events) {
    if (event.item == kNoItem) continue;
    if (event.item >= used_.size()) used_.resize(std::max<std::size_t>(event.item + 1, 2 * used_.size()));
    used_[event.item] = true;
  }
}

Status ShopRecordsWriter::EndPartition() {
  COHORT_RETURN_IF_ERROR(Write(partition_));
  sizes_.push_back(partition_.size());
  checksums_.push_back(BlockChecksum(partition_));
  partition_.clear();
  return {};
}

Status ShopRecordsWriter::Finish(ShopRecordsHead head) {
  COHORT_CHECK(sizes_.size() == EventStore::kPartitions);
  for (std::size_t item = 0; item < head.items.size(); ++item) {
    if (item >= used_.size() || !used_[item]) head.items[item].clear();
  }
  ByteWriter out;
  PutHead(&out, head);
  out.PutList(sizes_);
  out.PutList(checksums_);
  const std::vector<std::byte> bytes = out.Take();
  const std::span<const char> text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const Tail tail{written_, text.size(), BlockChecksum(text)};
  COHORT_RETURN_IF_ERROR(Write(text));
  COHORT_RETURN_IF_ERROR(Write({reinterpret_cast<const char*>(&tail), sizeof tail}));
  if (std::fclose(std::exchange(out_, nullptr)) != 0)
    return {ErrorCode::kIo, file_.temporary_path() + ": cannot write: " + std::strerror(errno)};
  return {};
}

}  // namespace cohort
