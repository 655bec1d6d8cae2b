// LookalikeModel: how much a stranger looks like the users that are wanted, told from attributes alone.
//
// Boosted trees (boosted_trees.h, logit) tell wanted users from others. Users are dealt into kFolds folds. Each fold has a model that has not seen it: the
// fold after it chooses the number of trees, all others fit them. Its scores of that fold are what may be judged, and what calibrates the
// score; a stranger's score is the mean of all models. An attribute that is not known of somebody is not guessed: the trees
// go both ways there (BoostedTrees::Explain). In the same way an attribute's share of a score is what the score loses when the attribute is
// taken as not known.
// Time: kFolds fits, each in proportion to users x attributes x trees. Memory: while it fits 5 bytes a user and attribute (its input and its
// bin), then the bin alone.
// Nothing is drawn but the folds, by hashes of the users; one thread. Equal inputs in equal order give equal bits.
#ifndef COHORT_LIFECYCLE_LOOKALIKE_MODEL_H_
#define COHORT_LIFECYCLE_LOOKALIKE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lifecycle/boosted_trees.h"

namespace cohort {

struct LookalikeUsers {
  std::vector<std::uint8_t> categorical;  // by attribute: 1 or 0
  std::vector<float>
      inputs;  // (users, attributes): numbers, NaN: has none; or numbers of categories (BinnedInputs)
  std::vector<float> wanted;        // 1 or 0
  std::vector<std::uint64_t> user;  // a hash of the id
};

struct LookalikeOptions {
  std::uint64_t seed = 1;
  BoostOptions boost{.rounds = 150, .depth = 3, .rate = 0.1, .leaf_l2 = 5, .least_rows = 50};
};

class LookalikeModel {
 public:
  static constexpr int kFolds = 5;

  // REQUIRES: both wanted users and others in each fold.
  static LookalikeModel Fit(LookalikeUsers users, const LookalikeOptions& options);

  // Of all models together. 0: no attribute tells anything, and all have the same score.
  std::size_t trees() const;
  const std::vector<float>& wanted() const { return wanted_; }
  // Log odds of being wanted, by user.
  const std::vector<float>& held_out() const { return held_out_; }
  // The same without each of the attributes: (attributes, users).
  std::vector<std::vector<float>> HeldOutWithoutEach() const;
  // Of somebody else: `inputs` and `unknown` (1: it is not known, whatever the input) by attribute.
  struct Score {
    float log_odds = 0;
    std::vector<float> shares;  // by attribute; 0 of one that is not known
  };
  Score ScoreOf(std::span<const float> inputs, std::span<const std::uint8_t> unknown) const;

 private:
  explicit LookalikeModel(LookalikeUsers users);

  BinnedInputs inputs_;
  std::vector<float> wanted_;
  std::vector<std::uint8_t> folds_;
  std::vector<BoostedTrees> models_;  // by fold that they have not seen
  std::vector<float> held_out_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_LOOKALIKE_MODEL_H_
