#include "lifecycle/event_store.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <span>
#include <unordered_map>
#include <utility>

#include "common/check.h"

namespace cohort {
namespace {

// A record is a run of events of one user, or what [users] says of one; most files have a run for every event, and a cleaned
// partition one for every user. Whole numbers are varints: 7 bits a byte, the lowest first, the high bit says that more follow.
//
//   run          2 * (bytes of the name), name, number of events, events
//   event        a byte: the kind, and which of item, price and quantity (else none, none, one piece) follow; the zigzag of the
//                time less that of the event before (of the first: less 0); item; price; quantity
//   description  2 * (bytes of the name) + 1, name, sign-up and cost as in memory, number of attributes, these as in memory,
//                bytes of the place, place
//
// It is read as it was written or not at all: whoever lets it leave the process sees to that, or asks for CheckedUsersOf.
constexpr std::uint8_t kKindBits = 0x07, kHasItem = 0x08, kHasPrice = 0x10, kHasQuantity = 0x20;
static_assert(kEventKinds + 1 <= kKindBits + 1);

template <typename T>
void Put(std::vector<char>& out, const T* values, std::size_t count) {
  const char* bytes = reinterpret_cast<const char*>(values);
  out.insert(out.end(), bytes, bytes + count * sizeof(T));
}

char* PutVarint(char* at, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at++ = static_cast<char>(value);
  return at;
}
constexpr std::size_t kVarintBytes = 10, kEventBytes = 1 + 4 * kVarintBytes;  // at most

std::uint64_t ZigZag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
std::int64_t UnZigZag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

// What is not there reads as zeros, and is the end.
class Cursor {
 public:
  explicit Cursor(std::span<const char> bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}
  bool at_end() const { return at_ == end_; }
  bool ok() const { return ok_; }
  // Whether `count` of so many bytes each, at least, can follow.
  bool Has(std::uint64_t count, std::size_t bytes) {
    return count <= static_cast<std::size_t>(end_ - at_) / bytes || Fail();
  }
  template <typename T>
  void Take(T* values, std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (!Has(bytes, 1)) return;
    if (bytes > 0) std::memcpy(values, at_, bytes);
    at_ += bytes;
  }
  std::string_view Text(std::uint64_t bytes) {
    if (!Has(bytes, 1)) return {};
    const std::string_view text(at_, bytes);
    at_ += bytes;
    return text;
  }
  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      if (at_ == end_ || shift > 63) {
        Fail();
        return 0;
      }
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }
  void Take(Time before, Event* event) {
    if (!Has(1, 1)) return;
    const auto flags = static_cast<std::uint8_t>(*at_++);
    event->kind = static_cast<EventKind>(flags & kKindBits);
    event->time = static_cast<Time>(static_cast<std::uint64_t>(before) +
                                    static_cast<std::uint64_t>(UnZigZag(Varint())));
    if (flags & kHasItem) {
      const std::uint64_t item = Varint();
      event->item = item < kNoItem ? static_cast<std::uint32_t>(item) : (Fail(), kNoItem);
    }
    if (flags & kHasPrice) event->price = static_cast<Money>(Varint());
    if (flags & kHasQuantity) event->quantity = static_cast<Quantity>(Varint());
  }

 private:
  bool Fail() {
    at_ = end_;
    return ok_ = false;
  }
  const char *at_, *end_;
  bool ok_ = true;
};
constexpr std::size_t kLeastEventBytes = 2;

void PutRun(std::vector<char>& out, std::string_view user, std::span<const Event> events) {
  char bytes[kEventBytes];
  out.insert(out.end(), bytes, PutVarint(bytes, 2 * user.size()));
  Put(out, user.data(), user.size());
  out.insert(out.end(), bytes, PutVarint(bytes, events.size()));
  Time before = 0;
  for (const Event& event : events) {
    char* at = bytes;
    *at++ = static_cast<char>(static_cast<std::uint8_t>(event.kind) | (event.item != kNoItem ? kHasItem : 0) |
                              (event.price != kNoMoney ? kHasPrice : 0) |
                              (event.quantity != kOnePiece ? kHasQuantity : 0));
    at = PutVarint(at, ZigZag(event.time - before));
    if (event.item != kNoItem) at = PutVarint(at, event.item);
    if (event.price != kNoMoney) at = PutVarint(at, static_cast<std::uint64_t>(event.price));
    if (event.quantity != kOnePiece) at = PutVarint(at, static_cast<std::uint64_t>(event.quantity));
    out.insert(out.end(), bytes, at);
    before = event.time;
  }
}

void PutUser(std::vector<char>& out, std::string_view user, const UserRecord& record) {
  char bytes[kVarintBytes];
  out.insert(out.end(), bytes, PutVarint(bytes, 2 * user.size() + 1));
  Put(out, user.data(), user.size());
  Put(out, &record.sign_up, 1);
  Put(out, &record.acquisition_cost, 1);
  out.insert(out.end(), bytes, PutVarint(bytes, record.attributes.size()));
  Put(out, record.attributes.data(), record.attributes.size());
  out.insert(out.end(), bytes, PutVarint(bytes, record.place.size()));
  Put(out, record.place.data(), record.place.size());
}

}  // namespace

std::size_t EventStore::PartitionOf(std::string_view user) {
  return XXH3_64bits(user.data(), user.size()) % kPartitions;
}

void EventStore::AppendRun(std::string_view user, std::span<const Event> events, std::vector<char>* bytes) {
  PutRun(*bytes, user, events);
}

