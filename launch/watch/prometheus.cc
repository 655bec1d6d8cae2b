#include "launch/watch/prometheus.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace cohort {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

struct LabelledValue {
  Labels labels;
  double value;
};

std::string EscapeLabel(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      escaped += c;
    }
  }
  return escaped;
}

std::vector<LabelledValue> One(double value) { return {{{}, value}}; }

// Of each member of a role: "worker" names it by its number.
std::vector<LabelledValue> OfEach(const RunState& state, const std::string& role,
                                  double WatchedMember::*value) {
  std::vector<LabelledValue> values;
  for (const WatchedMember& member : state.members) {
    if (member.role != role || member.node.size() < role.size() + 1) continue;
    Labels labels = {{role, member.node.substr(role.size() + 1)}, {"host", member.host}};
    if (std::isfinite(member.server))
      labels.push_back({"server", std::to_string(static_cast<long long>(member.server))});
    values.push_back({std::move(labels), member.*value});
  }
  return values;
}

double CountOf(const RunState& state, const char* recovery) {
  const auto found = state.recoveries.find(recovery);
  return found == state.recoveries.end() ? kUnknown : found->second;
}

std::vector<LabelledValue> Stages(const RunState& state) {
  std::vector<LabelledValue> values;
  for (const RunStage stage : kRunStages)
    values.push_back({{{"stage", RunStageName(stage)}}, stage == state.stage ? 1.0 : 0.0});
  return values;
}

std::vector<LabelledValue> Losses(const RunState& state) {
  std::vector<LabelledValue> values;
  for (const WatchedTask& task : state.tasks) values.push_back({{{"task", task.name}}, task.loss});
  return values;
}

std::vector<LabelledValue> Metrics(const RunState& state) {
  std::vector<LabelledValue> values;
  for (const WatchedTask& task : state.tasks) {
    for (const JudgedSplit& judged : task.judged) {
      for (const auto& [metric, value] : judged.metrics)
        values.push_back({{{"task", task.name}, {"split", judged.split}, {"metric", metric}}, value});
    }
  }
  return values;
}

std::vector<LabelledValue> Recoveries(const RunState& state) {
  std::vector<LabelledValue> values;
  for (const char* kind : {"workers_replaced", "failovers", "moved", "takeovers", "restarts"})
    values.push_back({{{"kind", kind}}, CountOf(state, kind)});
  return values;
}

struct Family {
  const char* name;
  const char* type;
  const char* help;
  std::vector<LabelledValue> (*values)(const RunState& state);
};

