#include "lifecycle/shop_reader.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "common/nearest.h"
#include "common/process.h"
#include "prepare/number.h"

namespace cohort {
namespace {

constexpr std::uint64_t kProgressRecords = 4096;
constexpr std::size_t kMostUserBytes = 0xffff;
constexpr std::size_t kShownBytes = 40;

std::string Shown(std::string_view cell) {
  std::string text = "\"";
  for (const char c : cell.substr(0, kShownBytes)) text += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  return text + (cell.size() > kShownBytes ? "…\"" : "\"");
}

std::string_view CellOf(const CsvReader& csv, std::ptrdiff_t column) {
  return csv.cells()[static_cast<std::size_t>(column)];
}

std::vector<std::string> Parts(std::string_view text, const std::string& separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + separator.size(), text.size()));
  }
  return parts;
}

}  // namespace

ShopReader::ShopReader(const ShopSchema& schema, ShopRows* rows, FindingLog* log,
                       std::function<void(std::uint64_t, std::uint64_t)> progress)
    : schema_(schema), rows_(rows), log_(log), all_(log), progress_(std::move(progress)) {}

Status ShopReader::Read() {
  if (!schema_.user_key.empty()) {
    COHORT_ASSIGN_OR_RETURN(user_key_, SecretKey::Read(schema_.user_key));
  }
  if (schema_.items) COHORT_RETURN_IF_ERROR(ReadItems());
  if (schema_.users) COHORT_RETURN_IF_ERROR(ReadUsers());
  if (schema_.campaigns) COHORT_RETURN_IF_ERROR(ReadCampaigns());
  return ReadEvents();
}

template <typename Visit>
Status ShopReader::ForEachRecord(const std::vector<std::string>& files, const Columns& wanted,
                                 const Visit& visit) {
  for (const std::string& file : files) COHORT_RETURN_IF_ERROR(ForEachOfFile(file, nullptr, wanted, visit));
  return {};
}

template <typename Visit>
Status ShopReader::ForEachOfLogs(const std::vector<std::string>& files, bool campaigns, const Columns& wanted,
                                 const Visit& visit) {
  if (since_ == nullptr) return ForEachRecord(files, wanted, visit);
  for (std::size_t i = 0; i < files.size(); ++i) {
    LogsSince::Log& log = since_->log(campaigns, i);
    FindingLog found(all_->strict());
    if (log.before != nullptr) {
      log.now.records = log.before->records, log.now.next_line = log.before->next_line;
      log.now.ends_line = log.before->ends_line;
      found.Add(log.before->findings);
      records_ += log.before->records;
    }
    if (log.as_it_was()) {
      bytes_ += log.now.bytes;
      if (progress_) progress_(bytes_, records_);
    } else {
      log_ = &found;
      const Status status = ForEachOfFile(files[i], &log, wanted, visit);
      log_ = all_;
      COHORT_RETURN_IF_ERROR(status);
    }
    log.now.findings = found.Take();
    all_->Add(log.now.findings);
    if (!all_->status().ok()) return all_->status();
  }
  return {};
}

template <typename Visit>
Status ShopReader::ForEachOfFile(const std::string& file, LogsSince::Log* log, const Columns& wanted,
                                 const Visit& visit) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::OpenNamed(file, schema_.csv));
  COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());
  if (!more)
    return {ErrorCode::kInvalidInput,
            file + ":1: the file is empty; expected a header with the columns' names"};
  const std::vector<std::string> header(csv->cells().begin(), csv->cells().end());
  std::vector<std::ptrdiff_t> columns;
  for (const std::optional<ColumnReference>* column : wanted) {
    columns.push_back(-1);
    if (!column->has_value()) continue;
    COHORT_ASSIGN_OR_RETURN(columns.back(), FindColumn(**column, file, header.size(), header));
  }
  if (log != nullptr && log->grown())
    COHORT_RETURN_IF_ERROR(csv->ContinueAt(log->before->bytes, log->before->next_line));
  const std::uint64_t records_before = records_;
  COHORT_ASSIGN_OR_RETURN(more, csv->Next());
  while (more) {
    if (csv->cells().size() == header.size()) {
      COHORT_RETURN_IF_ERROR(visit(*csv, columns));
    } else {
      log_->Add(FindingKind::kWrongCellCount, "", *csv, -1,
                std::to_string(csv->cells().size()) + " cells, where the header has " +
                    std::to_string(header.size()) + "; the row is dropped");
    }
    for (const FindingLog* each : {log_, all_}) {
      if (!each->status().ok()) return each->status();
    }
    if (++records_ % kProgressRecords == 0) {
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
      if (progress_) progress_(bytes_ + csv->source().consumed(), records_);
    }
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
  }
  bytes_ += csv->source().consumed();
  if (log == nullptr) return {};
  if (csv->source().consumed() != log->now.bytes)
    return {ErrorCode::kInvalidInput,
            file + ": was written to while it was read: it had " + std::to_string(log->now.bytes) +
                " bytes at first, and " + std::to_string(csv->source().consumed()) +
                " at the end; with --since a log must rest: call again, or give a copy of it"};
  log->now.records += records_ - records_before;
  log->now.next_line = csv->next_line();
  log->now.ends_line = csv->ends_line();
  return {};
}

