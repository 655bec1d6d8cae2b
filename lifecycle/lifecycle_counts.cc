#include "lifecycle/lifecycle_counts.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <utility>

#include "lifecycle/user_past.h"

namespace cohort {
namespace {

constexpr std::size_t kVisited = 0, kViewed = 1, kCart = 2, kBought = 3, kBoughtAgain = 4, kSteps = 5;
constexpr std::array<const char*, kSteps> kStepNames = {"visited", "viewed", "cart", "bought",
                                                        "bought again"};
constexpr std::size_t kCameBetween = kLifeStageNames.size();  // row of StageMoves::users

class Counter {
 public:
  Counter(const ShopSchema& schema, const ShopRows& rows, const std::optional<LifeStageRule>& stages)
      : schema_(schema), rows_(rows), stages_(stages) {
    const std::size_t snapshots = schema.snapshots.size();
    if (stages && snapshots >= 2)
      moves_ = {.from = schema.snapshots[snapshots - 2].time, .to = schema.snapshots[snapshots - 1].time};
  }

  void Add(const UserRecords& user) {
    const UserRecord* description = user.descriptions.empty() ? nullptr : &user.descriptions[0];
    AddFunnel(user.events, description);
    AddRetention(user.events);
    if (moves_) AddMove(user.events, description);
  }

  LifecycleCounts Take() {
    LifecycleCounts counts;
    counts.moves = moves_;
    const auto has = [&](EventKind kind) { return schema_.events.has_kind[static_cast<std::size_t>(kind)]; };
    const std::array<bool, kSteps> logged = {true, has(EventKind::kView) || has(EventKind::kFavourite),
                                             has(EventKind::kCart), has(EventKind::kPurchase),
                                             has(EventKind::kPurchase)};
    std::uint64_t further = 0;
    for (std::size_t step = kSteps; step-- > 0;) {
      further += furthest_[step];
      if (logged[step]) counts.funnel.push_back({kStepNames[step], further, furthest_[step]});
    }
    std::reverse(counts.funnel.begin(), counts.funnel.end());

    const int last = MonthOf(rows_.end() - 1);
    counts.last_month_whole = MonthOf(rows_.end()) > last;
    const int first = last - static_cast<int>(LifecycleCounts::kMostMonths) + 1;
    for (const auto& [when, users] : active_) {
      const auto [month, later] = when;
      if (month < first) {
        if (later == 0) counts.earlier += users;
        continue;
      }
      if (counts.retention.empty() || counts.retention.back().month != month)
        counts.retention.push_back(
            {month, std::vector<std::uint64_t>(static_cast<std::size_t>(last - month) + 1)});
      counts.retention.back().active[static_cast<std::size_t>(later)] = users;
    }
    return counts;
  }

 private:
  void AddFunnel(const std::vector<Event>& events, const UserRecord* description) {
    // A sign-up from the end of the logs on is not seen, as the events are not.
    bool known =
        description != nullptr && description->sign_up < rows_.end() && description->sign_up != kNoTime;
    std::size_t step = kVisited;
    Time first_order = kNoTime;
    for (const Event& event : events) {
      if (event.kind == EventKind::kContact) continue;
      known = true;
      if (event.kind == EventKind::kView || event.kind == EventKind::kFavourite)
        step = std::max(step, kViewed);
      if (event.kind == EventKind::kCart) step = std::max(step, kCart);
      if (event.kind != EventKind::kPurchase) continue;
      if (first_order == kNoTime) first_order = event.time;
      step = std::max(step, event.time > first_order ? kBoughtAgain : kBought);
    }
    furthest_[step] += known;
  }

  void AddRetention(const std::vector<Event>& events) {
    int first = 0, before = -1;
    for (const Event& event : events) {
      if (event.kind == EventKind::kContact || event.kind == EventKind::kReturn) continue;
      const int month = MonthOf(event.time);
      if (before < 0) first = month;
      if (month != before) ++active_[{first, month - first}];
      before = month;
    }
  }

  void AddMove(const std::vector<Event>& events, const UserRecord* description) {
    UserPast past;
    std::size_t next = 0, before = kCameBetween;
    for (std::size_t snapshot = schema_.snapshots.size() - 2; snapshot < schema_.snapshots.size();
         ++snapshot) {
      const Time now = schema_.snapshots[snapshot].time;
      for (; next < events.size() && events[next].time < now; ++next) past.Add(events[next]);
      const bool signed_up =
          description != nullptr && description->sign_up != kNoTime && description->sign_up < now;
      if (past.events().empty() && !signed_up) continue;
      numeric_.clear();
      rows_.AppendNumeric(past, description, snapshot, &numeric_);
      const auto stage = static_cast<std::size_t>(
          stages_->StageOf(numeric_.data(), std::numeric_limits<double>::quiet_NaN()));
      if (now == moves_->to) ++moves_->users[before][stage];
      before = stage;
    }
  }

  const ShopSchema& schema_;
  const ShopRows& rows_;
  const std::optional<LifeStageRule>& stages_;
  std::array<std::uint64_t, kSteps> furthest_{};
  std::map<std::pair<int, int>, std::uint64_t> active_;  // by month of the first activity, and months since
  std::optional<LifecycleCounts::StageMoves> moves_;
  std::vector<float> numeric_;
};

}  // namespace

int MonthOf(Time time) {
  const std::chrono::sys_seconds moment{std::chrono::seconds(time)};
  const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(moment)};
  return static_cast<int>(date.year()) * 12 + static_cast<int>(static_cast<unsigned>(date.month())) - 1;
}

std::string MonthText(int month) {
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02d", month / 12, month % 12 + 1);
  return text;
}

Result<LifecycleCounts> CountLifecycles(const ShopSchema& schema, const ShopRows& rows,
                                        const std::optional<LifeStageRule>& stages,
                                        const ShopRows::Progress& progress) {
  Counter counter(schema, rows, stages);
  COHORT_RETURN_IF_ERROR(rows.Visit([&](const UserRecords& user) { counter.Add(user); }, progress));
  return counter.Take();
}

}  // namespace cohort
