// cohort scale: scaling experiments (launch/scale/scale.h).
#include "launch/scale/scale.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/atomic_file.h"
#include "launch/commands/commands.h"
#include "launch/scale/experiment.h"
#include "launch/scale/results.h"
#include "launch/scale/scale_page.h"

namespace cohort {
namespace {

struct ScaleArguments {
  std::string experiment, out, folder;
  std::vector<std::string> report;
};

void SetAnswer(const scale::ScaleResults& results, const std::string& report, Console& console) {
  nlohmann::ordered_json json = {{"status", "done"}, {"report", report}};
  json["results"] = nlohmann::ordered_json::parse(scale::ToJson(results));
  console.SetJson(json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

// --report: what is there, drawn once more, together.
Status DrawReport(const ScaleArguments& arguments, Console& console) {
  if (!arguments.experiment.empty() || !arguments.out.empty() || !arguments.folder.empty())
    return Refused(
        "--report draws results that are there: EXPERIMENT.toml, --out and --folder are not for it");
  std::vector<scale::ScaleResults> all;
  for (const std::string& path : arguments.report) {
    COHORT_ASSIGN_OR_RETURN(all.emplace_back(), scale::ReadScaleResults(path));
  }
  // Of one experiment simulated twice, say: which is which, the folder tells.
  const auto same = [&](const scale::ScaleResults& one) {
    return std::count_if(all.begin(), all.end(), [&](const scale::ScaleResults& other) {
      return other.name == one.name && other.source == one.source;
    });
  };
  std::vector<std::string> names;
  for (std::size_t i = 0; i < all.size(); ++i)
    names.push_back(all[i].name + (same(all[i]) > 1 ? " (" + arguments.report[i] + ")" : ""));
  for (std::size_t i = 0; i < all.size(); ++i) all[i].name = names[i];
  const std::string& first = arguments.report.front();
  const std::string report =
      (std::filesystem::is_directory(first) ? first : DirectoryOf(first)) + "/" + scale::kScaleReport;
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(report, scale::RenderScalePage(all)));
  for (const scale::ScaleResults& results : all)
    console.Print(results.name + ", " + results.source + ":\n" + scale::ScaleTable(results));
  console.Print("wrote " + report);
  SetAnswer(all.front(), report, console);
  return {};
}

Status Scale(const ScaleArguments& arguments, Console& console) {
  if (!arguments.report.empty()) return DrawReport(arguments, console);
  if (arguments.experiment.empty()) return Refused("EXPERIMENT.toml is required (see `cohort scale --help`)");
  if (arguments.out.empty()) return Refused("--out is required (see `cohort scale --help`)");
  COHORT_ASSIGN_OR_RETURN(const scale::Experiment experiment, scale::LoadExperiment(arguments.experiment));
  scale::ScaleOptions options;
  options.out = arguments.out;
  options.folder = arguments.folder;
  options.progress = [&](const std::string& line) { console.Progress(line); };
  options.note = [&](const std::string& line) { console.Note(line); };
  COHORT_ASSIGN_OR_RETURN(const scale::ScaleResults results, scale::RunScale(experiment, options));
  console.Print(scale::ScaleTable(results) + "wrote " + arguments.out + "/" + scale::kScaleFile + " and " +
                scale::kScaleReport);
  SetAnswer(results, arguments.out + "/" + scale::kScaleReport, console);
  return {};
}

}  // namespace

void AddScale(CLI::App& app, Commands& commands) {
  auto arguments = std::make_shared<ScaleArguments>();
  CLI::App* command = app.add_subcommand(
      "scale",
      "a job over a matrix of workers, servers, batches, links, faults: speed-up and cost (docs/scaling.md)");
  command->add_option("EXPERIMENT.toml", arguments->experiment,
                      "the job, and what is varied (docs/scaling.md)");
  command->add_option(
      "--out", arguments->out,
      "OUT: the folder for points.jsonl, scale.json and report.html; what it has of this experiment is "
      "not measured again");
  command
      ->add_option("--folder", arguments->folder,
                   "where data and runs lie meanwhile (default: the system's for temporary files)")
      ->check(CLI::ExistingDirectory);
  command->add_option("--report", arguments->report,
                      "OUT [OTHER ...]: only draw what is there, measured and simulated on the same plots, "
                      "into OUT/report.html");
  commands[command] = [arguments](Console& console) { return Scale(*arguments, console); };
}

}  // namespace cohort
