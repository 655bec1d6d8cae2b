// cohort plan: what a run will take, before it is begun (launch/plan/plan.h).
#include "launch/plan/plan.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "launch/commands/cluster_options.h"
#include "launch/commands/commands.h"

namespace cohort {
namespace {

struct PlanCommand {
  std::string run_file;
  ClusterOptions cluster;
  PlanOptions plan;
};

Status Plan(const PlanCommand& options, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const RunConfig config,
                          LoadRunConfig(options.run_file, options.cluster.Overrides()));
  COHORT_ASSIGN_OR_RETURN(
      const Forecast forecast,
      ForecastRun(config, options.plan, [&console](const std::string& line) { console.Progress(line); }));
  console.Print(ToText(forecast));
  console.SetJson(ToJson(forecast));
  return {};
}

}  // namespace

void AddPlan(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<PlanCommand>();
  CLI::App* command = app.add_subcommand("plan",
                                         "what a run will take, before it is begun: memory of each process, "
                                         "bytes on each link, size of the model");
  command->add_option("RUN.toml", options->run_file, "the run file, as for `cohort train`")->required();
  options->cluster.AddSizeTo(*command);
  command
      ->add_option(
          "--sample-rows", options->plan.sample_rows,
          "rows of training that are rehearsed, over all workers; more: a better estimate, and a longer wait")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
  commands[command] = [options](Console& console) { return Plan(*options, console); };
}

}  // namespace cohort
