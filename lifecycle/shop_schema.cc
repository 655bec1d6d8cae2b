#include "lifecycle/shop_schema.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "common/atomic_file.h"
#include "common/input_file.h"
#include "prepare/toml_table.h"

namespace cohort {
namespace {

constexpr int kMostDays = 36'500;

class ShopParser {
 public:
  ShopParser(TomlDocument* document, std::string data_directory)
      : document_(document), data_directory_(std::move(data_directory)) {}

  Result<ShopSchema> Parse(const std::string& path) {
    const TomlTable root = document_->root();
    schema_.path = path;
    root.AllowOnly({"shop", "events", "users", "items", "campaigns", "snapshots", "features", "labels"},
                   InputFileKind::kShop);
    ReadShop(root.Table("shop"));
    for (const char* section : {"events", "snapshots", "labels"}) {
      if (!root.Has(section)) root.Fail(nullptr, std::string("[") + section + "] is missing");
    }
    ReadEvents(root.Table("events"));
    if (root.Has("users")) ReadUsers(root.Table("users"));
    if (root.Has("items")) ReadItems(root.Table("items"));
    if (root.Has("campaigns")) ReadCampaigns(root.Table("campaigns"));
    ReadFeatures(root.Table("features"));
    ReadLabels(root.Table("labels"));
    ReadSnapshots(root.Table("snapshots"));
    if (!document_->status().ok()) return tl::unexpected<Status>(document_->status());
    return std::move(schema_);
  }

 private:
  std::vector<std::string> Files(const TomlTable& table) {
    if (!table.Has("files")) table.Fail(nullptr, table.what() + " needs files = [\"...\"]");
    std::set<std::string> named;  // one file may hold events and users
    return ReadFiles(table, "files", data_directory_, &named);
  }
  ColumnReference Column(const TomlTable& table, const char* key) {
    if (!table.Has(key))
      table.Fail(nullptr, table.what() + " needs " + key + " = \"...\": the name of a column");
    return ReadColumn(table, key, true);
  }
  std::optional<ColumnReference> OptionalColumn(const TomlTable& table, const char* key) {
    if (!table.Has(key)) return std::nullopt;
    return ReadColumn(table, key, true);
  }
  TimeFormat Format(const TomlTable& table) {
    const std::string text = table.Text("time_format", "iso");
    const std::optional<TimeFormat> format = TimeFormat::Parse(text);
    if (!format) {
      table.Fail("time_format", "\"" + text +
                                    "\" is no form of a time; expected \"iso\", \"unix\", \"unix_ms\" or a "
                                    "pattern of strptime like \"%d/%m/%Y %H:%M\"");
    }
    return format.value_or(TimeFormat());
  }
  std::optional<Time> Moment(const TomlTable& table, const char* key) {
    const std::optional<TomlScalar> scalar = table.Scalar(key);
    if (!scalar) return std::nullopt;
    return ReadMoment(table, key, scalar->text);
  }
  std::optional<Time> ReadMoment(const TomlTable& table, const char* key, const std::string& text) {
    const std::optional<Time> time = TimeFormat().Read(text);
    if (!time) {
      table.Fail(
          key, "\"" + text + "\" is not a date like \"2011-10-01\" or \"2011-10-01 08:30:00\", from 1970 on");
    }
    return time;
  }
  int Days(const TomlTable& table, const char* key, int otherwise, int least = 1) {
    return static_cast<int>(table.Integer(key, otherwise, least, kMostDays));
  }

  void ReadShop(const TomlTable& table) {
    table.AllowOnly({"until", "user_key", "delimiter", "quote", "trim", "missing"});
    schema_.until = Moment(table, "until");
    if (table.Has("user_key")) {
      std::string& key = schema_.user_key = table.Text("user_key", "");
      if (key.empty()) table.Fail("user_key", "names no file");
      if (!key.starts_with("/")) key = data_directory_ + "/" + key;
    }
    ReadCsvOptions(table, &schema_.csv, &schema_.missing);
  }

