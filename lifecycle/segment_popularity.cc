#include "lifecycle/segment_popularity.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

namespace cohort {
namespace {

std::vector<float> Logarithms(const ShopHistory& history, Time now, const UserSegments& segments,
                              const std::function<bool(EventKind)>& counts) {
  const std::size_t items = history.items.size();
  std::map<std::string, std::size_t> numbers;
  std::vector<std::size_t> category_of(items);
  for (std::size_t i = 0; i < items; ++i)
    category_of[i] = numbers.emplace(history.items[i].category, numbers.size()).first->second;
  const std::size_t categories = numbers.size();

  std::vector<double> of_item(items), of_category(categories), of_segment(segments.count);
  std::vector<double> of_cell(segments.count * categories);
  std::vector<float> counted(segments.count * items);
  double all = 0;
  for (std::size_t user = 0; user < history.users.size(); ++user) {
    const std::size_t segment = segments.of_user[user];
    for (const Act& act : history.ActsOf(user)) {
      if (act.time >= now) break;
      if (!counts(act.kind)) continue;
      ++of_item[act.item];
      ++of_segment[segment];
      ++of_cell[segment * categories + category_of[act.item]];
      ++counted[segment * items + act.item];
      ++all;
    }
  }
  const auto count = static_cast<double>(items), kinds = static_cast<double>(categories);
  for (std::size_t i = 0; i < items; ++i) {
    of_item[i] = (of_item[i] + 0.5) / (all + 0.5 * count);
    of_category[category_of[i]] += of_item[i];
  }
  for (std::size_t segment = 0; segment < segments.count; ++segment) {
    for (std::size_t i = 0; i < items; ++i) {
      const std::size_t category = category_of[i];
      const double share = (of_cell[segment * categories + category] + of_category[category] * kinds) /
                           (of_segment[segment] + kinds);
      float& score = counted[segment * items + i];
      score = static_cast<float>(std::log((score + count * of_item[i] * share / of_category[category]) /
                                          (of_segment[segment] + count)));
    }
  }
  return counted;
}

}  // namespace

SegmentPopularity::SegmentPopularity(const ShopHistory& history, Time now, const UserSegments& segments,
                                     EventKind target)
    : segments_(segments), items_(history.items.size()) {
  const std::string of_target = EventKindName(target);
  features_.push_back("popular by " + of_target);
  scores_.push_back(Logarithms(history, now, segments, [&](EventKind kind) { return kind == target; }));
  const bool others = std::any_of(history.acts.begin(), history.acts.end(), [&](const Act& act) {
    return act.time < now && act.kind != target && act.kind != EventKind::kReturn;
  });
  if (!others) return;
  features_.push_back("popular by all acts");
  scores_.push_back(
      Logarithms(history, now, segments, [](EventKind kind) { return kind != EventKind::kReturn; }));
}

void SegmentPopularity::Score(std::uint32_t user, std::span<const std::uint32_t> items,
                              std::span<float> scores) const {
  float* out = scores.data();
  for (const std::vector<float>& feature : scores_) {
    const float* of_segment = &feature[segments_.of_user[user] * items_];
    for (const std::uint32_t item : items) *out++ = of_segment[item];
  }
}

void SegmentPopularity::Index(std::span<const std::uint32_t> items, std::span<const double> weights,
                              const Progress&) {
  listed_.clear();
  listed_of_segment_ = std::min(kListed, items.size());
  std::vector<float> utilities(items.size());
  std::vector<std::size_t> places(items.size());
  for (std::size_t segment = 0; segment < segments_.count; ++segment) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      utilities[i] = 0;
      for (std::size_t feature = 0; feature < scores_.size(); ++feature)
        utilities[i] += static_cast<float>(weights[feature]) * scores_[feature][segment * items_ + items[i]];
    }
    std::iota(places.begin(), places.end(), 0);
    const auto end = places.begin() + static_cast<std::ptrdiff_t>(listed_of_segment_);
    std::partial_sort(places.begin(), end, places.end(), [&](std::size_t a, std::size_t b) {
      return utilities[a] != utilities[b] ? utilities[a] > utilities[b] : a < b;
    });
    for (auto place = places.begin(); place != end; ++place) listed_.push_back(items[*place]);
  }
}

std::vector<std::uint32_t> SegmentPopularity::Retrieve(std::uint32_t user, std::size_t n) const {
  const auto begin =
      listed_.begin() + static_cast<std::ptrdiff_t>(segments_.of_user[user] * listed_of_segment_);
  return {begin, begin + static_cast<std::ptrdiff_t>(std::min(n, listed_of_segment_))};
}

std::string SegmentPopularity::Reason(std::uint32_t, std::uint32_t, std::size_t) const {
  if (segments_.attributes.empty()) return "popular with all customers";
  std::string names;
  for (const std::string& name : segments_.attributes) names += (names.empty() ? "" : ", ") + name;
  return "popular with customers like you (" + names + ")";
}

}  // namespace cohort
