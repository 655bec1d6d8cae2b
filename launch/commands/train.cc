// cohort train: a cluster trains a model, judges it and writes it (launch/cluster_job.h).
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/atomic_file.h"
#include "common/model_files.h"
#include "launch/checkpoints.h"
#include "launch/cluster_job.h"
#include "launch/commands/cluster_options.h"
#include "launch/commands/commands.h"
#include "launch/report/best_reachable.h"
#include "launch/run_folder.h"
#include "launch/warm_start.h"
#include "scheduler/result.h"

namespace cohort {
namespace {

struct TrainOptions {
  std::string run_file, out, truth, from, resume;
  bool overwrite = false;
  bool help_config = false;
  ClusterOptions cluster;
};

Result<std::vector<SplitEvaluation>> ReadEvaluation(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return EvaluationFromJson(text, path);
}

// The figures of a finished run, for people.
Status ShowResult(const RunFolder& folder, const std::optional<BestReachable>& reachable, Console& console) {
  if (!std::filesystem::exists(folder / kEvaluationFile)) return {};
  COHORT_ASSIGN_OR_RETURN(const auto evaluation, ReadEvaluation(folder / kEvaluationFile));
  const std::string shown = evaluation.back().split;  // test, or the last that there is
  console.Print(MetricsTable(evaluation, shown, reachable ? &*reachable : nullptr));
  return {};
}

std::string Summary(const std::string& text, const RunFolder& folder) {
  const auto result = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!result.is_object()) return "";
  const auto& pushes = result["pushes"];
  std::string stopping;
  if (const auto found = result.find("early_stopping"); found != result.end()) {
    stopping = "best epoch " + (*found)["best_epoch"].dump() + " (" + found->value("metric", "") + " " +
               (*found)["best"].dump() + " on valid) of " + std::to_string(result["epochs"].size()) + ": " +
               found->value("ended", "") + "\n";
  }
  char line[512];
  std::snprintf(line, sizeof(line),
                "trained %.0f samples/s; %.1f s in all, %llu steps\n"
                "pushes: %llu parts acknowledged, %llu lost, %llu duplicated, %llu rolled back\n",
                result.value("samples_per_second", 0.0), result.value("seconds", 0.0),
                result.value("steps", 0ULL), pushes.value("acknowledged", 0ULL), pushes.value("lost", 0ULL),
                pushes.value("duplicated", 0ULL), pushes.value("rolled_back", 0ULL));
  return line + stopping + CountsLine(text) + "\nmodel " + result.value("model_hash", "") + " in " +
         folder / kModelFolder;
}

// Makes the model that the run starts from.
Status StartFrom(const std::string& from, const RunFolder& folder, ClusterJob* job, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const RunInputs inputs, ReadRunInputs(job->config, job->request));
  const std::string warm = folder / kWarmFolder;
  std::error_code error;
  std::filesystem::create_directory(warm, error);
  if (error) return {ErrorCode::kIo, warm + " cannot be made: " + error.message()};
  const auto start = WriteWarmModel(from, inputs, warm);
  if (!start) {
    std::filesystem::remove_all(warm, error);
    return start.error();
  }
  console.Note(Describe(*start, from));
  job->request.model = warm;
  return {};
}

Status RunAndShow(const ClusterJob& job, const RunFolder& folder, const std::string& given,
                  const std::vector<std::string>& known, const std::optional<BestReachable>& reachable,
                  Console& console) {
  const Status verdict = RunClusterJob(job, OutputOf(console));
  // A run that may go on may have to begin once more.
  if (verdict.ok()) std::filesystem::remove_all(folder / kWarmFolder);
  COHORT_ASSIGN_OR_RETURN(std::string result, ReadFile(folder / kResultFile));
  const std::string summary = Summary(result, folder);
  ShowWarnings(result, known, console);
  console.SetJson(std::move(result));
  if (!verdict.ok()) {
    const std::string resume = "`cohort train --resume " + given + "` ";
    const std::string mend =
        verdict.code() == ErrorCode::kInvalidInput
            ? (job.resume ? "" : "; then begin anew with --overwrite: what was said lies in " + given)
        : HasCheckpoint(folder / kCheckpointsFolder)
            ? "; " + resume + "goes on from its newest checkpoint"
            : "; there is no checkpoint: " + resume + "begins it once more, from the start";
    return {verdict.code(), "the run in " + given + " failed: " + verdict.text() + mend};
  }
  COHORT_RETURN_IF_ERROR(ShowResult(folder, reachable, console));
  console.Print(summary);
  return {};
}

// Where a run file is given with --resume: what of it is not in the run, which goes on with its own.
void TellChanges(const TrainOptions& options, const RunConfig& run, Console& console) {
  const auto given = LoadRunConfig(options.run_file, options.cluster.Overrides());
  if (!given) {
    return console.Note("warning: the run in " + options.resume + " goes on as it was begun; " +
                        options.run_file + " cannot be compared with it: " + given.error().text());
  }
  const std::vector<std::string> changes = ChangesOf(run, *given);
  if (changes.empty()) return;
  console.Note("warning: " + options.run_file + " is not as it was when the run in " + options.resume +
               " was begun, which goes on as it was begun, without these changes:");
  for (const std::string& change : changes) console.Note("  " + change);
  console.Note(
      "  to train with them begin anew: another folder, or --out with --overwrite; of a run that goes on "
      "only "
      "[cluster], [checkpoint] and [tier] may change, by --set");
}

