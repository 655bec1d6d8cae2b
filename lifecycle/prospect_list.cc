#include "lifecycle/prospect_list.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "common/nearest.h"
#include "prepare/csv_reader.h"
#include "prepare/number.h"

namespace cohort {
namespace {

constexpr const char* kOfUsers = "user_";

bool CanBeAttribute(const FeatureInfo& feature) {
  return feature.type == FeatureType::kNumeric || feature.type == FeatureType::kCategorical;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// The column that has a feature's values.
Result<std::optional<std::size_t>> ColumnOfFeature(const std::string& path,
                                                   const std::vector<std::string>& header,
                                                   const std::string& feature, std::size_t id) {
  std::optional<std::size_t> found;
  for (std::size_t column = 0; column < header.size(); ++column) {
    if (column == id || (header[column] != feature && kOfUsers + header[column] != feature)) continue;
    if (found)
      return InvalidInput(path + ":1: columns \"" + header[*found] + "\" and \"" + header[column] +
                          "\" are both of the feature " + feature + "; leave one of them");
    found = column;
  }
  return found;
}

// Which features are asked of the list.
Result<std::vector<std::size_t>> FeaturesAsked(const ProspectOptions& options, const DatasetInfo& info) {
  std::vector<std::size_t> asked;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < info.features.size(); ++i) {
    if (!CanBeAttribute(info.features[i])) continue;
    names.push_back(info.features[i].name);
    if (options.attributes.empty() && names.back().starts_with(kOfUsers)) asked.push_back(i);
  }
  for (const std::string& name : options.attributes) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      return InvalidInput("--attributes " + name +
                          ": the dataset has no numeric or categorical feature of this name" +
                          DidYouMean(name, names));
    const auto feature = std::find_if(info.features.begin(), info.features.end(),
                                      [&](const FeatureInfo& of) { return of.name == name; });
    const auto number = static_cast<std::size_t>(feature - info.features.begin());
    if (std::find(asked.begin(), asked.end(), number) != asked.end())
      return InvalidInput("--attributes names " + name + " twice");
    asked.push_back(number);
  }
  if (asked.empty())
    return InvalidInput(
        "the dataset has no feature user_..., which [users] of a shop gives; name features that are known of "
        "somebody who is no customer yet: --attributes A,B, of " +
        Listed(names));
  return asked;
}

Result<std::size_t> PlaceOfId(const ProspectOptions& options, const CsvReader& csv) {
  const auto id = csv.Column(options.id);
  if (id) return id;
  return InvalidInput(id.error().text() +
                      (csv.OtherDelimiter().empty() ? "; --id names the column of the prospects' ids" : ""));
}

// The different texts of a column's cells.
class CellTexts {
 public:
  // The place of a text, and whether it is a new one.
  std::pair<std::uint32_t, bool> Add(std::string_view text) {
    text_ = text;
    const auto [at, is_new] = places_.try_emplace(text_, static_cast<std::uint32_t>(texts_.size()));
    if (is_new) texts_.push_back(text_);
    return {at->second, is_new};
  }
  std::vector<std::string>& texts() { return texts_; }

 private:
  std::unordered_map<std::string, std::uint32_t> places_;
  std::vector<std::string> texts_;
  std::string text_;
};

// Takes away the attributes that nobody on the list has.
void DropEmpty(ProspectList* list) {
  const std::size_t width = list->attributes.size();
  std::vector<bool> any(width);
  for (std::size_t at = 0; at < list->cells.size(); ++at) {
    if (!list->values[at % width][list->cells[at]].empty()) any[at % width] = true;
  }
  std::size_t kept = 0;
  for (std::size_t at = 0; at < list->cells.size(); ++at) {
    if (any[at % width]) list->cells[kept++] = list->cells[at];
  }
  list->cells.resize(kept);
  for (std::size_t i = width; i-- > 0;) {
    if (any[i]) continue;
    list->lacking.push_back(list->attributes[i].feature);
    list->attributes.erase(list->attributes.begin() + static_cast<std::ptrdiff_t>(i));
    list->values.erase(list->values.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// Puts the records in the order of their ids, of one id in that of their text, of which the first stays.
void SortRecords(ProspectList* list) {
  const std::size_t width = list->attributes.size();
  std::vector<std::uint32_t> order(list->ids.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    if (const int ids = list->ids[a].compare(list->ids[b]); ids != 0) return ids < 0;
    for (std::size_t i = 0; i < width; ++i) {
      if (list->ValueOf(a, i) != list->ValueOf(b, i)) return list->Cell(a, i) < list->Cell(b, i);
    }
    return false;
  });
  std::vector<std::string> ids;
  std::vector<std::uint32_t> cells;
  for (const std::uint32_t record : order) {
    const auto row = list->cells.begin() + static_cast<std::ptrdiff_t>(record * width);
    if (!ids.empty() && ids.back() == list->ids[record]) {
      ++list->repeated;
      if (std::equal(row, row + static_cast<std::ptrdiff_t>(width),
                     cells.end() - static_cast<std::ptrdiff_t>(width)))
        continue;
      if (list->contradicted++ == 0) list->contradicted_id = ids.back();
      continue;
    }
    ids.push_back(list->ids[record]);
    cells.insert(cells.end(), row, row + static_cast<std::ptrdiff_t>(width));
  }
  list->ids = std::move(ids);
  list->cells = std::move(cells);
}

}  // namespace

Result<ProspectList> ReadProspects(const ProspectOptions& options, const DatasetInfo& info,
                                   const std::function<bool(const std::string&)>& is_customer) {
  COHORT_ASSIGN_OR_RETURN(const std::vector<std::size_t> asked, FeaturesAsked(options, info));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(options.path, CsvOptions{}));
  COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());
  if (!more)
    return InvalidInput(options.path + ":1: the file is empty; expected a header with the columns' names");
  const std::vector<std::string> header(csv->cells().begin(), csv->cells().end());
  COHORT_ASSIGN_OR_RETURN(const std::size_t id, PlaceOfId(options, *csv));

