#include "lifecycle/shop_rows.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "common/process.h"
#include "common/random.h"

namespace cohort {
namespace {

// Uniform in [0, 1) by the user.
double ShareOf(std::string_view user) {
  return UniformDouble(Mix64(XXH3_64bits(user.data(), user.size()) + 0x9e3779b97f4a7c15ULL));
}

}  // namespace

ShopRows::ShopRows(const ShopSchema& schema, FindingLog* log, std::string directory, std::size_t memory_bytes)
    : schema_(schema),
      log_(log),
      features_(schema),
      labels_(schema),
      items_(schema.snapshots.size(), schema.features.price_bands),
      forecast_(schema),
      store_(std::move(directory), memory_bytes),
      names_(kFirstAttribute + (schema.users ? schema.users->attributes.size() : 0)) {
  if (!schema.users) return;
  for (const AttributeSchema& attribute : schema.users->attributes)
    attribute_keys_.emplace_back("user_" + attribute.name);
}

DatasetInfo ShopRows::info() const {
  DatasetInfo info;
  info.features = features_.infos();
  info.tasks = labels_.infos();
  info.has_id = true;
  return info;
}

std::uint32_t ShopRows::ArmNumber(std::string_view arm) {
  std::string id(kArmPrefix);
  id += arm;
  const Key key = features_.ArmKey(arm);
  return Numbered(id,
                  records_ == nullptr ? Named(2, key, arm) : key);  // else KeepRecords names those that count
}

void ShopRows::Continue(const ShopRecordsReader* former, ShopRecordsWriter* records) {
  former_ = former, records_ = records;
  if (former == nullptr) return;
  for (const std::string_view id : former->head().items) {
    const bool arm = id.starts_with(kArmPrefix);
    // Of no event: no number is asked for.
    former_items_.push_back(id.empty() ? kNoItem
                            : arm      ? ArmNumber(id.substr(kArmPrefix.size()))
                                       : ItemNumber(id));
  }
}

Result<std::vector<UserRecords>> ShopRows::WithFormer(std::size_t partition, std::vector<UserRecords> users) {
  COHORT_ASSIGN_OR_RETURN(std::vector<UserRecords> all, former_->Read(partition));
  const std::size_t former = all.size();
  for (UserRecords& user : all) TakeFormer(&user);
  for (UserRecords& user : users) {
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(former);
    const auto found = std::lower_bound(
        all.begin(), end, user, [](const UserRecords& a, const UserRecords& b) { return a.user < b.user; });
    if (found == end || found->user != user.user) {
      all.push_back(std::move(user));
      continue;
    }
    found->descriptions = std::move(user.descriptions);
    found->events.insert(found->events.end(), user.events.begin(), user.events.end());
  }
  std::inplace_merge(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(former), all.end(),
                     [](const UserRecords& a, const UserRecords& b) { return a.user < b.user; });
  return all;
}

// Items get the numbers that they have here, and what is late is counted.
void ShopRows::TakeFormer(UserRecords* user) {
  for (Event& event : user->events) {
    if (event.item != kNoItem) event.item = former_items_[event.item];
    if (!IsLate(event)) continue;
    std::string place;
    if (log_->WantsPlace(FindingKind::kBadEventTime, "")) {
      place = "user \"" + user->user + "\": the time " + TimeText(event.time) + " of a " +
              EventKindName(event.kind) + " is not before " + TimeText(*schema_.until) +
              ", `until` of [shop]; it is dropped";
    }
    log_->AddPlace(FindingKind::kBadEventTime, "", std::move(place));
  }
}

void ShopRows::KeepRecords(UserRecords* user) {
  std::vector<Event>& events = user->events;
  if (!events.empty()) records_->Add(user->user, events);
  while (!events.empty() && IsLate(events.back())) events.pop_back();
  for (const Event& event : events) {
    if (event.item == kNoItem) continue;
    used_items_[event.item] = true;
    if (event.kind != EventKind::kContact) continue;
    const std::string_view id = item_ids_[event.item];
    Named(2, items_.item(event.item).key, id.substr(kArmPrefix.size()));
  }
}

// The order within a second must not depend on the files' order, nor on items' numbers, which follow it.
// An item's key is far away in memory: most events differ by their time, and need none.
void ShopRows::SortEvents(std::vector<Event>* events) const {
  const auto before = [&](const Event& a, const Event& b) {
    if (a.time != b.time) return a.time < b.time;
    if (a.kind != b.kind) return a.kind < b.kind;
    if (a.item != b.item) {
      const auto key = [&](std::uint32_t item) { return item == kNoItem ? Key{0} : items_.item(item).key; };
      return std::pair(key(a.item), a.item) < std::pair(key(b.item), b.item);
    }
    return std::pair(a.price, a.quantity) < std::pair(b.price, b.quantity);
  };
  // As those of former nights are, to which nothing came.
  if (!std::is_sorted(events->begin(), events->end(), before))
    std::sort(events->begin(), events->end(), before);
}

void ShopRows::CleanUser(UserRecords* user) {
  for (std::size_t i = 1; i < user->descriptions.size(); ++i) {
    log_->AddPlace(FindingKind::kDuplicateUser, "",
                   user->descriptions[i].place + ": user \"" + user->user + "\" is at " +
                       user->descriptions[0].place + " already; the row is dropped");
  }
  if (user->descriptions.size() > 1) user->descriptions.resize(1);
  if (schema_.users && user->descriptions.empty()) ++users_without_description_;
  std::vector<Event>& events = user->events;
  auto kept = events.begin();
  for (auto event = events.begin(); event != events.end(); ++event) {
    if (kept != events.begin() && *event == *(kept - 1)) {
      std::string place;
      if (log_->WantsPlace(FindingKind::kDuplicateEvent, "")) {
        place = "user \"" + user->user + "\", " + TimeText(event->time) + ": a " +
                EventKindName(event->kind) + " is there twice, with the same item, price and quantity";
      }
      log_->AddPlace(FindingKind::kDuplicateEvent, "", std::move(place));
      continue;
    }
    *kept++ = *event;
  }
  events.erase(kept, events.end());

  for (Event& event : events) {
    if (event.kind == EventKind::kContact) {
      ++contacts_;
      continue;
    }
    ++events_;
    if (!schema_.until) end_ = std::max(end_, event.time + 1);
    if (event.kind != EventKind::kPurchase) continue;
    if (event.price == kNoMoney && event.item != kNoItem) event.price = items_.item(event.item).price;
    purchases_without_price_ += event.price == kNoMoney;
    purchases_without_item_ += event.item == kNoItem;
    const auto interval =
        std::upper_bound(schema_.snapshots.begin(), schema_.snapshots.end(), event.time,
                         [](Time time, const Snapshot& snapshot) { return time < snapshot.time; });
    if (interval == schema_.snapshots.end()) continue;
    items_.AddSale(event.item, event.price, static_cast<std::size_t>(interval - schema_.snapshots.begin()));
  }
  forecast_.AddUser(user->user, events);
  ++users_;
}

Status ShopRows::Clean(const Progress& progress) {
  end_ = schema_.until.value_or(0);
  if (records_ != nullptr) used_items_.resize(items_.size());
  for (std::size_t partition = 0; partition < EventStore::kPartitions; ++partition) {
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    COHORT_ASSIGN_OR_RETURN(std::vector<UserRecords> users, store_.Read(partition));
    if (former_ != nullptr) {
      COHORT_ASSIGN_OR_RETURN(users, WithFormer(partition, std::move(users)));
    }
    for (UserRecords& user : users) {
      SortEvents(&user.events);
      if (records_ != nullptr) KeepRecords(&user);
    }
    if (records_ != nullptr) {
      COHORT_RETURN_IF_ERROR(records_->EndPartition());
      // Of whom there are late events and nothing else.
      std::erase_if(users,
                    [](const UserRecords& user) { return user.events.empty() && user.descriptions.empty(); });
    }
    for (UserRecords& user : users) CleanUser(&user);
    if (!log_->status().ok()) return log_->status();
    COHORT_RETURN_IF_ERROR(store_.Replace(partition, users));
    if (progress) progress(partition + 1);
  }
  for (std::uint32_t item = 0; records_ != nullptr && item < items_.size(); ++item)
    unused_items_ += !used_items_[item] && !items_.item(item).described;
  items_.Accumulate();
  forecast_.Fit();
  return {};
}

Status ShopRows::Write(const Output& output, const Progress& progress) {
  for (std::size_t partition = 0; partition < EventStore::kPartitions; ++partition) {
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    COHORT_ASSIGN_OR_RETURN(const std::vector<UserRecords> users, store_.Read(partition));
    COHORT_RETURN_IF_ERROR(WriteUsers(users, output));
    if (progress) progress(partition + 1);
  }
  return {};
}

Status ShopRows::WriteUsers(const std::vector<UserRecords>& users, const Output& output) {
  for (const UserRecords& user : users) COHORT_RETURN_IF_ERROR(WriteUser(user, output));
  written_.values_below_zero += labels_.TakeValuesBelowZero();
  return {};
}

void ShopRows::AddWritten(const Written& more) {
  written_.rows += more.rows;
  written_.unlabelled += more.unlabelled;
  written_.returns_matched += more.returns_matched;
  written_.returns_unmatched += more.returns_unmatched;
  written_.values_below_zero += more.values_below_zero;
}

void ShopRows::PutShared(ByteWriter* out) const {
  out->Put(end_);
  out->Put(users_);
  items_.Put(out);
  forecast_.Put(out);
}

bool ShopRows::GetShared(ByteReader* in) {
  return in->Get(&end_) && in->Get(&users_) && items_.Get(in) && forecast_.Get(in);
}

Status ShopRows::Visit(const std::function<void(UserRecords&)>& visit, const Progress& progress) const {
  for (std::size_t partition = 0; partition < EventStore::kPartitions; ++partition) {
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    COHORT_ASSIGN_OR_RETURN(std::vector<UserRecords> users, store_.Read(partition));
    for (UserRecords& user : users) visit(user);
    if (progress) progress(partition + 1);
  }
  return {};
}

Status ShopRows::WriteUser(const UserRecords& user, const Output& output) {
  const bool held_out = schema_.holdout > 0 && ShareOf(user.user) < schema_.holdout;
  UserPast past;
  std::size_t next = 0;
  for (std::size_t i = 0; i < schema_.snapshots.size(); ++i) {
    const Snapshot& snapshot = schema_.snapshots[i];
    for (; next < user.events.size() && user.events[next].time < snapshot.time; ++next)
      past.Add(user.events[next]);
    if (schema_.holdout > 0 && held_out == (snapshot.split == Split::kTrain)) continue;
    COHORT_RETURN_IF_ERROR(WriteRow(user, past, i, next, output));
  }
  // What comes after the last snapshot is told too, for the counts alone.
  for (; next < user.events.size(); ++next) past.Add(user.events[next]);
  written_.returns_matched += past.matched_returns();
  written_.returns_unmatched += past.unmatched_returns();
  return {};
}

Status ShopRows::WriteRow(const UserRecords& user, const UserPast& past, std::size_t snapshot,
                          std::size_t next_event, const Output& output) {
  const auto [now, split] = schema_.snapshots[snapshot];
  const UserRecord* description = user.descriptions.empty() ? nullptr : &user.descriptions[0];
  Time seen = past.events().empty() ? kNoTime : past.events().back().time;
  if (description != nullptr && description->sign_up < now) seen = std::max(seen, description->sign_up);
  if (seen == kNoTime || (schema_.seen_within_days > 0 && seen < now - schema_.seen_within_days * kDay))
    return {};

  // Labels of training and validation know nothing of the time that the test is about.
  const Time end = split == Split::kTest ? end_ : std::min(end_, schema_.test_time());
  row_labels_.clear();
  const bool labelled = labels_.Append(past, description, now, std::span(user.events).subspan(next_event),
                                       end, items_, &row_labels_);
  if (!labelled && split == Split::kTrain) {
    ++written_.unlabelled;
    return {};
  }
  RowBlock& block = output.block(snapshot);
  block.labels.insert(block.labels.end(), row_labels_.begin(), row_labels_.end());
  features_.Append(past, description, snapshot, items_, forecast_, &block);
  block.ids.push_back(user.user);
  block.input_rows.push_back(written_.rows++);
  ++block.rows;
  return output.row_added(snapshot);
}

std::vector<ReportCount> ShopRows::counts() const {
  std::vector<ReportCount> counts = {
      {"users", "users", users_},
      {"events", "events, without what was dropped", events_},
      {"items", "items and arms of campaigns", items_.size() - unused_items_},
      {"returns_matched", "returns matched to an earlier purchase", written_.returns_matched},
      {"returns_unmatched", "returns of more than was bought before: what is over is left out",
       written_.returns_unmatched},
      {"purchases_without_price", "purchases without a price: they count as orders, not as revenue",
       purchases_without_price_},
      {"purchases_without_item", "purchases without an item", purchases_without_item_}};
  if (schema_.campaigns) counts.push_back({"contacts", "contacts of campaigns", contacts_});
  if (schema_.users)
    counts.push_back({"users_without_description", "users of events of whom [users] says nothing",
                      users_without_description_});
  if (schema_.items && schema_.items->cost)
    counts.push_back(
        {"values_below_zero", "margins below 0, counted as a value of 0", written_.values_below_zero});
  return counts;
}

}  // namespace cohort
