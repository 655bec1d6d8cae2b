// TasteMatrix: how strongly each user took each item before a moment: users x items, sparse, both ways round.
#ifndef COHORT_LIFECYCLE_TASTE_MATRIX_H_
#define COHORT_LIFECYCLE_TASTE_MATRIX_H_

#include <cstdint>
#include <span>
#include <vector>

#include "lifecycle/shop_history.h"

namespace cohort {

// Strength: log2(1 + sum over the user's acts on the item of the kind's weight): 1 of a view, 2 of a favourite, 3 of a cart, 4 of a
// purchase. Returns count for nothing.
float ActWeight(EventKind kind);

struct Taste {
  std::uint32_t other;  // the item of a user, or the user of an item
  float strength;
};

// Memory: 16 bytes for each pair of a user and an item.
class TasteMatrix {
 public:
  // Of acts before `now` alone.
  TasteMatrix(const ShopHistory& history, Time now);

  Time now() const { return now_; }
  std::size_t users() const { return first_of_user_.size() - 1; }
  std::size_t items() const { return first_of_item_.size() - 1; }
  // Different items of a user, in the order of the latest act on each: the latest last.
  std::span<const Taste> OfUser(std::size_t user) const {
    return std::span(by_user_).subspan(first_of_user_[user], first_of_user_[user + 1] - first_of_user_[user]);
  }
  // Users of an item, ascending.
  std::span<const Taste> OfItem(std::size_t item) const {
    return std::span(by_item_).subspan(first_of_item_[item], first_of_item_[item + 1] - first_of_item_[item]);
  }

 private:
  Time now_;
  std::vector<std::uint64_t> first_of_user_, first_of_item_;
  std::vector<Taste> by_user_, by_item_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_TASTE_MATRIX_H_
