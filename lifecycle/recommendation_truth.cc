#include "lifecycle/recommendation_truth.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <string_view>

#include "lifecycle/event_time.h"
#include "prepare/csv_reader.h"
#include "prepare/number.h"

namespace cohort {
namespace {

constexpr double kHorizonDays = 30, kMoreLines = ShopWorld::kMoreLines;

// Calls visit(cells) for each record, the header's names being `columns`.
Status ForEachRecord(const std::string& path, const std::vector<std::string>& columns,
                     const std::function<Status(const CsvReader&)>& visit) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(path, CsvOptions{}));
  COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());
  std::string expected;
  bool same = more && csv->cells().size() == columns.size();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    expected += (i == 0 ? "" : ",") + columns[i];
    same = same && csv->cells()[i] == columns[i];
  }
  if (!same)
    return {ErrorCode::kInvalidInput,
            path + ":1: expected the header " + expected + ", as `cohort generate --shop` writes it"};
  while (true) {
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
    if (!more) return {};
    if (csv->cells().size() != columns.size())
      return {ErrorCode::kInvalidInput, csv->Where() + ": " + std::to_string(csv->cells().size()) +
                                            " cells, expected " + std::to_string(columns.size())};
    COHORT_RETURN_IF_ERROR(visit(*csv));
  }
}

Status NumberOf(const CsvReader& csv, std::size_t cell, double* value) {
  if (ParseNumber(csv.cells()[cell], value) == NumberKind::kNumber) return {};
  return {ErrorCode::kInvalidInput, csv.Where(cell) + ": expected a number"};
}

std::size_t PlaceOf(std::span<const char* const> names, std::string_view name) {
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

}  // namespace

