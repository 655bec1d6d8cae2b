#include "prepare/shop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "prepare/shop_customers.h"
#include "prepare/shop_labels.h"

namespace cohort::shop_test {
namespace {

namespace fs = std::filesystem;

class ShopTest : public ::testing::Test {
 protected:
  ShopTest() : directory_(fs::temp_directory_path() / ("cohort-shop-" + std::to_string(::getpid()))) {
    fs::remove_all(directory_);
  }
  ~ShopTest() override { fs::remove_all(directory_); }

  ShopOptions Options(const std::string& name, std::uint64_t users, std::uint64_t seed = 1) const {
    ShopOptions options;
    options.directory = (directory_ / name).string();
    options.users = users;
    options.seed = seed;
    return options;
  }
  fs::path directory_;
};

std::string Content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Rows by column name; the files of the shop hold no quotes.
std::vector<std::map<std::string, std::string>> ReadCsv(const fs::path& path) {
  std::ifstream file(path);
  std::string line, cell;
  std::vector<std::string> names;
  std::vector<std::map<std::string, std::string>> rows;
  while (std::getline(file, line)) {
    std::vector<std::string> cells;
    std::stringstream stream(line + ",");
    while (std::getline(stream, cell, ',')) cells.push_back(cell);
    if (names.empty()) {
      names = cells;
      continue;
    }
    EXPECT_EQ(cells.size(), names.size()) << line;
    auto& row = rows.emplace_back();
    for (std::size_t c = 0; c < std::min(names.size(), cells.size()); ++c) row[names[c]] = cells[c];
  }
  return rows;
}

TEST_F(ShopTest, WritesARowPerCustomerAndTheTruthOfEach) {
  const auto summary = GenerateShop(Options("a", 500));
  ASSERT_TRUE(summary.has_value()) << summary.error().text();
  EXPECT_EQ(summary->bytes, fs::file_size(summary->customers_path) + fs::file_size(summary->truth_path));
  const auto customers = ReadCsv(summary->customers_path), truth = ReadCsv(summary->truth_path);
  ASSERT_EQ(customers.size(), 500u);
  ASSERT_EQ(truth.size(), 500u);
  const ShopCustomers shop(1, 1000, 365);
  const ShopLabels labels(1, shop);
  for (std::size_t i = 0; i < customers.size(); ++i) {
    auto row = customers[i];
    EXPECT_EQ(row["customer_id"], truth[i].at("id"));
    const Customer customer = shop.Draw(i);
    const CustomerExpectation expected = labels.Expect(customer);
    EXPECT_EQ(row["channel"], ShopCustomers::Channels()[customer.channel]);
    EXPECT_EQ(std::lround(std::stod(row["price_max"]) * 100), customer.price_max_cents);
    EXPECT_EQ(row["age"], customer.age == kUnknown ? "" : std::to_string(customer.age));
    EXPECT_NEAR(std::stod(truth[i].at("value")), expected.value, 1e-5 * expected.value);
    double total = 0;
    for (const char* activity : ShopLabels::Activities()) {
      total += std::stod(truth[i].at(std::string("activation.") + activity));
    }
    EXPECT_NEAR(total, 1, 1e-6);
    const CustomerLabels drawn = labels.Draw(customer, expected);
    EXPECT_NEAR(std::stod(row["acquisition_cost"]), drawn.acquisition_cost, 0.0051);
    EXPECT_EQ(row["purchased"], std::to_string(drawn.purchased));
    EXPECT_EQ(row["churned"], drawn.churned == kUnknown ? "" : std::to_string(drawn.churned));
  }
}

TEST_F(ShopTest, TheFilesAreAFunctionOfTheOptions) {
  ASSERT_TRUE(GenerateShop(Options("a", 300)).has_value());
  ASSERT_TRUE(GenerateShop(Options("b", 300)).has_value());
  ASSERT_TRUE(GenerateShop(Options("c", 300, 2)).has_value());
  ASSERT_TRUE(GenerateShop(Options("d", 200)).has_value());
  const auto a = Content(directory_ / "a/customers.csv");
  EXPECT_EQ(a, Content(directory_ / "b/customers.csv"));
  EXPECT_EQ(Content(directory_ / "a/truth/expectations.csv"),
            Content(directory_ / "b/truth/expectations.csv"));
  EXPECT_NE(a, Content(directory_ / "c/customers.csv"));
  // More users are more rows, not other rows.
  const auto d = Content(directory_ / "d/customers.csv");
  EXPECT_EQ(a.substr(0, d.size()), d);
}

TEST_F(ShopTest, RefusesWhatItCannotDoAndLeavesNothingBehind) {
  for (auto change : {+[](ShopOptions* o) { o->users = 0; }, +[](ShopOptions* o) { o->items = 0; },
                      +[](ShopOptions* o) { o->days = 40'000; }, +[](ShopOptions* o) { o->directory = ""; },
                      +[](ShopOptions* o) { o->directory = "/dev/null/shop"; }}) {
    auto options = Options("bad", 10);
    change(&options);
    const auto result = GenerateShop(options);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalidInput);
    EXPECT_FALSE(fs::exists(directory_ / "bad/customers.csv"));
  }
  auto options = Options("a", 10);
  ASSERT_TRUE(GenerateShop(options).has_value());
  for (const char* left : {"customers.csv", "truth/expectations.csv"}) {
    EXPECT_THAT(GenerateShop(options).error().text(), ::testing::HasSubstr(left + std::string(" exists")));
    fs::remove(directory_ / "a" / left);
  }
  fs::create_directory(directory_ / "a/truth/expectations.csv");
  EXPECT_THAT(GenerateShop(options).error().text(), ::testing::HasSubstr("is a folder"));
  fs::remove(directory_ / "a/truth/expectations.csv");
  options.overwrite = true;
  EXPECT_TRUE(GenerateShop(options).has_value());
}

TEST_F(ShopTest, TheSmallestShopWorks) {
  auto options = Options("small", 20);
  options.items = 1;
  options.days = 1;
  ASSERT_TRUE(GenerateShop(options).has_value());
  for (const auto& row : ReadCsv(directory_ / "small/customers.csv")) {
    EXPECT_EQ(row.at("first_categories"), "shoes");
    EXPECT_EQ(row.at("signup_month"), "2024-01");
  }
}

// The labels follow the truth: standardised residuals of each task have mean 0 (within 4 standard errors),
// overall and in the upper and the lower half of the expectations.
TEST_F(ShopTest, LabelsAreDrawnFromTheTruth) {
  const ShopCustomers shop(4, 1000, 365);
  const ShopLabels labels(4, shop);
  struct Residuals {
    double sum = 0, variance = 0;
    void Add(double label, double expected, double of) { sum += label - expected, variance += of; }
  };
  std::map<std::string, Residuals> residuals;
  for (std::uint64_t user = 0; user < 40'000; ++user) {
    const Customer customer = shop.Draw(user);
    const auto e = labels.Expect(customer);
    const auto drawn = labels.Draw(customer, e);
    auto add = [&](const std::string& task, double label, double expected, double middle, double variance) {
      residuals[task].Add(label, expected, variance);
      residuals[task + (expected > middle ? " high" : " low")].Add(label, expected, variance);
    };
    add("cost", drawn.acquisition_cost, e.acquisition_cost, 24, 2.5 * 2.5);
    add("purchased", drawn.purchased, e.purchased, 0.5, e.purchased * (1 - e.purchased));
    if (drawn.churned != kUnknown) add("churned", drawn.churned, e.churned, 0.5, e.churned * (1 - e.churned));
    if (drawn.activation != kUnknown) {
      for (int a = 0; a < kActivities; ++a) {
        const double p = e.activation[a];
        add(std::string("activation ") + ShopLabels::Activities()[a], drawn.activation == a, p, 0.2,
            p * (1 - p));
      }
    }
    // Of the months that a customer was seen in: leaving in it, given that the customer had not left.
    for (int t = 0; t < drawn.months; ++t) {
      const double before = t == 0 ? 0 : e.left[t - 1], hazard = (e.left[t] - before) / (1 - before);
      const bool left = drawn.left && t + 1 == drawn.months;
      residuals["hazard"].Add(left, hazard, hazard * (1 - hazard));
      residuals[t < 3 ? "hazard early" : "hazard late"].Add(left, hazard, hazard * (1 - hazard));
    }
    if (!std::isnan(drawn.value)) {
      add("value", drawn.value, e.value, 20,
          e.value_positive * std::exp(2 * e.value_mu + 2 * e.value_sigma * e.value_sigma) -
              e.value * e.value);
      add("positive", drawn.value > 0, e.value_positive, 0.5, e.value_positive * (1 - e.value_positive));
    }
  }
  EXPECT_EQ(residuals.size(), 3u * (6 + kActivities));
  for (const auto& [name, r] : residuals) EXPECT_LT(std::abs(r.sum) / std::sqrt(r.variance), 4) << name;
}

// The best predictor beats the constant one by far more than 10 % of the loss on every task, whatever the
// seed.
TEST_F(ShopTest, EveryTaskCarriesSignalForEverySeed) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const ShopCustomers shop(seed, 1000, 365);
    const ShopLabels labels(seed, shop);
    constexpr int kUsers = 6000;
    std::vector<CustomerExpectation> all;
    CustomerExpectation mean;
    for (int user = 0; user < kUsers; ++user) {
      all.push_back(labels.Expect(shop.Draw(user)));
      const auto& e = all.back();
      mean.acquisition_cost += e.acquisition_cost / kUsers;
      mean.churned += e.churned / kUsers;
      mean.purchased += e.purchased / kUsers;
      mean.value += e.value / kUsers;
      for (int a = 0; a < kActivities; ++a) mean.activation[a] += e.activation[a] / kUsers;
    }
    auto entropy = [](double p) { return -p * std::log(p) - (1 - p) * std::log(1 - p); };
    double cost_signal = 0, cost_noise = 2.5 * 2.5, churned = 0, purchased = 0, activation = 0,
           base_activation = 0;
    double value_signal = 0, value_noise = 0;
    for (const auto& e : all) {
      cost_signal += std::pow(e.acquisition_cost - mean.acquisition_cost, 2) / kUsers;
      churned += entropy(e.churned) / kUsers;
      purchased += entropy(e.purchased) / kUsers;
      value_signal += std::pow(e.value - mean.value, 2) / kUsers;
      value_noise += (e.value_positive * std::exp(2 * e.value_mu + 2 * e.value_sigma * e.value_sigma) -
                      e.value * e.value) /
                     kUsers;
      for (double p : e.activation) activation -= p * std::log(p) / kUsers;
    }
    for (double p : mean.activation) base_activation -= p * std::log(p);
    EXPECT_GT(cost_signal / (cost_signal + cost_noise), 0.5) << seed;
    EXPECT_LT(churned / entropy(mean.churned), 0.75) << seed;
    EXPECT_LT(purchased / entropy(mean.purchased), 0.75) << seed;
    EXPECT_LT(activation / base_activation, 0.75) << seed;
    EXPECT_GT(value_signal / (value_signal + value_noise), 0.4) << seed;
    for (double p : mean.activation) EXPECT_GT(p, 0.03) << seed;
  }
}

TEST_F(ShopTest, CellsAreMissingWhereTheyShould) {
  const ShopCustomers shop(1, 1000, 365);
  int age = 0, region = 0, referrer = 0, price = 0;
  constexpr int kUsers = 20'000;
  for (int user = 0; user < kUsers; ++user) {
    const Customer customer = shop.Draw(user);
    age += customer.age == kUnknown;
    region += customer.region == kUnknown;
    referrer += customer.referrer == kUnknown;
    price += customer.price_mean_cents == kUnknown;
    ASSERT_GE(customer.category_count, 1);
  }
  EXPECT_NEAR(age, 0.08 * kUsers, 150);
  EXPECT_NEAR(region, 0.02 * kUsers, 100);
  EXPECT_NEAR(referrer, 0.05 * kUsers, 125);
  EXPECT_NEAR(price, 0.03 * kUsers, 100);
}

}  // namespace
}  // namespace cohort::shop_test
