#include "launch/simulate/simulate.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <tuple>
#include <utility>

#include "launch/bench/stopwatch.h"
#include "launch/bench/training_job.h"
#include "launch/simulate/workload_fit.h"

namespace cohort {
namespace {

constexpr double kBitsOfByte = 8;
constexpr double kHardlyBusy = 0.5;          // below it nothing is a bottleneck; waiting is
constexpr std::uint64_t kDrawnBatches = 40;  // of a job's data: enough to know them by

using Progress = std::function<void(const std::string&)>;

std::string Percent(double share) {
  char text[16];
  std::snprintf(text, sizeof(text), "%.0f %%", 100 * share);
  return text;
}

SimulationInput InputOf(const scale::Settings& settings, const RunConfig& config,
                        const SimulateOptions& options, std::uint64_t rows) {
  SimulationInput input;
  input.costs = options.costs;
  input.workers = settings.workers;
  input.servers = settings.servers;
  input.shards_per_server = settings.shards_per_server;
  input.consistency = config.train.consistency;
  input.staleness = config.train.staleness;
  input.slices = config.train.slices;
  input.batch_size = config.train.batch_size;
  input.rows = options.steps > 0 ? options.steps * config.train.batch_size : rows;
  input.request_rows = config.cluster.request_rows;
  input.hosts = options.hosts;
  input.cores_per_host = options.cores_per_host;
  input.link_bytes_per_second = options.link_gbit * 1e9 / kBitsOfByte;
  input.link_latency_seconds = options.latency_us * 1e-6;
  input.shared_link_bytes_per_second = settings.link_mbit * 1e6 / kBitsOfByte;
  input.straggler_share = options.straggler_share;
  input.straggler_factor = options.straggler_factor;
  input.faults_per_hour = settings.faults_per_hour;
  input.seed = config.seed;
  return input;
}

scale::Figures FiguresOf(const SimulationResult& result) {
  const auto samples = static_cast<double>(result.samples);
  const auto per_million = [&](double amount) { return amount / samples * 1e6; };
  return {{"samples_per_second", samples / result.seconds},
          {"seconds", result.seconds},
          {"cpu_s_per_msample",
           per_million(result.worker_cpu_seconds + result.server_cpu_seconds + result.scheduler_cpu_seconds)},
          {"worker_cpu_s_per_msample", per_million(result.worker_cpu_seconds)},
          {"server_cpu_s_per_msample", per_million(result.server_cpu_seconds)},
          {"scheduler_cpu_s_per_msample", per_million(result.scheduler_cpu_seconds)},
          {"worker_bytes_per_msample", per_million(result.worker_bytes)},
          {"server_bytes_per_msample", per_million(result.server_bytes)},
          {"compute_share", result.compute_share},
          {"pull_wait_share", result.pull_wait_share},
          {"read_wait_share", result.read_wait_share},
          {"end_wait_share", result.end_wait_share},
          {"busiest_worker_thread", result.busiest_worker_thread},
          {"busiest_reader_thread", result.busiest_reader},
          {"busiest_shard_thread", result.busiest_shard_thread},
          {"busiest_server_io_thread", result.busiest_server_io},
          {"busiest_link", result.busiest_link},
          {"busiest_host", result.busiest_host},
          {"scheduler_thread", result.scheduler_thread},
          {"recoveries", result.workers_replaced}};
}

// What is known of the points' workloads so far: equal ones are measured once.
class Workloads {
 public:
  Workloads(const scale::Experiment& experiment, const SimulateOptions& options, std::string data,
            std::uint64_t rows)
      : experiment_(experiment), options_(options), data_(std::move(data)), rows_(rows) {}

  // What the simulation of a point is given; `fit`: by what its costs were multiplied.
  Result<SimulationInput> Input(const scale::Settings& settings, WorkloadFit* fit) {
    COHORT_ASSIGN_OR_RETURN(const RunConfig config, experiment_.ConfigOf(settings, data_));
    SimulationInput input = InputOf(settings, config, options_, rows_);
    COHORT_ASSIGN_OR_RETURN(input.workload, Measured(settings, config));
    COHORT_ASSIGN_OR_RETURN(*fit, FitOf(settings));
    fit->Apply(&input);
    return input;
  }

 private:
  Result<SimulatedWorkload> Measured(const scale::Settings& settings, const RunConfig& config) {
    const bool bsp = settings.consistency == Consistency::kBsp;
    const std::tuple key(settings.embedding_dim, settings.GlobalBatch() / settings.workers, bsp,
                         bsp ? std::max(1u, config.train.slices / settings.workers) : 1u);
    const auto known = measured_.find(key);
    if (known != measured_.end()) return known->second;
    COHORT_ASSIGN_OR_RETURN(const SimulatedWorkload workload, MeasureWorkload(config, settings.workers));
    return measured_.emplace(key, workload).first->second;
  }

