// Features and labels of small random shops against a plain, slow computation written from the formulas of docs/shop.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "lifecycle/user_features.h"
#include "lifecycle/user_labels.h"
#include "tests/lifecycle/small_shop.h"

namespace cohort::testing::reference_test {
namespace {

constexpr Time kEnd = 212 * kDay;  // 1970-08-01
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Line {
  SmallEvent event;
  Quantity kept = 0;
};

struct Reference {
  const ShopSchema& schema;
  const SmallShop& shop;
  Key KeyOf(const SmallEvent& event) const {
    if (event.item.empty()) return 0;
    return CategoryKey(event.kind == EventKind::kContact ? "last_arm" : "last_items", event.item);
  }
  const SmallItem* ItemOf(const SmallEvent& event) const {
    const auto found = shop.items.find(event.item);
    return found == shop.items.end() || event.kind == EventKind::kContact ? nullptr : &found->second;
  }

  // Different events of a user (of all users when empty) in [from, to), in order, with the list's price where none was paid.
  std::vector<SmallEvent> Events(const std::string& user, Time from, Time to) const {
    std::vector<SmallEvent> events;
    for (const SmallEvent& event : shop.events) {
      if ((!user.empty() && event.user != user) || event.time < from || event.time >= to) continue;
      if (std::find(events.begin(), events.end(), event) == events.end()) events.push_back(event);
    }
    std::stable_sort(events.begin(), events.end(), [&](const SmallEvent& a, const SmallEvent& b) {
      return std::tuple(a.time, a.kind, KeyOf(a), a.price, a.quantity) <
             std::tuple(b.time, b.kind, KeyOf(b), b.price, b.quantity);
    });
    for (SmallEvent& event : events) {
      if (event.kind == EventKind::kPurchase && event.price == kNoMoney && ItemOf(event) != nullptr)
        event.price = ItemOf(event)->price;
    }
    return events;
  }

  // The purchases among them, with what is kept after the returns among them.
  static std::vector<Line> Lines(const std::vector<SmallEvent>& events) {
    std::vector<Line> lines;
    for (const SmallEvent& event : events) {
      if (event.kind == EventKind::kPurchase) lines.push_back({event, event.quantity});
      if (event.kind != EventKind::kReturn) continue;
      Quantity left = event.quantity;
      for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
        if (line->event.item != event.item) continue;
        const Quantity taken = std::min(left, line->kept);
        line->kept -= taken;
        left -= taken;
      }
    }
    return lines;
  }
  static double Pounds(Money price, Quantity quantity) {
    return price == kNoMoney
               ? 0
               : std::floor(static_cast<double>(price) * static_cast<double>(quantity) / 1000 + 0.5) / 10'000;
  }
  double Margin(const std::vector<Line>& lines, Time from) const {
    double sum = 0;
    for (const Line& line : lines) {
      if (line.event.time < from) continue;
      sum += Pounds(line.event.price, line.kept);
      const SmallItem* item = ItemOf(line.event);
      if (item != nullptr && item->cost != kNoMoney) sum -= Pounds(item->cost, line.kept);
    }
    return sum;
  }

  std::map<std::string, double> Numeric(const std::string& user, Time now) const;
  std::map<std::string, Key> Categorical(const std::string& user, Time now) const;
  std::map<std::string, std::vector<Key>> Bags(const std::string& user, Time now) const;
  std::map<std::string, std::vector<double>> Vectors(const std::string& user, Time now) const;
  std::map<std::string, double> Labels(const std::string& user, Time now, Time end) const;

