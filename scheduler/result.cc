#include "scheduler/result.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json Losses(const std::vector<std::string>& tasks, const std::vector<double>& loss) {
  Json object = Json::object();
  for (std::size_t task = 0; task < tasks.size() && task < loss.size(); ++task)
    object[tasks[task]] = Number(loss[task]);
  return object;
}

void SetVerdict(const Status& status, Json* object) {
  (*object)["status"] = status.ok() ? "done" : "failed";
  object->erase("reason");
  object->erase("code");
  if (status.ok()) return;
  (*object)["reason"] = status.text();
  (*object)["code"] = status.code() == ErrorCode::kInvalidInput ? "invalid input" : "failure";
}

std::string Dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string ToJson(const Status& status, const RunResult& result) {
  Json json;
  SetVerdict(status, &json);
  json["job"] = result.job;
  json["tasks"] = Json::parse(TaskValuesToJson(result.splits));
  json["samples_per_second"] = Number(result.samples_per_second);
  json["seconds"] = Number(result.seconds);
  json["steps"] = result.steps;
  json["model_hash"] = result.model_hash;
  json["model_rows"] = result.model_rows;
  json["pushes"] = {{"acknowledged", result.pushes_acknowledged},
                    {"lost", result.pushes_lost},
                    {"duplicated", result.pushes_duplicated},
                    {"rolled_back", result.pushes_rolled_back}};
  json["recoveries"] = {{"workers_replaced", result.workers_replaced}};
  json["warnings"] = result.warnings;
  json["counts"] = result.counts;
  json["traffic_bytes"] = result.traffic_bytes;
  json["peak_memory_bytes"] = result.peak_memory_bytes;
  json["cpu_seconds"] = result.cpu_seconds;
  json["epochs"] = Json::array();
  for (const EpochResult& epoch : result.epochs) {
    Json each = {{"epoch", epoch.epoch},
                 {"seconds", Number(epoch.seconds)},
                 {"samples", epoch.samples},
                 {"steps", epoch.steps},
                 {"loss", Losses(result.tasks, epoch.loss)}};
    if (!epoch.valid.empty()) {
      each["valid"] = Json::object();
      for (const TaskMetrics& task : epoch.valid) {
        for (const auto& [metric, value] : task.values) each["valid"][task.name][metric] = Number(value);
      }
    }
    json["epochs"].push_back(std::move(each));
  }
  if (const auto& stopping = result.early_stopping) {
    json["early_stopping"] = {{"metric", stopping->metric},
                              {"patience", stopping->patience},
                              {"best_epoch", stopping->best_epoch},
                              {"best", Number(stopping->best)},
                              {"ended", stopping->ended}};
  }
  json["cluster"] = {{"servers", result.servers}, {"shards", result.shards},
                     {"workers", result.workers}, {"consistency", result.consistency},
                     {"kernels", result.kernels}, {"seed", result.seed}};
  return Dump(json);
}

Status KilledStatus() {
  return {ErrorCode::kUnavailable, "the scheduler was killed before it reached a verdict"};
}

void AddCounters(const MetricsSample& last, RunResult* result) {
  result->traffic_bytes = last.bytes_sent;
  result->pushes_acknowledged = result->pushes_duplicated = 0;
  std::uint64_t defaulted = 0, refused = 0, nan = 0, clipped_weights = 0, clipped_values = 0, cached = 0,
                clipped_gradients = 0,
                not_admitted = 0, evicted = 0, retries = 0, parked = 0, unapplied = 0, forgotten = 0;
  for (const MemberSample& member : last.members) {
    const Counters& counters = member.counters;
    const bool shard = member.node.role == Role::kShard;
    if (shard) {
      result->pushes_acknowledged += counters.pushes_acknowledged;
      result->pushes_duplicated += counters.pushes_duplicated;
      nan += counters.nan_gradients;
      clipped_weights += counters.clipped_weights;
      not_admitted += counters.not_admitted;
      evicted += counters.evicted_idle + counters.evicted_memory;
      parked += counters.pulls_parked;
      forgotten += counters.pulls_forgotten;
      unapplied += counters.queue_depth;
    } else {
      defaulted += counters.absent_rows;
      retries += counters.retries;
      cached += counters.cached_rows;
    }
    refused += counters.bad_frames;
    clipped_values += counters.clipped_values;
    clipped_gradients += counters.clipped_gradients;
    const std::string process = shard ? "server " + std::to_string(member.server) : ToString(member.node);
    std::uint64_t& peak = result->peak_memory_bytes[process];
    peak = std::max(peak, counters.peak_memory_bytes);
    double& cpu = result->cpu_seconds[process];
    cpu = std::max(cpu, counters.busy_seconds);
  }
  // Without a final model nothing that was acknowledged is in it.
  result->pushes_lost = result->model_hash.empty() ? result->pushes_acknowledged : unapplied;
  result->counts["defaulted_rows"] = defaulted;
  result->counts["refused_frames"] = refused;
  result->counts["nan_gradients"] = nan;
  result->counts["clipped_weights"] = clipped_weights;
  result->counts["clipped_values"] = clipped_values;
  result->counts["clipped_gradients"] = clipped_gradients;
  result->counts["not_admitted"] = not_admitted;
  result->counts["evicted"] = evicted;
  result->counts["requests_sent_again"] = retries;
  result->counts["parked_pulls"] = parked;
  result->counts["forgotten_pulls"] = forgotten;
  result->counts["cached_rows"] = cached;
}

Status Verdict::status() const {
  if (done) return {};
  return {invalid_input ? ErrorCode::kInvalidInput : ErrorCode::kUnavailable, reason};
}

Result<Verdict> VerdictFromJson(const std::string& text, const std::string& origin) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto string = [&json](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const std::string status = json.is_object() ? string("status") : "";
  if (status != "done" && status != "failed") {
    return Error(ErrorCode::kCorrupt, origin + ": expected a JSON object with status \"done\" or \"failed\"");
  }
  return Verdict{status == "done", string("code") == "invalid input", string("reason")};
}

std::string ReplaceVerdict(const std::string& text, const Status& status) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return ToJson(status, RunResult{});
  SetVerdict(status, &json);
  return Dump(json);
}

}  // namespace cohort
