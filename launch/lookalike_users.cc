#include "launch/lookalike_users.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <utility>

#include "common/nearest.h"
#include "launch/id_list.h"
#include "launch/split_rows.h"
#include "launch/user_logs.h"
#include "lifecycle/shop_schema.h"

namespace cohort {
namespace {

constexpr Split kEverySplit[] = {Split::kTrain, Split::kValid, Split::kTest};

// A number that a dataset has of each row.
struct RowNumber {
  bool label = false;
  std::size_t column = 0;  // of the labels, or of the numeric features
};

Result<RowNumber> FindRowNumber(const DatasetInfo& info, const std::string& option, const std::string& name) {
  std::vector<std::string> names;
  for (std::size_t task = 0; task < info.tasks.size(); ++task) {
    // Of classes and times to an event a label is no amount.
    if (info.tasks[task].type == TaskType::kMulticlass || info.tasks[task].type == TaskType::kHazard)
      continue;
    if (info.tasks[task].name == name) return RowNumber{true, task};
    names.push_back(info.tasks[task].name);
  }
  for (std::size_t i = 0; i < info.features.size(); ++i) {
    if (info.features[i].type != FeatureType::kNumeric) continue;
    if (info.features[i].name == name) return RowNumber{false, info.ColumnOf(i)};
    names.push_back(info.features[i].name);
  }
  return InvalidInput(option + " " + name +
                      ": the dataset has no label (binary, regression, value or count) and no numeric "
                      "feature of this name" +
                      DidYouMean(name, names));
}

std::string Rounded(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

// By row of the split: what the user is worth.
Result<std::vector<float>> WorthOf(DatasetReader& data, const WantedOptions& options, const SplitRows& rows,
                                   std::size_t numeric_columns) {
  const std::vector<TaskInfo>& tasks = data.info().tasks;
  std::vector<float> worth(rows.ids.size());
  if (options.scores.empty()) {
    COHORT_ASSIGN_OR_RETURN(const RowNumber number, FindRowNumber(data.info(), "--seed-by", options.by));
    for (std::size_t row = 0; row < worth.size(); ++row)
      worth[row] = number.label ? rows.labels[row * tasks.size() + number.column]
                                : rows.values[(row + 1) * numeric_columns - 1];
    return worth;
  }
  COHORT_ASSIGN_OR_RETURN(const ScoreFile file, ReadScoreFile(options.scores, tasks));
  COHORT_RETURN_IF_ERROR(CheckScoredRows(options.scores, file, rows.ids, SplitName(options.split)));
  std::vector<std::string> names;
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    if (file.predictions[task].empty()) continue;
    const std::vector<std::string> of_task = tasks[task].PredictionNames();
    for (std::size_t column = 0; column < of_task.size(); ++column) {
      names.push_back(of_task[column]);
      if (of_task[column] != options.by) continue;
      for (std::size_t row = 0; row < worth.size(); ++row)
        worth[row] = file.predictions[task][row * of_task.size() + column];
      return worth;
    }
  }
  return InvalidInput("--seed-by " + options.by + ": " + options.scores + " has no prediction of this name" +
                      DidYouMean(options.by, names));
}

// The names of those in the first column, as the dataset has them; `not_found`: how many it does not have.
Result<std::set<std::string>> ReadWanted(const std::string& path, const CustomerIds& customers,
                                         std::uint64_t* not_found) {
  std::set<std::string> wanted, others;
  const auto is_user = [&](const std::string& id) { return !customers.NameOf(id).empty(); };
  COHORT_RETURN_IF_ERROR(VisitIdList(path, is_user, [&](const CsvReader&, const std::string& id) -> Status {
    const std::string name = customers.NameOf(id);
    if (name.empty()) {
      others.insert(id);
    } else {
      wanted.insert(name);
    }
    return {};
  }));
  *not_found = others.size();
  return wanted;
}

// The categories of one attribute, in any order, and how often each is there.
class CategoryCounts {
 public:
  // Counts it; its place among them.
  std::size_t Add(Key key) {
    const std::size_t place = places_.try_emplace(key, counts_.size()).first->second;
    if (place == counts_.size()) counts_.emplace_back(0, key);
    ++counts_[place].first;
    return place;
  }
  // By place the number as an input, as UserValues has it.
  std::vector<float> Inputs() const {
    std::vector<std::size_t> order(counts_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return counts_[a].first != counts_[b].first ? counts_[a].first > counts_[b].first
                                                  : counts_[a].second < counts_[b].second;
    });
    std::vector<float> inputs(order.size());
    for (std::size_t i = 0; i < order.size() && i + 1 < BinnedInputs::kMostCategories; ++i)
      inputs[order[i]] = static_cast<float>(i + 1);
    return inputs;
  }
  Key key(std::size_t place) const { return counts_[place].second; }

