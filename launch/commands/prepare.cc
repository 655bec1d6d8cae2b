// cohort prepare: CSV files to a dataset, by a schema of their columns (prepare/prepare.h) or by a description of a shop
// (lifecycle/prepare_shop.h).
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "common/process.h"
#include "launch/commands/commands.h"
#include "launch/commands/partition_options.h"
#include "launch/report/lifecycle_page.h"
#include "lifecycle/prepare_shop.h"
#include "lifecycle/shop_schema.h"
#include "prepare/prepare.h"

namespace cohort {
namespace {

// Shows a line about five times a second, once the work has taken two seconds.
class PrepareProgressLine {
 public:
  void Show(Console& console, const PrepareProgress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(200);
    char line[160];
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double megabytes = static_cast<double>(progress.bytes) / 1e6;
    const double total = static_cast<double>(progress.total_bytes) / 1e6;
    std::snprintf(line, sizeof line, "preparing, pass %d of %d: %llu rows, %.0f of %.0f MB (%.0f %%), %.0f s",
                  progress.pass, progress.passes, static_cast<unsigned long long>(progress.rows), megabytes,
                  total, total > 0 ? 100 * megabytes / total : 0, seconds);
    console.Progress(line);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point next_ = start_ + std::chrono::seconds(2);
};

using Json = nlohmann::ordered_json;

Json ToJson(const LifecycleCounts& counts) {
  Json json{{"funnel", Json::array()}, {"retention", Json::array()}};
  for (const LifecycleCounts::Step& step : counts.funnel)
    json["funnel"].push_back({{"step", step.name}, {"users", step.reached}, {"no_further", step.furthest}});
  for (const LifecycleCounts::Newcomers& of : counts.retention)
    json["retention"].push_back({{"month", MonthText(of.month)}, {"active", of.active}});
  if (!counts.moves) return json;
  json["moves"] = {{"from", TimeText(counts.moves->from)}, {"to", TimeText(counts.moves->to)}};
  for (std::size_t i = 0; i < counts.moves->users.size(); ++i) {
    const char* name = i < kLifeStageNames.size() ? kLifeStageNames[i] : "not there yet";
    for (std::size_t j = 0; j < kLifeStageNames.size(); ++j)
      json["moves"]["users"][name][kLifeStageNames[j]] = counts.moves->users[i][j];
  }
  return json;
}

struct PrepareCommand {
  PrepareOptions prepare;
  PartitionOptions partitions;
};

Status PrepareAny(const PrepareCommand& command, Console& console) {
  const PrepareOptions& options = command.prepare;
  if (command.partitions.worker_of.empty()) CatchStopSignals();
  COHORT_ASSIGN_OR_RETURN(const bool shop, IsShopFile(options.schema));
  const bool with_page = !options.report.empty();
  const bool with_workers = command.partitions.workers > 0;
  if (with_workers && !shop)
    return Refused(
        "--workers is for the logs of a shop: " + options.schema +
        " has no section [shop]. A table goes from its files to the dataset in one pass, whose work is "
        "reading "
        "the files in their order: there is nothing that workers could take over; leave --workers out");
  if (!options.since.empty() && !shop)
    return Refused("--since is for the logs of a shop: " + options.schema + " has no section [shop]");
  if (with_page && !shop)
    return Refused("--report is for the logs of a shop: " + options.schema + " has no section [shop]");
  std::unique_ptr<Partitions> partitions;
  if (with_workers) {
    COHORT_ASSIGN_OR_RETURN(partitions, command.partitions.Start(options.output, console));
  }
  LifecyclePage page;
  COHORT_ASSIGN_OR_RETURN(
      const PrepareReport report,
      shop ? PrepareShop(options, with_page ? &page.counts : nullptr, partitions.get()) : Prepare(options));
  std::string text = report.ToText();
  Json json = Json::parse(report.ToJson());
  if (with_page) {
    page.title = options.schema;
    page.text = text;
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(options.report, RenderLifecyclePage(page)));
    text += "wrote " + options.report + "\n";
    json["lifecycle"] = ToJson(page.counts);
    json["report"] = options.report;
  }
  console.Print(text);
  console.SetJson(json.dump());
  return {};
}

}  // namespace

void AddPrepare(CLI::App& app, Commands& commands) {
  auto all = std::make_shared<PrepareCommand>();
  PrepareOptions* options = &all->prepare;
  CLI::App* command =
      app.add_subcommand("prepare", "turn CSV files (plain or .gz) into a dataset, and say what was found");
  command
      ->add_option(
          "schema", options->schema,
          "SCHEMA.toml: columns, features, tasks, split (docs/schema.md); or SHOP.toml, with a section "
          "[shop]: the event logs of a shop, of which features and labels at snapshots "
          "are made (docs/shop.md)")
      ->required();
  command->add_option("--out", options->output, "the dataset to write, DATASET.h5")
      ->required()
      ->type_name(kOutputType);
  command->add_option("--data-dir", options->data_directory,
                      "what the file names in it are relative to (default: its own directory)");
  command
      ->add_option("--report", options->report,
                   "of a shop: an HTML page to write: how far users came, who stayed, who moved between "
                   "stages of life, what was found in the logs")
      ->type_name(kOutputType);
  command->add_option(
      "--since", options->since,
      "of a shop: a file with the records of the logs, for every night: logs that it knows are not "
      "read again, "
      "and it is written anew; the dataset is the same. If it is not there, all is read");
  command->add_flag("--overwrite", options->overwrite, "replace a dataset (or page) that is there");
  command->add_flag(
      "--strict", options->strict,
      "any row dropped, cell defaulted or label masked as unusable is an error that names its place");
  all->partitions.AddTo(*command);
  commands[command] = [all](Console& console) {
    PrepareProgressLine line;
    all->prepare.progress = [&](const PrepareProgress& progress) { line.Show(console, progress); };
    return PrepareAny(*all, console);
  };
}

}  // namespace cohort
