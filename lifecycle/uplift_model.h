// UpliftModel: what each action adds to a user's outcome, learnt from a randomised experiment.
//
//   1  b(x)      boosted trees on all rows, whatever their arm: what users do
//   2  f_a(x)    per arm, on its rows alone, trees with b as offset: what the arm changes, on the scale of the link. mu_a = inverse
//                link of b + f_a
//   3  t_a(x)    = mu_a - mu_0, set right by the experiment itself: least squares of the doubly robust scores
//                  s_a = mu_a - mu_0 + [arm = a] (y - mu_a) / p_a - [arm = 0] (y - mu_0) / p_0           (Robins & Rotnitzky 1995)
//                on m_a, the effect if it were the same for all on the scale of the link, and on t_a - m_a, the part that differs (the
//                best linear predictor of Chernozhukov, Demirer, Duflo & Fernandez-Val 2018). A part that helps nothing gets
//                the weight 0, then everybody gets m_a times what the experiment says.
// Every prediction that enters a score is of models that have not seen the row's fold (cross-fitting: Chernozhukov et al. 2018), and
// a user is of one fold. Nothing is drawn but the folds, by a hash of the user; one thread.
#ifndef COHORT_LIFECYCLE_UPLIFT_MODEL_H_
#define COHORT_LIFECYCLE_UPLIFT_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lifecycle/boosted_trees.h"
#include "lifecycle/experiment.h"

namespace cohort {

// By row and arm.
struct Outlook {
  std::size_t arms = 0;
  std::vector<double> outcome;  // expected, if the row gets the arm: (rows, arms)
  std::vector<double> effect;   // over the control's; of the control 0
};

struct UpliftOptions {
  int folds = 5;
  std::uint64_t seed = 1;  // of the folds
  BoostOptions outcome{.rounds = 150, .depth = 3, .rate = 0.1, .leaf_l2 = 5, .least_rows = 50};
  BoostOptions effect{.rounds = 100, .depth = 2, .rate = 0.1, .leaf_l2 = 20, .least_rows = 100};
};

class UpliftModel {
 public:
  // Of an arm over the control.
  struct Arm {
    double average = 0, average_error = 0;  // doubly robust, and its standard error, by user
    double level = 1, spread = 0;           // weights of m_a and of t_a - m_a
    std::size_t rounds = 0;                 // trees of f_a
  };

  // REQUIRES: each arm has rows in at least two folds.
  static UpliftModel Fit(const Experiment& experiment, const UpliftOptions& options);

  // By arm; the control's is all 0.
  const std::vector<Arm>& arms() const { return arms_; }
  // Of the rows that it was fitted on, each by models that have not seen its fold.
  const Outlook& out_of_fold() const { return out_of_fold_; }
  // Of other rows: (rows, width).
  Outlook Predict(std::span<const float> inputs) const;

 private:
  explicit UpliftModel(const Experiment& experiment);
  // From scores of the link: base and arms'.
  void Fill(double base, std::span<const double> arms, std::span<const double> common,
            Outlook* outlook) const;

  Link link_;
  BinnedInputs inputs_;
  std::vector<CrossFitted> models_;  // b, then by arm f_a
  std::vector<Arm> arms_;
  Outlook out_of_fold_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_UPLIFT_MODEL_H_