  ProspectList list;
  std::vector<std::size_t> columns;  // by attribute
  std::vector<bool> used(header.size());
  used[id] = true;
  for (const std::size_t i : asked) {
    const FeatureInfo& feature = info.features[i];
    COHORT_ASSIGN_OR_RETURN(const std::optional<std::size_t> column,
                            ColumnOfFeature(options.path, header, feature.name, id));
    if (!column) {
      if (!options.attributes.empty())
        return InvalidInput(options.path + ":1: no column \"" + feature.name +
                            "\", which --attributes names" + DidYouMean(feature.name, header));
      list.lacking.push_back(feature.name);
      continue;
    }
    used[*column] = true;
    columns.push_back(*column);
    list.attributes.push_back({feature.name, header[*column], feature.type == FeatureType::kNumeric,
                               info.ColumnOf(i),
                               feature.vocabulary.empty() ? feature.name : feature.vocabulary});
  }
  for (std::size_t column = 0; column < header.size(); ++column) {
    if (used[column]) continue;
    const bool known =
        std::any_of(info.features.begin(), info.features.end(), [&](const FeatureInfo& feature) {
          return CanBeAttribute(feature) &&
                 (feature.name == header[column] || feature.name == kOfUsers + header[column]);
        });
    (known ? list.behaviour : list.unused).push_back(header[column]);
  }
  if (list.attributes.empty())
    return InvalidInput(options.path + ":1: no attribute that the dataset's users have too: it has " +
                        Listed(list.lacking) + ", the list has " + Listed(header) +
                        "; columns are named as in [users], with or without user_");

  std::vector<CellTexts> texts(columns.size());
  std::vector<std::uint32_t> cells(columns.size());
  for (;;) {
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
    if (!more) break;
    if (csv->cells().size() != header.size())
      return InvalidInput(csv->Where() + ": " + std::to_string(csv->cells().size()) +
                          " cells, where the header has " + std::to_string(header.size()));
    ++list.records;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string_view cell = csv->cells()[columns[i]];
      const auto [place, is_new] = texts[i].Add(cell);
      cells[i] = place;
      float number = 0;
      if (is_new && list.attributes[i].numeric && !cell.empty() &&
          ParseNumber(cell, &number) != NumberKind::kNumber)
        return InvalidInput(csv->Where(columns[i]) + ": \"" + std::string(cell.substr(0, 40)) +
                            "\" is not a finite number, as " + list.attributes[i].feature +
                            " is; leave the cell empty where it is not known");
    }
    std::string name(csv->cells()[id]);
    if (name.empty()) {
      ++list.without_id;
    } else if (is_customer(name)) {
      ++list.customers;
    } else {
      list.ids.push_back(std::move(name));
      list.cells.insert(list.cells.end(), cells.begin(), cells.end());
    }
  }
  for (CellTexts& of_column : texts) list.values.push_back(std::move(of_column.texts()));
  DropEmpty(&list);
  if (list.ids.empty())
    return InvalidInput(options.path + ": nobody to score: of " + std::to_string(list.records) + " records " +
                        std::to_string(list.customers) + " are customers already and " +
                        std::to_string(list.without_id) + " have no id");
  if (list.attributes.empty())
    return InvalidInput(options.path + ": nothing is known of anybody on the list: all cells of " +
                        Listed(list.lacking) + " are empty");

  SortRecords(&list);
  return list;
}

}  // namespace cohort