bool ShopReader::IsMissing(std::string_view cell) const {
  return std::find(schema_.missing.begin(), schema_.missing.end(), cell) != schema_.missing.end();
}

std::string_view ShopReader::UserOf(const CsvReader& csv, std::ptrdiff_t column, const char* what) {
  const std::string_view user = CellOf(csv, column);
  if (left_out_ != nullptr && left_out_->contains(user)) {
    ++records_left_out_;
    return {};
  }
  if (!IsMissing(user) && user.size() <= kMostUserBytes) {
    if (!user_key_) return user;
    return pseudonym_ = ToHex(user_key_->Digest(user));
  }
  log_->Add(FindingKind::kMissingUser, "", csv, column,
            user.size() > kMostUserBytes
                ? std::string("a user of more than 65535 bytes; the ") + what + " is dropped"
                : std::string("no user; the ") + what + " is dropped");
  return {};
}

std::optional<Time> ShopReader::TimeOf(const CsvReader& csv, std::ptrdiff_t column, const TimeFormat& format,
                                       const char* what) {
  const std::string_view cell = CellOf(csv, column);
  const std::optional<Time> time = format.Read(cell);
  if (time) return time;
  log_->Add(FindingKind::kBadEventTime, "", csv, column,
            log_->WantsPlace(FindingKind::kBadEventTime, "")
                ? "the time " + Shown(cell) + " is not " + format.Expected() + "; the " + what + " is dropped"
                : std::string());
  return std::nullopt;
}

// Not among what was found in a log: what holds of its records tonight may not hold tomorrow.
bool ShopReader::IsLate(const CsvReader& csv, std::ptrdiff_t column, Time time, const char* what) {
  if (!schema_.until || time < *schema_.until) return false;
  all_->Add(FindingKind::kBadEventTime, "", csv, column,
            all_->WantsPlace(FindingKind::kBadEventTime, "")
                ? "the time " + Shown(CellOf(csv, column)) + " is not before " + TimeText(*schema_.until) +
                      ", `until` of [shop]; the " + what + " is dropped"
                : std::string());
  return true;
}

bool ShopReader::PriceOf(const CsvReader& csv, std::ptrdiff_t column, const char* what, Money* money) {
  *money = kNoMoney;
  if (column < 0) return true;
  const std::string_view cell = CellOf(csv, column);
  if (IsMissing(cell)) return true;
  double price = 0;
  if (ParseNumber(cell, &price) == NumberKind::kNumber && price >= 0 && price <= kMostPrice) {
    *money = std::llround(price * static_cast<double>(kMoneyUnit));
    return true;
  }
  log_->Add(FindingKind::kBadPrice, "", csv, column,
            "the price " + Shown(cell) + " is not a number from 0 to 10000000; the " + what + " is dropped");
  return false;
}

