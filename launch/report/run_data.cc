#include "launch/report/run_data.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/atomic_file.h"
#include "scheduler/json_number.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;
constexpr double kNotThere = std::numeric_limits<double>::quiet_NaN();

double Find(const std::map<std::string, double>& values, const std::string& name) {
  const auto found = values.find(name);
  return found == values.end() ? kNotThere : found->second;
}

std::string Text(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

RunEpoch EpochFrom(const Json& json) {
  RunEpoch epoch;
  epoch.epoch = NumberIn(json, "epoch");
  epoch.seconds = NumberIn(json, "seconds");
  epoch.samples = NumberIn(json, "samples");
  if (json.contains("loss")) epoch.loss = NumbersIn(json["loss"]);
  if (!json.contains("valid") || !json["valid"].is_object()) return epoch;
  for (const auto& [task, values] : json["valid"].items()) epoch.valid[task] = NumbersIn(values);
  return epoch;
}

RunSample SampleFrom(const Json& line) {
  RunSample sample;
  sample.kind = Text(line, "kind");
  sample.split = Text(line, "split");
  sample.values = NumbersIn(line);
  if (line.contains("loss")) sample.loss = NumbersIn(line["loss"]);
  if (!line.contains("members") || !line["members"].is_array()) return sample;
  for (const Json& member : line["members"]) {
    if (!member.is_object()) continue;
    MemberPoint point{Text(member, "node"), NumbersIn(member), {}};
    if (const auto parts = member.find("step_seconds"); parts != member.end() && parts->is_object()) {
      for (const auto& [name, part] : parts->items())
        point.step_seconds.emplace_back(name, part.is_number() ? part.get<double>() : kNotThere);
    }
    sample.members.push_back(std::move(point));
  }
  return sample;
}

Status ReadResult(const std::string& path, RunData* data) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const Json result = Json::parse(text, nullptr, false);
  if (!result.is_object())
    return {ErrorCode::kCorrupt, path + ": not a JSON object, expected a run's result"};
  if (const std::string status = Text(result, "status"); !status.empty()) data->status = status;
  data->reason = Text(result, "reason");
  if (const auto warnings = result.find("warnings"); warnings != result.end() && warnings->is_array()) {
    for (const Json& warning : *warnings)
      if (warning.is_string()) data->warnings.push_back(warning.get<std::string>());
  }
  if (const auto stopping = result.find("early_stopping"); stopping != result.end() && stopping->is_object())
    data->stopped = Text(*stopping, "ended");
  data->model_hash = Text(result, "model_hash");
  data->samples_per_second = NumberIn(result, "samples_per_second");
  data->seconds = NumberIn(result, "seconds");
  data->steps = NumberIn(result, "steps");
  if (const auto epochs = result.find("epochs"); epochs != result.end() && epochs->is_array()) {
    for (const Json& epoch : *epochs) {
      if (epoch.is_object()) data->epochs.push_back(EpochFrom(epoch));
    }
  }
  for (const auto& [name, value] : result.items()) {
    if (name != "tasks" && name != "samples_per_second" && name != "seconds" && name != "steps") {
      AddNumbersBelow(value, name, &data->numbers);
    }
  }
  return {};
}

}  // namespace

double MemberPoint::Value(const std::string& name) const { return Find(values, name); }
double RunSample::Value(const std::string& name) const { return Find(values, name); }
double RunData::Number(const std::string& path) const {
  for (const auto& number : numbers) {
    if (number.first == path) return number.second;
  }
  return kNotThere;
}

Result<RunData> ReadRunData(const std::string& directory) {
  namespace fs = std::filesystem;
  const fs::path folder(directory);
  std::error_code error;
  auto path = [&](const char* file) { return (folder / file).string(); };
  auto exists = [&](const char* file) { return fs::exists(folder / file, error); };
  if (!exists("result.json")) {
    return InvalidInput(directory +
                        " holds no result.json; expected the folder that `cohort train --out` wrote");
  }
  RunData data;
  data.name = fs::weakly_canonical(folder, error).filename().string();
  COHORT_RETURN_IF_ERROR(ReadResult(path("result.json"), &data));
  if (exists("evaluation.json")) {
    COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path("evaluation.json")));
    COHORT_ASSIGN_OR_RETURN(data.evaluation, EvaluationFromJson(text, path("evaluation.json")));
  }
  if (exists(kBestReachableFile)) {
    COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path(kBestReachableFile)));
    COHORT_ASSIGN_OR_RETURN(data.reachable, BestReachableFromJson(text, path(kBestReachableFile)));
  }
  if (exists("run.toml")) {
    COHORT_ASSIGN_OR_RETURN(data.config, ReadFile(path("run.toml")));
  }
  if (exists("metrics.jsonl")) {
    COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path("metrics.jsonl")));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.empty()) continue;
      const Json json = Json::parse(line, nullptr, false);
      if (json.is_object()) {
        data.samples.push_back(SampleFrom(json));
      } else {
        ++data.unreadable_samples;
      }
    }
  }
  return data;
}

}  // namespace cohort