  void ReadEvents(const TomlTable& table) {
    if (!table.exists()) return;
    table.AllowOnly({"files", "user", "time", "time_format", "kind", "kind_is", "kinds", "item", "quantity",
                     "price", "negative_quantity"});
    EventsSchema& events = schema_.events;
    events.files = Files(table);
    events.user = Column(table, "user");
    events.time = Column(table, "time");
    events.time_format = Format(table);
    events.item = OptionalColumn(table, "item");
    events.quantity = OptionalColumn(table, "quantity");
    events.price = OptionalColumn(table, "price");
    ReadKinds(table);
    if (table.Has("negative_quantity")) {
      if (!events.quantity)
        table.Fail("negative_quantity", "there is no column of quantities (quantity = \"...\")");
      events.negative_is_return = table.Choice("negative_quantity", {"bad", "return"}, 0) == 1;
    }
    const auto has = [&](EventKind kind) -> bool& { return events.has_kind[static_cast<std::size_t>(kind)]; };
    has(EventKind::kReturn) |= events.negative_is_return && has(EventKind::kPurchase);
  }

  void ReadKinds(const TomlTable& table) {
    EventsSchema& events = schema_.events;
    const std::vector<std::string> names(kEventKindNames.begin(), kEventKindNames.begin() + kEventKinds);
    if (table.Has("kind") == table.Has("kind_is")) {
      table.Fail(nullptr,
                 "[events] needs either kind = \"...\" (the column that says what happened) or kind_is = "
                 "\"purchase\" (all of them are such events)");
      return;
    }
    if (table.Has("kind_is")) {
      table.Forbid("kinds", "there is no column of kinds");
      const std::size_t kind = table.Choice("kind_is", names, 0);
      events.only_kind = static_cast<EventKind>(kind);
      events.has_kind[kind] = true;
      return;
    }
    events.kind = ReadColumn(table, "kind", true);
    const TomlTable kinds = table.Table("kinds");
    kinds.AllowOnly(names);
    for (std::size_t kind = 0; kind < names.size(); ++kind) {
      const char* name = names[kind].c_str();
      const std::vector<std::string> cells =
          kinds.exists() ? kinds.Texts(name) : std::vector<std::string>{names[kind]};
      for (const std::string& cell : cells) {
        const auto [place, is_new] = events.kind_of_cell.emplace(cell, static_cast<EventKind>(kind));
        if (!is_new) kinds.Fail(name, "\"" + cell + "\" means " + EventKindName(place->second) + " already");
        events.has_kind[kind] = true;
      }
    }
    if (events.kind_of_cell.empty()) table.Fail("kinds", "[events.kinds] names no cell");
  }

  void ReadUsers(const TomlTable& table) {
    table.AllowOnly({"files", "user", "sign_up", "time_format", "acquisition_cost", "channel", "attribute"});
    UsersSchema users;
    users.files = Files(table);
    users.user = Column(table, "user");
    users.sign_up = OptionalColumn(table, "sign_up");
    users.acquisition_cost = OptionalColumn(table, "acquisition_cost");
    users.time_format = Format(table);
    std::set<std::string> names;
    if (const auto channel = OptionalColumn(table, "channel")) {
      users.attributes.push_back({"channel", *channel, false});
      names.insert("channel");
    }
    for (const TomlTable& attribute : table.Tables("attribute")) {
      attribute.AllowOnly({"name", "column", "type"});
      AttributeSchema read;
      read.name = attribute.Text("name", "");
      if (!IsFeatureName(read.name))
        attribute.Fail(attribute.Has("name") ? "name" : nullptr,
                       "an attribute needs a name without control characters");
      if (!names.insert(read.name).second)
        attribute.Fail("name", "an attribute called \"" + read.name + "\" is there already");
      read.column = ReadColumn(attribute, attribute.Has("column") ? "column" : "name", true);
      read.numeric = attribute.Choice("type", {"categorical", "numeric"}, 0) == 1;
      users.attributes.push_back(std::move(read));
    }
    schema_.users = std::move(users);
  }

  void ReadItems(const TomlTable& table) {
    table.AllowOnly({"files", "item", "category", "brand", "price", "cost", "text", "tags", "tag_separator"});
    if (!schema_.events.item)
      table.Fail(nullptr, "[items] is of no use: [events] names no column of items (item = \"...\")");
    ItemsSchema items;
    items.files = Files(table);
    items.item = Column(table, "item");
    items.category = OptionalColumn(table, "category");
    items.brand = OptionalColumn(table, "brand");
    items.price = OptionalColumn(table, "price");
    items.cost = OptionalColumn(table, "cost");
    items.text = OptionalColumn(table, "text");
    items.tags = OptionalColumn(table, "tags");
    items.tag_separator = table.Text("tag_separator", items.tag_separator);
    if (items.tag_separator.empty()) table.Fail("tag_separator", "\"tag_separator\" is empty");
    schema_.items = std::move(items);
  }