// --resume: with the run file that the run had.
Status GoOnTraining(const TrainOptions& options, Console& console) {
  if (!options.out.empty() || !options.from.empty() || options.overwrite) {
    return {
        ErrorCode::kInvalidInput,
        "--resume RUN_DIR goes on with the run that is there: --out, --from and --overwrite are not for it"};
  }
  COHORT_ASSIGN_OR_RETURN(const RunFolder folder, RunFolder::Reopen(options.resume));
  if (const auto text = ReadFile(folder / kResultFile)) {
    const auto verdict = VerdictFromJson(*text, kResultFile);
    if (verdict && verdict->done)
      return {ErrorCode::kInvalidInput, options.resume + " has ended well; nothing is left to be done"};
  }
  ClusterJob job;
  COHORT_ASSIGN_OR_RETURN(job.config, LoadRunConfig(folder / kRunFile, options.cluster.Overrides()));
  COHORT_ASSIGN_OR_RETURN(const RunConfig before, LoadRunConfig(folder / kRunFile, {}));
  if (const Status same = CheckSameRun(before, job.config); !same.ok()) return same.Within(options.resume);
  if (!options.run_file.empty()) TellChanges(options, job.config, console);
  COHORT_RETURN_IF_ERROR(options.cluster.Apply(&job));
  job.folder = folder.path();
  job.resume = true;
  if (std::filesystem::exists(folder / kWarmFolder)) job.request.model = folder / kWarmFolder;
  COHORT_RETURN_IF_ERROR(CheckClusterJob(job));
  std::optional<BestReachable> reachable;
  if (!options.truth.empty()) {
    COHORT_ASSIGN_OR_RETURN(reachable, ComputeBestReachable(job.config.data, options.truth));
  }
  return RunAndShow(job, folder, options.resume, {}, reachable, console);
}

Status Train(const TrainOptions& options, Console& console) {
  if (options.help_config) {
    console.Print(DescribeRunConfig());
    return {};
  }
  if (!options.resume.empty()) return GoOnTraining(options, console);
  if (options.run_file.empty())
    return {ErrorCode::kInvalidInput, "RUN.toml is required (see `cohort train --help`)"};
  if (options.out.empty()) return {ErrorCode::kInvalidInput, "--out is required (see `cohort train --help`)"};
  ClusterJob job;
  COHORT_ASSIGN_OR_RETURN(job.config, LoadRunConfig(options.run_file, options.cluster.Overrides()));
  COHORT_RETURN_IF_ERROR(options.cluster.Apply(&job));
  COHORT_RETURN_IF_ERROR(CheckClusterJob(job));
  std::optional<BestReachable> reachable;
  if (!options.truth.empty()) {
    COHORT_ASSIGN_OR_RETURN(reachable, ComputeBestReachable(job.config.data, options.truth));
  }
  const std::vector<std::string> known = WarningsOf(job.config);
  for (const std::string& warning : known) console.Note("warning: " + warning);

  std::vector<std::string> inputs = {options.run_file, job.config.data, options.truth,
                                     options.cluster.hostfile, options.cluster.key};
  if (!options.from.empty()) {
    COHORT_ASSIGN_OR_RETURN(inputs.emplace_back(), FindModel(options.from));
  }
  COHORT_ASSIGN_OR_RETURN(const RunFolder folder, RunFolder::Create(options.out, options.overwrite, inputs));
  if (!folder.kept_run_file().empty())
    console.Note("note: " + options.run_file + " is kept as " + folder.kept_run_file() +
                 "; in its place the run writes its own, with all options");
  job.folder = folder.path();
  if (!options.from.empty()) COHORT_RETURN_IF_ERROR(StartFrom(options.from, folder, &job, console));
  if (reachable) COHORT_RETURN_IF_ERROR(WriteFileAtomically(folder / kBestReachableFile, ToJson(*reachable)));
  return RunAndShow(job, folder, options.out, known, reachable, console);
}

}  // namespace

void AddTrain(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command =
      app.add_subcommand("train", "train, evaluate and write a model, on a cluster started through mpirun");
  command->add_option("RUN.toml", options->run_file,
                      "the run file; --help-config lists its options. With --resume not needed: the run has "
                      "its own, and what "
                      "differs is said");
  command->add_option("--out", options->out, "RUN_DIR: the folder for model and results");
  command->add_option("--from", options->from,
                      "RUN_DIR or model to start from: its weights, by the names of features and tasks");
  command->add_option("--resume", options->resume,
                      "RUN_DIR of a run that did not end well: go on from its newest checkpoint");
  options->cluster.AddTo(*command);
  command->add_flag("--overwrite", options->overwrite, "replace an earlier run in RUN_DIR: it is removed when this one starts");
  command->add_option("--truth", options->truth,
                      "truth/ of a generated shop: metrics are set beside the best reachable");
  command->add_flag("--help-config", options->help_config, "list every option of a run file, and stop");
  commands[command] = [options](Console& console) { return Train(*options, console); };
}

}  // namespace cohort
