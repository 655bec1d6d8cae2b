#include "launch/bench/tier_bench.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "launch/bench/child_processes.h"
#include "launch/bench/cluster.h"
#include "launch/bench/data_plane.h"
#include "launch/bench/disk_probe.h"
#include "launch/bench/round.h"
#include "server/cold_file.h"

namespace cohort::bench {
namespace {

constexpr Duration kTierEndLimit = std::chrono::seconds(30);
// A repetition is cut into turns of about this long, so that all sides see the same machine even while others use it.
constexpr double kTierTurnSeconds = 0.5;
// Pulls until the rows in memory are those that are pulled most.
constexpr double kWarmUpSeconds = 5;
// The second worker ends before the first, so that all its pulls meet the first one's.
constexpr double kHotShare = 0.6;
constexpr std::uint64_t kKeysDrawn = 16'000'000;

// How many batches the workers of a cluster have in a turn.
struct Sizes {
  std::uint64_t any = 1, hot = 1;
};

Result<Sizes> Calibrated(Cluster& cluster, double seconds) {
  Sizes sizes;
  COHORT_ASSIGN_OR_RETURN(sizes.any, Calibrate(seconds, [&](std::uint64_t n) -> Result<Round> {
                            COHORT_ASSIGN_OR_RETURN(const Cluster::TwoRounds rounds, cluster.RunBoth(n, 0));
                            return rounds.any;
                          }));
  COHORT_ASSIGN_OR_RETURN(sizes.hot, Calibrate(seconds, [&](std::uint64_t n) -> Result<Round> {
                            COHORT_ASSIGN_OR_RETURN(const Cluster::TwoRounds rounds, cluster.RunBoth(0, n));
                            return rounds.hot;
                          }));
  sizes.hot =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(kHotShare * static_cast<double>(sizes.hot)));
  return sizes;
}

}  // namespace

Result<Report> RunTier(Options options, const Progress& progress) {
  options.workers = 2;
  options.keys_drawn = kKeysDrawn;
  COHORT_RETURN_IF_ERROR(CheckCluster(options));
  Options in_memory = options;
  in_memory.tier.clear();
  ChildProcesses all;
  progress("starting processes");
  COHORT_ASSIGN_OR_RETURN(Cluster tiered, Cluster::Start(all, options));
  COHORT_ASSIGN_OR_RETURN(Cluster plain, Cluster::Start(all, in_memory));
  progress("making " + std::to_string(options.rows) + " rows, twice");
  COHORT_RETURN_IF_ERROR(tiered.Fill());
  COHORT_RETURN_IF_ERROR(plain.Fill());
  const TierConfig tier = TierOf(options);
  const double on_disk = static_cast<double>(tier.max_bytes) * options.ShardCount() / options.memory_share;
  COHORT_ASSIGN_OR_RETURN(const auto probe,
                          DiskProbe::Create(options.tier, static_cast<std::uint64_t>(on_disk)));
  const auto turns =
      static_cast<std::uint64_t>(std::max(1.0, std::round(options.seconds / kTierTurnSeconds)));
  const double seconds = options.seconds / static_cast<double>(turns);
  progress("warming up");
  COHORT_ASSIGN_OR_RETURN(const Sizes warm, Calibrated(tiered, kWarmUpSeconds));
  COHORT_ASSIGN_OR_RETURN([[maybe_unused]] const Cluster::TwoRounds warmed, tiered.RunBoth(warm.any, 1));
  COHORT_ASSIGN_OR_RETURN(const Sizes sizes, Calibrated(tiered, seconds));
  COHORT_ASSIGN_OR_RETURN(const Sizes plain_sizes, Calibrated(plain, seconds));

  Settings settings = DataPlaneSettings(options);
  settings.emplace_back("memory_share", options.memory_share);
  settings.emplace_back("tier_memory_bytes", tier.max_bytes * options.ShardCount());
  Report report("tier", std::move(settings));
  std::uint64_t read = tiered.RowsRead();
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    progress("repetition " + std::to_string(i + 1) + " of " + std::to_string(options.repetitions));
    double reads = 0;
    Round any, hot, plain_hot, alone, plain_alone;
    for (std::uint64_t turn = 0; turn < turns; ++turn) {
      COHORT_ASSIGN_OR_RETURN(
          const double turn_reads,
          probe->RandomReads(ColdFile::kBlockBytes, ColdFile::kDepth, seconds, i * turns + turn));
      reads += turn_reads / static_cast<double>(turns);
      COHORT_ASSIGN_OR_RETURN(const Cluster::TwoRounds pulls, tiered.RunBoth(sizes.any, 0));
      any.Append(pulls.any);
    }
    const std::uint64_t read_now = tiered.RowsRead();
    const double share = static_cast<double>(read_now - read) / static_cast<double>(any.rows);
    const double ceiling = reads / share;
    for (std::uint64_t turn = 0; turn < turns; ++turn) {
      COHORT_ASSIGN_OR_RETURN(const Cluster::TwoRounds first, tiered.RunBoth(0, sizes.hot));
      COHORT_ASSIGN_OR_RETURN(const Cluster::TwoRounds second, plain.RunBoth(0, plain_sizes.hot));
      COHORT_ASSIGN_OR_RETURN(const Cluster::TwoRounds third, tiered.RunBoth(sizes.any, sizes.hot));
      COHORT_ASSIGN_OR_RETURN(const Cluster::TwoRounds fourth,
                              plain.RunBoth(plain_sizes.any, plain_sizes.hot));
      alone.Append(first.hot);
      plain_alone.Append(second.hot);
      hot.Append(third.hot);
      plain_hot.Append(fourth.hot);
    }
    read = tiered.RowsRead();
    Figures figures = {{"rows_per_second", any.RowsPerSecond()},
                       {"ceiling_rows_per_second", ceiling},
                       {"share_of_ceiling", any.RowsPerSecond() / ceiling},
                       {"rows_from_disk_share", share},
                       {"rows_from_disk_per_second", share * any.RowsPerSecond()},
                       {"disk_reads_per_second", reads},
                       {"p50_us", any.Latency(0.5)},
                       {"p99_us", any.Latency(0.99)},
                       {"in_memory_p99_ratio", hot.Latency(0.99) / plain_hot.Latency(0.99)},
                       {"in_memory_p99_ratio_to_alone", hot.Latency(0.99) / plain_alone.Latency(0.99)}};
    for (const auto& [name, round] :
         {std::pair("", &hot), std::pair("without_tier_", &plain_hot), std::pair("alone_", &alone),
          std::pair("alone_without_tier_", &plain_alone)}) {
      const std::string prefix = std::string("in_memory_") + name;
      figures.insert(figures.end(),
                     {{prefix + "p50_us", round->Latency(0.5)},
                      {prefix + "p99_us", round->Latency(0.99)},
                      {prefix + "server_cpu_s_per_mrow",
                       round->server_cpu_seconds / (static_cast<double>(round->rows) * 1e-6)}});
    }
    report.Add(std::move(figures));
  }
  progress("ending processes");
  COHORT_RETURN_IF_ERROR(tiered.Stop());
  COHORT_RETURN_IF_ERROR(plain.Stop());
  COHORT_RETURN_IF_ERROR(all.Join(kTierEndLimit));
  return report;
}

}  // namespace cohort::bench
