// What a LookalikeModel is worth, on users that it has not seen: how well its scores find the wanted users, what they are worth, and
// which attributes that comes from. Intervals are of 95 %, by the bootstrap of users, the same draws for all (paired_bootstrap.h).
#ifndef COHORT_LAUNCH_LOOKALIKE_EVIDENCE_H_
#define COHORT_LAUNCH_LOOKALIKE_EVIDENCE_H_

#include <functional>
#include <optional>
#include <vector>

#include "launch/paired_bootstrap.h"
#include "lifecycle/lookalike_model.h"

namespace cohort {

struct LookalikeEvidence {
  static constexpr int kParts =
      10;  // users by score, in parts of equal size; users of one score are shared among parts in proportion
  Estimate auc;
  std::vector<Estimate> auc_lost;  // by attribute: when each user has another one's
  // Of the tenth with the highest scores: the share that is wanted, and how many times that of all users.
  Estimate wanted, lift;
  // Where users have a worth: its mean in that tenth, and how many times that of all (defined where that is above 0).
  struct Worth {
    double all = 0;
    Estimate best, ratio;
  };
  std::optional<Worth> worth;
  // By tenth, the highest scores first.
  std::vector<double> wanted_by_part, worth_by_part;

  // Whether wanted users are told from others at all: the interval of the AUC lies above one half.
  bool distinguishes() const { return auc.low > 0.5; }
};

// `worth`: by user, or empty.
LookalikeEvidence JudgeLookalike(const LookalikeModel& model, const std::vector<float>& worth,
                                 const BootstrapOptions& options);

}  // namespace cohort

#endif  // COHORT_LAUNCH_LOOKALIKE_EVIDENCE_H_
