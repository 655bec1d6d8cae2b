// cohort plan: what a run will take, before it is begun (launch/plan/plan.h).
#include "launch/plan/plan.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>

#include "launch/commands/cluster_options.h"
#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"

namespace cohort {
namespace {

struct PlanCommand {
  std::string run_file;
  ClusterOptions cluster;
  PlanOptions plan;
  std::string like, deadline;
  double samples_per_second = 0, link_mbit = 0, disk_mbps = 0;
};

// "90", "90s", "15m", "2h": seconds.
Result<double> ParseDuration(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const double scale = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (end == text.c_str() || scale == 0 || !(number > 0) || !std::isfinite(number))
    return InvalidInput("--deadline " + text + ": expected a time such as 90s, 15m or 2h");
  return number * scale;
}

Status Plan(PlanCommand options, Console& console) {
  const PlanProgress progress = [&console](const std::string& line) { console.Progress(line); };
  if (!options.deadline.empty()) {
    COHORT_ASSIGN_OR_RETURN(options.plan.deadline, ParseDuration(options.deadline));
  }
  COHORT_ASSIGN_OR_RETURN(const RunConfig config,
                          LoadRunConfig(options.run_file, options.cluster.Overrides()));
  StepCosts& costs = options.plan.costs;
  if (!options.like.empty()) {
    COHORT_ASSIGN_OR_RETURN(costs, CostsLike(options.like, costs, options.plan.sample_rows, progress));
  }
  if (options.samples_per_second > 0) costs.worker_sample = 1 / options.samples_per_second;
  costs.link_bytes_per_second = options.link_mbit * 1e6 / 8;
  costs.disk_bytes_per_second = options.disk_mbps * 1e6;
  COHORT_ASSIGN_OR_RETURN(const Forecast forecast, ForecastRun(config, options.plan, progress));
  console.Print(ToText(forecast));
  console.SetJson(ToJson(forecast));
  // Scripts look for it.
  if (forecast.missed()) console.SetExitCode(1);
  return {};
}

}  // namespace

void AddPlan(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<PlanCommand>();
  CLI::App* command =
      app.add_subcommand("plan",
                         "what a run will take, before it is begun: memory, bytes on each link, "
                         "time, what binds; the smallest cluster within a deadline");
  command->add_option("RUN.toml", options->run_file, "the run file, as for `cohort train`")->required();
  options->cluster.AddSizeTo(*command);
  command
      ->add_option(
          "--sample-rows", options->plan.sample_rows,
          "rows of training that are rehearsed, over all workers; more: a better estimate, and a longer wait")
      ->check(Between(1.0, 1e9))
      ->capture_default_str();
  command->add_option(
      "--like", options->like,
      "RUN_DIR of a finished run on the machines in question: CPU time is planned as it was measured there");
  command
      ->add_option("--samples-per-second-per-core", options->samples_per_second,
                   "what a core of a worker computes (default: as rehearsed on this machine)")
      ->check(Between(0.001, 1e12));
  command
      ->add_option("--link-mbit", options->link_mbit, "of each process's link, each way (default: no limit)")
      ->check(Between(0.001, 1e9));
  command
      ->add_option("--disk-mbps", options->disk_mbps,
                   "MB a second that a server's disk writes (default: no limit)")
      ->check(Between(0.001, 1e9));
  command
      ->add_option("--cores", options->plan.costs.cores,
                   "of all hosts together (default: one for each worker and each shard)")
      ->check(Between(1, 1 << 20));
  command->add_option("--price-per-hour", options->plan.price_per_hour, "of a core: what an epoch costs")
      ->check(Between(1e-9, 1e9));
  command->add_option(
      "--deadline", options->deadline,
      "of the whole run, such as 90s, 15m, 2h: the smallest cluster that meets it is looked for; exit code 1 "
      "when none does");
  commands[command] = [options](Console& console) { return Plan(*options, console); };
}

}  // namespace cohort
