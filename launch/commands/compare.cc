// cohort compare: which of several models' predictions are better, with intervals (launch/paired_bootstrap.h).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"
#include "launch/id_list.h"
#include "launch/paired_bootstrap.h"
#include "launch/run_plan.h"
#include "launch/score_file.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

struct CompareOptions {
  std::vector<std::string> models;
  std::string data, split = "test", ids;
  std::uint32_t draws = 2000;
  std::uint64_t seed = 1;
};

struct Model {
  std::string name;
  std::vector<std::string> files;
};

// "NAME=FILE,FILE" or "FILE", which is its own name.
Result<Model> ModelOf(const std::string& argument) {
  Model model;
  const std::size_t equals = argument.find('=');
  model.name = argument.substr(0, equals);
  const std::string files = equals == std::string::npos ? argument : argument.substr(equals + 1);
  for (std::size_t begin = 0; begin <= files.size();) {
    const std::size_t end = std::min(files.find(',', begin), files.size());
    model.files.push_back(files.substr(begin, end - begin));
    begin = end + 1;
  }
  if (model.name.empty() || std::find(model.files.begin(), model.files.end(), "") != model.files.end())
    return InvalidInput("\"" + argument +
                        "\": expected NAME=FILE, or NAME=FILE,FILE of several runs of one model");
  return model;
}

// What a split says of its rows.
struct Truth {
  std::vector<std::string> ids;            // or row numbers
  std::vector<std::vector<float>> labels;  // by task
  JudgedRows rows;
};
Result<Truth> ReadTruth(const CompareOptions& options, DatasetReader& data, Split split) {
  const DatasetInfo& info = data.info();
  const std::uint64_t rows = info.rows[static_cast<std::size_t>(split)];
  if (rows == 0) return InvalidInput(options.data + ": the " + SplitName(split) + " split has no rows");
  if (rows > std::numeric_limits<std::uint32_t>::max())
    return InvalidInput(options.data + ": more than 2^32 rows cannot be compared");
  Truth truth;
  truth.labels.resize(info.tasks.size());
  std::unordered_map<std::string, std::uint32_t> users;
  RowBlock block;
  for (std::uint64_t first = 0; first < rows; first += block.rows) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
    COHORT_RETURN_IF_ERROR(data.Read(split, first, count, /*with_ids=*/true, &block));
    for (std::size_t row = 0; row < block.rows; ++row) {
      truth.ids.push_back(block.ids.empty() ? std::to_string(block.input_rows[row]) : block.ids[row]);
      const auto user = users.emplace(truth.ids.back(), static_cast<std::uint32_t>(users.size())).first;
      truth.rows.users.push_back(user->second);
      if (!block.weights.empty()) truth.rows.weights.push_back(block.weights[row]);
      for (std::size_t i = 0; i < info.tasks.size(); ++i) {
        const float label = block.labels[row * info.tasks.size() + i];
        if (!IsLabelOf(info.tasks[i], label))
          return InvalidInput(options.data + ": row " + std::to_string(first + row) + " of the " +
                              SplitName(split) + " split: " + std::to_string(label) +
                              " is no label of task \"" + info.tasks[i].name +
                              "\"; write the dataset anew with `cohort prepare`");
        truth.labels[i].push_back(label);
      }
    }
  }
  truth.rows.user_count = static_cast<std::uint32_t>(users.size());
  return truth;
}

Status CheckSameRows(const std::string& path, const std::vector<std::string>& ids, const Truth& truth,
                     const CompareOptions& options) {
  const std::string mend = "; score the same split of the same dataset: `cohort score RUN_DIR --data " +
                           options.data + " --split " + options.split + " --out FILE`";
  if (ids.size() != truth.ids.size())
    return {ErrorCode::kInvalidInput, path + ": " + std::to_string(ids.size()) + " rows, where the " +
                                          options.split + " split of " + options.data + " has " +
                                          std::to_string(truth.ids.size()) + mend};
  const auto differ = std::mismatch(ids.begin(), ids.end(), truth.ids.begin());
  if (differ.first == ids.end()) return {};
  return {ErrorCode::kInvalidInput, path + ": row " + std::to_string(differ.first - ids.begin() + 1) +
                                        " is of \"" + *differ.first + "\", where the dataset has \"" +
                                        *differ.second + "\"" + mend};
}

