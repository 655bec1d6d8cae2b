#include "launch/run_plan.h"

#include <cmath>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "common/model_files.h"
#include "common/nearest.h"
#include "worker/encoder.h"

namespace cohort {
namespace {

constexpr Job kJobs[] = {Job::kTrain, Job::kEvaluate, Job::kScore};
constexpr Split kSplits[] = {Split::kTrain, Split::kValid, Split::kTest};

Duration FromSeconds(double seconds) {
  return Duration(static_cast<std::int64_t>(std::llround(seconds * 1e9)));
}

std::uint64_t RowsOf(const DatasetInfo& data, Split split) {
  return data.rows[static_cast<std::size_t>(split)];
}

// What is wrong with the user's file is the user's to mend.
tl::unexpected<Status> AsInput(Status status) {
  if (status.code() == ErrorCode::kCorrupt) status = Status(ErrorCode::kInvalidInput, status.text());
  return tl::unexpected(std::move(status));
}

// A model of other kind or tasks may have as many weights: they would be taken for what they are not.
Status CheckSameModel(const RunConfig& trained, const RunConfig& asked) {
  const auto enabled = [](const RunConfig& config, const std::string& task) {
    const auto found = config.tasks.find(task);
    return found == config.tasks.end() || found->second.enabled;
  };
  const std::string mend = "; leave it as it was there (without --set)";
  if (asked.model.features != trained.model.features)
    return {ErrorCode::kInvalidInput, "[feature.NAME]: not what the model was trained with" + mend};
  if (!(asked.model == trained.model))
    return {ErrorCode::kInvalidInput, "[model]: not what the model was trained with" + mend};
  for (const auto* tasks : {&asked.tasks, &trained.tasks}) {
    for (const auto& [name, task] : *tasks) {
      if (enabled(asked, name) == enabled(trained, name)) continue;
      return {ErrorCode::kInvalidInput,
              "task." + name + ".enabled: not what the model was trained with" + mend};
    }
  }
  return {};
}

}  // namespace

const char* JobName(Job job) {
  switch (job) {
    case Job::kTrain:
      return "train";
    case Job::kEvaluate:
      return "evaluate";
    case Job::kScore:
      return "score";
  }
  return "unknown job";
}

std::optional<Job> JobFromName(const std::string& name) {
  for (const Job job : kJobs) {
    if (name == JobName(job)) return job;
  }
  return std::nullopt;
}

Result<std::optional<Split>> SplitFromName(const std::string& name) {
  if (name.empty()) return std::optional<Split>();
  for (const Split split : kSplits) {
    if (name == SplitName(split)) return std::optional<Split>(split);
  }
  return InvalidInput("--split " + name + ": expected train, valid or test" +
                      DidYouMean(name, {"train", "valid", "test"}));
}

Result<RunInputs> ReadRunInputs(const RunConfig& config, const JobRequest& request) {
  RunInputs inputs;
  inputs.config = config;
  auto dataset = DatasetReader::Open(config.data);
  if (!dataset) return AsInput(dataset.error());
  inputs.data = (*dataset)->info();
  DatasetInfo trained_on = inputs.data;
  if (request.job != Job::kTrain) {
    COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(request.model));
    COHORT_ASSIGN_OR_RETURN(const RunConfig trained, ParseRunConfig(manifest.run_config, request.model, ""));
    COHORT_RETURN_IF_ERROR(CheckSameModel(trained, config));
    COHORT_ASSIGN_OR_RETURN(trained_on, DatasetInfoFromJson(manifest.dataset_info));
    if (manifest.hash) inputs.model_hash = ToHex(*manifest.hash);
    inputs.model_rows = manifest.rows();
    inputs.thresholds = manifest.thresholds;
  }
  COHORT_ASSIGN_OR_RETURN(inputs.spec, BuildModelSpec(config, trained_on));
  // Whether the data has what the model reads.
  const auto encoder = Encoder::Create(inputs.spec, inputs.data);
  if (!encoder) return AsInput(encoder.error().Within(config.data));
  return inputs;
}