  void ReadCampaigns(const TomlTable& table) {
    table.AllowOnly({"files", "user", "time", "time_format", "arm", "randomised", "outcome"});
    CampaignsSchema campaigns;
    campaigns.files = Files(table);
    campaigns.user = Column(table, "user");
    campaigns.time = Column(table, "time");
    campaigns.time_format = Format(table);
    campaigns.arm = OptionalColumn(table, "arm");
    campaigns.randomised = OptionalColumn(table, "randomised");
    campaigns.outcome = OptionalColumn(table, "outcome");
    schema_.campaigns = std::move(campaigns);
  }

  void ReadFeatures(const TomlTable& table) {
    table.AllowOnly({"windows_days", "history", "price_bands", "bins", "forecast"});
    FeatureOptions& features = schema_.features;
    if (table.Has("windows_days")) {
      features.windows_days.clear();
      for (const double days : table.Numbers("windows_days")) {
        const int whole = days >= 1 && days <= kMostDays ? static_cast<int>(days) : 0;
        if (whole != days || (!features.windows_days.empty() && whole <= features.windows_days.back())) {
          table.Fail("windows_days", "\"windows_days\" must be ascending whole numbers of days, 1 to " +
                                         std::to_string(kMostDays));
          break;
        }
        features.windows_days.push_back(whole);
      }
      if (features.windows_days.empty() || features.windows_days.size() > 16)
        table.Fail("windows_days", "\"windows_days\" must hold 1 to 16 windows");
    }
    features.history = static_cast<int>(table.Integer("history", features.history, 1, 4096));
    features.price_bands = static_cast<int>(table.Integer("price_bands", features.price_bands, 2, 64));
    features.bins = static_cast<std::uint32_t>(table.Integer("bins", 0, 2, 1024));
    features.forecast = table.Flag("forecast", false);
    if (features.forecast) NeedsPurchases(table, "forecast");
  }

  bool HasKind(EventKind kind) const { return schema_.events.has_kind[static_cast<std::size_t>(kind)]; }

  // The kinds that `key` lists; all that there are but returns when it is absent.
  std::vector<EventKind> Kinds(const TomlTable& table, const char* key) {
    std::vector<EventKind> kinds;
    if (!table.Has(key)) {
      for (int i = 0; i < kEventKinds; ++i) {
        const auto kind = static_cast<EventKind>(i);
        if (kind != EventKind::kReturn && HasKind(kind)) kinds.push_back(kind);
      }
      return kinds;
    }
    for (const std::string& name : table.Texts(key)) {
      const auto end = kEventKindNames.begin() + kEventKinds;
      const auto found = std::find(kEventKindNames.begin(), end, name);
      const auto kind = static_cast<EventKind>(found - kEventKindNames.begin());
      if (found == end || !HasKind(kind)) {
        table.Fail(key, "\"" + name + "\" is no kind of event that [events] has");
        return kinds;
      }
      if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end())
        table.Fail(key, "\"" + name + "\" is named twice");
      kinds.push_back(kind);
    }
    if (kinds.empty()) table.Fail(key, std::string("\"") + key + "\" names no kind of event");
    return kinds;
  }

