#include "lifecycle/bg_nbd.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "lifecycle/draws.h"

namespace cohort {
namespace {

constexpr double kPenalty = 1e-3;
constexpr int kMostSteps = 200, kMostHalvings = 40;
constexpr double kLeastGain = 1e-9;  // of a step's gain in log-likelihood

using Four = std::array<double, 4>;  // r, alpha, a, b, or what belongs to them

double Dot(const Four& x, const Four& y) {
  return x[0] * y[0] + x[1] * y[1] + x[2] * y[2] + x[3] * y[3];
}

// Minus the log-likelihood at these logarithms, and its gradient by them (null: not wanted).
double Cost(const Four& logs, std::span<const OrderHistory> customers, Four* gradient) {
  const double r = std::exp(logs[0]), alpha = std::exp(logs[1]), a = std::exp(logs[2]), b = std::exp(logs[3]);
  int most = 0;
  for (const OrderHistory& customer : customers) most = std::max(most, customer.repeats);
  // By the number of repeats x: the sum over i < x, and its slopes by r, a, b.
  const std::size_t size = static_cast<std::size_t>(most) + 1;
  std::vector<double> sums(size), by_r(size), by_a(size), by_b(size);
  for (std::size_t x = 1; x < size; ++x) {
    const double i = static_cast<double>(x - 1);
    sums[x] = sums[x - 1] + std::log((r + i) * (b + i) / (a + b + i));
    by_r[x] = by_r[x - 1] + 1 / (r + i);
    by_a[x] = by_a[x - 1] - 1 / (a + b + i);
    by_b[x] = by_b[x - 1] + 1 / (b + i) - 1 / (a + b + i);
  }
  double likelihood = 0;
  Four slope{};
  const double log_alpha = std::log(alpha);
  for (const OrderHistory& customer : customers) {
    const auto x = static_cast<std::size_t>(customer.repeats);
    const double n = r + customer.repeats, log_age = std::log(alpha + customer.age);
    likelihood += sums[x] + r * log_alpha - n * log_age;
    slope[0] += by_r[x] + log_alpha - log_age;
    slope[1] += r / alpha - n / (alpha + customer.age);
    slope[2] += by_a[x];
    slope[3] += by_b[x];
    if (x == 0) continue;
    // log(1 + exp(s)): has dropped out with the last order, or not.
    const double before = b + customer.repeats - 1, apart = log_age - std::log(alpha + customer.last);
    const double s = logs[2] - std::log(before) + n * apart;
    likelihood += std::max(s, 0.0) + std::log1p(std::exp(-std::abs(s)));
    const double left = 1 / (1 + std::exp(-s));
    slope[0] += left * apart;
    slope[1] += left * n * (1 / (alpha + customer.age) - 1 / (alpha + customer.last));
    slope[2] += left / a;
    slope[3] -= left / before;
  }
  if (gradient != nullptr) *gradient = {-r * slope[0], -alpha * slope[1], -a * slope[2], -b * slope[3]};
  return -likelihood;
}

}  // namespace

double LogLikelihood(const BgNbd& model, std::span<const OrderHistory> customers) {
  return -Cost({std::log(model.r), std::log(model.alpha), std::log(model.a), std::log(model.b)}, customers,
               nullptr);
}

BgNbd FitBgNbd(std::span<const OrderHistory> customers) {
  double age = 0;
  for (const OrderHistory& customer : customers) age += customer.age;
  age = age > 0 ? age / static_cast<double>(customers.size()) : 1;
  const Four start = {std::log(0.5), std::log(age / 2), 0, std::log(2)};
  const auto cost = [&](const Four& at, Four* gradient) {
    double sum = Cost(at, customers, gradient);
    for (std::size_t i = 0; i < 4; ++i) {
      sum += kPenalty / 2 * (at[i] - start[i]) * (at[i] - start[i]);
      (*gradient)[i] += kPenalty * (at[i] - start[i]);
    }
    return sum;
  };
  Four at = start, slope;
  double now = cost(at, &slope);
  // The inverse Hessian, so far; at first a step of length 1.
  std::array<Four, 4> inverse{};
  const double length = std::max(std::sqrt(Dot(slope, slope)), 1e-300);
  for (std::size_t i = 0; i < 4; ++i) inverse[i][i] = 1 / length;
  for (int step = 0; step < kMostSteps; ++step) {
    Four direction;
    for (std::size_t i = 0; i < 4; ++i) direction[i] = -Dot(inverse[i], slope);
    const double fall = Dot(direction, slope);
    if (!(fall < 0)) break;
    double reached = now, share = 1;
    Four next, next_slope;
    for (int halving = 0; halving < kMostHalvings; ++halving, share /= 2) {
      for (std::size_t i = 0; i < 4; ++i) next[i] = at[i] + share * direction[i];
      reached = cost(next, &next_slope);
      if (reached <= now + 1e-4 * share * fall) break;  // Armijo; NaN is not
    }
    if (!(reached < now)) break;
    Four moved, turned;
    for (std::size_t i = 0; i < 4; ++i) moved[i] = next[i] - at[i], turned[i] = next_slope[i] - slope[i];
    const double gain = now - reached;
    at = next, slope = next_slope, now = reached;
    const double curvature = Dot(moved, turned);
    if (curvature > 0) {
      Four through;
      for (std::size_t i = 0; i < 4; ++i) through[i] = Dot(inverse[i], turned);
      const double scale = (1 + Dot(turned, through) / curvature) / curvature;
      for (std::size_t i = 0; i < 4; ++i) {
        for (std::size_t j = 0; j < 4; ++j)
          inverse[i][j] += scale * moved[i] * moved[j] - (through[i] * moved[j] + moved[i] * through[j]) / curvature;
      }
    }
    if (gain < kLeastGain && Dot(slope, slope) < 1e-6) break;
  }
  BgNbd model = {std::exp(at[0]), std::exp(at[1]), std::exp(at[2]), std::exp(at[3])};
  // OrderOutlook divides by a - 1, and by a + b - 1 in the hypergeometric function's series: 0 of either is a limit.
  if (std::abs(model.a - 1) < 1e-6) model.a = 1 + 1e-6;
  if (std::abs(model.a + model.b - 1) < 1e-6) model.b += 2e-6;
  return model;
}

double Hypergeometric(double a, double b, double c, double z) {
  double term = 1, sum = 1;
  for (int n = 0; n < 100'000; ++n) {
    term *= (a + n) * (b + n) / ((c + n) * (1 + n)) * z;
    sum += term;
    if (std::abs(term) < 1e-16 * std::abs(sum)) break;
  }
  return sum;
}

OrderOutlook OrderOutlook::Known(double rate, double dropout) {
  OrderOutlook outlook;
  outlook.known_ = true;
  outlook.rate_ = rate;
  outlook.dropout_ = dropout;
  return outlook;
}

OrderOutlook OrderOutlook::After(const BgNbd& model, int repeats, double age) {
  OrderOutlook outlook;
  outlook.now_ = {model.r + repeats, model.alpha + age, model.a, model.b + repeats};
  return outlook;
}

double OrderOutlook::Expected(double time) const {
  if (time <= 0) return 0;
  if (known_) {
    // Below 1e-12 the difference to the limit is less than the rounding of the other form.
    return dropout_ < 1e-12 ? rate_ * time : (1 - PlainExp(-rate_ * dropout_ * time)) / dropout_;
  }
  const auto& [r, alpha, a, b] = now_;
  const double z = time / (alpha + time);
  // None(time) 2F1(r, b; a + b - 1; z) by Euler's transformation: the series itself overflows after some hundred orders.
  const double ratio = PlainPower(alpha / (alpha + time), a - 1) * Hypergeometric(a + b - 1 - r, a - 1, a + b - 1, z);
  return (a + b - 1) / (a - 1) * (1 - ratio);
}

double OrderOutlook::None(double time) const {
  if (time <= 0) return 1;
  return known_ ? PlainExp(-rate_ * time) : PlainPower(now_.alpha / (now_.alpha + time), now_.r);
}

double ProbabilityAlive(const BgNbd& model, int repeats, double last, double age, double silence) {
  if (repeats == 0) return 1;
  const double waited = PlainPower((model.alpha + last) / (model.alpha + age), model.r + repeats) * silence;
  return waited / (waited + model.a / (model.b + repeats - 1));
}

}  // namespace cohort