Result<RunPlan> MakePlan(const RunInputs& inputs, const JobRequest& request, std::uint64_t run_id) {
  const RunConfig& config = inputs.config;
  RunPlan plan;
  plan.run_id = run_id;
  plan.shards = config.cluster.servers * config.cluster.shards_per_server;
  plan.workers = config.cluster.workers;
  plan.backups = config.cluster.replicas > 0;
  plan.seed = config.seed;
  plan.consistency = config.train.consistency;
  plan.staleness = config.train.staleness;
  plan.slices = config.train.slices;
  plan.batch_size = config.train.batch_size;
  plan.shuffle_rows = config.train.shuffle_rows;
  plan.rows = inputs.data.rows;
  plan.prediction_columns = inputs.spec.prediction_columns;
  plan.tables = TablesOf(inputs.spec, config);
  plan.run_config = ToToml(config);
  plan.model_path = request.model;
  if (request.job == Job::kTrain) plan.checkpoint_every = config.checkpoint.every_steps;
  plan.startup = FromSeconds(config.cluster.startup_seconds);
  plan.heartbeat = FromSeconds(config.cluster.heartbeat_seconds);
  plan.dead_after = FromSeconds(config.cluster.dead_after_seconds);
  plan.retry = FromSeconds(config.cluster.retry_seconds);
  plan.request = FromSeconds(config.cluster.request_seconds);
  plan.wait = FromSeconds(config.cluster.wait_seconds);

  if (request.job == Job::kTrain) {
    if (RowsOf(inputs.data, Split::kTrain) == 0)
      return InvalidInput(config.data + ": the train split has no rows");
    const bool has_valid = RowsOf(inputs.data, Split::kValid) > 0;
    const auto wanted = [&](Split split) {
      return RowsOf(inputs.data, split) > 0 && (split != Split::kTrain || config.train.evaluate_train);
    };
    const std::uint32_t epochs = config.train.epochs;
    const bool stops = config.train.early_stopping > 0 && epochs > 0;
    if (stops && !has_valid) {
      return InvalidInput(config.data + ": the valid split has no rows, by which train.early_stopping = " +
                          std::to_string(config.train.early_stopping) +
                          " judges each epoch; prepare the data with valid = 0.1 in [split], or set it to 0");
    }
    // The model, and what it is judged by. Evaluation creates no rows: the model is safe before it begins. The valid split
    // comes first: it chooses the thresholds by which the others are judged.
    const auto add_model = [&](std::uint32_t epoch, std::initializer_list<Split> splits) {
      const std::size_t first = plan.steps.size();
      plan.steps.push_back(PlanStep::Snapshot(request.snapshot));
      for (const Split split : splits) {
        if (wanted(split)) plan.steps.push_back(PlanStep::Phase(PhaseKind::kEvaluate, epoch, split));
      }
      for (std::size_t step = first; step < plan.steps.size(); ++step) plan.steps[step].only_if_best = stops;
    };
    for (std::uint32_t epoch = 0; epoch < epochs; ++epoch) {
      plan.steps.push_back(PlanStep::Phase(PhaseKind::kTrain, epoch, Split::kTrain));
      if (stops || (has_valid && config.train.evaluate_each_epoch && epoch + 1 < epochs))
        plan.steps.push_back(PlanStep::Phase(PhaseKind::kEvaluate, epoch, Split::kValid));
      if (stops) add_model(epoch, {Split::kTrain, Split::kTest});
    }
    if (!stops) add_model(epochs == 0 ? 0 : epochs - 1, {Split::kValid, Split::kTrain, Split::kTest});
    return plan;
  }
  const PhaseKind kind = request.job == Job::kEvaluate ? PhaseKind::kEvaluate : PhaseKind::kScore;
  for (const Split split : kSplits) {
    if (request.split && *request.split != split) continue;
    if (RowsOf(inputs.data, split) > 0) {
      plan.steps.push_back(PlanStep::Phase(kind, 0, split));
    } else if (request.split) {
      return InvalidInput(config.data + ": the " + SplitName(split) + " split has no rows");
    }
  }
  if (plan.steps.empty()) return InvalidInput(config.data + ": the dataset has no rows");
  return plan;
}

namespace {

constexpr const char* kAsItWas =
    "; --resume goes on with the run as it was: begin a new one with another --out";

// A line of a run file.
struct OptionLine {
  std::string section, key, value;  // "[train]", "epochs", "10"
};

std::vector<OptionLine> OptionsIn(const RunConfig& config) {
  std::vector<OptionLine> options;
  std::istringstream lines(ToToml(config));
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("[")) {
      section = line;
    } else if (const std::size_t equals = line.find(" = "); equals != std::string::npos) {
      options.push_back({section, line.substr(0, equals), line.substr(equals + 3)});
    }
  }
  return options;
}

}  // namespace

