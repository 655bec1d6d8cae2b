// ShopRows: the records of a shop to rows of (user, snapshot).
//
//   Add...       records in any order; they are sorted into partitions by user (EventStore)
//   Clean        partition by partition: sorts a user's events by time, drops those that are there twice, and counts sales of items by
//                the interval between snapshots in which they lie
//   Write        partition by partition: a row for every user and snapshot, in the order of partition, user, snapshot
//
// Another process can write the rows of some partitions (ShopParts): what they are made of is shared (PutShared, GetShared), and so
// are the records (Records, EventStore::UsersOf); what it counts is added here (TakeWritten, AddWritten).
//
// With Continue, Clean takes the records of former nights beside those that were added, and hands all of them on as they are before
// cleaning: events equal to one of another night, late ones and those from `until` on are dropped as if all had been added now.
//
// Nothing depends on the order of the records, and the features of a row on nothing at or after its snapshot: a user's events
// are shown to UserPast one snapshot after the other, statistics of items are those of the intervals before (ItemTable). One
// thread. Memory: the item table, EventStore's buffers, and one partition (a 2048th of the users) at a time.
#ifndef COHORT_LIFECYCLE_SHOP_ROWS_H_
#define COHORT_LIFECYCLE_SHOP_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/byte_stream.h"
#include "common/dataset.h"
#include "common/status.h"
#include "lifecycle/event_store.h"
#include "lifecycle/item_table.h"
#include "lifecycle/order_forecast.h"
#include "lifecycle/shop_records_file.h"
#include "lifecycle/shop_schema.h"
#include "lifecycle/user_features.h"
#include "lifecycle/user_labels.h"
#include "prepare/name_table.h"
#include "prepare/prepare.h"
#include "prepare/row_builder.h"

namespace cohort {

class ShopRows {
 public:
  // What takes the rows, by the number of their snapshot in the schema: the block for the next one, and a call after each.
  struct Output {
    std::function<RowBlock&(std::size_t)> block;
    std::function<Status(std::size_t)> row_added;
  };
  // What is counted while rows are written.
  struct Written {
    std::uint64_t rows = 0;
    std::uint64_t unlabelled = 0;  // training rows that were dropped since they have no label
    std::uint64_t returns_matched = 0, returns_unmatched = 0;
    std::uint64_t values_below_zero = 0;
  };

  // `schema` and `log` outlive this. `directory`: for a temporary file.
  ShopRows(const ShopSchema& schema, FindingLog* log, std::string directory,
           std::size_t memory_bytes = EventStore::kDefaultMemoryBytes);

  DatasetInfo info() const;  // shapes
  const UserFeatures& features() const { return features_; }
  ItemTable& items() { return items_; }
  std::uint32_t ItemNumber(std::string_view id) { return Numbered(id, features_.ItemKey(id)); }
  std::uint32_t ArmNumber(std::string_view arm);
  Key CategoryKey(std::string_view category) { return Named(0, features_.CategoryKey(category), category); }
  Key BrandKey(std::string_view brand) { return Named(1, features_.BrandKey(brand), brand); }
  // Of [users]: `attribute` in the schema's order.
  Key AttributeKey(std::size_t attribute, std::string_view text) {
    return Named(kFirstAttribute + attribute, attribute_keys_[attribute].Category(text), text);
  }

  // Items must be described before events are cleaned. REQUIRES: user.size() < 2^16.
  Status AddEvent(std::string_view user, const Event& event) { return store_.Add(user, event); }
  Status AddUser(std::string_view user, const UserRecord& record) { return store_.Add(user, record); }

  // Both outlive Clean, which ends every partition of `records`; `former` may be null. Before anything is added. Memory: the ids of all
  // items, too.
  void Continue(const ShopRecordsReader* former, ShopRecordsWriter* records);
  // Ids by number, of arms with kArmPrefix. REQUIRES: Continue was called.
  std::vector<std::string> TakeItemIds() { return std::move(item_ids_); }

