#include "scheduler/evaluation_json.h"

#include <nlohmann/json.hpp>

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kEvaluationFormat = 1;
constexpr TaskType kTaskTypes[] = {TaskType::kBinary, TaskType::kMulticlass, TaskType::kRegression,
                                   TaskType::kValue, TaskType::kHazard, TaskType::kCount};

// The metrics that a task of this type has, in the order in which they are written.
std::vector<std::string> NamesOf(const TaskMetrics& metrics) {
  if (metrics.type == TaskType::kHazard) return {"auc", "logloss", "brier", "ece", "c_index"};
  const bool binary = metrics.type == TaskType::kBinary;
  if (!binary && metrics.type != TaskType::kMulticlass) {
    std::vector<std::string> real = {"mse", "mae", "r2", "spearman", "gini", "total_ratio"};
    if (metrics.type != TaskType::kRegression) real.push_back("decile_mape");
    if (metrics.type == TaskType::kCount) real.push_back("poisson_deviance");
    return real;
  }
  std::vector<std::string> names = {"auc", "logloss", "accuracy", "precision", "recall", "f1", "ece"};
  if (binary) {
    for (const char* name : {"best_threshold", "accuracy_best", "precision_best", "recall_best", "f1_best"})
      names.push_back(name);
  }
  if (metrics.values.contains("groups")) {
    names.insert(names.end(), {"gauc", "mrr"});
    for (const std::uint32_t k : metrics.top) {
      for (const char* name : {"hr@", "ndcg@", "recall@"}) names.push_back(name + std::to_string(k));
    }
  }
  return names;
}

Json ValuesOf(const TaskMetrics& metrics) {
  Json values = Json::object();
  for (const std::string& name : NamesOf(metrics)) {
    auto found = metrics.values.find(name);
    values[name] = found == metrics.values.end() ? Json() : Json(found->second);
  }
  for (const char* name : {"groups", "one_class_groups", "ungrouped_rows", "horizon_rows", "rows",
                           "bad_predictions", "bad_labels"}) {
    auto found = metrics.values.find(name);
    if (found != metrics.values.end()) values[name] = static_cast<std::uint64_t>(found->second);
  }
  return values;
}

Json PeriodsOf(const std::vector<PeriodMetrics>& periods) {
  Json result = Json::array();
  for (const PeriodMetrics& period : periods)
    result.push_back({{"at_risk", period.at_risk}, {"events", period.events}, {"expected", period.expected}});
  return result;
}

// For people who read result.json: values, and the curves in short.
Json SummaryOf(const TaskMetrics& metrics) {
  Json summary = ValuesOf(metrics);
  if (!metrics.lift.empty())
    summary["lift"] = std::vector<double>(metrics.lift.rbegin(), metrics.lift.rend());
  if (!metrics.calibration.empty()) summary["calibration"] = Json::array();
  for (const PredictionBin& bin : metrics.calibration) {
    summary["calibration"].push_back(
        {{"rows", bin.rows}, {"prediction", bin.prediction}, {"label", bin.label}});
  }
  if (!metrics.periods.empty()) summary["periods"] = PeriodsOf(metrics.periods);
  if (!metrics.bounds.empty()) summary["bounds"] = metrics.bounds;
  return summary;
}

Json BinsOf(const std::vector<PredictionBin>& bins) {
  Json result = Json::array();
  for (const PredictionBin& bin : bins) {
    result.push_back({{"rows", bin.rows},
                      {"prediction", bin.prediction},
                      {"label", bin.label},
                      {"lowest", bin.lowest},
                      {"highest", bin.highest}});
  }
  return result;
}

std::vector<PredictionBin> BinsFrom(const Json& json) {
  std::vector<PredictionBin> bins;
  for (const Json& bin : json) {
    bins.push_back({bin.at("rows").get<std::uint64_t>(), bin.at("prediction").get<double>(),
                    bin.at("label").get<double>(), bin.at("lowest").get<double>(),
                    bin.at("highest").get<double>()});
  }
  return bins;
}