std::vector<std::string> ChangesOf(const RunConfig& before, const RunConfig& now) {
  const std::vector<OptionLine> was = OptionsIn(before), is = OptionsIn(now);
  std::map<std::pair<std::string, std::string>, std::string> values;
  for (const OptionLine& each : was) values[{each.section, each.key}] = each.value;
  std::vector<std::string> changes;
  const auto change = [&changes](const OptionLine& option, const std::string& now_and_before) {
    changes.push_back((option.section.empty() ? "" : option.section + " ") + option.key + now_and_before);
  };
  for (const OptionLine& each : is) {
    const auto found = values.find({each.section, each.key});
    if (found == values.end()) {
      change(each, " = " + each.value + " is new");
    } else {
      if (found->second != each.value)
        change(each, " = " + each.value + " was " + each.key + " = " + found->second);
      values.erase(found);
    }
  }
  for (const OptionLine& each : was) {
    if (values.count({each.section, each.key}) > 0)
      change(each, " = " + each.value + " is not there any more");
  }
  return changes;
}

Status CheckSameRun(RunConfig before, const RunConfig& now) {
  // What may change: who takes part, and what the disks are for.
  before.cluster = now.cluster;
  before.checkpoint = now.checkpoint;
  before.tier = now.tier;
  const std::vector<std::string> changes = ChangesOf(before, now);
  if (changes.empty()) return {};
  return {ErrorCode::kInvalidInput,
          "the run file is not the one that the run was begun with: " + changes.front() +
              "; only [cluster], [checkpoint] and [tier] may change" + kAsItWas};
}

Status CheckSettings(Job job, RunConfig trained, const RunConfig& asked) {
  trained.cluster = asked.cluster;
  trained.tier = asked.tier;
  trained.strict = asked.strict;
  trained.train.batch_size = asked.train.batch_size;
  if (job == Job::kEvaluate) trained.evaluation = asked.evaluation;
  const std::vector<std::string> changes = ChangesOf(trained, asked);
  if (changes.empty()) return {};
  return {ErrorCode::kInvalidInput, "--set " + changes.front() + ", which " + JobName(job) +
                                        " does not look at; only [cluster], [tier], " +
                                        (job == Job::kEvaluate ? "[evaluation], " : "") +
                                        "strict and train.batch_size may be other than in training"};
}

Status CheckResumable(const RunInputs& inputs, const ModelManifest& manifest, const RunPosition& position,
                      const RunPlan& plan) {
  const std::string mend = kAsItWas;
  if (ToJson(inputs.data) != manifest.dataset_info &&
      nlohmann::json::parse(ToJson(inputs.data)) != nlohmann::json::parse(manifest.dataset_info)) {
    return {ErrorCode::kInvalidInput,
            inputs.config.data + " is not what it was when this checkpoint was made" + mend};
  }
  COHORT_ASSIGN_OR_RETURN(const RunConfig before, ParseRunConfig(manifest.run_config, "its run file", ""));
  COHORT_RETURN_IF_ERROR(CheckSameRun(before, inputs.config));
  if (position.step >= plan.steps.size() || plan.steps[position.step].snapshot ||
      plan.steps[position.step].kind != PhaseKind::kTrain) {
    return {ErrorCode::kInvalidInput, "it was made in an epoch that this run does not have" + mend};
  }
  if (plan.consistency != Consistency::kBsp && position.workers != plan.workers) {
    return {ErrorCode::kInvalidInput, "it was made with " + std::to_string(position.workers) +
                                          " workers, which in ssp and asp are as many for ever, not " +
                                          std::to_string(plan.workers)};
  }
  return {};
}

SchedulerClient::Options ClientOptions(const RunConfig& config, std::uint64_t run_id) {
  SchedulerClient::Options options;
  options.heartbeat = FromSeconds(config.cluster.heartbeat_seconds);
  options.retry = FromSeconds(config.cluster.retry_seconds);
  // The scheduler may be busy with metrics or a disk for longer than a member may be silent; its death on this host is
  // seen at once (role.h).
  options.dead_after = FromSeconds(config.cluster.request_seconds);
  options.startup = FromSeconds(config.cluster.startup_seconds);
  options.run_id = run_id;
  return options;
}

}  // namespace cohort
