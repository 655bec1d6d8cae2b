// What a LookalikeModel is worth, on users that it has not seen: how well its scores find the wanted users, what they are worth, and
// which attributes that comes from. Intervals are of 95 %. Those of the AUC and its differences are DeLong's (Biometrics 1988): an AUC is
// a mean over the wanted users of how many others each is scored above, and over the others likewise, so its variance follows from one order of the users,
// without draws. Those of a best tenth are of the bootstrap by user.
#ifndef COHORT_LAUNCH_LOOKALIKE_EVIDENCE_H_
#define COHORT_LAUNCH_LOOKALIKE_EVIDENCE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "launch/paired_bootstrap.h"
#include "lifecycle/lookalike_model.h"

namespace cohort {

// Users by a score, in parts of equal size, the highest first; users of one score are shared among parts in proportion.
struct BestTenth {
  static constexpr std::uint64_t kParts = 10;
  std::vector<double> by_part;  // means
  double all = 0;               // mean of all users
  Estimate best, ratio;  // of the first part, and that over the mean of all (defined where that is above 0)
};
// `scores`, `values`: by user.
BestTenth JudgeBestTenth(const std::vector<float>& scores, const std::vector<float>& values,
                         const BootstrapOptions& options);

struct LookalikeEvidence {
  Estimate auc;
  std::vector<Estimate> auc_lost;  // by attribute: when it is not known
  BestTenth wanted;
  std::optional<BestTenth> worth;  // where users have one

  // Whether wanted users are told from others at all: the interval of the AUC lies above one half.
  bool distinguishes() const { return auc.low > 0.5; }
};

// `worth`: by user, or empty.
LookalikeEvidence JudgeLookalike(const LookalikeModel& model, const std::vector<float>& worth,
                                 const BootstrapOptions& options);

}  // namespace cohort

#endif  // COHORT_LAUNCH_LOOKALIKE_EVIDENCE_H_