  std::vector<SmallEvent> Acts(const std::string& user, Time now) const {
    std::vector<SmallEvent> events = Events(user, 0, now);
    std::erase_if(events, [](const SmallEvent& event) { return event.kind == EventKind::kContact; });
    return events;
  }
  const SmallUser* Known(const std::string& user, Time now) const {
    const auto found = shop.users.find(user);
    if (found == shop.users.end() || (found->second.sign_up != kNoTime && found->second.sign_up >= now))
      return nullptr;
    return &found->second;
  }
  std::map<Key, int> Kept(const std::string& user, Time now, bool brands) const {
    std::map<Key, int> counts;
    for (const Line& line : Lines(Events(user, 0, now))) {
      const SmallItem* item = ItemOf(line.event);
      if (line.kept == 0 || item == nullptr) continue;
      const std::string& text = brands ? item->brand : item->category;
      if (!text.empty()) ++counts[CategoryKey(brands ? "last_brands" : "last_categories", text)];
    }
    return counts;
  }
  static Key Most(const std::map<Key, int>& counts) {
    Key best = 0;
    for (const auto& [key, count] : counts) {
      if (best == 0 || count > counts.at(best)) best = key;
    }
    return best;
  }
};

std::map<std::string, double> Reference::Numeric(const std::string& user, Time now) const {
  std::map<std::string, double> values;
  const auto days = [](Time seconds) { return static_cast<double>(seconds) / 86400; };
  const std::vector<SmallEvent> acts = Acts(user, now);
  const std::vector<SmallEvent> all = Events(user, 0, now);
  const std::vector<Line> lines = Lines(all);
  const SmallUser* known = Known(user, now);
  values["recency_days"] = acts.empty() ? kNone : days(now - acts.back().time);
  Time since = acts.empty() ? now : acts.front().time;
  if (known != nullptr && known->sign_up != kNoTime) since = std::min(since, known->sign_up);
  values["tenure_days"] = days(now - since);
  std::set<Time> orders;
  for (const Line& line : lines) {
    if (line.kept > 0) orders.insert(line.event.time);
  }
  for (const int window : {0, 10, 40}) {
    const std::string suffix = window == 0 ? "" : "_" + std::to_string(window) + "d";
    const Time from = window == 0 ? 0 : now - window * 86400;
    for (const char* kind : {"view", "favourite", "cart", "return", "visit", "contact"}) {
      values[std::string(kind) + "s" + suffix] =
          static_cast<double>(std::count_if(all.begin(), all.end(), [&](const SmallEvent& event) {
            return event.time >= from && EventKindName(event.kind) == std::string(kind);
          }));
    }
    values["orders" + suffix] = static_cast<double>(
        std::count_if(orders.begin(), orders.end(), [&](Time time) { return time >= from; }));
    double revenue = 0;
    for (const Line& line : lines)
      revenue += line.event.time >= from ? Pounds(line.event.price, line.kept) : 0;
    values["revenue" + suffix] = revenue;
  }
  values["order_recency_days"] = orders.empty() ? kNone : days(now - *orders.rbegin());
  std::vector<double> gaps;
  for (auto order = orders.begin(); order != orders.end(); ++order) {
    if (order != orders.begin()) gaps.push_back(days(*order - *std::prev(order)));
  }
  double mean = 0, variance = 0;
  for (const double gap : gaps) mean += gap / static_cast<double>(gaps.size());
  for (const double gap : gaps) variance += (gap - mean) * (gap - mean) / static_cast<double>(gaps.size());
  values["order_gap_mean_days"] = gaps.empty() ? kNone : mean;
  values["order_gap_deviation_days"] = gaps.empty() ? kNone : std::sqrt(variance);
  values["order_gap_last_days"] = gaps.empty() ? kNone : gaps.back();
  std::set<std::string> items;
  double popularity = 0, bought = 0, kept = 0;
  int with_item = 0, compared = 0, discounted = 0;
  const std::vector<SmallEvent> sales = [&] {
    std::vector<SmallEvent> events = Events("", 0, now);
    std::erase_if(events, [](const SmallEvent& event) { return event.kind != EventKind::kPurchase; });
    return events;
  }();
  for (const Line& line : lines) {
    bought += Pounds(line.event.price, line.event.quantity);
    kept += Pounds(line.event.price, line.kept);
    if (line.kept == 0 || line.event.item.empty()) continue;
    items.insert(line.event.item);
    double sold = 0, prices = 0, priced = 0;
    for (const SmallEvent& sale : sales) {
      if (sale.item != line.event.item) continue;
      ++sold;
      if (sale.price == kNoMoney) continue;
      ++priced;
      prices += static_cast<double>(sale.price) / 10'000;
    }
    popularity += std::log(1 + sold);
    ++with_item;
    if (line.event.price == kNoMoney) continue;
    const SmallItem* item = ItemOf(line.event);
    const double usual = item != nullptr && item->price != kNoMoney
                             ? static_cast<double>(item->price) / 10'000
                             : prices / priced;
    ++compared;
    discounted += static_cast<double>(line.event.price) / 10'000 < 0.95 * usual;
  }
  values["items_bought"] = static_cast<double>(items.size());
  values["popularity"] = with_item == 0 ? kNone : popularity / with_item;
  values["order_value"] = orders.empty() ? kNone : kept / static_cast<double>(orders.size());
  values["return_share"] = bought == 0 ? kNone : (bought - kept) / bought;
  values["discount_share"] = compared == 0 ? kNone : static_cast<double>(discounted) / compared;
  for (const bool brands : {false, true}) {
    const std::map<Key, int> counts = Kept(user, now, brands);
    int sum = 0;
    for (const auto& [key, count] : counts) sum += count;
    values[brands ? "top_brand_share" : "top_category_share"] =
        sum == 0 ? kNone : static_cast<double>(counts.at(Most(counts))) / sum;
    values[brands ? "brands_bought" : "categories_bought"] = static_cast<double>(counts.size());
  }
  values["contact_recency_days"] = kNone;
  for (const SmallEvent& event : all) {
    if (event.kind == EventKind::kContact) values["contact_recency_days"] = days(now - event.time);
  }
  values["user_age"] = known == nullptr ? kNone : known->age;
  return values;
}

std::map<std::string, Key> Reference::Categorical(const std::string& user, Time now) const {
  const auto top = [&](const char* name, bool brands) {
    const Key key = Most(Kept(user, now, brands));
    return key == 0 ? MissingKey(name) : key;
  };
  Key arm = MissingKey("last_arm");
  for (const SmallEvent& event : Events(user, 0, now)) {
    if (event.kind == EventKind::kContact) arm = event.item.empty() ? MissingKey("last_arm") : KeyOf(event);
  }
  const SmallUser* known = Known(user, now);
  return {{"top_category", top("top_category", false)},
          {"top_brand", top("top_brand", true)},
          {"last_arm", arm},
          {"user_channel", known == nullptr || known->channel.empty()
                               ? MissingKey("user_channel")
                               : CategoryKey("user_channel", known->channel)}};
}

std::map<std::string, std::vector<Key>> Reference::Bags(const std::string& user, Time now) const {
  std::map<std::string, std::vector<Key>> bags = {
      {"last_kinds", {}},  {"last_gaps", {}},         {"last_items", {}},   {"last_categories", {}},
      {"last_brands", {}}, {"bought_categories", {}}, {"bought_brands", {}}};
  const std::vector<SmallEvent> acts = Acts(user, now);
  for (std::size_t i = acts.size() < 8 ? 0 : acts.size() - 8; i < acts.size(); ++i) {
    const SmallItem* item = ItemOf(acts[i]);
    const auto key_or = [](const char* name, const std::string& text) {
      return text.empty() ? MissingKey(name) : CategoryKey(name, text);
    };
    bags["last_kinds"].push_back(CategoryKey("last_kinds", EventKindName(acts[i].kind)));
    std::string gap = "first";
    if (i > 0) {  // n: 2^(n-1) <= seconds < 2^n
      int n = 0;
      for (Time seconds = acts[i].time - acts[i - 1].time; seconds > 0; seconds /= 2) ++n;
      gap = std::to_string(n);
    }
    bags["last_gaps"].push_back(CategoryKey("last_gaps", gap));
    bags["last_items"].push_back(key_or("last_items", acts[i].item));
    bags["last_categories"].push_back(key_or("last_categories", item == nullptr ? "" : item->category));
    bags["last_brands"].push_back(key_or("last_brands", item == nullptr ? "" : item->brand));
  }
  for (const Line& line : Lines(Events(user, 0, now))) {
    const SmallItem* item = ItemOf(line.event);
    if (line.kept == 0 || item == nullptr) continue;
    if (!item->category.empty())
      bags["bought_categories"].push_back(CategoryKey("last_categories", item->category));
    if (!item->brand.empty()) bags["bought_brands"].push_back(CategoryKey("last_brands", item->brand));
  }
  return bags;
}

std::map<std::string, std::vector<double>> Reference::Vectors(const std::string& user, Time now) const {
  const auto shares = [](std::vector<double> counts) {
    double sum = 0;
    for (const double count : counts) sum += count;
    for (double& count : counts) count = sum == 0 ? kNone : count / sum;
    return counts;
  };
  std::vector<double> hours(6), weekdays(7), bands(3);
  for (const SmallEvent& event : Acts(user, now)) {
    ++hours[static_cast<std::size_t>(event.time % 86400 / 14400)];
    ++weekdays[static_cast<std::size_t>((event.time / 86400 + 3) %
                                        7)];  // Monday is 0; 1970 began with a Thursday
  }
  // 32 cells to a doubling.
  const auto cell = [](Money price) {
    int doublings = 0;
    while (price >= 64) {
      price /= 2;
      ++doublings;
    }
    return 32 * doublings + static_cast<int>(price);
  };
  std::vector<int> cells;
  for (const SmallEvent& sale : Events("", 0, now)) {
    if (sale.kind == EventKind::kPurchase && sale.price != kNoMoney) cells.push_back(cell(sale.price));
  }
  std::sort(cells.begin(), cells.end());
  for (const Line& line : Lines(Events(user, 0, now))) {
    if (line.kept == 0 || line.event.price == kNoMoney) continue;
    std::size_t band = 0;
    for (std::size_t k = 1; k < 3; ++k) {
      const std::size_t rank =
          (k * cells.size() + 2) / 3;  // the least with at least k / 3 of the sales at or below it
      band += cell(line.event.price) > cells[rank - 1];
    }
    ++bands[band];
  }
  return {{"hour_shares", shares(hours)},
          {"weekday_shares", shares(weekdays)},
          {"price_band_shares", shares(bands)}};
}

std::map<std::string, double> Reference::Labels(const std::string& user, Time now, Time end) const {
  std::map<std::string, double> labels;
  const auto day = [](int count) { return count * Time{86400}; };
  const auto described = shop.users.find(user);
  const SmallUser* signed_up = described == shop.users.end() || described->second.sign_up == kNoTime ||
                                       described->second.sign_up >= now
                                   ? nullptr
                                   : &described->second;
  labels["acquisition_cost"] =
      signed_up != nullptr && signed_up->sign_up >= now - day(40) ? signed_up->cost : kNone;

  const auto activity = [](const SmallEvent& event) {
    return event.kind == EventKind::kPurchase ? 0 : event.kind == EventKind::kFavourite ? 1 : 2;
  };
  labels["activation"] = kNone;
  if (signed_up != nullptr && signed_up->sign_up + day(30) > now && signed_up->sign_up + day(30) <= end) {
    const std::vector<SmallEvent> before = Acts(user, now);
    if (std::all_of(before.begin(), before.end(),
                    [&](const SmallEvent& event) { return activity(event) == 2; })) {
      labels["activation"] = 2;
      for (const SmallEvent& event : Events(user, now, signed_up->sign_up + day(30))) {
        if (activity(event) == 2) continue;
        labels["activation"] = activity(event);
        break;
      }
    }
  }

  const auto active = [&](Time from, Time to) {
    const std::vector<SmallEvent> events = Events(user, from, to);
    return std::any_of(events.begin(), events.end(), [](const SmallEvent& event) {
      return event.kind != EventKind::kReturn && event.kind != EventKind::kContact;
    });
  };
  const bool hazard = schema.labels.churn->periods > 1;
  labels["churn"] = kNone;
  if (hazard && active(0, now)) {
    for (int period = 1; period <= 4 && now + day(15 * period) <= end; ++period) {
      labels["churn"] = -period;
      if (active(now + day(15 * (period - 1)), now + day(15 * period))) continue;
      labels["churn"] = period;
      break;
    }
  } else if (!hazard && active(now - day(30), now) && now + day(30) <= end) {
    labels["churn"] = active(now, now + day(30)) ? 0 : 1;
  }
  labels["churn_cost"] =
      labels["churn"] == 1 ? Margin(Lines(Events(user, 0, now)), now - day(hazard ? 15 : 30)) : kNone;
  const std::vector<SmallEvent> next_20 = Events(user, now, now + day(20));
  labels["purchase"] =
      now + day(20) > end ? kNone : std::any_of(next_20.begin(), next_20.end(), [](const SmallEvent& event) {
        return event.kind == EventKind::kPurchase;
      });
  labels["value"] =
      now + day(30) > end ? kNone : std::max(0.0, Margin(Lines(Events(user, now, now + day(30))), now));
  labels["campaign_arm"] = labels["campaign_outcome"] = kNone;
  for (const SmallEvent& event : Events(user, now, now + day(1))) {
    if (event.kind != EventKind::kContact || event.quantity != kRandomised) continue;
    const std::vector<std::string>& arms = schema.labels.campaign->arms;
    const auto arm = std::find(arms.begin(), arms.end(), event.item);
    if (arm != arms.end() && event.price != kNoMoney && event.time + day(10) <= end) {
      labels["campaign_arm"] = static_cast<double>(arm - arms.begin());
      labels["campaign_outcome"] = static_cast<double>(event.price) / 10'000;
    }
    break;
  }
  return labels;
}

void ExpectEqual(double value, double expected, const std::string& name) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(value)) << name << " is " << value;
  } else {
    EXPECT_NEAR(value, expected, 1e-6 * std::max(1.0, std::abs(expected))) << name;
  }
}