 private:
  std::unordered_map<Key, std::size_t> places_;
  std::vector<std::pair<std::uint64_t, Key>> counts_;
};

Status ChooseTheBest(const WantedOptions& options, LookalikeCrowd* crowd) {
  std::vector<float> order = crowd->worth;
  std::sort(order.begin(), order.end(), std::greater<>());
  const auto count = static_cast<std::size_t>(
      std::max(1.0, std::ceil(options.top * static_cast<double>(order.size()) - 1e-9)));
  crowd->threshold = double{order[count - 1]};
  const auto above =
      std::count_if(order.begin(), order.end(), [&](float worth) { return worth > order.back(); });
  if (order[count - 1] == order.back())
    return {ErrorCode::kInvalidInput,
            "--top " + Rounded(options.top) + ": the best cannot be told by " + options.by + ", for only " +
                std::to_string(above) + " of " + std::to_string(order.size()) +
                " users have more than the least, " + Rounded(double{order.back()}) +
                (above > 0 ? "; expected at most --top " +
                                 Rounded(static_cast<double>(above) / static_cast<double>(order.size()))
                           : "; name another column")};
  for (const float worth : crowd->worth)
    crowd->users.wanted.push_back(worth >= order[count - 1] ? 1.0f : 0.0f);
  return {};
}

}  // namespace

Result<CustomerIds> CustomerIds::Read(DatasetReader& data, const std::string& shop,
                                      const std::string& data_directory) {
  CustomerIds customers;
  customers.has_id_ = data.info().has_id;
  for (const Split split : kEverySplit) {
    COHORT_ASSIGN_OR_RETURN(const SplitRows rows, ReadSplitRows(data, split, {}, {}));
    customers.names_.insert(rows.ids.begin(), rows.ids.end());
  }
  if (!shop.empty()) {
    COHORT_ASSIGN_OR_RETURN(const ShopSchema schema, LoadShopSchema(shop, data_directory));
    if (!schema.user_key.empty()) {
      COHORT_ASSIGN_OR_RETURN(customers.key_, SecretKey::Read(schema.user_key));
    }
    COHORT_RETURN_IF_ERROR(
        VisitUsers(schema, [&](std::string_view user) { customers.logged_.emplace(user); }));
  }
  const auto is_pseudonym = [](const std::string& name) {
    return name.size() == 32 && name.find_first_not_of("0123456789abcdef") == name.npos;
  };
  customers.hidden_ = !customers.key_ && !customers.names_.empty() &&
                      std::all_of(customers.names_.begin(), customers.names_.end(), is_pseudonym);
  return customers;
}

std::string CustomerIds::NameOf(const std::string& id) const {
  if (names_.contains(id)) return id;
  if (key_) {
    std::string pseudonym = ToHex(key_->Digest(id));
    if (names_.contains(pseudonym)) return pseudonym;
  }
  return {};
}

bool CustomerIds::Contains(const std::string& id) const {
  return logged_.contains(id) || (has_id_ && !NameOf(id).empty());
}

