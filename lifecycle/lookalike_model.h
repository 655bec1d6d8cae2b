// LookalikeModel: how much a stranger looks like the users that are wanted, told from attributes alone.
//
// Boosted trees (boosted_trees.h, logit) tell wanted users from others. Every user is also scored by models that have not seen them, whose
// number of trees is chosen without them too: those held-out scores are what may be judged, and what calibrates the score. An attribute
// that is not known of somebody is not guessed: the score (log odds) is the mean over kBackground users whose value stands in for it. In
// the same way an attribute's share of a score is what the score loses when the attribute is taken as not known.
// Nothing is drawn but folds and stand-ins, by hashes of the users; one thread. Equal inputs in equal order give equal bits.
#ifndef COHORT_LIFECYCLE_LOOKALIKE_MODEL_H_
#define COHORT_LIFECYCLE_LOOKALIKE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lifecycle/boosted_trees.h"
#include "lifecycle/dense_inputs.h"

namespace cohort {

struct LookalikeUsers {
  std::size_t width = 0;                         // of a row of inputs
  std::vector<DenseInputs::Columns> attributes;  // their columns; together all of them
  std::vector<float> inputs;                     // (users, width)
  std::vector<float> wanted;                     // 1 or 0
  std::vector<std::uint64_t> user;               // a hash of the id
};

struct LookalikeOptions {
  int held_out_folds = 3, folds = 5;  // folds: within what is fitted, to choose the number of trees
  std::uint64_t seed = 1;
  BoostOptions boost{.rounds = 150, .depth = 3, .rate = 0.1, .leaf_l2 = 5, .least_rows = 50};
};

class LookalikeModel {
 public:
  static constexpr std::size_t kBackground = 32;
  // Scores are log odds of being wanted.
  struct Score {
    float log_odds = 0;
    std::vector<float> shares;  // by attribute; 0 of one that is not known
  };

  // REQUIRES: both wanted users and others in each fold.
  static LookalikeModel Fit(LookalikeUsers users, const LookalikeOptions& options);

  // Trees of the model of all users. 0: no attribute tells anything, and all have the same score.
  std::size_t rounds() const { return model_.rounds(); }
  const LookalikeUsers& users() const { return users_; }
  // By user.
  const std::vector<float>& held_out() const { return held_out_; }
  // The same, where each user has another one's value of the attribute.
  std::vector<float> HeldOutWithout(std::size_t attribute) const;
  // Of others: (rows, width); `unknown`: (rows, attributes), 1 where it is not known. Equal rows are scored once.
  std::vector<Score> Predict(std::span<const float> inputs, std::span<const std::uint8_t> unknown) const;

 private:
  explicit LookalikeModel(LookalikeUsers users);
  // Puts the attribute of one row of codes in place of another's.
  void Stand(std::size_t attribute, std::size_t from_user, std::uint8_t* codes) const;
  double Averaged(const std::uint8_t* codes, const std::vector<std::uint8_t>& unknown) const;

  LookalikeUsers users_;
  BinnedInputs inputs_;
  std::vector<std::uint8_t> codes_;  // (users, width)
  std::vector<std::uint8_t> held_out_fold_;
  std::vector<CrossFitted> held_out_models_;  // by fold that they have not seen
  CrossFitted model_;
  std::vector<float> held_out_;
  std::vector<std::uint32_t> stand_ins_;  // by user: whose values HeldOutWithout takes
  std::vector<std::uint32_t> background_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_LOOKALIKE_MODEL_H_
