#include "launch/plan/step_time.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "common/process.h"
#include "launch/plan/plan.h"
#include "launch/run_folder.h"
#include "scheduler/result.h"

namespace cohort {
namespace {

constexpr double kStart = 1.5;             // seconds until everyone has registered
constexpr double kStartCpu = 0.08;         // of a process
constexpr double kForwardShare = 1.0 / 3;  // of a step's computing: an evaluated row
constexpr double kShortestCpu = 2.0;       // of a run to learn from, of its workers; start and end drown less
constexpr std::uint32_t kMostWorkers = 64;
constexpr std::uint64_t kSearchBatches = 8;

double EvaluatedRows(const RunPlan& plan) {
  double rows = 0;
  for (const PlanStep& step : plan.steps)
    if (!step.snapshot && step.kind == PhaseKind::kEvaluate) rows += Real(RowsOf(plan, step.split));
  return rows;
}

double Epochs(const RunPlan& plan) {
  return Real(static_cast<std::uint64_t>(
      std::count_if(plan.steps.begin(), plan.steps.end(),
                    [](const PlanStep& step) { return !step.snapshot && step.kind == PhaseKind::kTrain; })));
}

// Of all rehearsed workers.
double RehearsedSample(const SampledRun& sample) {
  double seconds = 0, rows = 0;
  for (const WorkerKind& kind : sample.kinds)
    seconds += kind.rehearsal.cpu_seconds, rows += kind.rehearsal.trained_rows;
  return rows == 0 ? 0 : seconds / rows;
}

double SampleCost(const SampledRun& sample, const StepCosts& costs) {
  return costs.worker_sample > 0 ? costs.worker_sample : RehearsedSample(sample);
}

double Busiest(const std::vector<Flow>& flows, bool both) {
  double most = 0;
  for (const Flow& flow : flows)
    most = std::max(most, both ? flow.sent + flow.received : std::max(flow.sent, flow.received));
  return most;
}

}  // namespace

StepTime PlanStepTime(const RunInputs& inputs, const RunPlan& plan, const SampledRun& sample,
                      const Traffic& traffic, const MemoryPlan& memory, const StepCosts& costs) {
  const RunConfig& config = inputs.config;
  const bool bsp = plan.consistency == Consistency::kBsp;
  const double workers = plan.workers, servers = config.cluster.servers,
               shards = config.cluster.shards_per_server;
  const double sample_cost = SampleCost(sample, costs);
  StepTime time;
  // The slowest worker: in bsp it may have a slice more than others.
  double rows = std::max(1.0, std::floor(Real(plan.batch_size) / workers));
  if (bsp) rows = std::ceil(plan.slices / workers) * Real(plan.batch_size) / plan.slices;
  const double requests = traffic.step_messages / 2;  // of all workers
  const double compute = rows * sample_cost;
  const double worker_talk =
      requests / workers * costs.worker_request + Busiest(traffic.workers, true) * costs.worker_byte;
  // A server's shards share its work.
  const double server =
      (requests / servers * costs.server_request + Busiest(traffic.servers, true) * costs.server_byte) /
      shards;
  double link = 0;
  if (costs.link_bytes_per_second > 0) {
    const double bytes = std::max(Busiest(traffic.workers, bsp), Busiest(traffic.servers, bsp));
    link = bytes / costs.link_bytes_per_second;  // in bsp pulls and pushes take turns
  }
  const double trips = bsp ? 3 * costs.round_trip : 0;
  time.parts = {{"workers' computing", compute},
                {"workers' messages", worker_talk},
                {"servers' CPU", server},
                {"links", link},
                {"round trips", trips}};
  time.step = bsp ? compute + worker_talk + std::max(server, link) + trips
                  : std::max({compute + worker_talk, server, link});
  const double cpu = workers * (bsp ? Real(plan.batch_size) / workers : rows) * sample_cost +
                     workers * worker_talk + servers * shards * server;
  time.cores = costs.cores != 0 ? costs.cores : static_cast<std::uint32_t>(workers + servers * shards);
  if (costs.cores != 0) {
    time.parts.push_back({"cores", cpu / time.cores});
    time.step = std::max(time.step, time.parts.back().seconds);
  }
  time.binds = std::max_element(time.parts.begin(), time.parts.end(), [](const auto& a, const auto& b) {
                 return a.seconds < b.seconds;
               })->resource;

  const double epochs = Epochs(plan), steps = bsp ? traffic.steps : traffic.steps / workers;
  time.epoch = steps * time.step;
  const double evaluated = EvaluatedRows(plan);
  time.evaluation = evaluated * sample_cost * kForwardShare / std::min(workers, 1.0 * time.cores) +
                    traffic.evaluation / servers * costs.server_byte;
  const double part = memory.checkpoint_bytes / servers;
  double write = part * costs.write_byte / shards;
  if (costs.disk_bytes_per_second > 0) write = std::max(write, part / costs.disk_bytes_per_second);
  const double share = std::clamp(config.checkpoint.core_share, 0.01, 1.0);
  time.checkpoint = std::max(write, part * costs.write_byte / shards / share);
  time.run = kStart + epochs * time.epoch + time.evaluation + write;
  const double talk = requests * steps * epochs;
  time.worker_cpu = workers * kStartCpu +
                    (epochs * Real(RowsOf(plan, Split::kTrain)) + evaluated * kForwardShare) * sample_cost +
                    talk * costs.worker_request + (traffic.training + traffic.evaluation) * costs.worker_byte;
  time.server_cpu = servers * kStartCpu + talk * costs.server_request +
                    (traffic.training + traffic.evaluation + 2 * traffic.replication) * costs.server_byte +
                    memory.model_bytes * costs.write_byte;
  return time;
}

Result<ClusterSize> SmallestCluster(const RunInputs& inputs, const SampledRun& sample, const StepCosts& costs,
                                    double deadline, const PlanProgress& progress) {
  struct Candidate {
    std::uint32_t servers, workers;
  };
  std::vector<Candidate> candidates;
  for (std::uint32_t workers = 1; workers <= kMostWorkers; workers *= 2)
    for (std::uint32_t servers = 1; servers <= workers; servers *= 2)
      candidates.push_back({servers, workers});
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.servers + a.workers < b.servers + b.workers;
  });
  ClusterSize none;
  none.time.run = std::numeric_limits<double>::infinity();
  RunInputs sized = inputs;
  const bool bsp = inputs.config.train.consistency == Consistency::kBsp;
  for (const Candidate& candidate : candidates) {
    if (candidate.servers < 2 && inputs.config.cluster.replicas > 0) continue;
    if (bsp && candidate.workers > inputs.config.train.slices) continue;  // they would have nothing to do
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    sized.config.cluster.servers = candidate.servers;
    sized.config.cluster.workers = candidate.workers;
    COHORT_ASSIGN_OR_RETURN(const RunPlan plan, MakePlan(sized, {}, /*run_id=*/1));
    const double computing = Epochs(plan) * Real(RowsOf(plan, Split::kTrain)) * SampleCost(sample, costs);
    if (const double least = kStart + computing / candidate.workers; least > deadline) {
      none.time.run = std::min(none.time.run, least);
      continue;
    }
    progress("trying " + std::to_string(candidate.servers) + " servers, " +
             std::to_string(candidate.workers) + " workers");
    RunPlan training = plan;  // evaluation is known from the sample
    std::erase_if(training.steps,
                  [](const PlanStep& step) { return step.snapshot || step.kind != PhaseKind::kTrain; });
    SampledRun here = sample;
    COHORT_ASSIGN_OR_RETURN(here.kinds,
                            RehearseWorkers(sized, training, kSearchBatches * plan.batch_size, progress));
    here.kinds.front().rehearsal.evaluations = sample.first().evaluations;
    StepCosts scaled = costs;
    scaled.worker_sample = SampleCost(sample, costs);
    ClusterSize size{candidate.servers, candidate.workers, {}, PlanMemory(sized, plan, here)};
    size.time = PlanStepTime(sized, plan, here, PlanTraffic(sized, plan, here), size.memory, scaled);
    if (size.time.run <= deadline) return size;
    none.time.run = std::min(none.time.run, size.time.run);
  }
  return none;
}