Status ShopReader::ReadItems() {
  const ItemsSchema& items = *schema_.items;
  const std::optional<ColumnReference> id(items.item);
  return ForEachRecord(
      items.files, {&id, &items.category, &items.brand, &items.price, &items.cost, &items.text, &items.tags},
      [&](const CsvReader& csv, const std::vector<std::ptrdiff_t>& columns) -> Status {
        const std::string_view cell = CellOf(csv, columns[0]);
        if (IsMissing(cell)) {
          log_->Add(FindingKind::kMissingItem, "", csv, columns[0], "no item; the item is dropped");
          return {};
        }
        Money price = kNoMoney, cost = kNoMoney;
        if (!PriceOf(csv, columns[3], "item", &price) || !PriceOf(csv, columns[4], "item", &cost)) return {};
        const std::uint32_t number = rows_->ItemNumber(cell);
        Item& item = rows_->items().item(number);
        if (std::exchange(item.described, true)) {
          log_->Add(FindingKind::kDuplicateItem, "", csv, columns[0],
                    "item " + Shown(cell) + " is there already; the row is dropped");
          return {};
        }
        item.price = price;
        item.cost = cost;
        if (columns[1] >= 0 && !IsMissing(CellOf(csv, columns[1])))
          item.category = rows_->CategoryKey(CellOf(csv, columns[1]));
        if (columns[2] >= 0 && !IsMissing(CellOf(csv, columns[2])))
          item.brand = rows_->BrandKey(CellOf(csv, columns[2]));
        if (rows_->items().words().empty()) return {};
        const auto text = [&](std::size_t i) {
          return columns[i] < 0 || IsMissing(CellOf(csv, columns[i])) ? std::string_view()
                                                                      : CellOf(csv, columns[i]);
        };
        ItemWords& words = rows_->items().words()[number];
        words.category = text(1);
        words.brand = text(2);
        words.text = text(5);
        words.tags = Parts(text(6), items.tag_separator);
        return {};
      });
}

Status ShopReader::ReadUsers() {
  const UsersSchema& users = *schema_.users;
  const std::optional<ColumnReference> id(users.user);
  std::vector<std::optional<ColumnReference>> attributes;
  for (const AttributeSchema& attribute : users.attributes) attributes.emplace_back(attribute.column);
  std::vector<const std::optional<ColumnReference>*> wanted = {&id, &users.sign_up, &users.acquisition_cost};
  for (const auto& attribute : attributes) wanted.push_back(&attribute);
  constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
  // A cell that is no number is missing, and counted.
  const auto number_of = [&](const CsvReader& csv, std::ptrdiff_t column, const std::string& name) {
    float value = 0;
    const std::string_view cell = CellOf(csv, column);
    if (IsMissing(cell)) return kMissing;
    const NumberKind kind = ParseNumber(cell, &value);
    if (kind == NumberKind::kNumber) return value;
    log_->Add(kind == NumberKind::kNotFinite ? FindingKind::kNotFinite : FindingKind::kNotANumber, name, csv,
              column,
              Shown(cell) + " of \"" + name + "\" is not " +
                  (kind == NumberKind::kNotFinite ? "finite" : "a number") + "; it counts as missing");
    return kMissing;
  };
  return ForEachRecord(
      users.files, wanted, [&](const CsvReader& csv, const std::vector<std::ptrdiff_t>& columns) -> Status {
        const std::string_view user = UserOf(csv, columns[0], "user");
        if (user.empty()) return {};
        UserRecord record;
        record.place = csv.Where();
        if (columns[1] >= 0 && !IsMissing(CellOf(csv, columns[1]))) {
          const std::optional<Time> time = TimeOf(csv, columns[1], users.time_format, "user");
          if (!time || IsLate(csv, columns[1], *time, "user")) return {};
          record.sign_up = *time;
        }
        record.acquisition_cost = columns[2] < 0 ? kMissing : number_of(csv, columns[2], "acquisition_cost");
        for (std::size_t i = 0; i < users.attributes.size(); ++i) {
          const std::ptrdiff_t column = columns[i + 3];
          if (users.attributes[i].numeric) {
            record.attributes.push_back(
                std::bit_cast<std::uint32_t>(number_of(csv, column, "user_" + users.attributes[i].name)));
          } else {
            const std::string_view cell = CellOf(csv, column);
            record.attributes.push_back(IsMissing(cell) ? 0 : rows_->AttributeKey(i, cell));
          }
        }
        return rows_->AddUser(user, record);
      });
}

bool ShopReader::IsTrue(const CsvReader& csv, std::ptrdiff_t column) {
  const std::string_view cell = CellOf(csv, column);
  if (cell == "1" || cell == "true" || cell == "yes") return true;
  if (cell != "0" && cell != "false" && cell != "no" && !IsMissing(cell))
    log_->Add(FindingKind::kNotANumber, "randomised", csv, column,
              Shown(cell) + " of \"randomised\" is none of 1, true, yes, 0, false, no; it counts as 0");
  return false;
}

Money ShopReader::OutcomeOf(const CsvReader& csv, std::ptrdiff_t column) {
  const std::string_view cell = CellOf(csv, column);
  if (IsMissing(cell)) return kNoMoney;
  double outcome = 0;
  if (ParseNumber(cell, &outcome) == NumberKind::kNumber && std::abs(outcome) <= kMostPrice)
    return std::llround(outcome * static_cast<double>(kMoneyUnit));
  log_->Add(FindingKind::kNotANumber, "outcome", csv, column,
            Shown(cell) + " of \"outcome\" is not a number within 10000000 of 0; it counts as missing");
  return kNoMoney;
}

