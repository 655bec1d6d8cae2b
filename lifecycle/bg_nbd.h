// The BG/NBD model of repeat orders: P. S. Fader, B. G. S. Hardie, K. L. Lee, "Counting Your Customers" the Easy Way: An
// Alternative to the Pareto/NBD Model, Marketing Science 24(2), 2005.
//
// A customer orders for the first time at 0, then at rate `rate` (Poisson) until they drop out; after every repeat order they drop
// out with probability `dropout`. Among customers `rate` is Gamma(r, alpha) and `dropout` is Beta(a, b), independent.
#ifndef COHORT_LIFECYCLE_BG_NBD_H_
#define COHORT_LIFECYCLE_BG_NBD_H_

namespace cohort {

struct BgNbd {
  double r, alpha, a, b;  // alpha in the unit of time. REQUIRES: all > 0, a != 1
};

// The hypergeometric function 2F1(a, b; c; z) by its series. REQUIRES: 0 <= z < 1, c > 0.
double Hypergeometric(double a, double b, double c, double z);

// How many orders a customer who has not dropped out yet will make. Either of a customer whose rate and dropout are known, or
// with what is known of them after `repeats` orders by the time `age` since the first one.
class OrderOutlook {
 public:
  static OrderOutlook Known(double rate, double dropout);
  // The distributions of rate and dropout, given the orders and that the customer is alive: Gamma(r + x, alpha + T) and
  // Beta(a, b + x). (x = 0, T = 0: of a new customer.)
  static OrderOutlook After(const BgNbd& model, int repeats, double age);

  double Expected(double time) const;  // orders in (0, time]; the paper's (9) and (10), given alive
  double None(double time) const;      // probability of no order in (0, time]

 private:
  bool known_ = false;
  BgNbd now_{};  // of the distributions now
  double rate_ = 0, dropout_ = 0;
};

// P(alive) of a customer with `repeats` orders after the first one, the last of them at `last`, and none since then until `age`
// (the paper, section 4.3, written for (x, t_x, T)). `silence` multiplies the likelihood of being alive: the probability that
// somebody alive would have given no other sign of life since the last order. 1 without repeats.
double ProbabilityAlive(const BgNbd& model, int repeats, double last, double age, double silence = 1);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_BG_NBD_H_
