#include "lifecycle/bg_nbd.h"

#include "lifecycle/draws.h"

namespace cohort {

double Hypergeometric(double a, double b, double c, double z) {
  double term = 1, sum = 1;
  for (int n = 0; n < 100'000; ++n) {
    term *= (a + n) * (b + n) / ((c + n) * (1 + n)) * z;
    sum += term;
    if (term < 1e-16 * sum) break;
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
  return (a + b - 1) / (a - 1) * (1 - None(time) * Hypergeometric(r, b, a + b - 1, z));
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