using State = const RunState&;
constexpr Family kFamilies[] = {
    {"cohort_run_stage", "gauge", "1 for the stage that the run is in.", Stages},
    {"cohort_sample_age_seconds", "gauge", "Since metrics.jsonl got its newest line.",
     [](State s) { return One(s.age_seconds); }},
    {"cohort_run_seconds", "gauge", "Since the start of the run, or its newest restart.",
     [](State s) { return One(s.seconds); }},
    {"cohort_epoch", "gauge", "The current epoch, from 0.", [](State s) { return One(s.epoch); }},
    {"cohort_phase_rows", "gauge", "Rows of the current phase's split.",
     [](State s) { return One(s.phase_rows); }},
    {"cohort_phase_samples", "gauge", "Of these rows, handled so far.",
     [](State s) { return One(s.phase_samples); }},
    {"cohort_samples_per_second", "gauge", "Samples handled by all workers.",
     [](State s) { return One(s.samples_per_second); }},
    {"cohort_rows_per_second", "gauge", "Rows pulled from all shards.",
     [](State s) { return One(s.rows_per_second); }},
    {"cohort_loss", "gauge", "Training loss over the last second or so, by task.", Losses},
    {"cohort_task_metric", "gauge", "Newest metrics of each task and split.", Metrics},
    {"cohort_clock_lowest", "gauge", "Clock of the slowest worker.",
     [](State s) { return One(s.lowest_clock); }},
    {"cohort_clock_highest", "gauge", "Clock of the fastest worker.",
     [](State s) { return One(s.highest_clock); }},
    {"cohort_clock_spread", "gauge", "Clocks between the fastest and the slowest worker.",
     [](State s) { return One(s.clock_spread); }},
    {"cohort_queue_depth", "gauge", "Requests that wait at the shards.",
     [](State s) { return One(s.queue_depth); }},
    {"cohort_rows", "gauge", "Rows held by the shards.", [](State s) { return One(s.rows); }},
    {"cohort_memory_bytes", "gauge", "Resident memory of servers and workers.",
     [](State s) { return One(s.memory_bytes); }},
    {"cohort_bytes_sent_total", "counter", "Bytes sent by servers and workers.",
     [](State s) { return One(s.bytes_sent); }},
    {"cohort_refused_peers_total", "counter", "Connections of strangers to servers, refused.",
     [](State s) { return One(s.refused_peers); }},
    {"cohort_pushes_acknowledged_total", "counter", "Parts of pushes, acknowledged.",
     [](State s) { return One(s.acknowledged); }},
    {"cohort_pushes_duplicated_total", "counter", "Parts of pushes that came again and did not count again.",
     [](State s) { return One(s.duplicated); }},
    {"cohort_checkpoints_total", "counter", "Checkpoints written.",
     [](State s) { return One(CountOf(s, "checkpoints")); }},
    {"cohort_recoveries_total", "counter", "What was replaced, moved or started again, by kind.", Recoveries},
    {"cohort_hang_reports_total", "counter", "Pages of hang_report.md.",
     [](State s) { return One(s.hang_reports); }},
    {"cohort_worker_samples_total", "counter", "Samples handled by a worker.",
     [](State s) { return OfEach(s, "worker", &WatchedMember::samples); }},
    {"cohort_worker_samples_per_second", "gauge", "Samples per second of a worker.",
     [](State s) { return OfEach(s, "worker", &WatchedMember::samples_per_second); }},
    {"cohort_worker_clock", "gauge", "A worker's clock.",
     [](State s) { return OfEach(s, "worker", &WatchedMember::clock); }},
    {"cohort_worker_memory_bytes", "gauge", "Resident memory of a worker.",
     [](State s) { return OfEach(s, "worker", &WatchedMember::memory_bytes); }},
    {"cohort_worker_cpu_seconds_total", "counter", "CPU time of a worker.",
     [](State s) { return OfEach(s, "worker", &WatchedMember::cpu_seconds); }},
    {"cohort_shard_rows", "gauge", "Rows held by a shard.",
     [](State s) { return OfEach(s, "shard", &WatchedMember::rows); }},
    {"cohort_shard_rows_served_total", "counter", "Rows pulled from a shard.",
     [](State s) { return OfEach(s, "shard", &WatchedMember::rows_served); }},
    {"cohort_shard_queue_depth", "gauge", "Requests that wait at a shard.",
     [](State s) { return OfEach(s, "shard", &WatchedMember::queue_depth); }},
    {"cohort_shard_pulls_parked_total", "counter", "Pulls that had to wait for a slower worker.",
     [](State s) { return OfEach(s, "shard", &WatchedMember::pulls_parked); }},
    {"cohort_shard_memory_bytes", "gauge", "Resident memory of a shard's server process.",
     [](State s) { return OfEach(s, "shard", &WatchedMember::memory_bytes); }},
    {"cohort_shard_cpu_seconds_total", "counter", "CPU time of a shard's server process.",
     [](State s) { return OfEach(s, "shard", &WatchedMember::cpu_seconds); }},
};

}  // namespace

std::string PrometheusText(const RunState& state) {
  std::string text;
  for (const Family& family : kFamilies) {
    std::string samples;
    for (LabelledValue& each : family.values(state)) {
      if (!std::isfinite(each.value)) continue;
      std::string labels = "run=\"" + EscapeLabel(state.name) + "\"";
      for (const auto& [name, value] : each.labels) labels += "," + name + "=\"" + EscapeLabel(value) + "\"";
      char number[40];
      std::snprintf(number, sizeof(number), "%.17g", each.value);
      samples += std::string(family.name) + "{" + labels + "} " + number + "\n";
    }
    if (samples.empty()) continue;
    text += std::string("# HELP ") + family.name + " " + family.help + "\n# TYPE " + family.name + " " +
            family.type + "\n" + samples;
  }
  return text;
}

std::vector<std::string> PrometheusNames() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.push_back(family.name);
  return names;
}

}  // namespace cohort
