// `cohort generate --shop`: a whole synthetic shop as event logs, ready for `cohort prepare` and `cohort train`, and apart from
// them what is true of it. The laws: shop_world.h. docs/shop.md has the files, column by column.
#ifndef COHORT_LIFECYCLE_SHOP_LOGS_H_
#define COHORT_LIFECYCLE_SHOP_LOGS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "common/status.h"
#include "lifecycle/simple_policies.h"

namespace cohort {

struct ShopLogsOptions {
  std::string directory;         // created when missing
  std::uint64_t users = 60'000;  // 1 .. 10^8
  std::uint64_t items = 1'000;   // kShopCells .. 10^6
  std::uint64_t days = 365;      // ShopCalendar::kLeastDays .. kMostDays
  std::uint64_t seed = 1;
  bool null_effects = false;  // the null world: no arm changes anything
  bool overwrite = false;     // replace files that are there
};

struct ShopLogsSummary {
  std::uint64_t users = 0, customers = 0,
                lost = 0;  // customers: with an order by the end; lost: who left by then
  std::uint64_t events = 0, order_lines = 0, contacts = 0;
  std::uint64_t bytes = 0;  // of all files
  double seconds = 0;
  // At the campaign, over the first kPolicyUsers users: without a budget, and with half of what the oracle spends then.
  PolicyValues policies, under_budget;
};

inline constexpr std::uint64_t kPolicyUsers = 1'000'000;

// The files are a pure function of the options, byte for byte, on every machine. Each appears when it is complete, shop.toml as the
// last one. `progress`, when given, is told how many users are done and how many events they had. Memory: the items, 16,384
// users' events, and 32 bytes for each of the first kPolicyUsers users. Errors: kInvalidInput for an option out of range or a
// file that would be replaced; kIo.
Result<ShopLogsSummary> GenerateShopLogs(
    const ShopLogsOptions& options,
    const std::function<void(std::uint64_t users, std::uint64_t events)>& progress = nullptr);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SHOP_LOGS_H_
