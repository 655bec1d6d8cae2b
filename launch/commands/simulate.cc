// cohort simulate: an experiment on clusters that are not there, in virtual time (docs/scaling.md).
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "common/atomic_file.h"
#include "common/process.h"
#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"
#include "launch/role.h"
#include "launch/run_folder.h"
#include "launch/simulate/simulate.h"

namespace cohort {
namespace {

struct Arguments {
  std::string experiment, machine, fit, out;
  SimulateOptions options;
  std::uint32_t cores = 0;  // 0: those of the machine that was measured
};

std::string TableOf(const Simulated& simulated) {
  std::string text =
      "| workers | servers | consistency | samples/s | efficiency | CPU s/M samples | computing | pull wait "
      "| read wait | "
      "bound by |\n"
      "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n";
  for (std::size_t i = 0; i < simulated.points.size(); ++i) {
    const scale::PointResult& point = simulated.results.points[i];
    const scale::PointResult& base = simulated.results.BaselineOf(i);
    const double each = point.Median("samples_per_second") / point.settings.workers;
    const double efficiency = each / (base.Median("samples_per_second") / base.settings.workers);
    const SimulationResult& result = simulated.points[i].result;
    char line[320];
    std::snprintf(line, sizeof(line),
                  "| %u | %u | %s | %.0f | %.0f %% | %.2f | %.0f %% | %.0f %% | %.0f %% | %s |\n",
                  point.settings.workers, point.settings.servers,
                  scale::ConsistencyOf(point.settings).c_str(), point.Median("samples_per_second"),
                  100 * efficiency, point.Median("cpu_s_per_msample"), 100 * result.compute_share,
                  100 * result.pull_wait_share, 100 * result.read_wait_share, Bound(result).c_str());
    text += line;
  }
  return text;
}

// Thousands of processes' states are some gigabytes that are read in no order: from pages of 4 KB that takes a third longer. The heap
// is made larger beforehand, what it grows by is advised to be large pages, and nothing is given back. Only advice: where it is
// not taken, or there is less memory, all is as it was.
void UseLargePages() {
  KeepFreedMemory();
  mallopt(M_TRIM_THRESHOLD, -1);
  constexpr long kMost = 2000l << 20;  // mallopt takes an int
  constexpr std::uintptr_t kPage = 2 << 20;
  const long half = sysconf(_SC_PHYS_PAGES) / 2 * sysconf(_SC_PAGESIZE);
  mallopt(M_TOP_PAD, static_cast<int>(std::min(half, kMost)));
  const auto begin = reinterpret_cast<std::uintptr_t>(sbrk(0));
  void* volatile some = std::malloc(kPage);  // volatile: or the compiler leaves it out
  std::free(some);
  const auto end = reinterpret_cast<std::uintptr_t>(sbrk(0));
  mallopt(M_TOP_PAD, 128 << 10);  // as it was
  const std::uintptr_t first = (begin + kPage - 1) / kPage * kPage;
  if (end > first) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
}

// How far the measured run was from what was measured alone.
std::string FitOf(const Simulated& simulated) {
  const auto range = [&](double WorkloadFit::*factor) {
    const auto [least, most] = std::minmax_element(
        simulated.points.begin(), simulated.points.end(),
        [&](const SimulatedPoint& a, const SimulatedPoint& b) { return a.fit.*factor < b.fit.*factor; });
    char text[48];
    std::snprintf(text, sizeof(text), least->fit.*factor == most->fit.*factor ? "%.2f" : "%.2f to %.2f",
                  least->fit.*factor, most->fit.*factor);
    return std::string(text);
  };
  return "fitted: in the measured run a worker took " + range(&WorkloadFit::worker) +
         " times the CPU time of its parts measured alone, a server " + range(&WorkloadFit::server) + "\n";
}

Status RunSimulate(const Arguments& arguments, Console& console) {
  CatchStopSignals();
  UseLargePages();
  COHORT_ASSIGN_OR_RETURN(const scale::Experiment experiment, scale::LoadExperiment(arguments.experiment));
  SimulateOptions options = arguments.options;
  COHORT_ASSIGN_OR_RETURN(options.costs, ReadMachineCosts(arguments.machine));
  if (!arguments.fit.empty()) {
    COHORT_ASSIGN_OR_RETURN(options.measured, scale::ReadScaleResults(arguments.fit));
    if (options.measured->source != "measured")
      return Refused("--fit " + arguments.fit + ": expected results of `cohort scale`, not of a simulation");
  }
  std::error_code error;
  if (std::filesystem::exists(arguments.out + "/" + scale::kScaleFile, error)) {
    const auto before = scale::ReadScaleResults(arguments.out);
    if (!before || before->source != "simulated")
      return Refused("--out " + arguments.out + ": holds results that were measured; choose another folder");
  }
  options.cores_per_host = arguments.cores > 0 ? arguments.cores : options.costs.machine.cores;
  COHORT_ASSIGN_OR_RETURN(const ScratchFolder scratch, ScratchFolder::Create());
  COHORT_ASSIGN_OR_RETURN(const Simulated simulated,
                          Simulate(experiment, options, scratch.path(),
                                   [&](const std::string& line) { console.Progress(line); }));
  std::filesystem::create_directories(arguments.out, error);
  if (error) return Refused("--out " + arguments.out + ": " + error.message());
  const std::string json = scale::ToJson(simulated.results);
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(arguments.out + "/" + scale::kScaleFile, json));
  console.Print(TableOf(simulated));
  if (options.measured) console.Print(FitOf(simulated));
  double wall = 0;
  std::uint64_t messages = 0;
  for (const SimulatedPoint& point : simulated.points)
    wall += point.wall_seconds, messages += point.result.messages;
  char line[160];
  std::snprintf(line, sizeof(line),
                "%zu points, %.1f M messages, simulated in %.1f s; plots: cohort scale --report %s",
                simulated.points.size(), static_cast<double>(messages) / 1e6, wall, arguments.out.c_str());
  console.Print(line);
  nlohmann::ordered_json answer = {{"status", "done"}, {"out", arguments.out}};
  answer["results"] = nlohmann::ordered_json::parse(json);
  console.SetJson(answer.dump());
  return {};
}

}  // namespace