Json ToJson(const TaskMetrics& metrics) {
  Json roc = Json::array();
  for (const RocCurve& curve : metrics.roc) {
    Json points = Json::array();
    for (const RocPoint& point : curve.points)
      points.push_back({point.false_positive_rate, point.true_positive_rate});
    roc.push_back({{"name", curve.name}, {"points", std::move(points)}});
  }
  return {{"name", metrics.name},
          {"type", TaskTypeName(metrics.type)},
          {"values", ValuesOf(metrics)},
          {"bounds", metrics.bounds},
          {"top", metrics.top},
          {"deciles", BinsOf(metrics.deciles)},
          {"lift", metrics.lift},
          {"calibration", BinsOf(metrics.calibration)},
          {"roc", std::move(roc)},
          {"periods", PeriodsOf(metrics.periods)},
          {"histogram",
           {{"low", metrics.histogram.low},
            {"high", metrics.histogram.high},
            {"negatives", metrics.histogram.negatives},
            {"positives", metrics.histogram.positives}}}};
}

TaskMetrics MetricsFrom(const Json& json) {
  TaskMetrics metrics;
  metrics.name = json.at("name").get<std::string>();
  const auto type_name = json.at("type").get<std::string>();
  bool known = false;
  for (TaskType type : kTaskTypes) {
    if (type_name != TaskTypeName(type)) continue;
    metrics.type = type;
    known = true;
  }
  if (!known) throw std::runtime_error("task " + metrics.name + " is of unknown type \"" + type_name + "\"");
  for (const auto& [name, value] : json.at("values").items()) {
    if (!value.is_null()) metrics.values[name] = value.get<double>();
  }
  if (json.contains("bounds")) json["bounds"].get_to(metrics.bounds);
  if (json.contains("top")) json["top"].get_to(metrics.top);
  if (json.contains("lift")) json["lift"].get_to(metrics.lift);
  if (json.contains("periods")) {
    for (const Json& period : json["periods"])
      metrics.periods.push_back({period.at("at_risk").get<double>(), period.at("events").get<double>(),
                                 period.at("expected").get<double>()});
  }
  metrics.deciles = BinsFrom(json.at("deciles"));
  metrics.calibration = BinsFrom(json.at("calibration"));
  for (const Json& curve : json.at("roc")) {
    RocCurve read{curve.at("name").get<std::string>(), {}};
    for (const Json& point : curve.at("points")) {
      read.points.push_back({point.at(0).get<double>(), point.at(1).get<double>()});
    }
    metrics.roc.push_back(std::move(read));
  }
  const Json& histogram = json.at("histogram");
  metrics.histogram = {histogram.at("low").get<double>(), histogram.at("high").get<double>(),
                       histogram.at("negatives").get<std::vector<std::uint64_t>>(),
                       histogram.at("positives").get<std::vector<std::uint64_t>>()};
  return metrics;
}

}  // namespace

std::string TaskValuesToJson(const std::vector<SplitEvaluation>& splits) {
  Json tasks = Json::object();
  for (const SplitEvaluation& split : splits) {
    for (const TaskMetrics& metrics : split.tasks) tasks[metrics.name][split.split] = SummaryOf(metrics);
  }
  return tasks.dump();
}

std::string EvaluationToJson(const std::vector<SplitEvaluation>& splits) {
  Json by_split = Json::object();
  for (const SplitEvaluation& split : splits) {
    Json tasks = Json::array();
    for (const TaskMetrics& metrics : split.tasks) tasks.push_back(ToJson(metrics));
    by_split[split.split] = std::move(tasks);
  }
  return Json{{"format", kEvaluationFormat}, {"splits", std::move(by_split)}}.dump() + "\n";
}

Result<std::vector<SplitEvaluation>> EvaluationFromJson(const std::string& text, const std::string& origin) {
  try {
    const Json json = Json::parse(text);
    if (const int format = json.at("format").get<int>(); format != kEvaluationFormat) {
      return Error(ErrorCode::kCorrupt, origin + ": format " + std::to_string(format) + ", expected " +
                                            std::to_string(kEvaluationFormat) +
                                            "; it was written by another version of cohort: evaluate again");
    }
    std::vector<SplitEvaluation> splits;
    for (const auto& [name, tasks] : json.at("splits").items()) {
      SplitEvaluation split{name, {}};
      for (const Json& task : tasks) split.tasks.push_back(MetricsFrom(task));
      splits.push_back(std::move(split));
    }
    return splits;
  } catch (const std::exception& error) {
    return Error(ErrorCode::kCorrupt,
                 origin + ": not an evaluation: " + error.what() + "; evaluate the run again");
  }
}

}  // namespace cohort