Result<LookalikeCrowd> ReadCrowd(DatasetReader& data, const WantedOptions& options,
                                 const std::vector<Attribute>& attributes, const CustomerIds& customers) {
  const DatasetInfo& info = data.info();
  std::vector<std::size_t> numeric, categorical;
  for (const Attribute& attribute : attributes)
    (attribute.numeric ? numeric : categorical).push_back(attribute.place);
  if (!options.by.empty() && options.scores.empty()) {
    COHORT_ASSIGN_OR_RETURN(const RowNumber number, FindRowNumber(info, "--seed-by", options.by));
    if (!number.label) numeric.push_back(number.column);
  }
  COHORT_ASSIGN_OR_RETURN(const SplitRows rows, ReadSplitRows(data, options.split, numeric, categorical));
  if (rows.ids.empty())
    return InvalidInput(options.data + ": the " + SplitName(options.split) + " split has no rows");

  LookalikeCrowd crowd;
  std::vector<float> worth;  // by row
  if (!options.by.empty()) {
    COHORT_ASSIGN_OR_RETURN(worth, WorthOf(data, options, rows, numeric.size()));
  }
  std::set<std::string> named;
  if (!options.ids.empty()) {
    COHORT_ASSIGN_OR_RETURN(named, ReadWanted(options.ids, customers, &crowd.not_found));
  }

  std::vector<std::size_t> order(rows.ids.size());
  for (std::size_t row = 0; row < order.size(); ++row) order[row] = row;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return rows.ids[a] < rows.ids[b]; });
  std::uint64_t named_here = 0;
  std::vector<CategoryCounts> counts(attributes.size());
  crowd.values.resize(attributes.size());
  for (const Attribute& attribute : attributes) crowd.users.categorical.push_back(!attribute.numeric);
  std::vector<float> known;  // of the user's worth, by row
  for (std::size_t first = 0, end = 0; first < order.size(); first = end) {
    const std::string& id = rows.ids[order[first]];
    while (end < order.size() && rows.ids[order[end]] == id) ++end;
    const bool is_named = named.contains(id);
    named_here += is_named;
    if (!options.by.empty()) {
      known.clear();
      for (std::size_t i = first; i < end; ++i) {
        if (!std::isnan(worth[order[i]])) known.push_back(worth[order[i]]);
      }
      if (known.empty()) {
        ++crowd.without_worth;
        continue;
      }
      std::sort(known.begin(), known.end());  // their sum is that of any order of rows
      crowd.worth.push_back(static_cast<float>(std::accumulate(known.begin(), known.end(), 0.0) /
                                               static_cast<double>(known.size())));
    }
    crowd.users.user.push_back(XXH3_64bits(id.data(), id.size()));
    if (!options.ids.empty()) crowd.users.wanted.push_back(is_named ? 1.0f : 0.0f);
    std::size_t next_number = 0, next_key = 0;
    for (std::size_t attribute = 0; attribute < attributes.size(); ++attribute) {
      UserValues& values = crowd.values[attribute];
      if (attributes[attribute].numeric) {
        float number = std::numeric_limits<float>::quiet_NaN();
        for (std::size_t i = first; i < end; ++i) {
          const float of_row = rows.values[order[i] * numeric.size() + next_number];
          if (!(of_row <= number)) number = std::isnan(of_row) ? number : of_row;
        }
        ++next_number;
        crowd.users.inputs.push_back(number);
        if (std::isnan(number)) continue;
        values.least = values.any ? std::min(values.least, number) : number;
        values.most = values.any ? std::max(values.most, number) : number;
        values.any = true;
      } else {
        const Key missing = MissingKey(attributes[attribute].feature);
        Key key = missing;
        for (std::size_t i = first; i < end; ++i) {
          const Key of_row = rows.keys[order[i] * categorical.size() + next_key];
          if (key == missing || (of_row != missing && of_row > key)) key = of_row;
        }
        ++next_key;
        crowd.users.inputs.push_back(static_cast<float>(counts[attribute].Add(key)));
        values.any |= key != missing;
      }
    }
  }
  if (crowd.users.user.empty())
    return InvalidInput("--seed-by " + options.by + ": no user of the " + SplitName(options.split) +
                        " split has it; choose another column or --split");
  for (std::size_t i = 0; i < attributes.size(); ++i) {
    if (attributes[i].numeric) continue;
    const std::vector<float> inputs = counts[i].Inputs();
    for (std::size_t place = 0; place < inputs.size(); ++place)
      crowd.values[i].categories.emplace(counts[i].key(place), inputs[place]);
    for (std::size_t at = i; at < crowd.users.inputs.size(); at += attributes.size())
      crowd.users.inputs[at] = inputs[static_cast<std::size_t>(crowd.users.inputs[at])];
  }
  if (options.ids.empty()) {
    COHORT_RETURN_IF_ERROR(ChooseTheBest(options, &crowd));
  } else {
    crowd.threshold = std::numeric_limits<double>::quiet_NaN();
    crowd.not_found += named.size() - named_here;
  }
  const std::vector<float>& wanted = crowd.users.wanted;
  crowd.wanted_count = static_cast<std::uint64_t>(std::count(wanted.begin(), wanted.end(), 1.0f));
  const std::uint64_t others = wanted.size() - crowd.wanted_count;
  if (crowd.wanted_count < kLeastWanted || others < kLeastWanted)
    return InvalidInput(
        (options.ids.empty() ? "--top " + Rounded(options.top) : "--seed-ids " + options.ids) + ": " +
        std::to_string(crowd.wanted_count) + " wanted users and " + std::to_string(others) +
        " others of the " + SplitName(options.split) + " split; expected at least " +
        std::to_string(kLeastWanted) + " of both" +
        (crowd.not_found > 0
             ? " (" + std::to_string(crowd.not_found) + " ids of the file are not in that split" +
                   (customers.hidden() ? ", which knows users by pseudonyms: give --shop" : "") + ")"
             : std::string()));
  return crowd;
}

