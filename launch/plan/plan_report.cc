// What a forecast looks like, to people and to programs.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "launch/plan/plan.h"
#include "launch/report/html.h"
#include "scheduler/json_number.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

template <typename... Values>
std::string Line(const char* format, Values... values) {
  char line[256];
  std::snprintf(line, sizeof(line), format, values...);
  return std::string(line) + "\n";
}

std::string Counted(std::uint64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// Short ones to their digits.
std::string SecondsOf(double seconds) { return Format(seconds < 10 ? "%.3g s" : "%.1f s", seconds); }

std::string WhyMissed(const Forecast& forecast) {
  return "no cluster of up to 64 workers meets the deadline of " + SecondsOf(forecast.deadline) +
         ": the run takes " + SecondsOf(forecast.smallest.time.run) + " at least";
}

std::string PartsOf(const ProcessMemory& process) {
  std::string parts;
  for (const MemoryPart& part : process.parts)
    parts += (parts.empty() ? "" : ", ") + part.name + " " + FormatBytes(part.bytes);
  return parts;
}

// Neighbours that take the same, to the text's digits, are one line.
std::string LinesOf(const std::vector<ProcessMemory>& processes) {
  std::string text;
  for (std::size_t i = 0; i < processes.size();) {
    std::size_t end = i + 1;
    while (end < processes.size() && PartsOf(processes[end]) == PartsOf(processes[i])) ++end;
    const std::string name =
        processes[i].process + (end > i + 1 ? " to " + std::to_string(end - 1) : std::string());
    text += Line("  %-16s %10s", name.c_str(), FormatBytes(processes[i].bytes()).c_str());
    text.pop_back();
    text += "   " + PartsOf(processes[i]) + "\n";
    i = end;
  }
  return text;
}

std::string FlowsOf(const char* what, const std::vector<Flow>& flows) {
  Flow most;
  for (const Flow& flow : flows)
    most.sent = std::max(most.sent, flow.sent), most.received = std::max(most.received, flow.received);
  return Line("  %-16s %10s   sent, %s received", what, FormatBytes(most.sent).c_str(),
              FormatBytes(most.received).c_str());
}

Json ToJson(const ProcessMemory& process) {
  Json parts = Json::object();
  for (const MemoryPart& part : process.parts) parts[part.name] = std::llround(part.bytes);
  return {{"bytes", std::llround(process.bytes())}, {"parts", std::move(parts)}};
}

Json ToJson(const std::vector<Flow>& flows) {
  Json list = Json::array();
  for (const Flow& flow : flows)
    list.push_back(
        {{"sent_bytes", std::llround(flow.sent)}, {"received_bytes", std::llround(flow.received)}});
  return list;
}

std::string TimesOf(const Forecast& forecast) {
  const StepTime& time = forecast.time;
  std::string text = Line("\na training step: %.2f ms on %s, for which it waits longest on %s",
                          1000 * time.step, Counted(time.cores, "core").c_str(), time.binds.c_str());
  for (const ResourceTime& part : time.parts)
    if (part.seconds > 0) text += Line("  %-20s %9.3f ms", part.resource.c_str(), 1000 * part.seconds);
  text += Line("an epoch: %.1f s; the run, with evaluation: %.1f s; a checkpoint: %.1f s", time.epoch,
               time.run, time.checkpoint);
  if (forecast.price_per_hour > 0)
    text += Line("an epoch costs %.4g, at %g for a core and hour", forecast.CostOf(time),
                 forecast.price_per_hour);
  if (forecast.deadline <= 0) return text;
  const ClusterSize& smallest = forecast.smallest;
  if (forecast.missed()) return text + WhyMissed(forecast) + "\n";
  text += Line("the smallest cluster within %s: --servers %u --workers %u, %s",
               SecondsOf(forecast.deadline).c_str(), smallest.servers, smallest.workers,
               SecondsOf(smallest.time.run).c_str());
  text += Line("  memory: %s a server, %s a worker; it waits longest on %s",
               FormatBytes(smallest.memory.largest_server()).c_str(),
               FormatBytes(smallest.memory.largest_worker()).c_str(), smallest.time.binds.c_str());
  return text;
}

Json ToJson(const Forecast& forecast, const StepTime& time) {
  Json parts = Json::object();
  for (const ResourceTime& part : time.parts) parts[part.resource] = NumberOrNull(part.seconds);
  Json json = {{"cores", time.cores},
               {"step_seconds", NumberOrNull(time.step)},
               {"busy_seconds", std::move(parts)},
               {"binds", time.binds},
               {"epoch_seconds", NumberOrNull(time.epoch)},
               {"run_seconds", NumberOrNull(time.run)},
               {"checkpoint_seconds", NumberOrNull(time.checkpoint)}};
  if (forecast.price_per_hour > 0) json["epoch_cost"] = NumberOrNull(forecast.CostOf(time));
  return json;
}

Json SmallestToJson(const Forecast& forecast) {
  const ClusterSize& smallest = forecast.smallest;
  Json json = {{"deadline_seconds", NumberOrNull(forecast.deadline)}, {"met", smallest.servers > 0}};
  if (smallest.servers == 0) {
    json["least_run_seconds"] = NumberOrNull(smallest.time.run);
    return json;
  }
  json["servers"] = smallest.servers;
  json["workers"] = smallest.workers;
  json["time"] = ToJson(forecast, smallest.time);
  json["server_memory_bytes"] = std::llround(smallest.memory.largest_server());
  json["worker_memory_bytes"] = std::llround(smallest.memory.largest_worker());
  return json;
}

}  // namespace