EventStore::EventStore(std::string directory, std::size_t memory_bytes)
    : directory_(std::move(directory)), piece_bytes_(std::max<std::size_t>(memory_bytes / kPartitions, 1)) {}

EventStore::~EventStore() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status EventStore::Failure(const char* what) const {
  return {ErrorCode::kIo, directory_ + ": cannot " + what + " a temporary file: " + std::strerror(errno) +
                              "; the events wait there while they are sorted by user"};
}

Status EventStore::Add(std::string_view user, const Event& event) {
  COHORT_CHECK(user.size() <= 0xffff);
  Partition& partition = partitions_[PartitionOf(user)];
  PutRun(partition.buffer, user, {&event, 1});
  return Finished(partition);
}

Status EventStore::Add(std::string_view user, const UserRecord& record) {
  COHORT_CHECK(user.size() <= 0xffff && record.attributes.size() <= 0xffff);
  Partition& partition = partitions_[PartitionOf(user)];
  PutUser(partition.buffer, user, record);
  return Finished(partition);
}

Status EventStore::Finished(Partition& partition) {
  return partition.buffer.size() < piece_bytes_ ? Status() : Spill(partition);
}

Status EventStore::Spill(Partition& partition) {
  if (descriptor_ < 0) {
    std::string name = directory_ + "/.cohort-events-XXXXXX";
    descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor_ < 0) return Failure("create");
    ::unlink(name.c_str());  // gone with the process, however it ends
  }
  for (std::size_t written = 0; written < partition.buffer.size();) {
    const ssize_t count =
        ::pwrite(descriptor_, partition.buffer.data() + written, partition.buffer.size() - written,
                 static_cast<off_t>(file_bytes_ + written));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failure("write");
    written += static_cast<std::size_t>(count);
  }
  partition.pieces.push_back({file_bytes_, partition.buffer.size()});
  file_bytes_ += partition.buffer.size();
  partition.buffer.clear();
  return {};
}

Result<std::vector<UserRecords>> EventStore::Read(std::size_t partition) const {
  COHORT_ASSIGN_OR_RETURN(const std::vector<char> bytes, Bytes(partition));
  return UsersOf(bytes);
}

Result<std::vector<char>> EventStore::Bytes(std::size_t number) const {
  const Partition& partition = partitions_[number];
  std::vector<char> bytes;
  for (const Piece& piece : partition.pieces) {
    const std::size_t begin = bytes.size();
    bytes.resize(begin + piece.bytes);
    for (std::size_t got = 0; got < piece.bytes;) {
      const ssize_t count = ::pread(descriptor_, bytes.data() + begin + got, piece.bytes - got,
                                    static_cast<off_t>(piece.offset + got));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return tl::unexpected<Status>(Failure("read"));
      got += static_cast<std::size_t>(count);
    }
  }
  bytes.insert(bytes.end(), partition.buffer.begin(), partition.buffer.end());
  return bytes;
}

std::vector<UserRecords> EventStore::UsersOf(std::span<const char> bytes) {
  std::optional<std::vector<UserRecords>> users = CheckedUsersOf(bytes);
  COHORT_CHECK(users.has_value(), "a record of the temporary file is cut");
  return std::move(*users);
}

std::optional<std::vector<UserRecords>> EventStore::CheckedUsersOf(std::span<const char> bytes) {
  std::vector<UserRecords> users;
  std::unordered_map<std::string_view, std::size_t> numbers;  // by name; the names are those of `bytes`
  Cursor cursor(bytes);
  while (!cursor.at_end()) {
    const std::uint64_t head = cursor.Varint();
    const std::string_view name = cursor.Text(head / 2);
    const auto [place, is_new] = numbers.emplace(name, users.size());
    if (is_new) users.push_back({.user = std::string(name), .descriptions = {}, .events = {}});
    UserRecords& user = users[place->second];
    if (head % 2 == 0) {
      const std::uint64_t events = cursor.Varint();
      if (!cursor.Has(events, kLeastEventBytes)) break;
      if (is_new) user.events.reserve(events);
      Time before = 0;
      for (std::uint64_t i = 0; i < events && cursor.ok(); ++i) {
        cursor.Take(before, &user.events.emplace_back());
        before = user.events.back().time;
      }
    } else {
      UserRecord& record = user.descriptions.emplace_back();
      cursor.Take(&record.sign_up, 1);
      cursor.Take(&record.acquisition_cost, 1);
      const std::uint64_t attributes = cursor.Varint();
      if (!cursor.Has(attributes, sizeof(std::uint64_t))) break;
      record.attributes.resize(attributes);
      cursor.Take(record.attributes.data(), record.attributes.size());
      record.place = cursor.Text(cursor.Varint());
    }
  }
  if (!cursor.ok()) return std::nullopt;
  std::sort(users.begin(), users.end(),
            [](const UserRecords& a, const UserRecords& b) { return a.user < b.user; });
  return users;
}

Status EventStore::Replace(std::size_t number, const std::vector<UserRecords>& users) {
  Partition& partition = partitions_[number];
  // Its room on the disk is given back where the file system can; where it cannot, the file is larger.
  for (const Piece& piece : partition.pieces) {
    [[maybe_unused]] const int ignored =
        ::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(piece.offset),
                    static_cast<off_t>(piece.bytes));
  }
  partition.pieces.clear();
  partition.buffer.clear();
  for (const UserRecords& user : users) {
    for (const UserRecord& record : user.descriptions) PutUser(partition.buffer, user.user, record);
    if (!user.events.empty()) PutRun(partition.buffer, user.user, user.events);
    COHORT_RETURN_IF_ERROR(Finished(partition));
  }
  return {};
}

}  // namespace cohort
