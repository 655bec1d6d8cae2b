// The BG/NBD model of repeat orders: P. S. Fader, B. G. S. Hardie, K. L. Lee, "Counting Your Customers" the Easy Way: An
// Alternative to the Pareto/NBD Model, Marketing Science 24(2), 2005.
//
// A customer orders for the first time at 0, then at rate `rate` (Poisson) until they drop out; after every repeat order they drop
// out with probability `dropout`. Among customers `rate` is Gamma(r, alpha) and `dropout` is Beta(a, b), independent.
#ifndef COHORT_LIFECYCLE_BG_NBD_H_
#define COHORT_LIFECYCLE_BG_NBD_H_

#include <span>

namespace cohort {

struct BgNbd {
  double r, alpha, a, b;  // alpha in the unit of time. REQUIRES: all > 0, a != 1
};

// The hypergeometric function 2F1(a, b; c; z) by its series. REQUIRES: 0 <= z < 1, c is none of 0, -1, -2, ....
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

// What the model needs to know of a customer, in one unit of time: orders after the first one, when the last of them was, and
// how long the customer has been known, both since the first order. last = 0 without repeats.
struct OrderHistory {
  int repeats = 0;
  double last = 0, age = 0;
};

// Of all customers, in natural logarithms (the paper's (6)). The gamma functions cancel to
//   sum_(i<x) log((r + i) (b + i) / (a + b + i)) + r log alpha - (r + x) log(alpha + T)
//     + log(1 + [x > 0] a / (b + x - 1) ((alpha + T) / (alpha + t_x))^(r + x)).
double LogLikelihood(const BgNbd& model, std::span<const OrderHistory> customers);

// The model of the highest likelihood, by BFGS on the logarithms of its parameters (Nocedal, Wright: "Numerical Optimization",
// 2006, 6.1). A penalty of 0.0005 |log parameters - where the search begins|^2 keeps them finite where the customers do not determine
// them: nobody or everybody orders again, hardly anybody drops out. With a thousand customers it changes the fifth digit.
// Same customers in the same order: the same bits. No customers: where the search begins.
BgNbd FitBgNbd(std::span<const OrderHistory> customers);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_BG_NBD_H_
