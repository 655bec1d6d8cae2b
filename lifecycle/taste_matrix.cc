#include "lifecycle/taste_matrix.h"

#include <algorithm>
#include <cmath>

namespace cohort {

float ActWeight(EventKind kind) {
  switch (kind) {
    case EventKind::kView:
      return 1;
    case EventKind::kFavourite:
      return 2;
    case EventKind::kCart:
      return 3;
    case EventKind::kPurchase:
      return 4;
    default:
      return 0;
  }
}

TasteMatrix::TasteMatrix(const ShopHistory& history, Time now) : now_(now) {
  first_of_item_.assign(history.items.size() + 1, 0);
  first_of_user_.push_back(0);
  struct Sum {
    std::uint32_t item, last;  // last: the number of the latest act on it
    float weight;
  };
  std::vector<Sum> sums;
  for (std::size_t user = 0; user < history.users.size(); ++user) {
    sums.clear();
    for (const Act& act : history.ActsOf(user)) {
      if (act.time >= now) break;
      const float weight = ActWeight(act.kind);
      if (weight > 0) sums.push_back({act.item, static_cast<std::uint32_t>(sums.size()), weight});
    }
    std::sort(sums.begin(), sums.end(), [](const Sum& a, const Sum& b) {
      return a.item != b.item ? a.item < b.item : a.last < b.last;
    });
    auto kept = sums.begin();
    for (auto sum = sums.begin(); sum != sums.end(); ++sum) {
      if (sum != sums.begin() && sum->item == (kept - 1)->item) {
        (kept - 1)->weight += sum->weight;
        (kept - 1)->last = sum->last;
      } else {
        *kept++ = *sum;
      }
    }
    sums.erase(kept, sums.end());
    std::sort(sums.begin(), sums.end(), [](const Sum& a, const Sum& b) { return a.last < b.last; });
    for (const Sum& sum : sums) {
      by_user_.push_back({sum.item, std::log2(1 + sum.weight)});
      ++first_of_item_[sum.item + 1];
    }
    first_of_user_.push_back(by_user_.size());
  }
  for (std::size_t item = 0; item + 1 < first_of_item_.size(); ++item)
    first_of_item_[item + 1] += first_of_item_[item];
  by_item_.resize(by_user_.size());
  std::vector<std::uint64_t> next = first_of_item_;
  for (std::uint32_t user = 0; user < users(); ++user) {
    for (const Taste& taste : OfUser(user)) by_item_[next[taste.other]++] = {user, taste.strength};
  }
}

}  // namespace cohort
