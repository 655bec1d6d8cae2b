// A warm start: a former model made into one of the run's own shape, which the shards then load as they load any model.
//
// Dense weights go over as worker/model/carried_weights.h says; the others start as fresh ones of this run's seed. Embedding
// rows go over by key: keys are hashes that hold the feature's name, so a feature that both models have finds its rows, and
// those of a removed one stay, unused. Optimizer state goes with its weight where the optimizer is the same: its kind, and
// for ftrl, whose state stands for the weight, its constants too; else it starts afresh. Adam counts the updates of a row:
// a dense row takes the highest count of those that its weights come from. Statistics of the numeric features are those of
// the run's own dataset.
#ifndef COHORT_LAUNCH_WARM_START_H_
#define COHORT_LAUNCH_WARM_START_H_

#include <string>
#include <vector>

#include "common/status.h"
#include "launch/run_plan.h"

namespace cohort {

struct WarmStart {
  std::string model_hash;  // of the former model; empty: an incremental checkpoint's is not known
  std::vector<std::string> added_features, removed_features;
  std::vector<std::string> added_tasks, removed_tasks;
  std::uint64_t carried = 0, fresh = 0;  // dense weights
};
// For people, a line.
std::string Describe(const WarmStart& warm, const std::string& from);

// Writes to `directory`, which exists, the model that the run of `inputs` is to start from. `from`: a model's folder or that of
// its run. Takes memory for the dense weights and for the keys of one part. Errors: kInvalidInput, there is no model or its
// layers do not fit; kCorrupt, it is damaged.
Result<WarmStart> WriteWarmModel(const std::string& from, const RunInputs& inputs,
                                 const std::string& directory);

}  // namespace cohort

#endif  // COHORT_LAUNCH_WARM_START_H_
