// What an assignment of actions is worth, on the users of a randomised experiment who had no part in choosing it.
//
// With p_a the probability of arm a in the experiment, A and y a row's arm and outcome less the arm's cost, pi_a the policy's probability of a
// for the row (0 or 1 where it is certain), w = pi_A / p_A, and mu_a a model's outcome less the cost, each a mean over rows:
//   ips    w y                                           inverse propensity (Horvitz & Thompson 1952)
//   snips  sum of w y / sum of w                         self-normalised (Swaminathan & Joachims 2015)
//   dr     sum over a of pi_a mu_a + w (y - mu_A)        doubly robust (Dudik, Langford & Li 2011)
// All are per row. Intervals: the bootstrap by user, percentiles 2.5 and 97.5; the same draws for every policy, so that of a difference, or
// of a ratio, what makes a draw lucky for both cancels.
#ifndef COHORT_LIFECYCLE_POLICY_VALUE_H_
#define COHORT_LIFECYCLE_POLICY_VALUE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lifecycle/uplift_model.h"

namespace cohort {

struct Policy {
  std::string name;
  std::vector<float> chances;  // (rows, arms), each row sums to 1
};
// Every row the same.
Policy ConstantPolicy(std::string name, std::size_t rows, std::span<const double> chances);
// One arm to the share of the rows with the highest score, nobody else anything. Rows of equal score at the border share what is left,
// each with the same chance.
Policy TopPolicy(std::string name, std::size_t arms, std::size_t arm, std::span<const double> scores,
                 double share);
// The arm with the largest effect less its cost, if that is above 0.
Policy BestArmPolicy(std::string name, const Outlook& outlook, std::span<const double> costs);

enum class Estimator : std::uint8_t { kIps = 0, kSnips, kDr };
inline constexpr std::size_t kEstimators = 3;
const char* EstimatorName(Estimator estimator);

struct Interval {
  double value = 0;          // of the rows as they are
  double low = 0, high = 0;  // NaN: defined in no draw
  bool above(double bound) const { return low > bound; }
};
// The percentiles of draws; NaN draws are left out.
Interval IntervalOf(double value, std::vector<double> draws);

class PolicyEstimates {
 public:
  // `predicted`: outcomes of a model that has not seen these rows: (rows, arms). `costs`: by arm, in units of the outcome.
  PolicyEstimates(const Experiment& experiment, std::span<const double> predicted,
                  std::span<const double> costs, const std::vector<Policy>& policies, std::uint32_t draws,
                  std::uint64_t seed);

  Interval Value(Estimator estimator, std::size_t policy) const;
  Interval Difference(Estimator estimator, std::size_t policy, std::size_t other) const;
  // (policy - none) / (other - none): how many times the increment of another one.
  Interval Ratio(Estimator estimator, std::size_t policy, std::size_t other, std::size_t none) const;

 private:
  template <typename Of>
  Interval Each(Estimator estimator, const Of& of) const;

  std::size_t policies_;
  // By estimator: the rows as they are, then by draw, (1 + draws, policies).
  std::array<std::vector<double>, kEstimators> values_;
};

// Who gains most, first: users ranked by a score, one arm against the control (Radcliffe 2007).
struct UpliftCurve {
  // At 0, 1, ..., 100 % of the rows of both: outcomes gained per row if the arm went to those and nobody else:
  // share x (mean of the arm's rows among them - mean of the control's).
  std::vector<double> gain;
  double auuc = 0;  // area under it
  double qini = 0;  // area between it and the straight line to its end, what a random order brings
};
// `counts`: how often each row counts. Rows of equal score count together.
UpliftCurve UpliftCurveOf(const Experiment& experiment, std::size_t arm, std::span<const double> scores,
                          std::span<const std::uint32_t> counts);
// ... with the interval of qini by the bootstrap over users.
struct JudgedCurve {
  UpliftCurve curve;
  Interval qini, auuc;
};
JudgedCurve JudgeCurve(const Experiment& experiment, std::size_t arm, std::span<const double> scores,
                       std::uint32_t draws, std::uint64_t seed);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_POLICY_VALUE_H_
