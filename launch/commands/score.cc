// cohort score: batch inference over the cluster, one row per input row, in input order.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "launch/commands/cluster_options.h"
#include "launch/commands/commands.h"
#include "launch/run_folder.h"

namespace cohort {
namespace {

struct ScoreOptions {
  ModelJob job;
  std::string out;
};

Status Score(const ScoreOptions& options, Console& console) {
  const std::string extension = std::filesystem::path(options.out).extension();
  if (extension != ".csv" && extension != ".h5") {
    return {ErrorCode::kInvalidInput,
            options.out + ": unknown format; expected a name ending in .csv or .h5"};
  }
  ModelJob job = options.job;
  job.scores = std::filesystem::absolute(options.out).lexically_normal().string();
  COHORT_ASSIGN_OR_RETURN(const ScratchFolder folder, RunModelJob(job, Job::kScore, console));
  COHORT_ASSIGN_OR_RETURN(const std::string result, ReadFile(folder.path() + "/" + kResultFile));
  auto json = nlohmann::ordered_json::parse(result);
  json["scores"] = options.out;
  console.SetJson(json.dump());
  console.Print("wrote " + options.out + "\n" + CountsLine(result));
  ShowWarnings(result, {}, console);
  return {};
}

}  // namespace

void AddScore(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<ScoreOptions>();
  CLI::App* command =
      app.add_subcommand("score", "predictions of a run's model: one row per input row, in input order");
  command->add_option("RUN_DIR", options->job.run, "what `cohort train --out` wrote")->required();
  command->add_option("--data", options->job.data, "a dataset written by `cohort prepare`")->required();
  command->add_option("--out", options->out, "the file to write: .csv or .h5")
      ->required()
      ->type_name(kOutputType);
  command->add_option("--split", options->job.split,
                      "train, valid or test (default: all rows, in input order)");
  command->add_flag("--overwrite")->description("replace a file that is there");
  options->job.cluster.AddTo(*command);
  commands[command] = [options](Console& console) { return Score(*options, console); };
}

}  // namespace cohort
