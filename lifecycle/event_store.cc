#include "lifecycle/event_store.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "common/check.h"

namespace cohort {
namespace {

// A record: size of the user's name, of the attributes and of the place, kind, name, and what the kind asks for. It never
// leaves the machine, so that its bytes are those of memory.
constexpr std::uint8_t kIsEvent = 0, kIsUser = 1;
struct Header {
  std::uint16_t user_bytes = 0, attributes = 0, place_bytes = 0;
  std::uint8_t what = kIsEvent;
};

template <typename T>
void Put(std::vector<char>& out, const T* values, std::size_t count) {
  const char* bytes = reinterpret_cast<const char*>(values);
  out.insert(out.end(), bytes, bytes + count * sizeof(T));
}

class Cursor {
 public:
  explicit Cursor(const std::vector<char>& bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}
  bool at_end() const { return at_ == end_; }
  template <typename T>
  void Take(T* values, std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    COHORT_CHECK(bytes <= static_cast<std::size_t>(end_ - at_), "a record of the temporary file is cut");
    if (bytes > 0) std::memcpy(values, at_, bytes);
    at_ += bytes;
  }
  std::string_view Text(std::size_t bytes) {
    COHORT_CHECK(bytes <= static_cast<std::size_t>(end_ - at_), "a record of the temporary file is cut");
    const std::string_view text(at_, bytes);
    at_ += bytes;
    return text;
  }

 private:
  const char *at_, *end_;
};

void PutEvent(std::vector<char>& out, std::string_view user, const Event& event) {
  const Header header{.user_bytes = static_cast<std::uint16_t>(user.size()), .what = kIsEvent};
  Put(out, &header, 1);
  Put(out, user.data(), user.size());
  Put(out, &event, 1);
}

void PutUser(std::vector<char>& out, std::string_view user, const UserRecord& record) {
  const Header header{
      .user_bytes = static_cast<std::uint16_t>(user.size()),
      .attributes = static_cast<std::uint16_t>(record.attributes.size()),
      .place_bytes = static_cast<std::uint16_t>(std::min<std::size_t>(record.place.size(), 0xffff)),
      .what = kIsUser};
  Put(out, &header, 1);
  Put(out, user.data(), user.size());
  Put(out, &record.sign_up, 1);
  Put(out, &record.acquisition_cost, 1);
  Put(out, record.attributes.data(), record.attributes.size());
  Put(out, record.place.data(), header.place_bytes);
}

std::size_t PartitionOf(std::string_view user) {
  return XXH3_64bits(user.data(), user.size()) % EventStore::kPartitions;
}

}  // namespace

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
  PutEvent(partition.buffer, user, event);
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

Result<std::vector<UserRecords>> EventStore::Read(std::size_t number) const {
  const Partition& partition = partitions_[number];
  std::vector<UserRecords> users;
  std::unordered_map<std::string_view, std::size_t> numbers;  // by name; the names are those of `bytes`
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
  for (Cursor cursor(bytes); !cursor.at_end();) {
    Header header;
    cursor.Take(&header, 1);
    const std::string_view name = cursor.Text(header.user_bytes);
    const auto [place, is_new] = numbers.emplace(name, users.size());
    if (is_new) users.push_back({.user = std::string(name), .descriptions = {}, .events = {}});
    UserRecords& user = users[place->second];
    if (header.what == kIsEvent) {
      cursor.Take(&user.events.emplace_back(), 1);
    } else {
      UserRecord& record = user.descriptions.emplace_back();
      cursor.Take(&record.sign_up, 1);
      cursor.Take(&record.acquisition_cost, 1);
      record.attributes.resize(header.attributes);
      cursor.Take(record.attributes.data(), record.attributes.size());
      record.place = cursor.Text(header.place_bytes);
    }
  }
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
    for (const Event& event : user.events) PutEvent(partition.buffer, user.user, event);
    COHORT_RETURN_IF_ERROR(Finished(partition));
  }
  return {};
}

}  // namespace cohort
