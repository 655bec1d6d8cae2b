// cohort evaluate: a cluster loads a model and judges it on a dataset.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "launch/commands/cluster_options.h"
#include "launch/commands/commands.h"
#include "launch/report/best_reachable.h"
#include "launch/run_folder.h"

namespace cohort {
namespace {

Status Evaluate(const ModelJob& options, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const ScratchFolder folder, RunModelJob(options, Job::kEvaluate, console));
  const std::string path = folder.path() + "/" + kEvaluationFile;
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  COHORT_ASSIGN_OR_RETURN(const std::vector<SplitEvaluation> splits, EvaluationFromJson(text, path));
  COHORT_ASSIGN_OR_RETURN(const std::string result, ReadFile(folder.path() + "/" + kResultFile));
  for (const SplitEvaluation& split : splits) console.Print(MetricsTable(splits, split.split, nullptr));
  console.Print(CountsLine(result));
  ShowWarnings(result, {}, console);
  console.SetJson(nlohmann::ordered_json::parse(result).dump());
  return {};
}

}  // namespace

void AddEvaluate(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<ModelJob>();
  CLI::App* command = app.add_subcommand("evaluate", "metrics of a run's model on a dataset");
  command->add_option("RUN_DIR", options->run, "what `cohort train --out` wrote")->required();
  command->add_option("--data", options->data, "a dataset written by `cohort prepare`")->required();
  command->add_option("--split", options->split, "train, valid or test (default: each that has rows)");
  options->cluster.AddTo(*command);
  commands[command] = [options](Console& console) { return Evaluate(*options, console); };
}

}  // namespace cohort
