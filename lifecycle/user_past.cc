#include "lifecycle/user_past.h"

#include <algorithm>

namespace cohort {

void UserPast::Add(const Event& event) {
  if (event.kind == EventKind::kContact) {
    contacts_.push_back(event);
    return;
  }
  events_.push_back(event);
  if (event.kind == EventKind::kPurchase) {
    open_[event.item].push_back(static_cast<std::uint32_t>(purchases_.size()));
    purchases_.push_back({event.time, event.item, event.price, event.quantity, event.quantity});
  } else if (event.kind == EventKind::kReturn) {
    Quantity left = event.quantity;
    std::vector<std::uint32_t>& open = open_[event.item];
    while (left > 0 && !open.empty()) {
      Purchase& purchase = purchases_[open.back()];
      const Quantity taken = std::min(left, purchase.kept);
      purchase.kept -= taken;
      left -= taken;
      if (purchase.kept == 0) open.pop_back();
    }
    if (left < event.quantity) ++matched_;
    if (left > 0) ++unmatched_;
  }
}

}  // namespace cohort
