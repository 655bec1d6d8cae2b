#include "lifecycle/list_exposure.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace cohort {
namespace {

struct Exposure {
  double group = 0, all = 0;
};

Exposure ExposureOf(const std::vector<RecommendationList>& lists, const std::vector<bool>& in_group) {
  Exposure exposure;
  for (const RecommendationList& list : lists) {
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      exposure.all += PlaceWeight(i + 1);
      if (in_group[list.items[i].item]) exposure.group += PlaceWeight(i + 1);
    }
  }
  return exposure;
}

// The last place that holds an item outside the group; the list's size when there is none.
std::size_t LastOther(const RecommendationList& list, const std::vector<bool>& in_group) {
  for (std::size_t i = list.items.size(); i-- > 0;) {
    if (!in_group[list.items[i].item]) return i;
  }
  return list.items.size();
}

}  // namespace

double PlaceWeight(std::size_t rank) { return 1 / std::log2(1 + static_cast<double>(rank)); }

double ExposureShare(const std::vector<RecommendationList>& lists, const std::vector<bool>& in_group) {
  const Exposure exposure = ExposureOf(lists, in_group);
  return exposure.all > 0 ? exposure.group / exposure.all : 0;
}

bool HoldExposure(std::vector<RecommendationList>& lists, const std::vector<bool>& in_group, double share) {
  const auto group_size = static_cast<double>(std::count(in_group.begin(), in_group.end(), true));
  struct Exchange {
    double loss;
    std::uint32_t list, option;
  };
  while (true) {
    const Exposure exposure = ExposureOf(lists, in_group);
    double missing = share * exposure.all - exposure.group;
    if (missing <= 0) return true;
    std::vector<Exchange> exchanges;
    double mean_weight = 0;
    for (std::uint32_t i = 0; i < lists.size(); ++i) {
      const std::size_t place = LastOther(lists[i], in_group);
      if (place == lists[i].items.size()) continue;
      const double weight = PlaceWeight(place + 1);
      for (std::uint32_t option = 0; option < lists[i].promotable.size(); ++option) {
        const double lost = lists[i].items[place].probability - lists[i].promotable[option].probability;
        exchanges.push_back({weight * lost, i, option});
        mean_weight += weight;
      }
    }
    if (exchanges.empty()) return false;
    mean_weight /= static_cast<double>(exchanges.size());
    const auto cap = static_cast<std::uint64_t>(std::ceil(2 * missing / mean_weight / group_size));
    std::sort(exchanges.begin(), exchanges.end(), [](const Exchange& a, const Exchange& b) {
      if (a.loss != b.loss) return a.loss < b.loss;
      return a.list != b.list ? a.list < b.list : a.option < b.option;
    });
    std::unordered_map<std::uint32_t, std::uint64_t> times;
    std::vector<std::uint32_t> used(lists.size(), ~std::uint32_t{0});  // by list: the option that was taken
    for (const Exchange& exchange : exchanges) {
      if (missing <= 0) break;
      RecommendationList& list = lists[exchange.list];
      const ListedItem& option = list.promotable[exchange.option];
      if (used[exchange.list] != ~std::uint32_t{0} || times[option.item] >= cap) continue;
      const std::size_t place = LastOther(list, in_group);
      list.items[place] = option;
      list.items[place].promoted = true;
      missing -= PlaceWeight(place + 1);
      ++times[option.item];
      used[exchange.list] = exchange.option;
    }
    for (std::size_t i = 0; i < lists.size(); ++i) {
      if (used[i] != ~std::uint32_t{0})
        lists[i].promotable.erase(lists[i].promotable.begin() + static_cast<std::ptrdiff_t>(used[i]));
    }
  }
}

}  // namespace cohort
