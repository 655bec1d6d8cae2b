#include "launch/scale/results.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "common/atomic_file.h"
#include "common/check.h"
#include "common/json_guard.h"
#include "scheduler/json_number.h"

namespace cohort::scale {
namespace {

using Json = nlohmann::ordered_json;

PointResult PointFromJson(const Json& json) {
  PointResult point;
  point.settings = SettingsFromJson(json.at("settings"));
  for (const auto& [name, figure] : json.at("figures").items()) {
    const Json& values = figure.at("values");
    if (point.repetitions.size() < values.size()) point.repetitions.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i].is_number()) point.repetitions[i][name] = values[i].get<double>();
    }
  }
  return point;
}

}  // namespace

Spread PointResult::Of(const std::string& figure) const {
  Spread spread;
  for (const Figures& repetition : repetitions) {
    const auto found = repetition.find(figure);
    if (found != repetition.end() && std::isfinite(found->second)) spread.values.push_back(found->second);
  }
  if (spread.values.empty()) {
    spread.median = spread.low = spread.high = std::numeric_limits<double>::quiet_NaN();
    return spread;
  }
  std::vector<double> sorted = spread.values;
  std::sort(sorted.begin(), sorted.end());
  spread.low = sorted.front(), spread.high = sorted.back();
  spread.median = (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
  return spread;
}

const PointResult& ScaleResults::BaselineOf(std::size_t point) const {
  COHORT_CHECK(point < points.size(), "point %zu of %zu", point, points.size());
  const auto size = [](const Settings& s) {
    return std::tuple(s.Processes(), s.workers, s.shards_per_server);
  };
  const PointResult* best = &points[point];
  for (const PointResult& other : points) {
    if (other.repetitions.empty() || !other.settings.SameButForSize(points[point].settings)) continue;
    if (size(other.settings) < size(best->settings)) best = &other;
  }
  return *best;
}

ScaleResults ResultsOf(const Experiment& experiment, const std::string& source, const Machine& machine) {
  ScaleResults results;
  results.name = experiment.name;
  results.source = source;
  results.job = experiment.job.empty() ? experiment.run_file : experiment.job;
  results.fingerprint = experiment.fingerprint;
  results.warm_epochs = experiment.warm_epochs;
  results.epochs = experiment.epochs;
  results.target = experiment.target;
  results.machine = machine;
  for (const Settings& settings : experiment.points) results.points.push_back({settings, {}});
  return results;
}

Json SettingsToJson(const Settings& settings) {
  return {{"workers", settings.workers},
          {"servers", settings.servers},
          {"shards_per_server", settings.shards_per_server},
          {"batch", settings.batch},
          {"batch_per_worker", settings.batch_per_worker},
          {"consistency", ConsistencyName(settings.consistency)},
          {"staleness", settings.staleness},
          {"embedding_dim", settings.embedding_dim},
          {"faults_per_hour", settings.faults_per_hour},
          {"link_mbit", settings.link_mbit}};
}

Settings SettingsFromJson(const Json& json) {
  Settings settings;
  settings.workers = WholeFrom<std::uint32_t>(json, "workers");
  settings.servers = WholeFrom<std::uint32_t>(json, "servers");
  settings.shards_per_server = WholeFrom<std::uint32_t>(json, "shards_per_server");
  settings.batch = WholeFrom<std::uint32_t>(json, "batch");
  settings.batch_per_worker = json.at("batch_per_worker").get<bool>();
  const std::string consistency = json.at("consistency");
  for (const Consistency each : {Consistency::kBsp, Consistency::kSsp, Consistency::kAsp}) {
    if (consistency == ConsistencyName(each)) settings.consistency = each;
  }
  if (consistency != ConsistencyName(settings.consistency))
    throw BadJson{"consistency is \"" + consistency + "\", which is none of bsp, ssp, asp"};
  settings.staleness = WholeFrom<std::uint32_t>(json, "staleness");
  settings.embedding_dim = WholeFrom<std::uint32_t>(json, "embedding_dim");
  settings.faults_per_hour = json.at("faults_per_hour").get<double>();
  settings.link_mbit = json.at("link_mbit").get<double>();
  return settings;
}

std::string ToJson(const ScaleResults& results) {
  Json json = {{"name", results.name},
               {"source", results.source},
               {"job", results.job},
               {"fingerprint", results.fingerprint},
               {"warm_epochs", results.warm_epochs},
               {"epochs", results.epochs},
               {"target", nullptr},
               {"machine", MachineToJson(results.machine)},
               {"points", Json::array()}};
  if (results.target) json["target"] = {{"task", results.target->task}, {"loss", results.target->loss}};
  for (const PointResult& point : results.points) {
    Json figures = Json::object();
    for (const Figures& repetition : point.repetitions) {
      for (const auto& [name, unused] : repetition) {
        if (figures.contains(name)) continue;
        const Spread spread = point.Of(name);
        Json values = Json::array();
        for (const Figures& each : point.repetitions) {
          const auto found = each.find(name);
          values.push_back(found == each.end() ? Json(nullptr) : NumberOrNull(found->second));
        }
        figures[name] = {{"median", NumberOrNull(spread.median)},
                         {"low", NumberOrNull(spread.low)},
                         {"high", NumberOrNull(spread.high)},
                         {"values", std::move(values)}};
      }
    }
    json["points"].push_back({{"settings", SettingsToJson(point.settings)}, {"figures", std::move(figures)}});
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<ScaleResults> ScaleResultsFromJson(const std::string& text, const std::string& origin) {
  if (const Status shape = CheckJsonShape(text); !shape.ok())
    return InvalidInput(origin + ": " + shape.text());
  try {
    const Json json = Json::parse(text);
    ScaleResults results;
    results.name = json.at("name");
    results.source = json.at("source");
    results.job = json.at("job");
    results.fingerprint = json.at("fingerprint");
    results.warm_epochs = WholeFrom<std::uint32_t>(json, "warm_epochs");
    results.epochs = WholeFrom<std::uint32_t>(json, "epochs");
    if (const Json& target = json.at("target"); !target.is_null())
      results.target = Target{target.at("task"), target.at("loss").get<double>()};
    results.machine = MachineFromJson(json.at("machine"));
    for (const Json& point : json.at("points")) results.points.push_back(PointFromJson(point));
    return results;
  } catch (const Json::exception& error) {
    return InvalidInput(origin + ": not what `cohort scale` writes: " + error.what());
  } catch (const BadJson& error) {
    return InvalidInput(origin + ": not what `cohort scale` writes: " + error.text);
  }
}

Result<ScaleResults> ReadScaleResults(const std::string& path) {
  std::error_code error;
  const std::string file = std::filesystem::is_directory(path, error) ? path + "/" + kScaleFile : path;
  if (!std::filesystem::exists(file, error))
    return InvalidInput(
        file + ": no such file; expected a folder of `cohort scale` or `cohort simulate`, with its " +
        kScaleFile);
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return ScaleResultsFromJson(text, file);
}

}  // namespace cohort::scale
