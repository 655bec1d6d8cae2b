#include "lifecycle/draws.h"

#include <cmath>

namespace cohort {
namespace {

// ln 2 as a sum: the first has 32 bits, so that its product with an exponent is exact.
constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;

}  // namespace

double PlainExp(double x) {
  const double power = std::floor(x / (kLn2High + kLn2Low) + 0.5);
  const double rest = (x - power * kLn2High) - power * kLn2Low;  // |rest| <= 0.35
  double sum = 1;                                                // of rest^n / n!
  for (int n = 15; n >= 1; --n) sum = 1 + sum * rest / n;
  return std::ldexp(sum, static_cast<int>(power));
}

double PlainLog(double x) {
  int power = 0;
  double m = std::frexp(x, &power);  // in [1/2, 1)
  if (m < 0.70710678118654752) {
    m *= 2;
    --power;
  }
  const double s = (m - 1) / (m + 1), square = s * s;  // |s| < 0.172; ln m = 2 artanh s
  double sum = 0;
  for (int n = 23; n >= 3; n -= 2) sum = (sum + 1.0 / n) * square;
  return power * kLn2High + (power * kLn2Low + 2 * s * (1 + sum));
}

double DrawExponential(RandomStream* random) { return -PlainLog(1 - random->Uniform()); }

double DrawNormal(RandomStream* random) {
  for (;;) {
    const double x = 2 * random->Uniform() - 1, y = 2 * random->Uniform() - 1;
    const double square = x * x + y * y;
    if (square > 0 && square < 1) return x * std::sqrt(-2 * PlainLog(square) / square);
  }
}

double DrawGamma(double shape, RandomStream* random) {
  if (shape < 1) {
    const double larger = DrawGamma(shape + 1, random), u = 1 - random->Uniform();
    const double exponent = PlainLog(u) / shape;
    return exponent < -600 ? larger * 0x1p-800 : larger * PlainExp(exponent);
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = DrawNormal(random), root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root, u = 1 - random->Uniform();
    if (PlainLog(u) < 0.5 * x * x + d - d * v + d * PlainLog(v)) return d * v;
  }
}

double DrawBeta(double a, double b, RandomStream* random) {
  const double x = DrawGamma(a, random), y = DrawGamma(b, random);
  return x / (x + y);
}

void DrawDirichlet(std::span<const double> weights, RandomStream* random, std::span<double> shares) {
  double total = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) total += shares[i] = DrawGamma(weights[i], random);
  for (double& share : shares) share /= total;
}

int DrawPoisson(double mean, RandomStream* random) {
  const double least = PlainExp(-mean);
  int count = 0;
  for (double product = random->Uniform(); product > least; product *= random->Uniform()) ++count;
  return count;
}

int DrawIndex(std::span<const double> shares, RandomStream* random) {
  double rest = random->Uniform();
  const int last = static_cast<int>(shares.size()) - 1;
  for (int i = 0; i < last; ++i) {
    rest -= shares[static_cast<std::size_t>(i)];
    if (rest < 0) return i;
  }
  return last;
}

}  // namespace cohort
