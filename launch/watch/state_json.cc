#include "launch/watch/state_json.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "scheduler/json_number.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

Json Numbers(const std::map<std::string, double>& numbers) {
  Json object = Json::object();
  for (const auto& [name, value] : numbers) object[name] = NumberOrNull(value);
  return object;
}

Json JudgedJson(const JudgedSplit& judged) {
  return {
      {"split", judged.split}, {"epoch", NumberOrNull(judged.epoch)}, {"metrics", Numbers(judged.metrics)}};
}

Json TasksJson(const RunState& state) {
  Json tasks = Json::array();
  for (const WatchedTask& task : state.tasks) {
    Json each = {{"name", task.name}, {"loss", NumberOrNull(task.loss)}};
    each["judged"] = Json::array();
    for (const JudgedSplit& judged : task.judged) each["judged"].push_back(JudgedJson(judged));
    each["valid"] = Json::array();
    for (const JudgedSplit& judged : task.valid) each["valid"].push_back(JudgedJson(judged));
    tasks.push_back(std::move(each));
  }
  return tasks;
}

Json MemberJson(const WatchedMember& member) {
  Json json = {{"role", member.role},
               {"node", member.node},
               {"host", member.host},
               {"pid", NumberOrNull(member.pid)},
               {"presence", member.presence},
               {"waiting", member.waiting},
               {"clock", std::isinf(member.clock) ? Json("end") : NumberOrNull(member.clock)},
               {"queue_depth", NumberOrNull(member.queue_depth)},
               {"memory_bytes", NumberOrNull(member.memory_bytes)},
               {"cpu_seconds", NumberOrNull(member.cpu_seconds)},
               {"load", NumberOrNull(member.load)},
               {"bytes_sent", NumberOrNull(member.bytes_sent)},
               {"refused_peers", NumberOrNull(member.refused_peers)}};
  if (member.role == "worker") {
    json["samples"] = NumberOrNull(member.samples);
    json["samples_per_second"] = NumberOrNull(member.samples_per_second);
  } else if (member.role == "shard") {
    json["server"] = NumberOrNull(member.server);
    json["rows"] = NumberOrNull(member.rows);
    json["rows_served"] = NumberOrNull(member.rows_served);
    json["rows_per_second"] = NumberOrNull(member.rows_per_second);
    json["pushes_acknowledged"] = NumberOrNull(member.pushes_acknowledged);
    json["pushes_duplicated"] = NumberOrNull(member.pushes_duplicated);
    json["pulls_parked"] = NumberOrNull(member.pulls_parked);
  }
  return json;
}

Json Points(const std::vector<double>& values) {
  Json points = Json::array();
  for (const double value : values) {
    char digits[32];
    std::snprintf(digits, sizeof(digits), "%.5g", value);
    const double rounded = std::strtod(digits, nullptr);
    const bool whole = std::abs(rounded) < 1e15 && rounded == std::floor(rounded);  // shorter without ".0"
    points.push_back(whole ? Json(static_cast<std::int64_t>(rounded)) : NumberOrNull(rounded));
  }
  return points;
}

}  // namespace

std::string StateToJson(const RunState& state) {
  Json json = {{"name", state.name},
               {"stage", RunStageName(state.stage)},
               {"reason", state.reason},
               {"problems", state.problems},
               {"warnings", state.warnings},
               {"model_hash", state.model_hash},
               {"age_seconds", NumberOrNull(state.age_seconds)},
               {"read_share", state.read_share},
               {"phase", NumberOrNull(state.phase)},
               {"kind", state.kind},
               {"split", state.split},
               {"epoch", NumberOrNull(state.epoch)},
               {"phase_rows", NumberOrNull(state.phase_rows)},
               {"phase_samples", NumberOrNull(state.phase_samples)},
               {"seconds", NumberOrNull(state.seconds)},
               {"samples_per_second", NumberOrNull(state.samples_per_second)},
               {"rows_per_second", NumberOrNull(state.rows_per_second)},
               {"bytes_per_second", NumberOrNull(state.bytes_per_second)},
               {"lowest_clock", NumberOrNull(state.lowest_clock)},
               {"highest_clock", NumberOrNull(state.highest_clock)},
               {"clock_spread", NumberOrNull(state.clock_spread)},
               {"queue_depth", NumberOrNull(state.queue_depth)},
               {"rows", NumberOrNull(state.rows)},
               {"memory_bytes", NumberOrNull(state.memory_bytes)},
               {"bytes_sent", NumberOrNull(state.bytes_sent)},
               {"refused_peers", NumberOrNull(state.refused_peers)},
               {"acknowledged", NumberOrNull(state.acknowledged)},
               {"duplicated", NumberOrNull(state.duplicated)},
               {"recoveries", Numbers(state.recoveries)},
               {"tasks", TasksJson(state)}};
  json["members"] = Json::array();
  for (const WatchedMember& member : state.members) json["members"].push_back(MemberJson(member));
  json["checkpoints"] = state.checkpoints;
  json["events"] = Json::array();
  for (const RunEvent& event : state.events) {
    json["events"].push_back({{"time", event.time},
                              {"who", event.who},
                              {"kind", EventKindName(event.kind)},
                              {"text", event.text}});
  }
  json["hang_reports"] = state.hang_reports;
  json["hang_report"] = state.hang_report;
  json["result"] = Json::object();
  for (const auto& [name, value] : state.result) json["result"][name] = NumberOrNull(value);
  json["history"] = {{"seconds", Points(state.history.seconds())}, {"series", Json::object()}};
  for (const auto& [name, values] : state.history.series()) json["history"]["series"][name] = Points(values);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cohort
