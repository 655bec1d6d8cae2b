#include "lifecycle/recommend_input.h"

#include <algorithm>

#include "prepare/csv_reader.h"

namespace cohort {
namespace {

Result<RecommendPeriods> PeriodsOf(const ShopHistory& history, RecommendAt at) {
  const std::vector<Snapshot>& snapshots = history.schema.snapshots;
  std::size_t number = snapshots.size();  // of the snapshot that is recommended for; the end
  if (at != RecommendAt::kEnd) {
    const auto split = static_cast<Split>(at);
    const auto last = std::find_if(snapshots.rbegin(), snapshots.rend(),
                                   [&](const Snapshot& snapshot) { return snapshot.split == split; });
    if (last == snapshots.rend())
      return InvalidInput(history.schema.path + ": --at " + SplitName(split) +
                          ", but [snapshots] has no such snapshot");
    number = static_cast<std::size_t>(snapshots.rend() - last) - 1;
  }
  if (number == 0)
    return InvalidInput(
        history.schema.path +
        ": no snapshot lies before the one recommended for: the weights are learned from what follows one");
  const auto time_of = [&](std::size_t i) { return i < snapshots.size() ? snapshots[i].time : history.end; };
  return RecommendPeriods{time_of(number - 1), time_of(number),
                          time_of(std::min(number + 1, snapshots.size()))};
}

// The kind of event that is recommended for: the first of these that the log has.
EventKind TargetOf(const ShopHistory& history) {
  for (const EventKind kind : {EventKind::kPurchase, EventKind::kCart, EventKind::kFavourite}) {
    if (std::any_of(history.acts.begin(), history.acts.end(),
                    [&](const Act& act) { return act.kind == kind; }))
      return kind;
  }
  return EventKind::kView;
}

Result<std::vector<bool>> UnavailableItems(const ShopHistory& history, const std::string& path,
                                           std::vector<std::string>* warnings) {
  std::vector<bool> unavailable(history.items.size());
  if (path.empty()) return unavailable;
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(path, CsvOptions{}));
  COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());
  COHORT_ASSIGN_OR_RETURN(const std::size_t column, csv->Column("item"));
  std::uint64_t unknown = 0;
  while (true) {
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
    if (!more) break;
    if (column >= csv->cells().size()) return InvalidInput(csv->Where() + ": no cell in the column \"item\"");
    const std::uint32_t item = history.FindItem(csv->cells()[column]);
    item == kNoItem ? void(++unknown) : void(unavailable[item] = true);
  }
  if (unknown > 0)
    warnings->push_back(path + ": " + std::to_string(unknown) + " of the items are not of this shop");
  if (std::all_of(unavailable.begin(), unavailable.end(), [](bool is) { return is; }))
    return InvalidInput(path + ": no item is left to recommend");
  return unavailable;
}

}  // namespace

Result<std::unique_ptr<RecommendInput>> RecommendInput::Read(const RecommendOptions& options,
                                                             const std::string& directory,
                                                             std::vector<std::string>* warnings,
                                                             const Recommender::Progress& progress) {
  auto input = std::make_unique<RecommendInput>();
  COHORT_ASSIGN_OR_RETURN(input->history,
                          ReadShopHistory(options.shop, options.data_directory, directory, progress));
  COHORT_ASSIGN_OR_RETURN(input->periods, PeriodsOf(input->history, options.at));
  COHORT_ASSIGN_OR_RETURN(input->segments, UserSegments::Make(input->history, options.segment));
  if (const std::uint64_t unknown = input->history.undescribed_users; unknown > 0 && !options.segment.empty())
    warnings->push_back(options.shop + ": [users] says nothing of " + std::to_string(unknown) + " of " +
                        std::to_string(input->history.users.size()) +
                        " users: in --segment they are those whose attributes are not known");
  COHORT_ASSIGN_OR_RETURN(input->unavailable,
                          UnavailableItems(input->history, options.unavailable, warnings));
  input->target = TargetOf(input->history);
  return input;
}

}  // namespace cohort
