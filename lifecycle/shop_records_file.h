// The records file of a shop: what its logs have given so far, as it was before cleaning, for the next night (`cohort prepare --since`).
// docs/formats.md. It holds users' records: its owner alone may read it, and `cohort erase` removes it.
//
//   8 bytes  "cohortRF"           then, by partition of EventStore: the users' events (EventStore::AppendRun), each user once
//   4 bytes  the format's number  the head (ShopRecordsHead), and bytes and checksum of every partition
//   4 bytes  0                    the tail: where the head begins, its bytes, its checksum (XXH3-64, of what is before it as well)
//
// All numbers are little-endian. Whatever the bytes are, reading them ends with a Status or with records that can be cleaned.
#ifndef COHORT_LIFECYCLE_SHOP_RECORDS_FILE_H_
#define COHORT_LIFECYCLE_SHOP_RECORDS_FILE_H_

#include <array>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/atomic_file.h"
#include "common/status.h"
#include "lifecycle/event_store.h"
#include "prepare/prepare.h"

namespace cohort {

// A file of [events] or [campaigns] that was read to its end.
struct ReadLog {
  bool campaigns = false;
  std::string path;                       // absolute
  std::uint64_t bytes = 0, checksum = 0;  // as it lay on the disk; XXH3-64
  std::uint64_t records = 0;              // with those that were dropped
  std::uint64_t next_line = 0;            // where a record that is added would stand
  bool ends_line = false;                 // a record can be added
  Findings findings;                      // but what comes of `until`
};

struct ShopRecordsHead {
  std::string rules;          // what of the description the records depend on, a line each (LogsSince)
  std::vector<ReadLog> logs;  // in the order of the description
  std::vector<std::string>
      items;  // ids by the numbers of events; of arms with kArmPrefix; empty: of no event
};

// An arm of a campaign among items: no id of an item begins so, for CSV files hold no NUL.
inline constexpr std::string_view kArmPrefix{"\0arm ", 5};

class ShopRecordsReader {
 public:
  // Errors: kInvalidInput: there is no such file, it is something else, or of another format; kCorrupt; kIo.
  static Result<std::unique_ptr<ShopRecordsReader>> Open(const std::string& path);
  // Whether a file begins as one.
  static bool IsRecordsFile(const std::string& path);
  ~ShopRecordsReader();
  ShopRecordsReader(const ShopRecordsReader&) = delete;
  ShopRecordsReader& operator=(const ShopRecordsReader&) = delete;

  const std::string& path() const { return path_; }
  const ShopRecordsHead& head() const { return head_; }
  // The users of a partition in the order of their names' bytes, with their events and nothing else. Memory: the partition's records, twice.
  Result<std::vector<UserRecords>> Read(std::size_t partition) const;
  Status VisitUsers(const std::function<void(std::string_view user)>& visit) const;

 private:
  struct Block {
    std::uint64_t offset = 0, bytes = 0, checksum = 0;
  };
  ShopRecordsReader(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  Status ReadHead();
  Status ReadBytes(std::uint64_t offset, std::span<char> bytes) const;
  Status Damaged(const std::string& what) const;

  std::string path_;
  int descriptor_;
  ShopRecordsHead head_;
  std::array<Block, EventStore::kPartitions> blocks_;
};

// One thread. The file takes the place of the one that is there when all of it is written, with Commit.
class ShopRecordsWriter {
 public:
  static Result<std::unique_ptr<ShopRecordsWriter>> Create(const std::string& path);
  ~ShopRecordsWriter();
  ShopRecordsWriter(const ShopRecordsWriter&) = delete;
  ShopRecordsWriter& operator=(const ShopRecordsWriter&) = delete;

  // A user's events; every user of partition 0, then EndPartition, those of 1, and so on.
  void Add(std::string_view user, std::span<const Event> events);
  Status EndPartition();
  // REQUIRES: every partition was ended. Items of no event lose their ids.
  Status Finish(ShopRecordsHead head);
  Status Commit() { return file_.Commit(); }  // REQUIRES: Finish was called.

 private:
  explicit ShopRecordsWriter(AtomicFile file) : file_(std::move(file)) {}
  Status Write(std::span<const char> bytes);

  AtomicFile file_;
  std::FILE* out_ = nullptr;
  std::vector<char> partition_;
  std::vector<std::uint64_t> sizes_, checksums_;  // of partitions
  std::vector<bool> used_;                        // items, by number
  std::uint64_t written_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SHOP_RECORDS_FILE_H_
