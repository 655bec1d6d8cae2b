#include "lifecycle/draws.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace cohort::draws_test {
namespace {

TEST(Draws, ExponentialAndLogarithmAreThoseOfTheLibrary) {
  for (double x = -650; x < 650; x += 0.371) {
    const double exact = std::exp(x);
    EXPECT_NEAR(PlainExp(x) / exact, 1, 2e-15 + 3e-16 * std::abs(x)) << x;
  }
  for (double x = 1e-300; x < 1e300; x *= 1.37) {
    EXPECT_NEAR(PlainLog(x), std::log(x), 2e-15 * std::max(1.0, std::abs(std::log(x)))) << x;
  }
  for (double x = 0.5; x < 2; x += 0.001) EXPECT_NEAR(PlainLog(x), std::log(x), 4e-16) << x;
  EXPECT_EQ(PlainLog(1), 0);
  EXPECT_EQ(PlainExp(0), 1);
}

// Bits fixed here: another machine, compiler or library must not change them.
TEST(Draws, TheSameBitsEverywhere) {
  EXPECT_EQ(PlainExp(1.25), 0x1.bec38edb0fafp+1);
  EXPECT_EQ(PlainLog(10), 0x1.26bb1bbb55516p+1);
  RandomStream random(7);
  EXPECT_EQ(DrawNormal(&random), -0x1.b69fa590a6354p-4);
  EXPECT_EQ(DrawGamma(0.4, &random), 0x1.58075d24b4e1ap+0);
  EXPECT_EQ(DrawBeta(1.2, 8, &random), 0x1.12e3e182f815fp-4);
}

// Mean and variance within 5 standard errors of those of the distribution (kurtosis taken as at most 9).
template <typename Draw>
void ExpectMoments(const char* name, double mean, double variance, const Draw& draw) {
  constexpr int kDraws = 100'000;
  RandomStream random(11);
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = draw(&random);
    sum += x;
    squares += (x - mean) * (x - mean);
  }
  EXPECT_NEAR(sum / kDraws, mean, 5 * std::sqrt(variance / kDraws)) << name;
  EXPECT_NEAR(squares / kDraws, variance, 5 * variance * std::sqrt(8.0 / kDraws)) << name;
}

TEST(Draws, HaveTheMomentsOfTheirDistributions) {
  ExpectMoments("normal", 0, 1, [](RandomStream* r) { return DrawNormal(r); });
  ExpectMoments("exponential", 1, 1, [](RandomStream* r) { return DrawExponential(r); });
  ExpectMoments("gamma 1.5", 1.5, 1.5, [](RandomStream* r) { return DrawGamma(1.5, r); });
  ExpectMoments("gamma 0.7", 0.7, 0.7, [](RandomStream* r) { return DrawGamma(0.7, r); });
  ExpectMoments("poisson", 0.5, 0.5, [](RandomStream* r) { return DrawPoisson(0.5, r); });
  const double a = 1.2, b = 8;
  ExpectMoments("beta", a / (a + b), a * b / ((a + b) * (a + b) * (a + b + 1)),
                [&](RandomStream* r) { return DrawBeta(a, b, r); });
  const std::array<double, 3> shares = {0.2, 0.5, 0.3};
  ExpectMoments("index", 1.1, 0.49, [&](RandomStream* r) { return DrawIndex(shares, r); });
  const std::array<double, 3> weights = {0.5, 2, 1.5};  // the second is Beta(2, 2)
  ExpectMoments("dirichlet", 0.5, 0.05, [&](RandomStream* r) {
    std::array<double, 3> drawn;
    DrawDirichlet(weights, r, drawn);
    EXPECT_NEAR(drawn[0] + drawn[1] + drawn[2], 1, 1e-14);
    return drawn[1];
  });
}

}  // namespace
}  // namespace cohort::draws_test
