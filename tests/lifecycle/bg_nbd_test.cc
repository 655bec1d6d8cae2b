#include "lifecycle/bg_nbd.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lifecycle/draws.h"

namespace cohort {
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
}  // namespace cohort
