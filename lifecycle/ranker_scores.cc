#include "lifecycle/ranker_scores.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "lifecycle/candidate_rows.h"
#include "prepare/csv_reader.h"
#include "prepare/number.h"

namespace cohort {

Result<std::unique_ptr<RankerScores>> RankerScores::Read(const std::string& path, const ShopHistory& history,
                                                         std::vector<std::string>* warnings) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(path, CsvOptions{}));
  COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());
  const std::vector<std::string> header(csv->cells().begin(), csv->cells().end());
  const auto column_of = [&](std::string_view name) {
    return static_cast<std::size_t>(std::find(header.begin(), header.end(), name) - header.begin());
  };
  auto made = std::make_unique<RankerScores>();
  std::vector<std::size_t> columns;
  std::string kinds;
  for (const EventKind kind : kRankedKinds) {
    const std::string name = EventKindName(kind);
    kinds += (kinds.empty() ? "\"" : ", \"") + name + "\"";
    const std::size_t column = column_of(name);
    if (column == header.size()) continue;
    made->kinds_.push_back(kind);
    columns.push_back(column);
  }
  const std::size_t id = column_of("id");
  if (!more || id == header.size() || columns.empty())
    return InvalidInput(
        path + ":1: expected a header with the column \"id\" and predictions for one or more of " + kinds +
        ", as `cohort score` writes them of candidates (--write-candidates)" + csv->OtherDelimiter());
  if (std::any_of(header.begin(), header.end(),
                  [](const std::string& name) { return name.starts_with("score_"); }))
    return InvalidInput(
        path +
        ":1: these are candidates (--write-candidates), whose columns say what users did; expected "
        "the predictions of `cohort score` for them");
  made->floors_.assign(columns.size(), std::numeric_limits<float>::infinity());
  std::uint64_t rows = 0, of_other_users = 0, of_other_items = 0;
  std::string user_name;  // of the row before
  std::size_t user = 0;
  while (true) {
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
    if (!more) break;
    const std::span<const std::string_view> cells = csv->cells();
    if (cells.size() != header.size())
      return InvalidInput(csv->Where() + ": " + std::to_string(cells.size()) +
                          " cells, where the header has " + std::to_string(header.size()));
    const std::size_t tab = cells[id].find(kPairSeparator);
    if (tab == std::string_view::npos)
      return InvalidInput(csv->Where(id) + ": \"" + std::string(cells[id].substr(0, 40)) +
                          "\" is no pair; expected a user and an item with a tab between, the column \"id\" "
                          "of --write-candidates ([id] of the schema)");
    std::vector<float> log_odds;
    for (const std::size_t column : columns) {
      double p = 0;
      if (ParseNumber(cells[column], &p) != NumberKind::kNumber || p < 0 || p > 1)
        return InvalidInput(csv->Where(column) + ": \"" + std::string(cells[column].substr(0, 40)) +
                            "\" is no probability; expected a number from 0 to 1, the prediction of a binary "
                            "task");
      p = std::clamp(p, kLeast, 1 - kLeast);
      log_odds.push_back(static_cast<float>(std::log(p) - std::log1p(-p)));
    }
    const std::string_view name = cells[id].substr(0, tab);
    if (rows++ == 0 || name != user_name) {
      user_name = name;
      const auto found = std::lower_bound(history.users.begin(), history.users.end(), user_name);
      user = found == history.users.end() || *found != user_name
                 ? history.users.size()
                 : static_cast<std::size_t>(found - history.users.begin());
    }
    const std::uint32_t item = history.FindItem(cells[id].substr(tab + 1));
    if (user == history.users.size() || item == kNoItem) {
      ++(item == kNoItem ? of_other_items : of_other_users);
      continue;
    }
    // first_ has an entry for every user up to that of the row before.
    if (user + 1 < made->first_.size() || (user + 1 == made->first_.size() && item <= made->items_.back())) {
      const bool twice = user + 1 == made->first_.size() && item == made->items_.back();
      return InvalidInput(
          csv->Where(id) + ": user \"" + user_name + "\" with item \"" + history.items[item].name + "\" " +
          (twice ? "is there twice" : "is not in its place, or there twice") +
          "; expected each pair once, in the order of --write-candidates, which `cohort score` "
          "keeps");
    }
    made->first_.resize(user + 1, made->items_.size());
    made->items_.push_back(item);
    for (std::size_t f = 0; f < log_odds.size(); ++f) {
      made->log_odds_.push_back(log_odds[f]);
      made->floors_[f] = std::min(made->floors_[f], log_odds[f]);
    }
  }
  if (made->items_.empty())
    return InvalidInput(path + ": none of its " + std::to_string(rows) +
                        " rows is of a user and an item of " + history.schema.path +
                        "; expected scores of candidates of the same logs (--write-candidates)");
  made->first_.resize(history.users.size() + 1, made->items_.size());
  const auto warn = [&](std::uint64_t count, const char* of_what) {
    if (count > 0)
      warnings->push_back(path + ": " + std::to_string(count) + " of " + std::to_string(rows) +
                          " rows are of " + of_what + " that are not of this shop");
  };
  warn(of_other_users, "users"), warn(of_other_items, "items");
  return made;
}

std::vector<std::string> RankerScores::features() const {
  std::vector<std::string> names;
  for (const EventKind kind : kinds_) names.push_back(std::string("ranker ") + EventKindName(kind));
  return names;
}

std::size_t RankerScores::Find(std::uint32_t user, std::uint32_t item) const {
  const auto begin = items_.begin() + static_cast<std::ptrdiff_t>(first_[user]),
             end = items_.begin() + static_cast<std::ptrdiff_t>(first_[user + 1]);
  const auto found = std::lower_bound(begin, end, item);
  return found != end && *found == item ? static_cast<std::size_t>(found - items_.begin()) : items_.size();
}

void RankerScores::Score(std::uint32_t user, std::span<const std::uint32_t> items,
                         std::span<float> scores) const {
  const std::size_t kinds = kinds_.size();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t pair = Find(user, items[i]);
    for (std::size_t f = 0; f < kinds; ++f)
      scores[f * items.size() + i] = pair < items_.size() ? log_odds_[pair * kinds + f] : floors_[f];
  }
}

std::vector<std::uint32_t> RankerScores::Retrieve(std::uint32_t user, std::size_t) const {
  return {items_.begin() + static_cast<std::ptrdiff_t>(first_[user]),
          items_.begin() + static_cast<std::ptrdiff_t>(first_[user + 1])};
}

std::string RankerScores::Reason(std::uint32_t, std::uint32_t, std::size_t feature) const {
  switch (kinds_[feature]) {
    case EventKind::kPurchase:
      return "customers like you buy such next";
    case EventKind::kCart:
      return "customers like you put such into the cart next";
    case EventKind::kFavourite:
      return "customers like you mark such next";
    default:
      return "customers like you look at such next";
  }
}

std::uint64_t RankerScores::Fingerprint() const {
  std::uint64_t hash = 0;
  const auto add = [&hash](const auto& values) {
    hash = XXH3_64bits_withSeed(values.data(), values.size() * sizeof(values[0]), hash);
  };
  add(kinds_), add(floors_), add(first_), add(items_), add(log_odds_);
  return hash;
}

}  // namespace cohort