std::string ToText(const Forecast& forecast) {
  const Traffic& traffic = forecast.traffic;
  const MemoryPlan& memory = forecast.memory;
  const ClusterConfig& cluster = forecast.inputs.config.cluster;
  std::string text =
      Line("%s of %s, %s, %s; %.0f steps an epoch, %s", Counted(cluster.servers, "server").c_str(),
           Counted(cluster.shards_per_server, "shard").c_str(), Counted(cluster.workers, "worker").c_str(),
           ConsistencyName(forecast.plan.consistency), traffic.steps,
           Counted(forecast.inputs.config.train.epochs, "epoch").c_str());
  text += Line("model: %.0f rows of embeddings%s, %s; a checkpoint as much", memory.model_rows,
               forecast.sample.exact_rows ? "" : " (+-0.3 %)", FormatBytes(memory.model_bytes).c_str());
  text += "\nmemory at its highest: " + FormatBytes(memory.total()) + " in all\n";
  text += LinesOf({memory.scheduler}) + LinesOf(memory.servers) + LinesOf(memory.workers);
  text += "\nsent in the whole run: " + FormatBytes(traffic.total()) + "\n";
  const std::pair<const char*, double> parts[] = {{"training", traffic.training},
                                                  {"to backups", traffic.replication},
                                                  {"evaluation", traffic.evaluation},
                                                  {"control", traffic.control}};
  for (const auto& [name, bytes] : parts)
    if (bytes > 0) text += Line("  %-16s %10s", name, FormatBytes(bytes).c_str());
  text += Line("  %-16s %10s   a second beside", "heartbeats",
               FormatBytes(traffic.heartbeats_per_second).c_str());
  if (traffic.sampling_error > 0)
    text += Line("  training is known to +-%.2f %% (twice the standard error of the sample)",
                 200 * traffic.sampling_error);
  text += "\na training step, the most of any:\n";
  text += FlowsOf("a worker", traffic.workers) + FlowsOf("a server", traffic.servers);
  text += Line("  %-16s %10s   both ways", "worker, server", FormatBytes(traffic.largest_link).c_str());
  return text + TimesOf(forecast);
}

std::string ToJson(const Forecast& forecast) {
  const Traffic& traffic = forecast.traffic;
  const MemoryPlan& memory = forecast.memory;
  const RunConfig& config = forecast.inputs.config;
  Json peak = Json::object(), processes = Json::object();
  const auto add = [&](const ProcessMemory& process) {
    peak[process.process] = std::llround(process.bytes());
    processes[process.process] = ToJson(process);
  };
  add(memory.scheduler);
  std::for_each(memory.servers.begin(), memory.servers.end(), add);
  std::for_each(memory.workers.begin(), memory.workers.end(), add);
  Json json = {
      {"status", forecast.missed() ? "failed" : "done"},
      {"run",
       {{"servers", config.cluster.servers},
        {"shards_per_server", config.cluster.shards_per_server},
        {"workers", config.cluster.workers},
        {"replicas", config.cluster.replicas},
        {"consistency", ConsistencyName(forecast.plan.consistency)},
        {"batch_size", config.train.batch_size},
        {"epochs", config.train.epochs},
        {"steps_per_epoch", std::llround(traffic.steps)}}},
      {"model",
       {{"rows", std::llround(memory.model_rows)},
        {"rows_exact", forecast.sample.exact_rows},
        {"bytes", std::llround(memory.model_bytes)},
        {"checkpoint_bytes", std::llround(memory.checkpoint_bytes)}}},
      {"peak_memory_bytes", std::move(peak)},
      {"memory", {{"total_bytes", std::llround(memory.total())}, {"processes", std::move(processes)}}},
      {"traffic_bytes", std::llround(traffic.total())},
      {"traffic",
       {{"training_bytes", std::llround(traffic.training)},
        {"replication_bytes", std::llround(traffic.replication)},
        {"evaluation_bytes", std::llround(traffic.evaluation)},
        {"control_bytes", std::llround(traffic.control)},
        {"heartbeat_bytes_per_second", std::llround(traffic.heartbeats_per_second)},
        {"sampling_error", NumberOrNull(traffic.sampling_error)},
        {"step",
         {{"messages", NumberOrNull(traffic.step_messages)},
          {"largest_link_bytes", std::llround(traffic.largest_link)},
          {"workers", ToJson(traffic.workers)},
          {"servers", ToJson(traffic.servers)}}}}}};
  json["time"] = ToJson(forecast, forecast.time);
  if (forecast.deadline > 0) json["smallest_cluster"] = SmallestToJson(forecast);
  if (forecast.missed()) json["reason"] = WhyMissed(forecast);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cohort