Status ShopReader::ReadCampaigns() {
  const CampaignsSchema& campaigns = *schema_.campaigns;
  const std::optional<ColumnReference> user_column(campaigns.user), time_column(campaigns.time);
  return ForEachOfLogs(
      campaigns.files, /*campaigns=*/true,
      {&user_column, &time_column, &campaigns.arm, &campaigns.randomised, &campaigns.outcome},
      [&](const CsvReader& csv, const std::vector<std::ptrdiff_t>& columns) -> Status {
        const std::string_view user = UserOf(csv, columns[0], "contact");
        if (user.empty()) return {};
        const std::optional<Time> time = TimeOf(csv, columns[1], campaigns.time_format, "contact");
        if (!time) return {};
        Event contact{.time = *time, .kind = EventKind::kContact};
        if (columns[3] >= 0 && IsTrue(csv, columns[3])) contact.quantity = kRandomised;
        if (columns[4] >= 0) contact.price = OutcomeOf(csv, columns[4]);
        if (IsLate(csv, columns[1], *time, "contact") && since_ == nullptr) return {};
        if (columns[2] >= 0 && !IsMissing(CellOf(csv, columns[2])))
          contact.item = rows_->ArmNumber(CellOf(csv, columns[2]));
        return rows_->AddEvent(user, contact);
      });
}

Status ShopReader::ReadEvents() {
  const EventsSchema& events = schema_.events;
  const std::optional<ColumnReference> user_column(events.user), time_column(events.time);
  std::vector<std::string> kinds;  // for errors
  for (const auto& [cell, kind] : events.kind_of_cell) kinds.push_back(cell);
  const auto bad_quantity = [&](const CsvReader& csv, std::ptrdiff_t column, const std::string& why) {
    log_->Add(FindingKind::kBadQuantity, "", csv, column,
              "the quantity " + Shown(CellOf(csv, column)) + why + "; the event is dropped");
    return Status();
  };
  return ForEachOfLogs(
      events.files, /*campaigns=*/false,
      {&user_column, &time_column, &events.kind, &events.item, &events.quantity, &events.price},
      [&](const CsvReader& csv, const std::vector<std::ptrdiff_t>& columns) -> Status {
        const std::string_view user = UserOf(csv, columns[0], "event");
        if (user.empty()) return {};
        const std::optional<Time> time = TimeOf(csv, columns[1], events.time_format, "event");
        if (!time) return {};
        Event event{.time = *time, .kind = events.only_kind};
        if (columns[2] >= 0) {
          const std::string_view cell = CellOf(csv, columns[2]);
          const auto found = events.kind_of_cell.find(cell);
          if (found == events.kind_of_cell.end()) {
            log_->Add(FindingKind::kUnknownKind, "", csv, columns[2],
                      "the kind " + Shown(cell) + " is none of [events.kinds]" +
                          DidYouMean(std::string(cell), kinds) + "; the event is dropped");
            return {};
          }
          event.kind = found->second;
        }
        if (columns[4] >= 0 && !IsMissing(CellOf(csv, columns[4]))) {
          double quantity = 0;
          if (ParseNumber(CellOf(csv, columns[4]), &quantity) != NumberKind::kNumber ||
              std::abs(quantity) > kMostQuantity)
            return bad_quantity(csv, columns[4], " is not a number up to 100000");
          if (quantity < 0) {
            if (!events.negative_is_return || event.kind != EventKind::kPurchase)
              return bad_quantity(
                  csv, columns[4],
                  " is below 0 (negative_quantity = \"return\" makes returns of such purchases)");
            event.kind = EventKind::kReturn;
          }
          event.quantity = std::llround(std::abs(quantity) * static_cast<double>(kOnePiece));
          if (event.quantity == 0) return bad_quantity(csv, columns[4], " is less than a thousandth");
        }
        if (!PriceOf(csv, columns[5], "event", &event.price)) return {};
        if (IsLate(csv, columns[1], *time, "event") && since_ == nullptr) return {};
        if (columns[3] >= 0 && !IsMissing(CellOf(csv, columns[3])))
          event.item = rows_->ItemNumber(CellOf(csv, columns[3]));
        return rows_->AddEvent(user, event);
      });
}

}  // namespace cohort
