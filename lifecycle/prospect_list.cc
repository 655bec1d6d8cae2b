#include "lifecycle/prospect_list.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
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

Result<std::size_t> PlaceOfId(const ProspectOptions& options, const std::vector<std::string>& header) {
  const auto id = std::find(header.begin(), header.end(), options.id);
  if (id == header.end())
    return InvalidInput(options.path + ":1: no column \"" + options.id + "\"" +
                        DidYouMean(options.id, header) + "; --id names the column of the prospects' ids");
  return static_cast<std::size_t>(id - header.begin());
}

struct ListedPerson {
  std::string id;
  std::vector<std::string> cells;
  bool operator<(const ListedPerson& other) const {
    return id != other.id ? id < other.id : cells < other.cells;
  }
};

// Takes away the attributes that nobody on the list has.
void DropEmpty(ProspectList* list, std::vector<ListedPerson>* records) {
  for (std::size_t i = list->attributes.size(); i-- > 0;) {
    const bool any = std::any_of(records->begin(), records->end(),
                                 [&](const ListedPerson& record) { return !record.cells[i].empty(); });
    if (any) continue;
    list->lacking.push_back(list->attributes[i].feature);
    list->attributes.erase(list->attributes.begin() + static_cast<std::ptrdiff_t>(i));
    for (ListedPerson& record : *records)
      record.cells.erase(record.cells.begin() + static_cast<std::ptrdiff_t>(i));
  }
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
  COHORT_ASSIGN_OR_RETURN(const std::size_t id, PlaceOfId(options, header));

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

  std::vector<ListedPerson> records;
  for (;;) {
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
    if (!more) break;
    if (csv->cells().size() != header.size())
      return InvalidInput(csv->Where() + ": " + std::to_string(csv->cells().size()) +
                          " cells, where the header has " + std::to_string(header.size()));
    ++list.records;
    ListedPerson record{std::string(csv->cells()[id]), {}};
    for (std::size_t i = 0; i < columns.size(); ++i) {
      record.cells.emplace_back(csv->cells()[columns[i]]);
      float number = 0;
      if (list.attributes[i].numeric && !record.cells.back().empty() &&
          ParseNumber(record.cells.back(), &number) != NumberKind::kNumber)
        return InvalidInput(csv->Where(columns[i]) + ": \"" + record.cells.back().substr(0, 40) +
                            "\" is not a finite number, as " + list.attributes[i].feature +
                            " is; leave the cell empty where it is not known");
    }
    if (record.id.empty()) {
      ++list.without_id;
    } else if (is_customer(record.id)) {
      ++list.customers;
    } else {
      records.push_back(std::move(record));
    }
  }
  DropEmpty(&list, &records);
  if (records.empty())
    return InvalidInput(options.path + ": nobody to score: of " + std::to_string(list.records) + " records " +
                        std::to_string(list.customers) + " are customers already and " +
                        std::to_string(list.without_id) + " have no id");
  if (list.attributes.empty())
    return InvalidInput(options.path + ": nothing is known of anybody on the list: all cells of " +
                        Listed(list.lacking) + " are empty");

  std::sort(records.begin(), records.end());
  for (ListedPerson& record : records) {
    if (!list.ids.empty() && list.ids.back() == record.id) {
      ++list.repeated;
      list.contradicted += record.cells != list.cells.back();
      continue;
    }
    list.ids.push_back(std::move(record.id));
    for (std::size_t i = 0; i < list.attributes.size(); ++i) {
      const Attribute& attribute = list.attributes[i];
      float number = std::numeric_limits<float>::quiet_NaN();
      if (attribute.numeric) ParseNumber(record.cells[i], &number);
      list.rows.numbers.push_back(number);
      list.rows.keys.push_back(attribute.numeric || record.cells[i].empty()
                                   ? MissingKey(attribute.feature)
                                   : CategoryKey(attribute.vocabulary, record.cells[i]));
    }
    list.cells.push_back(std::move(record.cells));
  }
  return list;
}

std::vector<float> DenseRowsOf(const AttributeRows& rows, const std::vector<Attribute>& attributes,
                               const DatasetInfo& info, const DenseInputs& inputs) {
  const std::size_t numeric = info.CountOf(FeatureType::kNumeric),
                    categorical = info.CountOf(FeatureType::kCategorical), width = attributes.size();
  const std::size_t people = rows.keys.size() / width;
  RowBlock block;
  std::vector<float> dense;
  for (std::size_t first = 0; first < people; first += block.rows) {
    block.rows = static_cast<std::uint32_t>(std::min<std::size_t>(kBlockRows, people - first));
    block.numeric.assign(block.rows * numeric, std::numeric_limits<float>::quiet_NaN());
    block.categorical.assign(block.rows * categorical, 0);
    for (std::size_t row = 0; row < block.rows; ++row) {
      for (std::size_t i = 0; i < width; ++i) {
        const std::size_t at = (first + row) * width + i;
        if (attributes[i].numeric) {
          block.numeric[row * numeric + attributes[i].place] = rows.numbers[at];
        } else {
          block.categorical[row * categorical + attributes[i].place] = rows.keys[at];
        }
      }
    }
    inputs.Append(block, &dense);
  }
  return dense;
}

}  // namespace cohort