Result<StepCosts> CostsLike(const std::string& run_folder, StepCosts costs, std::uint64_t sample_rows,
                            const PlanProgress& progress) {
  const std::string path = run_folder + "/" + kResultFile;
  const auto text = ReadFile(path);
  const Result<Verdict> verdict =
      text ? VerdictFromJson(*text, path) : Result<Verdict>(tl::unexpected(text.error()));
  const nlohmann::ordered_json json =
      verdict ? nlohmann::ordered_json::parse(*text) : nlohmann::ordered_json();
  if (!verdict || !verdict->done || !json.contains("cpu_seconds") || !json.contains("epochs") ||
      json["epochs"].empty()) {
    return InvalidInput("--like " + run_folder + ": expected the folder of a training that has ended well (" +
                        path + "); train on a part of the data first");
  }
  double workers = 0, servers = 0;
  for (const auto& [process, seconds] : json["cpu_seconds"].items()) {
    if (!seconds.is_number()) continue;
    if (process.rfind("worker", 0) == 0) workers += seconds.get<double>();
    if (process.rfind("server", 0) == 0) servers += seconds.get<double>();
  }
  if (workers < kShortestCpu) {
    return InvalidInput("--like " + run_folder + ": its workers took " + std::to_string(workers) +
                        " s of CPU time; expected at least " + std::to_string(kShortestCpu) +
                        ", lest starting and ending are taken for work: train longer");
  }
  COHORT_ASSIGN_OR_RETURN(const RunConfig config, LoadRunConfig(run_folder + "/" + kRunFile, {}));
  PlanOptions options;
  options.sample_rows = sample_rows;
  COHORT_ASSIGN_OR_RETURN(const Forecast like, ForecastRun(config, options, progress));
  costs.worker_sample = SampleCost(like.sample, costs);
  const StepTime planned =
      PlanStepTime(like.inputs, like.plan, like.sample, like.traffic, like.memory, costs);
  for (double* cost : {&costs.worker_sample, &costs.worker_request, &costs.worker_byte})
    *cost *= workers / planned.worker_cpu;
  for (double* cost : {&costs.server_request, &costs.server_byte, &costs.write_byte})
    *cost *= servers / planned.server_cpu;
  return costs;
}

}  // namespace cohort
