// ShopReader: the CSV files of a shop, record by record, into ShopRows. What cannot be used is dropped and counted with its place.
//
// With LogsSince, logs that are known are passed over, those that have grown are read from where they had ended, and it is told of all
// that was read. Events from `until` on then go to ShopRows too, which drops them: the next night's `until` may lie later.
#ifndef COHORT_LIFECYCLE_SHOP_READER_H_
#define COHORT_LIFECYCLE_SHOP_READER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "common/secret_key.h"
#include "common/status.h"
#include "lifecycle/logs_since.h"
#include "lifecycle/shop_rows.h"
#include "lifecycle/shop_schema.h"
#include "prepare/csv_reader.h"
#include "prepare/row_builder.h"

namespace cohort {

class ShopReader {
 public:
  // All outlive the reader. `progress`, which may be empty, is told the bytes and records read so far.
  ShopReader(const ShopSchema& schema, ShopRows* rows, FindingLog* log,
             std::function<void(std::uint64_t, std::uint64_t)> progress);

  // Records of these users (ids as the files have them), who outlive the reader, are passed over and counted.
  void LeaveOut(const std::set<std::string, std::less<>>& users) { left_out_ = &users; }

  // Of all logs: what is known of them, which is written on. It outlives the reader.
  void Continue(LogsSince* since) { since_ = since; }

  // Items, users, campaigns, events; users by their pseudonyms where the schema has a key. Errors: kIo; kInvalidInput for a file that
  // is empty, lacks a column, is no CSV or (with LogsSince) is written to meanwhile, and for the key's (SecretKey::Read).
  Status Read();

  std::uint64_t records() const { return records_; }
  std::uint64_t records_left_out() const { return records_left_out_; }
  std::uint64_t bytes() const { return bytes_; }  // of the files as they lie on disk

 private:
  using Columns = std::vector<const std::optional<ColumnReference>*>;
  // Calls visit(csv, columns) for every record of files, of a log (of campaigns or of events), or of a file, from where `log` has ended
  // if there is one; `columns` are the indices of `wanted`, -1 where there is none.
  template <typename Visit>
  Status ForEachRecord(const std::vector<std::string>& files, const Columns& wanted, const Visit& visit);
  template <typename Visit>
  Status ForEachOfLogs(const std::vector<std::string>& files, bool campaigns, const Columns& wanted,
                       const Visit& visit);
  template <typename Visit>
  Status ForEachOfFile(const std::string& file, LogsSince::Log* log, const Columns& wanted,
                       const Visit& visit);
  Status ReadItems();
  Status ReadUsers();
  Status ReadCampaigns();
  bool IsTrue(const CsvReader& csv, std::ptrdiff_t column);
  Money OutcomeOf(const CsvReader& csv, std::ptrdiff_t column);  // of a contact
  Status ReadEvents();

  bool IsMissing(std::string_view cell) const;
  // Empty when the record has no user, which was logged, or one that is left out. Valid until the next call.
  std::string_view UserOf(const CsvReader& csv, std::ptrdiff_t column, const char* what);
  std::optional<Time> TimeOf(const CsvReader& csv, std::ptrdiff_t column, const TimeFormat& format,
                             const char* what);
  // Whether the time is not before `until`, which was logged.
  bool IsLate(const CsvReader& csv, std::ptrdiff_t column, Time time, const char* what);
  // A price: `money` is kNoMoney when the cell is missing. False: it cannot be used, which was logged.
  bool PriceOf(const CsvReader& csv, std::ptrdiff_t column, const char* what, Money* money);

  const ShopSchema& schema_;
  ShopRows* rows_;
  FindingLog* log_;  // of the log that is read, with LogsSince; else all_
  FindingLog* const all_;
  LogsSince* since_ = nullptr;
  std::function<void(std::uint64_t, std::uint64_t)> progress_;
  std::optional<SecretKey> user_key_;
  std::string pseudonym_;
  const std::set<std::string, std::less<>>* left_out_ = nullptr;
  std::uint64_t records_ = 0, records_left_out_ = 0, bytes_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SHOP_READER_H_
