// From configuration and data to what the coordinator carries out.
#ifndef COHORT_LAUNCH_RUN_PLAN_H_
#define COHORT_LAUNCH_RUN_PLAN_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/dataset.h"
#include "common/model_files.h"
#include "common/scheduler_client.h"
#include "common/status.h"
#include "scheduler/plan.h"
#include "worker/model/model.h"

namespace cohort {

enum class Job : std::uint8_t { kTrain = 0, kEvaluate, kScore };
const char* JobName(Job job);  // "train"
std::optional<Job> JobFromName(const std::string& name);
// kInvalidInput names the splits that there are.
Result<std::optional<Split>> SplitFromName(const std::string& name);  // "": none

struct JobRequest {
  Job job = Job::kTrain;
  // evaluate, score: the model's directory; train: of one of the run's own shape to start from (warm_start.h), or empty.
  std::string model;
  std::optional<Split> split;  // evaluate, score: this one only; else each that has rows
  std::string snapshot;        // train: the directory for the model; exists
};

// What a run works on, read once from its files.
struct RunInputs {
  RunConfig config;
  DatasetInfo data;        // of the dataset at hand
  ModelSpec spec;          // of the model: its features and tasks, with the statistics it was trained on
  std::string model_hash;  // evaluate, score: of the model; empty: an incremental checkpoint's is not known
  std::uint64_t model_rows = 0;  // likewise
  std::map<std::string, double> thresholds;  // likewise (model_files.h)
};
// Opens the dataset and, for evaluate and score, the model's manifest. Errors are the user's (kInvalidInput) as far as
// they lie in these files.
Result<RunInputs> ReadRunInputs(const RunConfig& config, const JobRequest& request);

// Errors (kInvalidInput): nothing to train on, an empty or absent split.
Result<RunPlan> MakePlan(const RunInputs& inputs, const JobRequest& request, std::uint64_t run_id);
// The options in which two run files differ, in a run file's order: "[train] epochs = 20 was epochs = 10".
std::vector<std::string> ChangesOf(const RunConfig& before, const RunConfig& now);
// Errors (kInvalidInput) name an option by which a run that goes on would not be the one that it was: all but those of [cluster],
// [checkpoint] and [tier] must be the same.
Status CheckSameRun(RunConfig before, const RunConfig& now);
// The same of a job on a model: what was its training's changes nothing. [cluster], [tier], strict, train.batch_size and, for evaluate,
// [evaluation] may be other ones.
Status CheckSettings(Job job, RunConfig trained, const RunConfig& asked);
// Whether a run of these inputs and this plan can go on from a checkpoint: the same data, model and training. How many
// servers and, in bsp, workers there are may have changed.
Status CheckResumable(const RunInputs& inputs, const ModelManifest& manifest, const RunPosition& position,
                      const RunPlan& plan);

SchedulerClient::Options ClientOptions(const RunConfig& config, std::uint64_t run_id);

}  // namespace cohort

#endif  // COHORT_LAUNCH_RUN_PLAN_H_
