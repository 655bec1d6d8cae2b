#include "lifecycle/bg_nbd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "lifecycle/draws.h"

namespace cohort::bg_nbd_test {
namespace {

// CDNOW (Fader, Hardie and Lee 2005, table 2), in weeks. The first customer of their spreadsheet: x = 2, t_x = 30.43,
// T = 38.86, of whom they expect 1.226 orders in the next 39 weeks.
constexpr BgNbd kCdnow = {0.243, 4.414, 0.793, 2.426};

TEST(BgNbd, TheAuthorsExample) {
  const double alive = ProbabilityAlive(kCdnow, 2, 30.43, 38.86);
  EXPECT_NEAR(alive * OrderOutlook::After(kCdnow, 2, 38.86).Expected(39), 1.226, 5e-4);
}

TEST(BgNbd, HypergeometricFunctionAtKnownPlaces) {
  EXPECT_NEAR(Hypergeometric(1, 1, 2, 0.5), 2 * std::log(2), 1e-14);  // -ln(1 - z) / z
  EXPECT_NEAR(Hypergeometric(0.5, 1, 1.5, 0.25), std::atanh(0.5) / 0.5, 1e-14);
  EXPECT_NEAR(Hypergeometric(3, 2, 2, 0.9), 1000, 1e-9);  // (1 - z)^-a
  EXPECT_EQ(Hypergeometric(3, 2, 2, 0), 1);
}

// Customers with thousands of orders, for whom the series as the paper writes it overflows. Their rate is nearly known, and their
// dropout p is nearly Gamma(a) / b: with g = b p and k = rate t / b, E[(1 - exp(-k g)) / g] = ((1 + k)^(1 - a) - 1) / (1 - a).
TEST(BgNbd, ManyOrders) {
  const double a = kCdnow.a, b = kCdnow.b + 5000, k = (kCdnow.r + 5000) / (kCdnow.alpha + 39) * 39 / b;
  const double expected = b * (std::pow(1 + k, 1 - a) - 1) / (1 - a);
  EXPECT_NEAR(OrderOutlook::After(kCdnow, 5000, 39).Expected(39), expected, 0.002 * expected);
}

// The paper's (6), with its gamma and beta functions.
TEST(BgNbd, LikelihoodIsThePapers) {
  const BgNbd models[] = {kCdnow, {1.5, 36, 1.2, 8}, {0.05, 2, 3, 0.4}};
  const OrderHistory customers[] = {
      {0, 0, 38.86}, {2, 30.43, 38.86}, {1, 0.5, 12}, {29, 38, 39}, {100, 2, 2.5}};
  const auto beta = [](double x, double y) { return std::lgamma(x) + std::lgamma(y) - std::lgamma(x + y); };
  for (const auto& [r, alpha, a, b] : models) {
    double sum = 0;
    for (const auto& [x, last, age] : customers) {
      const double gammas = std::lgamma(r + x) - std::lgamma(r) + r * std::log(alpha);
      double likelihood = std::exp(gammas + beta(a, b + x) - beta(a, b) - (r + x) * std::log(alpha + age));
      if (x > 0)
        likelihood +=
            std::exp(gammas + beta(a + 1, b + x - 1) - beta(a, b) - (r + x) * std::log(alpha + last));
      sum += std::log(likelihood);
    }
    EXPECT_NEAR(LogLikelihood({r, alpha, a, b}, customers), sum, 1e-9 * std::abs(sum));
  }
}

// No small step in any direction has a higher likelihood, and the parameters that drew the customers are near.
TEST(BgNbd, FitIsTheMaximum) {
  const BgNbd truth = {0.8, 12, 1.4, 5};
  RandomStream random(3);
  std::vector<OrderHistory> customers;
  for (int i = 0; i < 20'000; ++i) {
    const double rate = DrawGamma(truth.r, &random) / truth.alpha,
                 dropout = DrawBeta(truth.a, truth.b, &random);
    OrderHistory customer{0, 0, 30 + 70 * random.Uniform()};
    for (double t = DrawExponential(&random) / rate; t < customer.age; t += DrawExponential(&random) / rate) {
      ++customer.repeats;
      customer.last = t;
      if (random.Uniform() < dropout) break;
    }
    customers.push_back(customer);
  }
  const BgNbd fitted = FitBgNbd(customers);
  const double best = LogLikelihood(fitted, customers);
  EXPECT_GE(best, LogLikelihood(truth, customers));
  for (const double by : {0.995, 1.005}) {
    for (const int which : {0, 1, 2, 3}) {
      BgNbd near = fitted;
      (which == 0 ? near.r : which == 1 ? near.alpha : which == 2 ? near.a : near.b) *= by;
      EXPECT_LT(LogLikelihood(near, customers), best) << which << ' ' << by;
    }
  }
  EXPECT_NEAR(fitted.r, truth.r, 0.05);
  EXPECT_NEAR(fitted.alpha, truth.alpha, 1);
  EXPECT_NEAR(fitted.a / (fitted.a + fitted.b), truth.a / (truth.a + truth.b), 0.03);
}

TEST(BgNbd, FitOfWhatDeterminesNothingIsFinite) {
  const std::vector<std::vector<OrderHistory>> shops = {{},
                                                        {{0, 0, 10}},
                                                        {{0, 0, 0}},
                                                        {{3, 9, 10}},
                                                        {{0, 0, 10}, {0, 0, 20}, {0, 0, 5}},
                                                        {{5, 10, 10}, {4, 20, 20}}};
  for (const auto& customers : shops) {
    const BgNbd fitted = FitBgNbd(customers);
    for (const double each : {fitted.r, fitted.alpha, fitted.a, fitted.b})
      EXPECT_TRUE(std::isfinite(each) && each > 0) << customers.size();
    for (const int repeats : {0, 1, 30}) {
      const double expected = OrderOutlook::After(fitted, repeats, 10).Expected(20);
      EXPECT_TRUE(std::isfinite(expected) && expected >= 0) << customers.size() << ' ' << expected;
    }
  }
}

// The published fit: 2,357 customers, 39 weeks, of whom the last day is 1997-09-30; and their expectation of the next 39 weeks.
TEST(BgNbd, FitOfCdnowIsThePublishedOne) {
  const char* folder = std::getenv("COHORT_DATA_DIR");
  std::ifstream file(folder == nullptr ? "" : std::string(folder) + "/cdnow/cdnow_sample_2357.csv");
  if (!file) GTEST_SKIP() << "COHORT_DATA_DIR does not lead to cdnow";
  const auto day_of = [](int year, int month, int day) {
    constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    return (year - 1997) * 365 + kBefore[month - 1] + day - 1;
  };
  const int end = day_of(1997, 9, 30);
  std::map<int, std::vector<int>> days;
  std::map<int, int> next;  // orders of the 39 weeks after
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    int id = 0, year = 0, month = 0, day = 0;
    char comma = 0, dash = 0;
    std::istringstream(line) >> id >> comma >> year >> dash >> month >> dash >> day;
    const int at = day_of(year, month, day);
    if (at <= end) {
      days[id].push_back(at);
    } else {
      ++next[id];
    }
  }
  std::vector<OrderHistory> customers;
  std::vector<int> actual;
  for (const auto& [id, of] : days) {
    customers.push_back(
        {static_cast<int>(of.size()) - 1, (of.back() - of.front()) / 7.0, (end - of.front()) / 7.0});
    actual.push_back(next[id]);
  }
  ASSERT_EQ(customers.size(), 2357u);
  const BgNbd fitted = FitBgNbd(customers);
  EXPECT_NEAR(fitted.r, 0.243, 5e-4);
  EXPECT_NEAR(fitted.alpha, 4.414, 1.5e-3);
  EXPECT_NEAR(fitted.a, 0.793, 1e-3);
  EXPECT_NEAR(fitted.b, 2.426, 3e-3);
  EXPECT_NEAR(LogLikelihood(fitted, customers), -9582.4, 0.05);
  double deviance = 0, squares = 0;
  for (std::size_t i = 0; i < customers.size(); ++i) {
    const OrderHistory& customer = customers[i];
    const double mean = ProbabilityAlive(fitted, customer.repeats, customer.last, customer.age) *
                        OrderOutlook::After(fitted, customer.repeats, customer.age).Expected(39);
    const double y = actual[i];
    deviance += 2 * ((y > 0 ? y * std::log(y / mean) : 0) - (y - mean)) / 2357;
    squares += (y - mean) * (y - mean) / 2357;
  }
  EXPECT_NEAR(deviance, 1.60, 0.005);
  EXPECT_NEAR(std::sqrt(squares), 1.608, 0.002);
}

// 200,000 customers from the model's own words: the number of orders, who is still alive among those whose orders look alike, and
// what those alive order next, agree with the formulas within 4 standard errors.
TEST(BgNbd, FormulasAgreeWithASimulation) {
  const BgNbd model = {1.5, 36, 1.2, 8};
  constexpr double kAge = 120, kNext = 60;
  struct Residual {
    double sum = 0, squares = 0;
    void Add(double x) { sum += x, squares += x * x; }
    double z() const { return sum / std::sqrt(squares); }
  } count, alive_all, alive_unlikely, next, none, known, known_none;
  RandomStream random(5);
  const double expected_count = OrderOutlook::After(model, 0, 0).Expected(kAge);
  for (int customer = 0; customer < 200'000; ++customer) {
    const double rate = DrawGamma(model.r, &random) / model.alpha,
                 dropout = DrawBeta(model.a, model.b, &random);
    int before = 0, after = 0;
    double last = 0;
    bool left = false, left_before = false;
    for (double t = DrawExponential(&random) / rate; t < kAge + kNext && !left;
         t += DrawExponential(&random) / rate) {
      left = random.Uniform() < dropout;
      if (t < kAge) {
        ++before, last = t, left_before = left;
      } else {
        ++after;
      }
    }
    const double p = ProbabilityAlive(model, before, last, kAge);
    const OrderOutlook outlook = OrderOutlook::After(model, before, kAge);
    count.Add(before - expected_count);
    alive_all.Add(!left_before - p);
    if (p < 0.5) alive_unlikely.Add(!left_before - p);
    next.Add(after - p * outlook.Expected(kNext));
    none.Add((after == 0) - (1 - p + p * outlook.None(kNext)));
    if (left_before) continue;
    const OrderOutlook knowing = OrderOutlook::Known(rate, dropout);
    known.Add(after - knowing.Expected(kNext));
    known_none.Add((after == 0) - knowing.None(kNext));
  }
  EXPECT_LT(std::abs(count.z()), 4);
  EXPECT_LT(std::abs(alive_all.z()), 4);
  EXPECT_LT(std::abs(alive_unlikely.z()), 4);
  EXPECT_LT(std::abs(next.z()), 4);
  EXPECT_LT(std::abs(none.z()), 4);
  EXPECT_LT(std::abs(known.z()), 4);
  EXPECT_LT(std::abs(known_none.z()), 4);
}

}  // namespace
}  // namespace cohort::bg_nbd_test
