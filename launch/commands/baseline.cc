// cohort baseline: predictions of generalized linear models (launch/linear_baseline.h), in the form of `cohort score`.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "launch/commands/commands.h"
#include "launch/linear_baseline.h"
#include "launch/run_plan.h"
#include "scheduler/score_writer.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

struct BaselineOptions {
  std::string data, out, split = "test";
  std::vector<std::string> features = {"recency_days", "orders", "revenue"};
  double l2 = 1e-4;
};

Status Baseline(const BaselineOptions& options, Console& console) {
  const std::string extension = std::filesystem::path(options.out).extension();
  if (extension != ".csv" && extension != ".h5")
    return {ErrorCode::kInvalidInput,
            options.out + ": unknown format; expected a name ending in .csv or .h5"};
  COHORT_ASSIGN_OR_RETURN(const std::optional<Split> named, SplitFromName(options.split));
  const Split split = named.value_or(Split::kTest);
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> data, DatasetReader::Open(options.data));
  COHORT_ASSIGN_OR_RETURN(const LinearBaseline baseline,
                          LinearBaseline::Fit(*data, options.features, options.l2));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<ScoreWriter> writer,
                          ScoreWriter::Create(options.out, baseline.tasks(), data->info().has_id));
  const std::uint64_t rows = data->info().rows[static_cast<std::size_t>(split)];
  RowBlock block;
  std::vector<float> predictions;
  for (std::uint64_t first = 0; first < rows; first += block.rows) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
    COHORT_RETURN_IF_ERROR(data->Read(split, first, count, /*with_ids=*/true, &block));
    predictions.clear();
    baseline.Predict(block, &predictions);
    COHORT_RETURN_IF_ERROR(writer->Append(block.ids, block.input_rows, predictions));
    console.Progress("scoring: " + std::to_string(first + count) + " of " + std::to_string(rows) + " rows");
  }
  COHORT_RETURN_IF_ERROR(writer->Finish());

  Json parts = Json::array();
  std::string text = "weights of the scaled features:\n";
  for (const LinearBaseline::Part& part : baseline.parts()) {
    Json weights{{"intercept", part.weights[0]}};
    char number[64];
    std::snprintf(number, sizeof number, "intercept %.4f", part.weights[0]);
    text += "  " + part.task + ", " + part.what + ": " + number;
    for (std::size_t i = 0; i < options.features.size(); ++i) {
      weights[options.features[i]] = part.weights[i + 1];
      std::snprintf(number, sizeof number, " %.4f", part.weights[i + 1]);
      text += ", " + options.features[i] + number;
    }
    text += "\n";
    parts.push_back({{"task", part.task}, {"part", part.what}, {"weights", std::move(weights)}});
  }
  for (const TaskInfo& task : data->info().tasks) {
    if (task.type == TaskType::kMulticlass || task.type == TaskType::kHazard)
      console.Note("task \"" + task.name + "\" is left out: " + TaskTypeName(task.type) + " has no baseline");
  }
  console.Print(text + "wrote " + options.out);
  console.SetJson(
      Json{{"status", "done"}, {"scores", options.out}, {"rows", rows}, {"models", std::move(parts)}}.dump());
  return {};
}

}  // namespace

void AddBaseline(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<BaselineOptions>();
  CLI::App* command = app.add_subcommand("baseline",
                                         "what a model has to beat: logistic regression for binary tasks, "
                                         "logistic times gamma for values, least "
                                         "squares for numbers, on a few features; fitted on the train split, "
                                         "predictions as `cohort score` writes "
                                         "them (docs/shop.md)");
  command->add_option("DATASET", options->data, "a dataset written by `cohort prepare`")->required();
  command->add_option("--out", options->out, "the file to write: .csv or .h5")
      ->required()
      ->type_name(kOutputType);
  command
      ->add_option("--features", options->features,
                   "numeric features, separated by commas (default: recency_days,orders,revenue)")
      ->delimiter(',');
  command->add_option("--split", options->split, "train, valid or test (default: test)");
  command->add_option("--l2", options->l2, "lambda of the weights, 0 or more (default: 0.0001)");
  command->add_flag("--overwrite")->description("replace a file that is there");
  commands[command] = [options](Console& console) { return Baseline(*options, console); };
}

}  // namespace cohort
