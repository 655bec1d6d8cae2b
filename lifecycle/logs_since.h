// LogsSince: the logs of a shop beside a records file (shop_records_file.h): which of them it knows, which have grown since, which are new.
//
// A log is known if all bytes that were read of it are there still, by number and XXH3-64. That takes a reading of every byte, and no
// parsing: times and sizes alone would let an old file that was mended go unnoticed. Only [events] and [campaigns] are logs;
// [users] and [items] say what holds now, and are read anew every time. One thread.
#ifndef COHORT_LIFECYCLE_LOGS_SINCE_H_
#define COHORT_LIFECYCLE_LOGS_SINCE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "lifecycle/shop_records_file.h"
#include "lifecycle/shop_schema.h"
#include "prepare/prepare.h"

namespace cohort {

class LogsSince {
 public:
  struct Log {
    ReadLog now;                      // path, bytes and checksum; the rest is whoever's who reads it
    const ReadLog* before = nullptr;  // what is known of it; null: nothing, it is read from its beginning
    bool grown() const { return before != nullptr && now.bytes > before->bytes; }
    bool as_it_was() const { return before != nullptr && now.bytes == before->bytes; }
  };

  // Looks at every log. Without a file `path` all are new. So they are, and why_anew says why, if anything else than more records can
  // have come: a log that was read is gone, shorter or another, or the description reads its cells otherwise. Errors: those of
  // ShopRecordsReader::Open but for no file; kInvalidInput, a log that cannot be opened or is no regular file; kIo.
  static Result<std::unique_ptr<LogsSince>> Look(const ShopSchema& schema, const std::string& path);

  // The records of the logs with a `before`, as they were then; null: there are none.
  const ShopRecordsReader* former() const { return former_.get(); }
  const std::string& why_anew() const { return why_anew_; }
  Log& log(bool campaigns, std::size_t index) { return (campaigns ? campaigns_ : events_)[index]; }

  // What to write into the next records file, but for the items. REQUIRES: all logs were read.
  ShopRecordsHead Head() const;
  PrepareReport::Since Report() const;

 private:
  LogsSince() = default;
  Status LookAt(const std::vector<std::string>& files, bool campaigns, std::vector<Log>* logs);
  void ReadAllAnew(std::string why);

  std::string path_, rules_;
  bool is_first_ = false;
  std::string why_anew_;
  std::unique_ptr<ShopRecordsReader> former_;
  std::vector<Log> events_, campaigns_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_LOGS_SINCE_H_
