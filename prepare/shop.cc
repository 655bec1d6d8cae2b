#include "prepare/shop.h"

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "common/input_file.h"
#include "common/process.h"
#include "prepare/csv_file.h"
#include "prepare/shop_customers.h"
#include "prepare/shop_labels.h"

namespace cohort {
namespace {

constexpr std::uint64_t kProgressRows = 65'536;
constexpr const char* kShopFiles[] = {"customers.csv", "truth/expectations.csv"};

void OrEmpty(int value, CsvFile* file) { value == kUnknown ? file->Empty() : file->Whole(value); }

std::string CustomerId(std::uint64_t user) {
  char text[32];
  std::snprintf(text, sizeof(text), "c%08llu", static_cast<unsigned long long>(user));
  return text;
}

std::string MonthName(int month) {  // the shop opens in January 2024
  char text[32];
  std::snprintf(text, sizeof(text), "%d-%02d", 2024 + month / 12, 1 + month % 12);
  return text;
}

void WriteHeaders(CsvFile* customers, CsvFile* truth) {
  for (const char* name :
       {"customer_id",    "signup_month",     "channel",    "region",     "device",
        "referrer",       "first_categories", "age",        "sessions",   "pages_per_session",
        "minutes",        "searches",         "cart_adds",  "price_mean", "price_max",
        "discount_share", "acquisition_cost", "activation", "churned",    "purchased",
        "value",          "months",           "left"}) {
    customers->Text(name);
  }
  customers->EndRow();
  truth->Text("id").Text("acquisition_cost");
  for (const char* activity : ShopLabels::Activities()) truth->Text(std::string("activation.") + activity);
  for (const char* name : {"churned", "purchased", "value", "value.positive", "value.mu", "value.sigma"}) {
    truth->Text(name);
  }
  for (int month = 1; month <= kMonths; ++month) truth->Text("lifetime." + std::to_string(month));
  truth->EndRow();
}

void WriteCustomer(const ShopCustomers& shop, const std::string& id, const Customer& customer,
                   const CustomerLabels& labels, CsvFile* file) {
  file->Text(id).Text(MonthName(customer.month)).Text(ShopCustomers::Channels()[customer.channel]);
  customer.region == kUnknown ? file->Empty() : file->Text(ShopCustomers::Regions()[customer.region]);
  file->Text(ShopCustomers::Devices()[customer.device]);
  customer.referrer == kUnknown ? file->Empty() : file->Text("site-" + std::to_string(customer.referrer + 1));
  std::string seen;
  for (int c = 0; c < customer.category_count; ++c) {
    if (c > 0) seen.push_back('|');
    seen += shop.categories()[customer.categories[c]];
  }
  file->Text(seen);
  OrEmpty(customer.age, file);
  file->Whole(customer.sessions).Fixed(customer.pages_tenths, 1);
  file->Fixed(customer.minutes_tenths, 1).Whole(customer.searches).Whole(customer.cart_adds);
  customer.price_mean_cents == kUnknown ? file->Empty() : file->Fixed(customer.price_mean_cents, 2);
  file->Fixed(customer.price_max_cents, 2).Fixed(customer.discount_percent, 2);

  file->Fixed(std::llround(labels.acquisition_cost * 100), 2);
  labels.activation == kUnknown ? file->Empty() : file->Text(ShopLabels::Activities()[labels.activation]);
  OrEmpty(labels.churned, file);
  OrEmpty(labels.purchased, file);
  std::isnan(labels.value) ? file->Empty() : file->Fixed(std::llround(labels.value * 100), 2);
  file->Whole(labels.months).Whole(labels.left);
  file->EndRow();
}

void WriteExpectation(const std::string& id, const CustomerExpectation& expected, CsvFile* file) {
  file->Text(id).Number(expected.acquisition_cost);
  for (double probability : expected.activation) file->Number(probability);
  file->Number(expected.churned).Number(expected.purchased).Number(expected.value);
  file->Number(expected.value_positive).Number(expected.value_mu).Number(expected.value_sigma);
  for (double share : expected.left) file->Number(share);
  file->EndRow();
}

Status CheckRange(const char* option, std::uint64_t value, std::uint64_t most) {
  if (value >= 1 && value <= most) return {};
  return {ErrorCode::kInvalidInput, std::string("--") + option + " is " + std::to_string(value) +
                                        ", expected a number from 1 to " + std::to_string(most)};
}

}  // namespace

Result<ShopSummary> GenerateShop(const ShopOptions& options,
                                 const std::function<void(std::uint64_t)>& progress) {
  COHORT_RETURN_IF_ERROR(CheckRange("users", options.users, 1'000'000'000));
  COHORT_RETURN_IF_ERROR(CheckRange("items", options.items, 10'000'000));
  COHORT_RETURN_IF_ERROR(CheckRange("days", options.days, 36'500));
  if (options.directory.empty())
    return InvalidInput("--out is empty, expected a directory to write the shop to");
  COHORT_RETURN_IF_ERROR(MakeOutputFolder(options.directory, kShopFiles, options.overwrite));
  const std::filesystem::path directory(options.directory);
  ShopSummary summary;
  summary.users = options.users;
  summary.customers_path = (directory / kShopFiles[0]).string();
  summary.truth_path = (directory / kShopFiles[1]).string();

  const ShopCustomers shop(options.seed, options.items, options.days);
  const ShopLabels labels(options.seed, shop);
  COHORT_ASSIGN_OR_RETURN(CsvFile truth, CsvFile::Create(summary.truth_path));
  COHORT_ASSIGN_OR_RETURN(CsvFile customers, CsvFile::Create(summary.customers_path));
  WriteHeaders(&customers, &truth);
  for (std::uint64_t user = 0; user < options.users; ++user) {
    const Customer customer = shop.Draw(user);
    const CustomerExpectation expected = labels.Expect(customer);
    const std::string id = CustomerId(user);
    WriteCustomer(shop, id, customer, labels.Draw(customer, expected), &customers);
    WriteExpectation(id, expected, &truth);
    if ((user + 1) % kProgressRows == 0) {
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
      if (customers.failed() || truth.failed()) break;  // a full disk: Close tells
      if (progress) progress(user + 1);
    }
  }
  summary.bytes = customers.bytes() + truth.bytes();
  COHORT_RETURN_IF_ERROR(truth.Close());
  COHORT_RETURN_IF_ERROR(customers.Close());
  COHORT_RETURN_IF_ERROR(truth.Commit());
  COHORT_RETURN_IF_ERROR(customers.Commit());
  return summary;
}

}  // namespace cohort