Result<RecommendationTruth> RecommendationTruth::Read(const std::string& directory,
                                                      const ShopHistory& history, Time test) {
  RecommendationTruth truth;
  const std::size_t items = history.items.size(), users = history.users.size();
  truth.cell_.assign(items, kShopCells);
  truth.weight_.resize(items);
  const auto read_item = [&](const CsvReader& csv) -> Status {
    const std::uint32_t item = history.FindItem(csv.cells()[0]);
    const std::size_t category = PlaceOf(ShopWorld::CategoryNames(), csv.cells()[1]);
    const std::size_t tier = PlaceOf(ShopWorld::TierNames(), csv.cells()[2]);
    if (item == kNoItem || category == kShopCategories || tier == kShopTiers)
      return {ErrorCode::kInvalidInput, csv.Where() + ": an item, category or tier that is not of this shop"};
    truth.cell_[item] = static_cast<std::uint32_t>(category * kShopTiers + tier);
    return NumberOf(csv, 3, &truth.weight_[item]);
  };
  COHORT_RETURN_IF_ERROR(
      ForEachRecord(directory + "/items.csv", {"item", "category", "tier", "weight"}, read_item));
  for (std::uint32_t item = 0; item < items; ++item) {
    if (truth.cell_[item] == kShopCells)
      return InvalidInput(directory + "/items.csv: item \"" + history.items[item].name + "\" is missing");
    truth.by_weight_[truth.cell_[item]].push_back(item);
  }
  for (std::vector<std::uint32_t>& cell : truth.by_weight_) {
    std::stable_sort(cell.begin(), cell.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return truth.weight_[a] > truth.weight_[b]; });
  }

  std::vector<std::string> taste_names;
  for (const char* name : ShopWorld::CategoryNames()) taste_names.emplace_back(name);
  for (const char* name : ShopWorld::TierNames()) taste_names.emplace_back(name);
  const auto user_of = [&](const CsvReader& csv, std::size_t* user) -> Status {
    const auto found = std::lower_bound(history.users.begin(), history.users.end(), csv.cells()[0]);
    if (found == history.users.end() || *found != csv.cells()[0])
      return {ErrorCode::kInvalidInput, csv.Where() + ": a user who is not of this shop"};
    *user = static_cast<std::size_t>(found - history.users.begin());
    return {};
  };
  const auto read_tastes = [&](const CsvReader& csv, std::size_t first, Tastes* tastes) -> Status {
    for (double& share : tastes->categories) COHORT_RETURN_IF_ERROR(NumberOf(csv, first++, &share));
    for (double& share : tastes->tiers) COHORT_RETURN_IF_ERROR(NumberOf(csv, first++, &share));
    return {};
  };
  truth.known_.resize(users);
  truth.customer_.resize(users);
  truth.expected_.resize(users);
  truth.hidden_.resize(users);
  truth.rate_.resize(users);
  truth.dropout_.resize(users);
  std::vector<std::string> columns = {"user"};
  columns.insert(columns.end(), taste_names.begin(), taste_names.end());
  const auto read_expected = [&](const CsvReader& csv) -> Status {
    std::size_t user = 0;
    COHORT_RETURN_IF_ERROR(user_of(csv, &user));
    truth.known_[user] = true;
    return read_tastes(csv, 1, &truth.expected_[user]);
  };
  COHORT_RETURN_IF_ERROR(ForEachRecord(directory + "/tastes.csv", columns, read_expected));
  columns = {"user", "rate", "dropout", "first_order", "left"};
  columns.insert(columns.end(), taste_names.begin(), taste_names.end());
  const auto is_before = [&](std::string_view cell) {
    const std::optional<Time> time = TimeFormat().Read(cell);
    return time && *time < test;
  };
  const auto read_hidden = [&](const CsvReader& csv) -> Status {
    std::size_t user = 0;
    COHORT_RETURN_IF_ERROR(user_of(csv, &user));
    COHORT_RETURN_IF_ERROR(NumberOf(csv, 1, &truth.rate_[user]));
    COHORT_RETURN_IF_ERROR(NumberOf(csv, 2, &truth.dropout_[user]));
    truth.customer_[user] = is_before(csv.cells()[3]) && !is_before(csv.cells()[4]);
    return read_tastes(csv, 5, &truth.hidden_[user]);
  };
  COHORT_RETURN_IF_ERROR(ForEachRecord(directory + "/users.csv", columns, read_hidden));
  return truth;
}

RecommendationTruth::Value RecommendationTruth::Of(std::uint32_t user,
                                                   std::span<const std::uint32_t> list) const {
  Value value;
  const Tastes& tastes = hidden_[user];
  for (const std::uint32_t item : list) {
    const double pi =
        tastes.categories[cell_[item] / kShopTiers] * tastes.tiers[cell_[item] % kShopTiers] * weight_[item];
    value.taste += pi;
    if (!customer_[user]) continue;
    const double q = 1 - (1 - pi) * std::exp(-kMoreLines * pi), ends = q + (1 - q) * dropout_[user];
    value.purchase += q / ends * (1 - std::exp(-rate_[user] * kHorizonDays * ends));
  }
  return value;
}

std::vector<std::uint32_t> RecommendationTruth::Best(std::uint32_t user, std::size_t n) const {
  const Tastes& tastes = expected_[user];
  std::vector<std::pair<double, std::uint32_t>> best;
  for (std::size_t cell = 0; cell < kShopCells; ++cell) {
    const double share = tastes.categories[cell / kShopTiers] * tastes.tiers[cell % kShopTiers];
    for (std::size_t i = 0; i < std::min(n, by_weight_[cell].size()); ++i)
      best.emplace_back(-share * weight_[by_weight_[cell][i]], by_weight_[cell][i]);
  }
  const auto kept = static_cast<std::ptrdiff_t>(std::min(n, best.size()));
  std::partial_sort(best.begin(), best.begin() + kept, best.end());
  std::vector<std::uint32_t> list;
  for (auto item = best.begin(); item != best.begin() + kept; ++item) list.push_back(item->second);
  return list;
}

}  // namespace cohort