// The rows of the ids in the first column of options.ids, a CSV file with a header. kInvalidInput: an id has none.
Result<std::vector<std::uint32_t>> RowsOf(const CompareOptions& options, const Truth& truth) {
  const std::unordered_set<std::string_view> known(truth.ids.begin(), truth.ids.end());
  const auto is_user = [&](const std::string& id) { return known.contains(id); };
  std::unordered_set<std::string> ids;
  const auto add = [&](const CsvReader& csv, const std::string& id) -> Status {
    if (!known.contains(id))
      return {ErrorCode::kInvalidInput, csv.Where() + ": \"" + id + "\" is in no row of the " +
                                            options.split + " split of " + options.data +
                                            "; expected ids of that split, as `cohort score` writes them"};
    ids.insert(id);
    return {};
  };
  COHORT_RETURN_IF_ERROR(VisitIdList(options.ids, is_user, add));
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = 0; row < truth.ids.size(); ++row) {
    if (ids.contains(truth.ids[row])) rows.push_back(row);
  }
  return rows;
}

// The rows of `kept` alone, in their order; `width` values a row.
template <typename T>
void Keep(const std::vector<std::uint32_t>& kept, std::size_t width, std::vector<T>* values) {
  if (values->empty()) return;
  std::vector<T> all;
  for (const std::uint32_t row : kept) {
    const auto begin = values->begin() + static_cast<std::ptrdiff_t>(row * width);
    all.insert(all.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  *values = std::move(all);
}

void Keep(const std::vector<std::uint32_t>& kept, Truth* truth) {
  Keep(kept, 1, &truth->ids);
  Keep(kept, 1, &truth->rows.users);
  Keep(kept, 1, &truth->rows.weights);
  for (std::vector<float>& labels : truth->labels) Keep(kept, 1, &labels);
  std::unordered_map<std::uint32_t, std::uint32_t> numbers;
  for (std::uint32_t& user : truth->rows.users)
    user = numbers.emplace(user, static_cast<std::uint32_t>(numbers.size())).first->second;
  truth->rows.user_count = static_cast<std::uint32_t>(numbers.size());
}

std::string Number(double value, const char* format = "%.4f") {
  if (std::isnan(value)) return "-";
  char text[40];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string Line(const std::string& name, std::size_t width, const Estimate& estimate, const char* format) {
  return "    " + name + std::string(width - name.size(), ' ') + "  " + Number(estimate.value, format) +
         "  [" + Number(estimate.low, format) + ", " + Number(estimate.high, format) + "]";
}

Json ToJson(const Estimate& estimate) {
  const auto number = [](double value) { return std::isnan(value) ? Json(nullptr) : Json(value); };
  return {{"value", number(estimate.value)},
          {"low", number(estimate.low)},
          {"high", number(estimate.high)},
          {"draws", estimate.defined}};
}

// A task's comparison in words, and as JSON.
void Tell(const TaskInfo& task, const std::vector<Model>& models,
          const std::vector<MetricComparison>& comparisons, std::string* text, Json* json) {
  std::size_t width = 0;
  for (const Model& a : models) {
    for (const Model& b : models) width = std::max(width, a.name.size() + 3 + b.name.size());
  }
  *text += task.name + "\n";
  for (const MetricComparison& comparison : comparisons) {
    *text += "  " + comparison.metric +
             (comparison.metric == "total_ratio" ? " (1 is best)\n"
              : comparison.higher_is_better      ? " (higher is better)\n"
                                                 : " (lower is better)\n");
    Json by_model = Json::object(), differences = Json::array();
    auto difference = comparison.differences.begin();
    std::string pairs;
    for (std::size_t a = 0; a < models.size(); ++a) {
      *text += Line(models[a].name, width, comparison.models[a], "%.4f") + "\n";
      by_model[models[a].name] = ToJson(comparison.models[a]);
      for (std::size_t b = a + 1; b < models.size(); ++b, ++difference) {
        pairs += Line(models[a].name + " - " + models[b].name, width, *difference, "%+.4f") +
                 (difference->low > 0 || difference->high < 0 ? "  *\n" : "\n");
        Json each = ToJson(*difference);
        each["a"] = models[a].name, each["b"] = models[b].name;
        each["share_above_0"] =
            std::isnan(difference->share_above_0) ? Json(nullptr) : Json(difference->share_above_0);
        differences.push_back(std::move(each));
      }
    }
    *text += pairs;
    (*json)[task.name][comparison.metric] = {{"models", std::move(by_model)},
                                             {"differences", std::move(differences)}};
  }
}

Status Compare(const CompareOptions& options, Console& console) {
  std::vector<Model> models;
  for (const std::string& argument : options.models) {
    COHORT_ASSIGN_OR_RETURN(models.emplace_back(), ModelOf(argument));
    for (std::size_t i = 0; i + 1 < models.size(); ++i) {
      if (models[i].name == models.back().name)
        return {ErrorCode::kInvalidInput,
                "two models are called \"" + models[i].name +
                    "\"; runs of one model go into one argument: " + models[i].name + "=FILE,FILE"};
    }
  }
  COHORT_ASSIGN_OR_RETURN(const std::optional<Split> named, SplitFromName(options.split));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> data, DatasetReader::Open(options.data));
  const std::vector<TaskInfo>& tasks = data->info().tasks;
  COHORT_ASSIGN_OR_RETURN(Truth truth, ReadTruth(options, *data, named.value_or(Split::kTest)));
  std::vector<std::uint32_t> kept;
  if (!options.ids.empty()) {
    COHORT_ASSIGN_OR_RETURN(kept, RowsOf(options, truth));
  }

  // By task, by model, by run.
  std::vector<std::vector<std::vector<std::vector<float>>>> predictions(
      tasks.size(), std::vector<std::vector<std::vector<float>>>(models.size()));
  std::vector<std::string> lacks(tasks.size());  // the first file without the task
  for (std::size_t model = 0; model < models.size(); ++model) {
    for (const std::string& path : models[model].files) {
      COHORT_ASSIGN_OR_RETURN(ScoreFile file, ReadScoreFile(path, tasks));
      COHORT_RETURN_IF_ERROR(CheckSameRows(path, file.ids, truth, options));
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        if (file.predictions[i].empty() && lacks[i].empty()) lacks[i] = path;
        if (!kept.empty()) Keep(kept, tasks[i].PredictionColumns(), &file.predictions[i]);
        predictions[i][model].push_back(std::move(file.predictions[i]));
      }
    }
  }

  if (!kept.empty()) Keep(kept, &truth);
  std::string text =
      std::to_string(truth.ids.size()) + " rows of " + std::to_string(truth.rows.user_count) +
      " users; 95 % intervals of " + std::to_string(options.draws) +
      " draws of users, the same for all models; *: the interval of a difference leaves out 0\n";
  Json json = Json::object();
  std::size_t compared = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (!lacks[i].empty()) {
      console.Note("task \"" + tasks[i].name + "\" is not compared: " + lacks[i] + " lacks it");
      continue;
    }
    if (std::all_of(truth.labels[i].begin(), truth.labels[i].end(),
                    [](float label) { return std::isnan(label); })) {
      console.Note("task \"" + tasks[i].name + "\" is not compared: no row has a label of it");
      continue;
    }
    BootstrapOptions bootstrap{options.draws, options.seed, {}};
    bootstrap.progress = [&](std::uint32_t draws) {
      console.Progress(tasks[i].name + ": " + std::to_string(draws) + " of " + std::to_string(options.draws) +
                       " draws");
    };
    Tell(tasks[i], models, CompareModels(tasks[i], truth.rows, truth.labels[i], predictions[i], bootstrap),
         &text, &json);
    ++compared;
  }
  if (compared == 0)
    return {ErrorCode::kInvalidInput,
            "no task is in all files and has labels in the " + options.split + " split of " + options.data};
  text.pop_back();
  console.Print(text);
  console.SetJson(Json{{"status", "done"},
                       {"rows", truth.ids.size()},
                       {"users", truth.rows.user_count},
                       {"draws", options.draws},
                       {"seed", options.seed},
                       {"tasks", std::move(json)}}
                      .dump());
  return {};
}

}  // namespace

void AddCompare(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = app.add_subcommand("compare",
                                         "which of several models predicts better: metrics, their "
                                         "differences, and paired bootstrap intervals by "
                                         "user (docs/shop.md)");
  command
      ->add_option(
          "models", options->models,
          "NAME=FILE: predictions of a model, of `cohort score` or `cohort baseline`; NAME=FILE,FILE: of "
          "several runs (seeds), whose mean metric counts")
      ->required();
  command->add_option("--data", options->data, "the dataset that was scored, with the labels")->required();
  command->add_option("--split", options->split, "the split that was scored (default: test)");
  command->add_option("--ids", options->ids,
                      "a CSV file with a header: only the rows of the ids in its first column are judged");
  command->add_option("--draws", options->draws, "of the bootstrap, 1 to 1000000 (default: 2000)")
      ->check(Between(1u, 1'000'000u));
  command->add_option("--seed", options->seed, "of the draws (default: 1)");
  commands[command] = [options](Console& console) { return Compare(*options, console); };
}

}  // namespace cohort