double GroupCosts::Of(Key key) const {
  const auto group = groups.find(key);
  return group == groups.end() || group->second.users < kLeastUsers ? all.mean : group->second.mean;
}

Result<GroupCosts> ReadCosts(DatasetReader& data, const std::string& cost, const std::string& by) {
  const DatasetInfo& info = data.info();
  COHORT_ASSIGN_OR_RETURN(const RowNumber number, FindRowNumber(info, "--cost", cost));
  std::vector<std::size_t> numeric, categorical;
  if (!number.label) numeric.push_back(number.column);
  for (std::size_t i = 0; i < info.features.size(); ++i) {
    if (!by.empty() && info.features[i].name == by) categorical.push_back(info.ColumnOf(i));
  }
  struct CostRow {
    std::string id;
    float value;
    Key group;
  };
  std::vector<CostRow> known;
  const Key missing = MissingKey(by);
  for (const Split split : kEverySplit) {
    COHORT_ASSIGN_OR_RETURN(const SplitRows rows, ReadSplitRows(data, split, numeric, categorical));
    for (std::size_t row = 0; row < rows.ids.size(); ++row) {
      const float value =
          number.label ? rows.labels[row * info.tasks.size() + number.column] : rows.values[row];
      if (!std::isnan(value))
        known.push_back({rows.ids[row], value, categorical.empty() ? missing : rows.keys[row]});
    }
  }
  // By value too, so that a user's sum is that of any order of rows.
  std::sort(known.begin(), known.end(), [](const CostRow& a, const CostRow& b) {
    return a.id != b.id ? a.id < b.id : a.value < b.value;
  });
  GroupCosts costs;
  for (std::size_t first = 0, end = 0; first < known.size(); first = end) {
    double sum = 0;
    Key key = missing;
    for (; end < known.size() && known[end].id == known[first].id; ++end) {
      sum += double{known[end].value};
      if (key == missing || (known[end].group != missing && known[end].group > key)) key = known[end].group;
    }
    for (GroupCosts::Group* group : {&costs.all, &costs.groups[key]}) {
      group->mean += sum / static_cast<double>(end - first);  // sums first
      ++group->users;
    }
  }
  if (costs.all.users == 0) return InvalidInput("--cost " + cost + ": no row of the dataset has it");
  costs.all.mean /= static_cast<double>(costs.all.users);
  for (auto& [key, group] : costs.groups) group.mean /= static_cast<double>(group.users);
  return costs;
}

}  // namespace cohort
