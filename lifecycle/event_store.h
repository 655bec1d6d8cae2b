// EventStore: the records of a shop, sorted into partitions by a hash of the user, so that all of a user's are together without
// sorting the files. Beyond `memory_bytes` the partitions wait in one temporary file. One thread.
//
// Fill with Add, then Read and Replace, partition by partition. Another process reads what Bytes gave with UsersOf.
#ifndef COHORT_LIFECYCLE_EVENT_STORE_H_
#define COHORT_LIFECYCLE_EVENT_STORE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "lifecycle/event.h"

namespace cohort {

// What [users] says of a user.
struct UserRecord {
  Time sign_up = kNoTime;
  float acquisition_cost = 0;             // NaN: not known
  std::vector<std::uint64_t> attributes;  // in the schema's order: a Key, or the bits of a float
  std::string place;                      // "file:line", for findings
};

// All records of a user, in the order in which they were added.
struct UserRecords {
  std::string user;
  std::vector<UserRecord> descriptions;
  std::vector<Event> events;
};

class EventStore {
 public:
  // So many that one partition of 100 million events, as records and as users, stays within a processor's caches.
  static constexpr std::size_t kPartitions = 2048;
  static constexpr std::size_t kDefaultMemoryBytes = std::size_t{128} << 20;

  // The temporary file is made in `directory` when it is needed, and has no name there.
  explicit EventStore(std::string directory, std::size_t memory_bytes = kDefaultMemoryBytes);
  ~EventStore();
  EventStore(const EventStore&) = delete;
  EventStore& operator=(const EventStore&) = delete;

  // REQUIRES: user.size() < 2^16.
  Status Add(std::string_view user, const Event& event);
  Status Add(std::string_view user, const UserRecord& record);
  // All records of one partition, by user in the order of their names' bytes: an order that does not depend on what was added.
  // Memory: the partition's records, twice.
  Result<std::vector<UserRecords>> Read(std::size_t partition) const;
  // The same in two steps. `bytes` are what Bytes gave, in this process or another one of this program: they are not checked.
  Result<std::vector<char>> Bytes(std::size_t partition) const;
  static std::vector<UserRecords> UsersOf(std::span<const char> bytes);
  // The same of bytes that may be anything. Nothing: they are no records. Their values may be anything still. Memory: as of records that
  // take as many bytes.
  static std::optional<std::vector<UserRecords>> CheckedUsersOf(std::span<const char> bytes);
  // Appends a user's events, for UsersOf. REQUIRES: user.size() < 2^16.
  static void AppendRun(std::string_view user, std::span<const Event> events, std::vector<char>* bytes);
  static std::size_t PartitionOf(std::string_view user);
  // Replaces what a partition holds. REQUIRES: `users` are of that partition.
  Status Replace(std::size_t partition, const std::vector<UserRecords>& users);
  std::uint64_t spilled_bytes() const { return file_bytes_; }

 private:
  struct Piece {
    std::uint64_t offset, bytes;
  };
  struct Partition {
    std::vector<char> buffer;
    std::vector<Piece> pieces;  // in the file, before the buffer
  };
  Status Finished(Partition& partition);
  Status Spill(Partition& partition);
  Status Failure(const char* what) const;

  std::string directory_;
  std::size_t piece_bytes_;  // a buffer that is longer goes to the file
  std::array<Partition, kPartitions> partitions_;
  int descriptor_ = -1;
  std::uint64_t file_bytes_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_EVENT_STORE_H_