  void ReadLabels(const TomlTable& table) {
    if (!table.exists()) return;
    table.AllowOnly({"acquisition_cost", "activation", "churn", "purchase", "orders", "value", "campaign"});
    LabelOptions& labels = schema_.labels;
    const bool sign_up = schema_.users && schema_.users->sign_up;
    if (const TomlTable cost = table.Table("acquisition_cost"); cost.exists()) {
      cost.AllowOnly({"days"});
      if (!sign_up || !schema_.users->acquisition_cost)
        cost.Fail(nullptr, "acquisition_cost needs the columns sign_up and acquisition_cost of [users]");
      labels.acquisition_cost = AcquisitionLabel{Days(cost, "days", 30)};
    }
    if (const TomlTable activation = table.Table("activation"); activation.exists()) {
      activation.AllowOnly({"days", "activities"});
      if (!sign_up) activation.Fail(nullptr, "activation needs the column sign_up of [users]");
      labels.activation = ActivationLabel{Days(activation, "days", 14), Kinds(activation, "activities")};
    }
    if (const TomlTable churn = table.Table("churn"); churn.exists()) {
      churn.AllowOnly({"horizon_days", "periods", "seen_within_days", "activity", "cost"});
      ChurnLabel read;
      read.horizon_days = Days(churn, "horizon_days", read.horizon_days);
      read.periods = static_cast<std::uint32_t>(churn.Integer("periods", 1, 1, kMaxPeriods));
      read.seen_within_days = Days(churn, "seen_within_days", read.horizon_days, 0);
      for (const EventKind kind : Kinds(churn, "activity"))
        read.activity[static_cast<std::size_t>(kind)] = true;
      read.with_cost = churn.Flag("cost", false);
      if (read.with_cost) NeedsPurchases(churn, "cost");
      labels.churn = read;
    }
    const auto horizon = [&](const char* key) -> std::optional<HorizonLabel> {
      const TomlTable label = table.Table(key);
      if (!label.exists()) return std::nullopt;
      const bool whole = std::string_view(key) == "purchase";
      if (whole) {
        label.AllowOnly({"horizon_days"});
      } else {
        label.AllowOnly({"horizon_days", "shortest_days"});
      }
      NeedsPurchases(label, nullptr);
      HorizonLabel read;
      read.horizon_days = read.shortest_days = Days(label, "horizon_days", 30);
      if (!whole) read.shortest_days = Days(label, "shortest_days", read.horizon_days);
      if (read.shortest_days > read.horizon_days)
        label.Fail("shortest_days", "shortest_days = " + std::to_string(read.shortest_days) +
                                        ": expected at most horizon_days, " +
                                        std::to_string(read.horizon_days));
      if (read.shortest_days < read.horizon_days && !schema_.features.forecast)
        label.Fail("shortest_days",
                   "labels of windows of different lengths need to know them: set forecast = true in "
                   "[features], and offset = \"log_expected_" +
                       std::string(key) + "\" in [task." + key + "] of the run file");
      return read;
    };
    labels.purchase = horizon("purchase");
    labels.orders = horizon("orders");
    labels.value = horizon("value");
    if (const TomlTable campaign = table.Table("campaign"); campaign.exists()) {
      campaign.AllowOnly({"arms", "horizon_days"});
      const auto& columns = schema_.campaigns;
      if (!columns || !columns->arm || !columns->randomised || !columns->outcome)
        campaign.Fail(nullptr, "campaign needs the columns arm, randomised and outcome of [campaigns]");
      labels.campaign = CampaignLabel{campaign.Texts("arms"), Days(campaign, "horizon_days", 28)};
      std::vector<std::string> arms = labels.campaign->arms;
      std::sort(arms.begin(), arms.end());
      if (arms.size() < 2 || std::adjacent_find(arms.begin(), arms.end()) != arms.end())
        campaign.Fail("arms", "\"arms\" must list two arms or more, each once");
    }
    if (!labels.acquisition_cost && !labels.activation && !labels.churn && !labels.purchase && !labels.orders &&
        !labels.value && !labels.campaign)
      table.Fail(nullptr, "[labels] has none: write [labels.churn], [labels.purchase] or another");
  }

  void NeedsPurchases(const TomlTable& table, const char* key) {
    if (!HasKind(EventKind::kPurchase)) table.Fail(key, "[events] has no purchases");
  }