  using Progress = std::function<void(std::size_t partitions_done)>;
  Status Clean(const Progress& progress = nullptr);
  // REQUIRES: Clean was called.
  Status Write(const Output& output, const Progress& progress = nullptr);
  Status WriteUsers(const std::vector<UserRecords>& users, const Output& output);  // of one partition
  // Since TakeWritten, with what was added.
  const Written& written() const { return written_; }
  Written TakeWritten() { return std::exchange(written_, {}); }
  void AddWritten(const Written& more);

  // A partition's records, for EventStore::UsersOf. REQUIRES: Clean was called.
  Result<std::vector<char>> Records(std::size_t partition) const { return store_.Bytes(partition); }
  // All else that rows are made of, for a ShopRows of the same description: it can WriteUsers from then on, and has no records.
  // False: it is not what PutShared gave. REQUIRES: Clean was called.
  void PutShared(ByteWriter* out) const;
  bool GetShared(ByteReader* in);

  // Partition by partition: all users' records, as Clean left them. REQUIRES: Clean was called.
  Status Visit(const std::function<void(UserRecords&)>& visit, const Progress& progress = nullptr) const;
  // The numeric features of a user at a snapshot, as Write gives them (UserFeatures). REQUIRES: Clean was called.
  void AppendNumeric(const UserPast& past, const UserRecord* description, std::size_t snapshot,
                     std::vector<float>* out) const {
    features_.AppendNumeric(past, description, snapshot, items_, forecast_, out);
  }

  std::vector<ReportCount> counts() const;
  // Texts of categories, brands, arms and users' attributes.
  DatasetNames Names() const { return names_.Names(); }
  Time end() const { return end_; }  // what is looked at lies before it; after Clean
  std::uint64_t users() const { return users_; }  // after Clean

 private:
  static constexpr std::size_t kFirstAttribute = 3;  // of names_, after categories, brands and arms
  Key Named(std::size_t vocabulary, Key key, std::string_view text) {
    names_.Add(vocabulary, key, text);
    return key;
  }
  std::uint32_t Numbered(std::string_view id, Key key) {
    const std::uint32_t number = items_.Number(id, key);
    if (records_ != nullptr && number == item_ids_.size()) item_ids_.emplace_back(id);
    return number;
  }
  // The users of a partition, with their events of former nights.
  Result<std::vector<UserRecords>> WithFormer(std::size_t partition, std::vector<UserRecords> users);
  void TakeFormer(UserRecords* user);
  // Hands a user's events on and drops what is late; items and arms of what is left are the shop's.
  void KeepRecords(UserRecords* user);
  void SortEvents(std::vector<Event>* events) const;
  bool IsLate(const Event& event) const { return schema_.until && event.time >= *schema_.until; }
  void CleanUser(UserRecords* user);
  Status WriteUser(const UserRecords& user, const Output& output);
  Status WriteRow(const UserRecords& user, const UserPast& past, std::size_t snapshot, std::size_t next_event,
                  const Output& output);

  const ShopSchema& schema_;
  FindingLog* log_;
  UserFeatures features_;
  UserLabels labels_;
  ItemTable items_;
  OrderForecast forecast_;
  EventStore store_;
  std::vector<FeatureKeys> attribute_keys_;
  NameTable names_;
  const ShopRecordsReader* former_ = nullptr;
  ShopRecordsWriter* records_ = nullptr;
  std::vector<std::uint32_t> former_items_;  // numbers here, by number there
  std::vector<std::string> item_ids_;
  std::vector<bool> used_items_;
  std::uint64_t unused_items_ = 0;  // of late events, and of nothing else
  Time end_ = 0;
  std::vector<float> row_labels_;
  Written written_;
  std::uint64_t users_ = 0, events_ = 0, contacts_ = 0, purchases_without_price_ = 0,
                purchases_without_item_ = 0, users_without_description_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SHOP_ROWS_H_
