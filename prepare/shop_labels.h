// The labels of the synthetic shop and their exact conditional expectations given the observed features.
//
// A few hidden factors z_k(x), smooth nonlinear functions of the features, drive all five tasks with
// different mixings, so that a task with few labels can learn the factors from the others:
//   u_k(x), v_k(x)  sums of effects: a number per value of a categorical feature (the mean over the
//   categories seen),
//                   weights on transformed numeric features, a season; a missing cell has an effect of its
//                   own. v_k knows channel, device and two numeric features only.
//   z_k = tanh(u_k) * (1 + 0.6 tanh(v_k)) + 0.4 u_k
// Each u, v and z, and each task's mix of the z, is centred and scaled on 8192 pilot customers, so that the
// strength of the signal does not hang on the seed. With m the centred mix of a task (about N(0, 1)):
//   acquisition_cost  N(24 + 4.5 m, 2.5^2)
//   activation        softmax of six mixes: five activities or none
//   churned           Bernoulli(sigmoid(-0.5 + 2.4 m)), purchased Bernoulli(sigmoid(-0.4 + 2.4 m))
//   lifetime          months until the customer leaves, at the most 12: the hazard of month t is
//                     sigmoid(-2.9 + 1.1 exp(-(t - 1) / 2) + 1.4 m + 0.12 (t - 6.5) m'), m of churned and m' of the size of the
//                     value; a customer is seen for 1 .. 16 months with equal chances, 12 at the most
//   value             0 with probability 1 - sigmoid(0.2 + 2.8 m), else log-normal(3.6 + 0.4 m', 0.35)
// The labels of three tasks are known for a part of the customers only, drawn apart from everything else.
#ifndef COHORT_PREPARE_SHOP_LABELS_H_
#define COHORT_PREPARE_SHOP_LABELS_H_

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "prepare/shop_customers.h"

namespace cohort {

inline constexpr int kActivities = 6;  // the last is "none"
inline constexpr int kMonths = 12;     // of lifetime

// What the best predictor knows of a customer.
struct CustomerExpectation {
  double acquisition_cost = 0;
  std::array<double, kActivities> activation{};  // probabilities
  double churned = 0, purchased = 0;             // probabilities
  double value = 0;                      // E[value] = value_positive * exp(value_mu + value_sigma^2 / 2)
  double value_positive = 0;             // P(value > 0)
  double value_mu = 0, value_sigma = 0;  // of the logarithm of a positive value
  std::array<double, kMonths> left{};    // P(left by the end of the month)
};

// NaN or kUnknown: the label is missing.
struct CustomerLabels {
  double acquisition_cost = std::numeric_limits<double>::quiet_NaN();
  int activation = kUnknown;
  int churned = kUnknown, purchased = kUnknown;
  double value = std::numeric_limits<double>::quiet_NaN();
  int months = kMonths;  // the one in which the customer left, or the months seen
  bool left = false;
};

class ShopLabels {
 public:
  ShopLabels(std::uint64_t seed, const ShopCustomers& customers);

  CustomerExpectation Expect(const Customer& customer) const;
  // The customer's labels: a pure function of (seed, user, expectation).
  CustomerLabels Draw(const Customer& customer, const CustomerExpectation& expectation) const;

  static const std::array<const char*, kActivities>& Activities();

 private:
  static constexpr int kFactors = 4;
  static constexpr int kNumerics = 10;
  static constexpr int kMixes = 11;  // cost, churned, purchased, positive, mu, six activities
  using Factors = std::array<double, kFactors>;
  using Numerics = std::array<double, kNumerics>;
  // Effects per value, with the missing cell's at the end.
  using Effects = std::vector<Factors>;
  struct Scaling {
    double mean = 0, inverse_deviation = 1;
    double operator()(double x) const { return (x - mean) * inverse_deviation; }
  };

  void RawScores(const Customer& customer, Factors* u, Factors* v) const;
  Factors RawFactors(const Factors& u, const Factors& v) const;

  std::uint64_t seed_;
  Effects channel_, device_, region_, referrer_, category_, month_;
  Effects channel_v_, device_v_;
  std::array<Factors, kNumerics> weights_, weights_v_;
  std::array<Factors, 2> missing_;  // age, price_mean
  std::array<Scaling, kFactors> scale_u_, scale_v_, scale_z_;
  std::array<Scaling, kMixes> scale_mix_;
};

}  // namespace cohort

#endif  // COHORT_PREPARE_SHOP_LABELS_H_