TEST(Reference, FeaturesAndLabelsAreThoseOfTheFormulas) {
  const ShopSchema schemas[] = {SmallSchema(SmallSchemaText(false)), SmallSchema(SmallSchemaText(true))};
  std::map<std::string, int> known;  // labels that are not masked, by task
  std::size_t compared = 0;
  for (std::uint64_t seed = 1; seed <= 200 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomStream random(seed, 77);
    const ShopSchema& schema = schemas[seed % 2];
    const SmallShop shop = RandomShop(kEnd, &random);
    // Few bytes: every record goes through the temporary file.
    const SmallRows rows =
        RowsOf(schema, shop, &random, seed % 10 == 0 ? 1 : EventStore::kDefaultMemoryBytes);
    const Reference reference{schema, shop};
    const UserFeatures features(schema);
    const UserLabels tasks(schema);
    std::size_t expected_rows = 0;
    for (int u = 0; u < 5; ++u) {
      const std::string user = "u" + std::to_string(u);
      for (std::size_t i = 0; i < schema.snapshots.size(); ++i) {
        const Time now = schema.snapshots[i].time;
        const SmallUser* known_user = reference.Known(user, now);
        if (reference.Acts(user, now).empty() && (known_user == nullptr || known_user->sign_up == kNoTime))
          continue;
        ++expected_rows;
        SCOPED_TRACE(user + " at snapshot " + std::to_string(i));
        ASSERT_TRUE(rows.contains({user, i}));
        const SmallRow& row = rows.at({user, i});
        const auto numeric = reference.Numeric(user, now);
        const auto categorical = reference.Categorical(user, now);
        const auto bags = reference.Bags(user, now);
        const auto vectors = reference.Vectors(user, now);
        ASSERT_EQ(numeric.size() + categorical.size() + bags.size() + vectors.size(),
                  features.infos().size());
        std::size_t n = 0, c = 0, b = 0, v = 0;
        for (const FeatureInfo& info : features.infos()) {
          switch (info.type) {
            case FeatureType::kNumeric:
              ExpectEqual(row.numeric.at(n++), numeric.at(info.name), info.name);
              break;
            case FeatureType::kCategorical:
              EXPECT_EQ(row.categorical.at(c++), categorical.at(info.name)) << info.name;
              break;
            case FeatureType::kBag:
              EXPECT_EQ(row.bags.at(b++), bags.at(info.name)) << info.name;
              break;
            case FeatureType::kVector:
              ASSERT_EQ(row.vectors.at(v).size(), vectors.at(info.name).size());
              for (std::size_t k = 0; k < row.vectors[v].size(); ++k)
                ExpectEqual(row.vectors[v][k], vectors.at(info.name)[k], info.name + std::to_string(k));
              ++v;
          }
        }
        const Time end = schema.snapshots[i].split == Split::kTest ? kEnd : schema.test_time();
        const auto labels = reference.Labels(user, now, end);
        for (std::size_t task = 0; task < tasks.infos().size(); ++task) {
          const std::string& name = tasks.infos()[task].name;
          ExpectEqual(row.labels.at(task), labels.at(name), name);
          known[name] += !std::isnan(labels.at(name));
        }
        ++compared;
      }
    }
    EXPECT_EQ(rows.size(), expected_rows);
  }
  EXPECT_GT(compared, 2000u);
  for (const auto& [name, count] : known) EXPECT_GT(count, 50) << name;
}

}  // namespace
}  // namespace cohort::testing::reference_test
