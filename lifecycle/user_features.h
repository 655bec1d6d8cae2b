// UserFeatures: what is known of a user at a snapshot, as the features of one row. docs/shop.md has the formulas.
#ifndef COHORT_LIFECYCLE_USER_FEATURES_H_
#define COHORT_LIFECYCLE_USER_FEATURES_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/dataset.h"
#include "lifecycle/event_store.h"
#include "lifecycle/item_table.h"
#include "lifecycle/order_forecast.h"
#include "lifecycle/shop_schema.h"
#include "lifecycle/user_past.h"

namespace cohort {

class UserFeatures {
 public:
  // Which features there are depends on the schema alone. `schema` outlives this.
  explicit UserFeatures(const ShopSchema& schema);

  const std::vector<FeatureInfo>& infos() const { return infos_; }
  std::vector<std::uint32_t> bins() const;  // by feature

  // The keys of what the logs name, for the ItemTable and for UserRecord.
  Key ItemKey(std::string_view id) const { return item_keys_.Category(id); }
  Key CategoryKey(std::string_view category) const { return category_keys_.Category(category); }
  Key BrandKey(std::string_view brand) const { return brand_keys_.Category(brand); }
  Key ArmKey(std::string_view arm) const { return arm_keys_.Category(arm); }

  // Appends the features of one row to `block` (all but ids, labels and rows). `past`: the user's events before the snapshot,
  // and no others. `description` may be null; of a user who signs up at the snapshot or later nothing of it is told.
  // `snapshot`: the number of the snapshot in the schema.
  void Append(const UserPast& past, const UserRecord* description, std::size_t snapshot,
              const ItemTable& items, const OrderForecast& forecast, RowBlock* block) const;
  // The numeric ones of them alone, in the order of infos().
  void AppendNumeric(const UserPast& past, const UserRecord* description, std::size_t snapshot,
                     const ItemTable& items, const OrderForecast& forecast, std::vector<float>* out) const;

 private:
  void Describe();
  void AppendForecast(const UserPast& past, std::size_t snapshot, const OrderForecast& forecast,
                      std::vector<float>* out) const;
  void AppendSequences(const UserPast& past, const ItemTable& items, RowBlock* block) const;
  void AppendShares(const UserPast& past, std::size_t snapshot, const ItemTable& items,
                    RowBlock* block) const;
  bool HasKind(EventKind kind) const { return schema_.events.has_kind[static_cast<std::size_t>(kind)]; }

  const ShopSchema& schema_;
  bool purchases_, items_, prices_, categories_, brands_, contacts_;  // whether there are any
  FeatureKeys item_keys_, category_keys_, brand_keys_, arm_keys_;
  std::vector<Key> kind_keys_, gap_keys_;
  Key first_gap_key_ = 0;
  std::vector<FeatureInfo> infos_;  // numeric ones first
  std::size_t first_categorical_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_USER_FEATURES_H_
