// SHOP.toml: the logs of a shop, and the rows to make of them. docs/shop.md has every key; here is what they come to.
#ifndef COHORT_LIFECYCLE_SHOP_SCHEMA_H_
#define COHORT_LIFECYCLE_SHOP_SCHEMA_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/types.h"
#include "lifecycle/event.h"
#include "lifecycle/event_time.h"
#include "prepare/csv_reader.h"
#include "prepare/schema.h"

namespace cohort {

struct EventsSchema {
  std::vector<std::string> files;
  ColumnReference user, time;
  std::optional<ColumnReference> kind, item, quantity, price;
  TimeFormat time_format;
  EventKind only_kind = EventKind::kPurchase;                  // without a column `kind`
  std::map<std::string, EventKind, std::less<>> kind_of_cell;  // with one
  bool negative_is_return = false;  // a purchase of a negative quantity is a return of as many
  // By EventKind: whether there can be such events.
  std::array<bool, kEventKinds> has_kind{};
};

struct AttributeSchema {
  std::string name;
  ColumnReference column;
  bool numeric = false;
};

struct UsersSchema {
  std::vector<std::string> files;
  ColumnReference user;
  std::optional<ColumnReference> sign_up, acquisition_cost;
  TimeFormat time_format;
  std::vector<AttributeSchema> attributes;  // the channel first, where it is given
};

struct ItemsSchema {
  std::vector<std::string> files;
  ColumnReference item;
  std::optional<ColumnReference> category, brand, price, cost;
  std::optional<ColumnReference> text, tags;  // of recommendations only
  std::string tag_separator = "|";
};

struct CampaignsSchema {
  std::vector<std::string> files;
  ColumnReference user, time;
  std::optional<ColumnReference> arm, randomised, outcome;
  TimeFormat time_format;
};

struct Snapshot {
  Time time = 0;
  Split split = Split::kTrain;
};

struct FeatureOptions {
  std::vector<int> windows_days = {7, 30, 90, 365};  // ascending
  int history = 32;                                  // events of a sequence
  int price_bands = 5;
  std::uint32_t bins = 0;  // of numeric features
  bool forecast = false;   // order_forecast.h
};

struct AcquisitionLabel {
  int days = 30;
};
struct ActivationLabel {
  int days = 14;
  std::vector<EventKind> activities;  // the classes; "none" follows
};
struct ChurnLabel {
  int horizon_days = 90;
  std::uint32_t periods = 1;                 // 1: binary; more: hazard
  int seen_within_days = 0;                  // 0: ever
  std::array<bool, kEventKinds> activity{};  // by EventKind: what counts as activity
  bool with_cost = false;                    // the task churn_cost
};
struct HorizonLabel {
  int horizon_days = 30;
  int shortest_days = 30;  // train and valid rows: a window cut by the test snapshot counts from that length on
};

struct CampaignLabel {
  std::vector<std::string> arms;  // the classes
  int horizon_days = 28;          // of the outcomes
};

struct LabelOptions {
  std::optional<AcquisitionLabel> acquisition_cost;
  std::optional<ActivationLabel> activation;
  std::optional<ChurnLabel> churn;
  std::optional<HorizonLabel> purchase, orders, value;
  std::optional<CampaignLabel> campaign;
};

struct ShopSchema {
  std::string path;
  CsvOptions csv;
  std::vector<std::string> missing = {""};
  std::string
      user_key;  // file with the key of pseudonyms, which then stand for users' ids (secret_key.h); empty: ids as they are
  std::optional<Time> until;  // events from then on are not used
  EventsSchema events;
  std::optional<UsersSchema> users;
  std::optional<ItemsSchema> items;
  std::optional<CampaignsSchema> campaigns;
  std::vector<Snapshot> snapshots;  // ascending, all different: train, then at most one valid, then one test
  double holdout = 0;               // share of the users, by hash
  int seen_within_days = 0;  // a row only for users with an event or sign-up in so many days before; 0: ever
  FeatureOptions features;
  LabelOptions labels;

  Time test_time() const { return snapshots.back().time; }
  // How long the window of a label at a snapshot is: the horizon; before the test snapshot no further than to it. 0: shorter than
  // the shortest, the label is masked.
  Time Window(const HorizonLabel& label, Time snapshot) const {
    const Time horizon = label.horizon_days * kDay;
    if (snapshot >= test_time()) return horizon;
    const Time window = std::min(horizon, test_time() - snapshot);
    return window >= label.shortest_days * kDay ? window : 0;
  }
};

inline constexpr int kMostSnapshots = 64;

// Whether a file is a shop description: it has a section [shop]. Errors: it cannot be read, or is no TOML.
Result<bool> IsShopFile(const std::string& path);
// Reads and checks a description, without looking at the data. Data files are relative to `data_directory`, or to
// the description's own directory when it is empty. Errors name line and column.
Result<ShopSchema> LoadShopSchema(const std::string& path, const std::string& data_directory = "");
Result<ShopSchema> ParseShopSchema(const std::string& text, const std::string& path,
                                   const std::string& data_directory);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SHOP_SCHEMA_H_