  // By the measured point of one worker and one server that is like this one otherwise.
  Result<WorkloadFit> FitOf(const scale::Settings& settings) {
    if (!options_.measured) return WorkloadFit();
    scale::Settings one = settings;
    one.workers = one.servers = one.shards_per_server = 1;
    one.faults_per_hour = one.link_mbit = 0;
    const std::string name = scale::Describe(one);
    if (const auto known = fits_.find(name); known != fits_.end()) return known->second;
    for (const scale::PointResult& point : options_.measured->points) {
      if (!(point.settings == one) || point.repetitions.empty()) continue;
      COHORT_ASSIGN_OR_RETURN(const RunConfig config, experiment_.ConfigOf(one, data_));
      SimulateOptions alone = options_;
      alone.straggler_share = 0;
      alone.steps = 0;
      alone.hosts = 1;
      alone.cores_per_host = options_.measured->machine.cores;
      SimulationInput input = InputOf(one, config, alone, rows_);
      COHORT_ASSIGN_OR_RETURN(input.workload, Measured(one, config));
      const auto fit = FitWorkload(input, point.Median("worker_cpu_s_per_msample"),
                                   point.Median("server_cpu_s_per_msample"));
      if (!fit) return tl::unexpected(fit.error().Within("--fit, " + name));
      return fits_.emplace(name, *fit).first->second;
    }
    return InvalidInput(
        "--fit: " + options_.measured->name + " has no measured point of " + name +
        "; expected one to fit the simulation to: add it to that experiment's [matrix], or leave --fit out");
  }

  const scale::Experiment& experiment_;
  const SimulateOptions& options_;
  const std::string data_;
  const std::uint64_t rows_;
  std::map<std::tuple<std::uint32_t, std::uint32_t, bool, std::uint32_t>, SimulatedWorkload> measured_;
  std::map<std::string, WorkloadFit> fits_;
};

}  // namespace

std::string Bound(const SimulationResult& result) {
  const std::pair<double, const char*> candidates[] = {
      {result.busiest_worker_thread, "workers' main threads"},
      {result.busiest_reader, "workers' readers"},
      {result.busiest_shard_thread, "the busiest shard's thread"},
      {result.busiest_server_io, "the busiest server's I/O thread"},
      {result.busiest_link, "the busiest link"},
      {result.scheduler_thread, "the scheduler"}};
  auto most = *std::max_element(std::begin(candidates), std::end(candidates));
  // Threads cannot be busy where cores are short.
  if (result.busiest_host > 0.9) most = {result.busiest_host, "the cores of the busiest host"};
  if (most.first < kHardlyBusy)
    return "waiting: nothing is busier than " + std::string(most.second) + ", " + Percent(most.first);
  return std::string(most.second) + ", " + Percent(most.first);
}

Result<Simulated> Simulate(const scale::Experiment& experiment, const SimulateOptions& options,
                           const std::string& folder, const Progress& progress) {
  if (options.measured && options.measured->job != experiment.job) {
    return InvalidInput("--fit: " + options.measured->name + " measured " +
                        (options.measured->job.empty() ? "a run file" : "the job " + options.measured->job) +
                        ", and " + experiment.path + " is of " +
                        (experiment.job.empty() ? "a run file" : "the job " + experiment.job));
  }
  std::string data;
  std::uint64_t rows = experiment.samples;
  if (experiment.job.empty()) {
    COHORT_ASSIGN_OR_RETURN(const RunConfig config, experiment.ConfigOf(experiment.points.front(), ""));
    COHORT_ASSIGN_OR_RETURN(const auto reader, DatasetReader::Open(config.data));
    rows = reader->info().rows[static_cast<std::size_t>(Split::kTrain)];
    if (rows == 0) return InvalidInput(config.data + ": no rows to train on");
  } else {
    data = folder + "/data.h5";
    bench::Options drawn = experiment.DataOptions();
    std::uint64_t largest = 1;
    for (const scale::Settings& settings : experiment.points)
      largest = std::max<std::uint64_t>(largest, settings.GlobalBatch() / settings.workers);
    drawn.samples = std::min<std::uint64_t>(drawn.samples, kDrawnBatches * largest);
    COHORT_ASSIGN_OR_RETURN(const DatasetInfo info, bench::WriteTrainingData(drawn, data, progress));
    (void)info;
  }
  Workloads workloads(experiment, options, data, rows);
  Simulated simulated{scale::ResultsOf(experiment, "simulated", options.costs.machine), {}};
  for (std::size_t i = 0; i < experiment.points.size(); ++i) {
    const scale::Settings& settings = experiment.points[i];
    const std::string turn = "point " + std::to_string(i + 1) + " of " +
                             std::to_string(experiment.points.size()) + " (" + scale::Describe(settings) +
                             ")";
    progress(turn + ": measuring batches");
    WorkloadFit fit;
    COHORT_ASSIGN_OR_RETURN(const SimulationInput input, workloads.Input(settings, &fit));
    progress(turn);
    const double start = bench::WallSeconds();
    auto result = SimulateCluster(input, [&](double done) { progress(turn + ": " + Percent(done)); });
    if (!result) return tl::unexpected(result.error().Within(scale::Describe(settings)));
    simulated.results.points[i].repetitions.push_back(FiguresOf(*result));
    simulated.points.push_back({settings, *result, fit, bench::WallSeconds() - start});
  }
  return simulated;
}

}  // namespace cohort