  void ReadSnapshots(const TomlTable& table) {
    if (!table.exists()) return;
    table.AllowOnly({"train", "train_from", "every_days", "valid", "test", "holdout", "seen_within_days"});
    const std::optional<Time> valid = Moment(table, "valid"), test = Moment(table, "test");
    if (!table.Has("test")) table.Fail(nullptr, "[snapshots] needs test = \"2011-10-01\": the last snapshot");
    if (!test) return;
    if (valid && *valid >= *test) table.Fail("valid", "the valid snapshot must lie before the test snapshot");
    if (schema_.until && *schema_.until <= *test)
      table.Fail("test", "the test snapshot lies at or after `until` of [shop]: it has no future");
    const Time end = valid.value_or(*test);
    for (const Time time : TrainTimes(table, end)) schema_.snapshots.push_back({time, Split::kTrain});
    if (valid) schema_.snapshots.push_back({*valid, Split::kValid});
    schema_.snapshots.push_back({*test, Split::kTest});
    if (schema_.snapshots.size() > kMostSnapshots)
      table.Fail(nullptr, "more than " + std::to_string(kMostSnapshots) + " snapshots");
    schema_.holdout = table.Number("holdout", 0, 0, 0.9);
    schema_.seen_within_days = Days(table, "seen_within_days", 0, 0);
    CheckHorizons(table, *test);
  }

  std::vector<Time> TrainTimes(const TomlTable& table, Time end) {
    std::vector<Time> times;
    if (table.Has("train") == table.Has("train_from")) {
      table.Fail(nullptr,
                 "[snapshots] needs either train = [\"2011-03-01\", ...] or train_from and every_days");
      return times;
    }
    if (table.Has("train_from")) {
      const std::optional<Time> from = Moment(table, "train_from");
      const int days = Days(table, "every_days", 30);
      for (Time time = from.value_or(end); time < end && times.size() <= kMostSnapshots; time += days * kDay)
        times.push_back(time);
      if (from && times.empty())
        table.Fail("train_from", "train_from must lie before the valid and the test snapshot");
      return times;
    }
    table.Forbid("every_days", "train lists the snapshots");
    for (const std::string& text : table.Texts("train")) {
      const std::optional<Time> time = ReadMoment(table, "train", text);
      if (!time) return times;
      if (*time >= end)
        table.Fail("train", "the snapshot " + text + " does not lie before the valid and the test snapshot");
      times.push_back(*time);
    }
    std::sort(times.begin(), times.end());
    if (times.empty()) table.Fail("train", "no snapshot to train on");
    if (std::adjacent_find(times.begin(), times.end()) != times.end())
      table.Fail("train", "a snapshot is named twice");
    return times;
  }

  // Every task needs a train snapshot whose label is known before the test snapshot, and a valid one if there is any.
  void CheckHorizons(const TomlTable& table, Time test) {
    const auto check = [&](const char* label, int days) {
      for (const Split split : {Split::kTrain, Split::kValid}) {
        const auto first = std::find_if(schema_.snapshots.begin(), schema_.snapshots.end(),
                                        [&](const Snapshot& snapshot) { return snapshot.split == split; });
        if (first == schema_.snapshots.end() || first->time + days * kDay <= test) continue;
        table.Fail(nullptr,
                   std::string("[labels.") + label + "] looks " + std::to_string(days) +
                       " days ahead, and no " + SplitName(split) +
                       " snapshot lies so long before the test snapshot; move the snapshots, or shorten the "
                       "horizon");
      }
    };
    if (schema_.labels.churn) check("churn", schema_.labels.churn->horizon_days);
    if (schema_.labels.purchase) check("purchase", schema_.labels.purchase->horizon_days);
    if (schema_.labels.orders) check("orders", schema_.labels.orders->shortest_days);
    if (schema_.labels.value) check("value", schema_.labels.value->shortest_days);
  }

  TomlDocument* document_;
  std::string data_directory_;
  ShopSchema schema_;
};

}  // namespace

Result<bool> IsShopFile(const std::string& path) {
  COHORT_RETURN_IF_ERROR(CheckRegularFile(path));  // whoever asks reads it once more
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxSchemaBytes));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<TomlDocument> document, TomlDocument::Parse(text, path));
  return document->root().Has("shop");
}

Result<ShopSchema> ParseShopSchema(const std::string& text, const std::string& path,
                                   const std::string& data_directory) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<TomlDocument> document, TomlDocument::Parse(text, path));
  return ShopParser(document.get(), data_directory.empty() ? DirectoryOf(path) : data_directory).Parse(path);
}

Result<ShopSchema> LoadShopSchema(const std::string& path, const std::string& data_directory) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxSchemaBytes));
  return ParseShopSchema(text, path, data_directory);
}

}  // namespace cohort
