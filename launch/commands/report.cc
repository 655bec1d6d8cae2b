// cohort report: the page of a run (launch/report/report.h).
#include "launch/report/report.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "launch/commands/commands.h"

namespace cohort {

void AddReport(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand("report", "write one self-contained HTML page about a run");
  command->add_option("RUN_DIR", options->run_directory, "what `cohort train --out` wrote")->required();
  command->add_option("--out", options->out, "the page's file (default: RUN_DIR/report.html)")
      ->type_name(kOutputType);
  command->add_option("--truth", options->truth,
                      "truth/ of a generated shop: metrics are set beside the best reachable");
  command->add_option("--data", options->data, "the dataset that --truth belongs to");
  command->add_flag("--overwrite")->description("replace the file of --out if it is there");
  commands[command] = [options](Console& console) -> Status {
    COHORT_ASSIGN_OR_RETURN(const ReportSummary summary, WriteReport(*options));
    if (!summary.table.empty()) console.Print(summary.table);
    console.Print("wrote " + summary.path);
    if (summary.run_status != "done")
      console.Note("warning: the run did not end well (" + summary.run_status + "): " + summary.reason);
    console.SetJson(
        nlohmann::json{{"status", "done"}, {"report", summary.path}, {"run_status", summary.run_status}}.dump());
    return {};
  };
}

}  // namespace cohort
