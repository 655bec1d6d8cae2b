// ShopHistory: who did what with which item, in memory, for recommendations. Read from a shop's logs, cleaned as `cohort prepare` does.
#ifndef COHORT_LIFECYCLE_SHOP_HISTORY_H_
#define COHORT_LIFECYCLE_SHOP_HISTORY_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "lifecycle/event.h"
#include "lifecycle/item_table.h"
#include "lifecycle/shop_schema.h"
#include "prepare/prepare.h"

namespace cohort {

// An event with an item; visits and contacts have none.
struct Act {
  Time time = 0;
  std::uint32_t item = 0;
  EventKind kind = EventKind::kView;
};

// Users and items are numbered in the order of their names' bytes, so nothing depends on the order of the files. Memory: 16 bytes an
// act, 8 an attribute of a user, names and texts; while it is made, twice that.
struct ShopHistory {
  ShopSchema schema;
  std::vector<std::string> users;
  std::vector<std::uint64_t> first_act;  // by user, and the end: users + 1
  std::vector<Act> acts;                 // by user, in the order of time
  std::vector<std::uint64_t>
      attributes;  // users x schema.users->attributes: a Key (0: not known), or the bits of a float (NaN)
  std::vector<Time>
      user_since;  // by user: sign-up or first event, whichever is earlier; kNoTime: [users] describes them without a time
  std::vector<ItemWords> items;
  std::vector<Time> item_since;   // by item: its first event; kNoTime: [items] describes it
  std::vector<Money> prices;      // by item: of the list, else that of its first event with one; kNoMoney
  std::vector<Time> price_since;  // by item: when that became known; kNoTime: always
  Time end = 0;                   // after the last event
  std::uint64_t undescribed_users = 0;  // that [users] says nothing of
  Findings findings;              // what of the files could not be used, with the first places

  std::span<const Act> ActsOf(std::size_t user) const {
    return std::span(acts).subspan(first_act[user], first_act[user + 1] - first_act[user]);
  }
  std::size_t attribute_count() const { return schema.users ? schema.users->attributes.size() : 0; }
  // A hash of all that is known here: of the same logs, the same on every host.
  std::uint64_t Fingerprint() const;
  // kNoItem when there is none.
  std::uint32_t FindItem(std::string_view name) const;
};

// `directory`: for a temporary file, if the events are many. `progress` hears of what is being done, in words.
Result<ShopHistory> ReadShopHistory(const std::string& shop_file, const std::string& data_directory,
                                    const std::string& directory,
                                    const std::function<void(const std::string&)>& progress);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SHOP_HISTORY_H_