void AddSimulate(CLI::App& app, Commands& commands) {
  CLI::App* command = app.add_subcommand(
      "simulate",
      "an experiment of `cohort scale` on clusters that are not there: the real roles in virtual time");
  auto arguments = std::make_shared<Arguments>();
  SimulateOptions& options = arguments->options;
  command->add_option("EXPERIMENT", arguments->experiment, "EXPERIMENT.toml, as for `cohort scale`")
      ->required();
  command->add_option("--machine", arguments->machine, "what `cohort bench machine --out` has measured")
      ->required();
  command->add_option("--out", arguments->out, "folder for scale.json; plots: cohort scale --report")
      ->required();
  command->add_option(
      "--fit", arguments->fit,
      "results of `cohort scale`: workers and servers take the CPU time that they took in its point of one "
      "worker and one server; without, what one thread takes here");
  command
      ->add_option("--hosts", options.hosts,
                   "over which servers and workers are spread; 0: one for each process")
      ->check(Between(0, 10000))
      ->capture_default_str();
  command->add_option("--cores", arguments->cores, "of a host; 0: as many as the measured machine has")
      ->check(Between(0, 1024))
      ->capture_default_str();
  command->add_option("--link-gbit", options.link_gbit, "a host's link, Gbit/s each way; 0: no limit")
      ->check(Between(0.0, 1e6))
      ->capture_default_str();
  command->add_option("--latency-us", options.latency_us, "between two hosts, one way")
      ->check(Between(0.0, 1e6))
      ->capture_default_str();
  CLI::Option* share =
      command->add_option("--straggler-share", options.straggler_share, "of steps that are slow")
          ->check(Between(0.0, 1.0))
          ->capture_default_str();
  CLI::Option* factor =
      command
          ->add_option("--straggler-factor", options.straggler_factor, "how many times as long these compute")
          ->check(Between(1.0, 1000.0))
          ->capture_default_str();
  share->needs(factor);
  factor->needs(share);
  command->add_option("--steps", options.steps, "of each worker; 0: an epoch of the job")
      ->check(Between(0.0, 1e9))
      ->capture_default_str();
  commands[command] = [arguments](Console& console) { return RunSimulate(*arguments, console); };
}

}  // namespace cohort
