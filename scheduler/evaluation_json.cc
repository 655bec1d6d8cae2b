#include "scheduler/evaluation_json.h"

#include <nlohmann/json.hpp>

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kEvaluationFormat = 1;
constexpr TaskType kTaskTypes[] = {TaskType::kBinary, TaskType::kMulticlass, TaskType::kRegression,
                                   TaskType::kValue};

const std::vector<const char*>& MetricsOf(TaskType type) {
  static const std::vector<const char*> classification = {"auc",    "logloss", "accuracy", "precision",
                                                          "recall", "f1",      "ece"};
  static const std::vector<const char*> real = {"mse", "mae", "r2", "spearman", "gini", "total_ratio"};
  return type == TaskType::kBinary || type == TaskType::kMulticlass ? classification : real;
}

Json ValuesOf(const TaskMetrics& metrics) {
  Json values = Json::object();
  for (const char* name : MetricsOf(metrics.type)) {
    auto found = metrics.values.find(name);
    values[name] = found == metrics.values.end() ? Json() : Json(found->second);
  }
  for (const char* name : {"rows", "bad_predictions", "bad_labels"}) {
    auto found = metrics.values.find(name);
    if (found != metrics.values.end()) values[name] = static_cast<std::uint64_t>(found->second);
  }
  return values;
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
          {"deciles", BinsOf(metrics.deciles)},
          {"calibration", BinsOf(metrics.calibration)},
          {"roc", std::move(roc)},
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
    for (const TaskMetrics& metrics : split.tasks) tasks[metrics.name][split.split] = ValuesOf(metrics);
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
