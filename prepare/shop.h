// `cohort generate`: a synthetic shop as CSV, with the true conditional expectations kept apart.
//
//   DIR/customers.csv            a row per customer: customer_id, observed features, the labels of six tasks (lifetime:
//   months and left). Empty cells are unknown. DIR/truth/expectations.csv   id, then per task what the best predictor would say: the
//   columns of `cohort score`'s CSV
//                                (<task>, <task>.<class>, lifetime.<month>), and value.positive, value.mu, value.sigma
//
// What the features and labels are drawn from: shop_customers.h, shop_labels.h. The files are a pure function
// of the options, byte for byte (on one machine's mathematical library); both appear complete or not at all.
#ifndef COHORT_PREPARE_SHOP_H_
#define COHORT_PREPARE_SHOP_H_

#include <cstdint>
#include <functional>
#include <string>

#include "common/status.h"

namespace cohort {

struct ShopOptions {
  std::string directory;         // created when missing
  std::uint64_t users = 60'000;  // 1 .. 10^9
  std::uint64_t items = 1'000;   // 1 .. 10^7: categories seen and prices come from them
  std::uint64_t days = 365;      // 1 .. 36500: sign-ups spread over them
  std::uint64_t seed = 1;
  bool overwrite = false;  // replace files that are there
};

struct ShopSummary {
  std::uint64_t users = 0;
  std::uint64_t bytes = 0;  // of both files
  std::string customers_path, truth_path;
};

// `progress`, when given, is called with the number of rows written, every 65,536 rows. Memory: a few MB.
// Errors: kInvalidInput for an option out of its range or a file that would be replaced; kIo.
Result<ShopSummary> GenerateShop(const ShopOptions& options,
                                 const std::function<void(std::uint64_t)>& progress = nullptr);

}  // namespace cohort

#endif  // COHORT_PREPARE_SHOP_H_
