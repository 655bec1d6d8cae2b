#include "launch/bench/data_plane.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <utility>

#include "launch/bench/bare_transport.h"
#include "launch/bench/child_processes.h"
#include "launch/bench/cluster.h"
#include "launch/bench/frame_plan.h"
#include "launch/bench/keys.h"
#include "launch/bench/round.h"

namespace cohort::bench {
namespace {

constexpr Duration kEndLimit = std::chrono::seconds(10);
constexpr double kMillion = 1e6;
// A repetition is cut into turns of about this long, so that both sides see the same machine even while others use it.
constexpr double kTurnSeconds = 0.2;

double PerMillion(double amount, const Round& round) {
  return amount / (static_cast<double>(round.rows) / kMillion);
}

// The rate of one round, and what it took.
Figures RoundFigures(const std::string& prefix, const Round& round) {
  return {{prefix + "rows_per_second", round.RowsPerSecond()},
          {prefix + "bytes_per_second", static_cast<double>(round.bytes) / round.seconds},
          {prefix + "p50_us", round.Latency(0.5)},
          {prefix + "p99_us", round.Latency(0.99)},
          {prefix + "server_cpu_s_per_mrow", PerMillion(round.server_cpu_seconds, round)},
          {prefix + "worker_cpu_s_per_mrow", PerMillion(round.worker_cpu_seconds, round)}};
}

// The frames of a typical batch: the first that the first worker draws.
FramePlan TypicalPlan(const Options& options) {
  Options few = options;
  if (few.zipf == 0)
    few.rows = std::max<std::uint64_t>(few.batch, std::min<std::uint64_t>(few.rows, 1'000'000));
  return PlanFrames(options, KeyBatches(few, 0)[0]);
}

}  // namespace

Settings DataPlaneSettings(const Options& options) {
  Settings settings = {{"servers", options.servers},
                       {"shards", options.shards},
                       {"workers", options.workers},
                       {"transport", options.transport},
                       {"consistency", ConsistencyName(options.consistency)}};
  if (options.consistency == Consistency::kSsp) settings.emplace_back("staleness", options.staleness);
  settings.insert(settings.end(),
                  {{"dim", options.dim},
                   {"batch", options.batch},
                   {"rows", options.rows},
                   {"zipf", options.zipf},
                   {"optimizer", OptimizerName(options.optimizer)},
                   {"push_rows", options.push_rows == PushRowNames::kKeys ? "keys" : "positions"},
                   {"pull_values", FloatTypeName(options.pull_values)},
                   {"push_values", FloatTypeName(options.push_values)},
                   {"cache_rows", options.cache_rows},
                   {"window", options.window},
                   {"request_rows", options.request_rows},
                   {"seconds", options.seconds}});
  return settings;
}

Result<Report> RunDataPlane(const Options& options, Operation operation, const Progress& progress) {
  COHORT_RETURN_IF_ERROR(CheckCluster(options));
  const FramePlan plan = TypicalPlan(options);
  ChildProcesses all;
  progress("starting processes");
  COHORT_ASSIGN_OR_RETURN(BareTransport bare, BareTransport::Start(all, options, plan));
  COHORT_ASSIGN_OR_RETURN(Cluster cluster, Cluster::Start(all, options));
  progress("making " + std::to_string(options.rows) + " rows");
  COHORT_RETURN_IF_ERROR(cluster.Fill());
  progress("warming up");
  const auto run_cluster = [&](std::uint64_t batches) { return cluster.Run(operation, batches); };
  const auto run_bare = [&](std::uint64_t batches) { return bare.Run(operation, batches); };
  const auto turns = static_cast<int>(std::max(1.0, std::round(options.seconds / kTurnSeconds)));
  const double turn = options.seconds / turns;
  COHORT_ASSIGN_OR_RETURN(const std::uint64_t batches, Calibrate(turn, run_cluster));
  COHORT_ASSIGN_OR_RETURN(const std::uint64_t bare_batches, Calibrate(turn, run_bare));

  Report report(OperationName(operation), DataPlaneSettings(options));
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    progress("repetition " + std::to_string(i + 1) + " of " + std::to_string(options.repetitions));
    Round measured, ceiling;
    for (int each = 0; each < turns; ++each) {
      COHORT_ASSIGN_OR_RETURN(const Round ours, run_cluster(batches));
      COHORT_ASSIGN_OR_RETURN(const Round bare_round, run_bare(bare_batches));
      measured.Append(ours);
      ceiling.Append(bare_round);
    }
    Figures figures = RoundFigures("", measured);
    const Figures limits = RoundFigures("ceiling_", ceiling);
    figures.insert(figures.begin() + 1, limits.front());
    figures.insert(figures.begin() + 2,
                   {{"share_of_ceiling", measured.RowsPerSecond() / ceiling.RowsPerSecond()},
                    {"cpu_share_of_ceiling", PerMillion(ceiling.CpuSeconds(), ceiling) /
                                                 PerMillion(measured.CpuSeconds(), measured)}});
    if (operation != Operation::kPush) {
      const auto rows = static_cast<double>(measured.rows);
      figures.emplace_back("pulled_bytes_per_row", static_cast<double>(measured.pulled_bytes) / rows);
      figures.emplace_back("cached_share", static_cast<double>(measured.cached_rows) / rows);
    }
    figures.insert(figures.end(), limits.begin() + 1, limits.end());
    report.Add(std::move(figures));
  }
  report.Set("bytes_per_row_overhead", cluster.OverheadPerRow());
  progress("ending processes");
  COHORT_RETURN_IF_ERROR(cluster.Stop());
  COHORT_RETURN_IF_ERROR(bare.Stop());
  COHORT_RETURN_IF_ERROR(all.Join(kEndLimit));
  return report;
}

Result<Report> RunTransport(const Options& options, const Progress& progress) {
  COHORT_RETURN_IF_ERROR(CheckCluster(options));
  const FramePlan plan = TypicalPlan(options);
  ChildProcesses all;
  progress("starting processes");
  COHORT_ASSIGN_OR_RETURN(BareTransport bare, BareTransport::Start(all, options, plan));
  constexpr std::pair<Operation, const char*> kOperations[] = {
      {Operation::kPull, "pull_"}, {Operation::kPush, "push_"}, {Operation::kPullPush, "pull_push_"}};
  std::uint64_t batches[std::size(kOperations)];
  for (std::size_t i = 0; i < std::size(kOperations); ++i) {
    progress("warming up");
    COHORT_ASSIGN_OR_RETURN(batches[i], Calibrate(options.seconds, [&](std::uint64_t n) {
                              return bare.Run(kOperations[i].first, n);
                            }));
  }
  Report report("transport", DataPlaneSettings(options));
  for (std::uint32_t repetition = 0; repetition < options.repetitions; ++repetition) {
    progress("repetition " + std::to_string(repetition + 1) + " of " + std::to_string(options.repetitions));
    Figures figures;
    for (std::size_t i = 0; i < std::size(kOperations); ++i) {
      COHORT_ASSIGN_OR_RETURN(const Round round, bare.Run(kOperations[i].first, batches[i]));
      const Figures part = RoundFigures(kOperations[i].second, round);
      figures.insert(figures.end(), part.begin(), part.end());
    }
    report.Add(std::move(figures));
  }
  COHORT_RETURN_IF_ERROR(bare.Stop());
  COHORT_RETURN_IF_ERROR(all.Join(kEndLimit));
  return report;
}

}  // namespace cohort::bench
