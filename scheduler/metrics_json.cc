#include "scheduler/metrics_json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>

#include "common/duration_histogram.h"
#include "scheduler/json_number.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

// Three digits: a bucket is wider.
double Milliseconds(std::size_t bucket) {
  const double value = 1000 * DurationHistogram::Seconds(bucket);
  const double unit = std::pow(10, std::floor(std::log10(value)) - 2);
  return std::round(value / unit) * unit;
}

}  // namespace

const char* PhaseKindName(PhaseKind kind) {
  switch (kind) {
    case PhaseKind::kTrain:
      return "train";
    case PhaseKind::kEvaluate:
      return "evaluate";
    case PhaseKind::kScore:
      return "score";
    case PhaseKind::kStop:
      return "stop";
  }
  return "unknown";
}

std::string ToJsonLine(const MetricsSample& sample, const RunResult& so_far,
                       const std::vector<EpochEvaluation>& evaluations) {
  const std::vector<std::string>& tasks = so_far.tasks;
  Json json = {{"seconds", sample.seconds},
               {"phase", sample.phase},
               {"kind", PhaseKindName(sample.kind)},
               {"epoch", sample.epoch},
               {"split", SplitName(sample.split)},
               {"phase_rows", sample.phase_rows},
               {"phase_samples", sample.phase_samples},
               {"samples_per_second", NumberOrNull(sample.samples_per_second)}};
  json["loss"] = Json::object();
  for (std::size_t task = 0; task < tasks.size() && task < sample.loss.size(); ++task) {
    json["loss"][tasks[task]] = NumberOrNull(sample.loss[task]);
  }
  json["lowest_clock"] = sample.lowest_clock;
  json["highest_clock"] = sample.highest_clock;
  json["queue_depth"] = sample.queue_depth;
  json["bytes_sent"] = sample.bytes_sent;
  json["rows"] = sample.rows;
  json["acknowledged"] = sample.acknowledged;
  json["recoveries"] = Json::parse(RecoveriesToJson(so_far));
  for (const EpochEvaluation& each : evaluations) {
    Json judged = {{"split", each.evaluation.split}, {"epoch", each.epoch}, {"tasks", Json::object()}};
    for (const TaskMetrics& task : each.evaluation.tasks) judged["tasks"][task.name] = task.values;
    json["evaluations"].push_back(std::move(judged));
  }
  json["members"] = Json::array();
  for (const MemberSample& member : sample.members) {
    const Counters& c = member.counters;
    Json each = {{"node", ToString(member.node)},
                 {"host", member.host},
                 {"pid", member.pid},
                 {"clock", c.clock},
                 {"queue_depth", c.queue_depth},
                 {"bytes_received", c.bytes_received},
                 {"bytes_sent", c.bytes_sent},
                 {"bad_frames", c.bad_frames},
                 {"refused_peers", c.refused_peers},
                 {"retries", c.retries},
                 {"clipped_values", c.clipped_values},
                 {"clipped_gradients", c.clipped_gradients},
                 {"cached_rows", c.cached_rows},
                 {"memory_bytes", c.memory_bytes},
                 {"peak_memory_bytes", c.peak_memory_bytes},
                 {"busy_seconds", NumberOrNull(c.busy_seconds)}};
    if (member.node.role == Role::kShard) {
      each["server"] = member.server;
      each["rows"] = c.rows;
      each["pushes_acknowledged"] = c.pushes_acknowledged;
      each["pushes_duplicated"] = c.pushes_duplicated;
      each["pulls_served"] = c.pulls_served;
      each["pulls_parked"] = c.pulls_parked;
      each["nan_gradients"] = c.nan_gradients;
      each["clipped_weights"] = c.clipped_weights;
      each["not_admitted"] = c.not_admitted;
      each["evicted_idle"] = c.evicted_idle;
      each["evicted_memory"] = c.evicted_memory;
      each["pulls_forgotten"] = c.pulls_forgotten;
      each["cold_rows"] = c.cold_rows;
      each["rows_read"] = c.rows_read;
    } else {
      each["samples"] = c.samples;
      each["absent_rows"] = c.absent_rows;
      each["step_seconds"] = Json::object();
      for (std::size_t part = 0; part < c.step_seconds.size() && part < std::size(kStepPartNames); ++part)
        each["step_seconds"][kStepPartNames[part]] = NumberOrNull(c.step_seconds[part]);
      each["step_times"] = Json::array();
      for (std::size_t bucket = 0; bucket < c.step_times.size(); ++bucket) {
        if (c.step_times[bucket] > 0)
          each["step_times"].push_back({Milliseconds(bucket), c.step_times[bucket]});
      }
    }
    if (!member.waiting.empty()) each["waiting"] = member.waiting;
    json["members"].push_back(std::move(each));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ProgressText(const std::string& json_line) {
  const Json json = Json::parse(json_line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("kind")) return "";
  try {
    const std::string kind = json.at("kind");
    if (kind == "stop") return "ending";
    const double rows = json.at("phase_rows"), done = json.at("phase_samples");
    const Json& speed = json.at("samples_per_second");
    char text[160];
    std::snprintf(text, sizeof(text), "%s: %.0f %%, %.1f k samples/s",
                  (kind == "train" ? "epoch " + std::to_string(json.at("epoch").get<unsigned>() + 1)
                                   : kind + " " + json.at("split").get<std::string>())
                      .c_str(),
                  rows > 0 ? std::min(100.0, 100 * done / rows) : 0.0,
                  speed.is_number() ? speed.get<double>() / 1000 : 0);
    std::string line = text;
    for (const auto& [task, loss] : json.at("loss").items()) {
      if (!loss.is_number()) continue;
      std::snprintf(text, sizeof(text), "%.4g", loss.get<double>());
      line += (line.find("loss") == std::string::npos ? ", loss " : ", ") + task + " " + text;
    }
    return line;
  } catch (const Json::exception&) {
    return "";  // a line that is not of this format
  }
}

}  // namespace cohort
