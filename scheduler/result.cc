#include "scheduler/result.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/duration_histogram.h"
#include "scheduler/json_number.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

Json Losses(const std::vector<std::string>& tasks, const std::vector<double>& loss) {
  Json object = Json::object();
  for (std::size_t task = 0; task < tasks.size() && task < loss.size(); ++task)
    object[tasks[task]] = NumberOrNull(loss[task]);
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

std::string RecoveriesToJson(const RunResult& result) {
  const Json json = {{"workers_replaced", result.workers_replaced},
                     {"failovers", result.failovers},
                     {"moved", result.moved},
                     {"takeovers", result.takeovers},
                     {"restarts", result.restarts},
                     {"checkpoints", result.checkpoints}};
  return json.dump();
}

std::string ToJson(const Status& status, const RunResult& result) {
  Json json;
  SetVerdict(status, &json);
  json["job"] = result.job;
  json["tasks"] = Json::parse(TaskValuesToJson(result.splits));
  json["samples_per_second"] = NumberOrNull(result.samples_per_second);
  json["seconds"] = NumberOrNull(result.seconds);
  json["steps"] = result.steps;
  if (!result.step_times.empty()) {
    const auto milliseconds = [&](double q) {
      return NumberOrNull(1000 * DurationHistogram::Quantile(result.step_times, q));
    };
    json["step_ms"] = {{"median", milliseconds(0.5)},
                       {"p99", milliseconds(0.99)},
                       {"p99_9", milliseconds(0.999)},
                       {"longest", milliseconds(1)}};
  }
  json["model_hash"] = result.model_hash;
  json["model_rows"] = result.model_rows;
  json["pushes"] = {{"acknowledged", result.pushes_acknowledged},
                    {"lost", result.pushes_lost},
                    {"duplicated", result.pushes_duplicated},
                    {"rolled_back", result.pushes_rolled_back}};
  if (result.recoverable && !status.ok()) json["recoverable"] = true;
  json["recoveries"] = Json::parse(RecoveriesToJson(result));
  json["warnings"] = result.warnings;
  json["counts"] = result.counts;
  json["traffic_bytes"] = result.traffic_bytes;
  json["peak_memory_bytes"] = result.peak_memory_bytes;
  json["cpu_seconds"] = result.cpu_seconds;
  json["epochs"] = Json::array();
  for (const EpochResult& epoch : result.epochs) {
    Json each = {{"epoch", epoch.epoch},
                 {"seconds", NumberOrNull(epoch.seconds)},
                 {"samples", epoch.samples},
                 {"steps", epoch.steps},
                 {"loss", Losses(result.tasks, epoch.loss)}};
    if (!epoch.valid.empty()) {
      each["valid"] = Json::object();
      for (const TaskMetrics& task : epoch.valid) {
        for (const auto& [metric, value] : task.values)
          each["valid"][task.name][metric] = NumberOrNull(value);
      }
    }
    json["epochs"].push_back(std::move(each));
  }
  if (const auto& stopping = result.early_stopping) {
    json["early_stopping"] = {{"metric", stopping->metric},
                              {"patience", stopping->patience},
                              {"best_epoch", stopping->best_epoch},
                              {"best", NumberOrNull(stopping->best)},
                              {"ended", stopping->ended}};
  }
  json["cluster"] = {{"servers", result.servers}, {"shards", result.shards},
                     {"workers", result.workers}, {"consistency", result.consistency},
                     {"kernels", result.kernels}, {"seed", result.seed}};
  return Dump(json);
}

std::string ProgressToJson(const RunResult& result) {
  std::vector<SplitEvaluation> valid;  // of the epochs, by their place
  Json json = {{"model_hash", result.model_hash},
               {"model_rows", result.model_rows},
               {"rolled_back", result.pushes_rolled_back},
               {"workers_replaced", result.workers_replaced},
               {"failovers", result.failovers},
               {"moved", result.moved},
               {"takeovers", result.takeovers},
               {"restarts", result.restarts},
               {"checkpoints", result.checkpoints},
               {"warnings", result.warnings}};
  json["epochs"] = Json::array();
  for (const EpochResult& epoch : result.epochs) {
    Json loss = Json::array();
    for (const double value : epoch.loss) loss.push_back(NumberOrNull(value));
    json["epochs"].push_back({{"epoch", epoch.epoch},
                              {"seconds", epoch.seconds},
                              {"samples", epoch.samples},
                              {"steps", epoch.steps},
                              {"loss", std::move(loss)}});
    valid.push_back({std::to_string(valid.size()), epoch.valid});
  }
  json["valid"] = Json::parse(EvaluationToJson(valid));
  json["splits"] = Json::parse(EvaluationToJson(result.splits));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Status ProgressFromJson(const std::string& text, RunResult* result) {
  const std::string origin = "the checkpoint's account of the run";
  try {
    const Json json = Json::parse(text);
    json.at("model_hash").get_to(result->model_hash);
    json.at("model_rows").get_to(result->model_rows);
    json.at("rolled_back").get_to(result->pushes_rolled_back);
    json.at("workers_replaced").get_to(result->workers_replaced);
    result->failovers = json.value("failovers", 0u);
    result->moved = json.value("moved", 0u);
    result->takeovers = json.value("takeovers", 0u);
    json.at("restarts").get_to(result->restarts);
    json.at("checkpoints").get_to(result->checkpoints);
    json.at("warnings").get_to(result->warnings);
    COHORT_ASSIGN_OR_RETURN(std::vector<SplitEvaluation> valid,
                            EvaluationFromJson(json.at("valid").dump(), origin));
    COHORT_ASSIGN_OR_RETURN(result->splits, EvaluationFromJson(json.at("splits").dump(), origin));
    for (const Json& each : json.at("epochs")) {
      EpochResult epoch;
      each.at("epoch").get_to(epoch.epoch);
      each.at("seconds").get_to(epoch.seconds);
      each.at("samples").get_to(epoch.samples);
      each.at("steps").get_to(epoch.steps);
      for (const Json& loss : each.at("loss"))
        epoch.loss.push_back(loss.is_number() ? loss.get<double>() : std::nan(""));
      const std::size_t place = result->epochs.size();
      if (place < valid.size()) epoch.valid = std::move(valid[place].tasks);
      result->epochs.push_back(std::move(epoch));
    }
  } catch (const Json::exception& error) {
    return {ErrorCode::kCorrupt, origin + ": " + error.what()};
  }
  return {};
}

Status KilledStatus() {
  return {ErrorCode::kUnavailable, "the scheduler was killed before it reached a verdict"};
}

void AddCounters(const MetricsSample& last, RunResult* result) {
  result->traffic_bytes = last.bytes_sent;
  result->pushes_acknowledged = result->pushes_duplicated = 0;
  result->step_times.clear();
  std::uint64_t defaulted = 0, refused = 0, refused_peers = 0, nan = 0, clipped_weights = 0,
                clipped_values = 0, cached = 0, clipped_gradients = 0, not_admitted = 0, evicted = 0,
                retries = 0, parked = 0, unapplied = 0, forgotten = 0;
  for (const MemberSample& member : last.members) {
    const Counters& counters = member.counters;
    const bool shard = member.node.role == Role::kShard;
    const bool server = shard || member.node.role == Role::kBackup;
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
      std::vector<std::uint64_t>& times = result->step_times;
      times.resize(std::max(times.size(), counters.step_times.size()));
      for (std::size_t i = 0; i < counters.step_times.size(); ++i) times[i] += counters.step_times[i];
    }
    refused += counters.bad_frames;
    refused_peers += counters.refused_peers;
    clipped_values += counters.clipped_values;
    clipped_gradients += counters.clipped_gradients;
    const std::string process = server ? "server " + std::to_string(member.server) : ToString(member.node);
    std::uint64_t& peak = result->peak_memory_bytes[process];
    peak = std::max(peak, counters.peak_memory_bytes);
    double& cpu = result->cpu_seconds[process];
    cpu = std::max(cpu, counters.busy_seconds);
  }
  // Without a final model nothing that was acknowledged is in it.
  result->pushes_lost = result->model_hash.empty() ? result->pushes_acknowledged : unapplied;
  result->counts["defaulted_rows"] = defaulted;
  result->counts["refused_frames"] = refused;
  result->counts["refused_peers"] = refused_peers;
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
  const auto recoverable = json.find("recoverable");
  return Verdict{status == "done", string("code") == "invalid input",
                 recoverable != json.end() && recoverable->is_boolean() && recoverable->get<bool>(),
                 string("reason")};
}

std::string ReplaceVerdict(const std::string& text, const Status& status) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return ToJson(status, RunResult{});
  SetVerdict(status, &json);
  return Dump(json);
}

}  // namespace cohort
