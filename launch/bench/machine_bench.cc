#include "launch/bench/machine_bench.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "common/atomic_file.h"
#include "launch/bench/child_processes.h"
#include "launch/bench/cluster.h"
#include "launch/bench/data_plane.h"
#include "launch/bench/frame_plan.h"
#include "launch/bench/keys.h"
#include "launch/bench/switch_cost.h"
#include "launch/machine_costs.h"

namespace cohort::bench {
namespace {

constexpr Duration kMachineEndLimit = std::chrono::seconds(10);
constexpr std::uint32_t kSmallRequestRows = 256;
constexpr std::uint32_t kWideDim = 64;
constexpr std::uint64_t kFewRows = 10'000, kRoundTrips = 2'000;
enum Way : std::size_t { kLarge = 0, kSmall, kWide, kWays };

Options InWay(Options options, Way way) {
  if (way == kSmall) options.request_rows = kSmallRequestRows;
  if (way == kWide) options.dim = kWideDim;
  return options;
}

// A row's share of messages (closes are some, too) and of bytes, and its CPU seconds on each side.
struct PerRow {
  double messages = 0, bytes = 0;
  double worker = 0, server = 0;
};

// Solves cost = message * messages + row + byte * bytes for the three ways. Noise makes nothing cheaper than nothing.
ExchangeCosts Solve(const std::array<PerRow, kWays>& ways, double PerRow::*side) {
  const PerRow &large = ways[kLarge], &small = ways[kSmall], &wide = ways[kWide];
  ExchangeCosts costs;
  costs.message = std::max(0.0, (small.*side - large.*side) / (small.messages - large.messages));
  costs.byte = std::max(0.0, (wide.*side - large.*side - costs.message * (wide.messages - large.messages)) /
                                 (wide.bytes - large.bytes));
  costs.row = std::max(0.0, large.*side - costs.message * large.messages - costs.byte * large.bytes);
  return costs;
}

Result<PerRow> Measure(const Options& options, Operation operation, Cluster& cluster, std::uint64_t batches) {
  COHORT_ASSIGN_OR_RETURN(const Round round, cluster.Run(operation, batches));
  const FramePlan plan = PlanFrames(options, KeyBatches(options, 0)[0]);
  PerRow per_row;
  const auto rows = static_cast<double>(round.rows);
  const std::size_t exchanges = (operation == Operation::kPull ? plan.pulls : plan.pushes).size();
  per_row.messages = static_cast<double>(exchanges + options.ShardCount()) / static_cast<double>(plan.rows);
  per_row.bytes = options.dim * 4.0;
  per_row.worker = round.worker_cpu_seconds / rows;
  per_row.server = round.server_cpu_seconds / rows;
  return per_row;
}

// Seconds of a pull of one row, from asked to answered, with nothing else to do: of each repetition the median.
Result<std::vector<double>> RoundTrips(const Options& options) {
  Options one = options;
  one.batch = one.window = 1;
  one.rows = kFewRows;
  ChildProcesses all;
  COHORT_ASSIGN_OR_RETURN(Cluster cluster, Cluster::Start(all, one));
  COHORT_RETURN_IF_ERROR(cluster.Fill());
  std::vector<double> seconds;
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    COHORT_ASSIGN_OR_RETURN(const Round round, cluster.Run(Operation::kPull, kRoundTrips));
    seconds.push_back(round.Latency(0.5) * 1e-6);
  }
  COHORT_RETURN_IF_ERROR(cluster.Stop());
  COHORT_RETURN_IF_ERROR(all.Join(kMachineEndLimit));
  return seconds;
}

}  // namespace

Result<Report> RunMachine(const Options& options, const Progress& progress) {
  COHORT_RETURN_IF_ERROR(CheckCluster(options));
  std::array<std::array<std::vector<PerRow>, kWays>, 2> measured;  // by operation, way: of each repetition
  constexpr Operation kOperations[] = {Operation::kPull, Operation::kPush};
  const char* const names[] = {"large messages", "small messages", "wide rows"};
  for (const Way way : {kLarge, kSmall, kWide}) {
    const Options now = InWay(options, way);
    ChildProcesses all;
    progress(std::string(names[way]) + ": making " + std::to_string(now.rows) + " rows");
    COHORT_ASSIGN_OR_RETURN(Cluster cluster, Cluster::Start(all, now));
    COHORT_RETURN_IF_ERROR(cluster.Fill());
    for (std::size_t o = 0; o < 2; ++o) {
      COHORT_ASSIGN_OR_RETURN(const std::uint64_t batches, Calibrate(now.seconds, [&](std::uint64_t n) {
                                return cluster.Run(kOperations[o], n);
                              }));
      for (std::uint32_t i = 0; i < options.repetitions; ++i) {
        progress(std::string(names[way]) + ", " + OperationName(kOperations[o]) + ", repetition " +
                 std::to_string(i + 1) + " of " + std::to_string(options.repetitions));
        COHORT_ASSIGN_OR_RETURN(const PerRow one, Measure(now, kOperations[o], cluster, batches));
        measured[o][way].push_back(one);
      }
    }
    COHORT_RETURN_IF_ERROR(cluster.Stop());
    COHORT_RETURN_IF_ERROR(all.Join(kMachineEndLimit));
  }

  progress("round trips");
  COHORT_ASSIGN_OR_RETURN(const std::vector<double> round_trips, RoundTrips(options));
  progress("changes of process");
  COHORT_ASSIGN_OR_RETURN(const std::vector<double> switches, SwitchSeconds(options.repetitions));
  Report report("machine", DataPlaneSettings(options));
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    Figures figures;
    const char* const operations[] = {"pull", "push"};
    for (std::size_t o = 0; o < 2; ++o) {
      const std::array<PerRow, kWays> ways = {measured[o][kLarge][i], measured[o][kSmall][i],
                                              measured[o][kWide][i]};
      for (const auto& [side, member] :
           {std::pair("worker", &PerRow::worker), std::pair("server", &PerRow::server)}) {
        const ExchangeCosts costs = Solve(ways, member);
        const std::string name = std::string(side) + "_" + operations[o] + "_";
        figures.insert(figures.end(), {{name + "message_us", costs.message * 1e6},
                                       {name + "row_ns", costs.row * 1e9},
                                       {name + "byte_ns", costs.byte * 1e9}});
      }
    }
    figures.emplace_back("round_trip_us", round_trips[i] * 1e6);
    figures.emplace_back("switch_us", switches[i] * 1e6);
    report.Add(std::move(figures));
  }
  MachineCosts costs;
  costs.machine = ThisMachine();
  costs.round_trip_seconds = report.Median("round_trip_us") * 1e-6;
  costs.switch_seconds = report.Median("switch_us") * 1e-6;
  for (const auto& [name, exchange] :
       {std::pair("worker_pull", &costs.worker_pull), std::pair("server_pull", &costs.server_pull),
        std::pair("worker_push", &costs.worker_push), std::pair("server_push", &costs.server_push)}) {
    const std::string prefix = std::string(name) + "_";
    *exchange = {report.Median(prefix + "message_us") * 1e-6, report.Median(prefix + "row_ns") * 1e-9,
                 report.Median(prefix + "byte_ns") * 1e-9};
  }
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(options.out, ToJson(costs)));
  return report;
}

}  // namespace cohort::bench
