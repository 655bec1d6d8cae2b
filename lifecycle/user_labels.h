// UserLabels: what a user did after a snapshot, as the labels of one row. docs/shop.md has the formulas.
//
// A label is known when its whole window [snapshot, snapshot + horizon) lies before the end of what may be looked at. Its value
// comes from events of the window alone (but for churn_cost, which is about the time before); whether the user is in its stage,
// from events before the snapshot.
#ifndef COHORT_LIFECYCLE_USER_LABELS_H_
#define COHORT_LIFECYCLE_USER_LABELS_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "common/dataset.h"
#include "lifecycle/event_store.h"
#include "lifecycle/item_table.h"
#include "lifecycle/shop_schema.h"
#include "lifecycle/user_past.h"

namespace cohort {

class UserLabels {
 public:
  // `schema` outlives this.
  explicit UserLabels(const ShopSchema& schema);

  const std::vector<TaskInfo>& infos() const { return infos_; }  // in the order of the labels

  // Appends a label per task, NaN where it is masked; whether any is not. `past`: the events before the snapshot at `now`;
  // `after`: those from it on, by time. Nothing at or after `end` is looked at.
  bool Append(const UserPast& past, const UserRecord* description, Time now, std::span<const Event> after,
              Time end, const ItemTable& items, std::vector<float>* labels);
  // Margins below 0 since it was last asked, which a value cannot be: they count as 0.
  std::uint64_t TakeValuesBelowZero() { return std::exchange(values_below_zero_, 0); }

 private:
  float AcquisitionCost(const UserRecord* description, Time now) const;
  float Activation(const UserPast& past, const UserRecord* description, Time now,
                   std::span<const Event> after, Time end) const;
  float Churn(const UserPast& past, Time now, std::span<const Event> after, Time end) const;
  float ChurnCost(float churn, const UserPast& past, Time now, const ItemTable& items) const;
  float Orders(Time now, std::span<const Event> after, Time end) const;
  float Value(Time now, std::span<const Event> after, Time end, const ItemTable& items);
  // The first contact of the snapshot's day whose arm was drawn by chance: the arm, and what came of it.
  void AppendCampaign(Time now, std::span<const Event> after, Time end, const ItemTable& items,
                      std::vector<float>* labels) const;
  Money Earned(const Purchase& purchase, const ItemTable& items) const;

  const ShopSchema& schema_;
  const LabelOptions& options_;
  bool margin_;  // costs are given
  std::vector<TaskInfo> infos_;
  std::vector<Key> arm_keys_;  // of the campaign's arms
  std::uint64_t values_below_zero_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_USER_LABELS_H_
