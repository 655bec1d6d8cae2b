// cohort prepare: CSV files to a dataset, by a schema of their columns (prepare/prepare.h) or by a description of a shop
// (lifecycle/prepare_shop.h).
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>

#include "launch/commands/commands.h"
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

}  // namespace

void AddPrepare(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<PrepareOptions>();
  CLI::App* command =
      app.add_subcommand("prepare", "turn CSV files (plain or .gz) into a dataset, and say what was found");
  command
      ->add_option(
          "schema", options->schema,
          "SCHEMA.toml: columns, features, tasks, split (docs/schema.md); or SHOP.toml, with a section "
          "[shop]: the event logs of a shop, of which features and labels at snapshots "
          "are made (docs/lifecycle.md)")
      ->required();
  command->add_option("--out", options->output, "the dataset to write, DATASET.h5")->required();
  command->add_option("--data-dir", options->data_directory,
                      "what the file names in it are relative to (default: its own directory)");
  command->add_flag("--overwrite", options->overwrite, "replace a dataset that is there");
  command->add_flag(
      "--strict", options->strict,
      "any row dropped, cell defaulted or label masked as unusable is an error that names its place");
  commands[command] = [options](Console& console) -> Status {
    PrepareProgressLine line;
    options->progress = [&](const PrepareProgress& progress) { line.Show(console, progress); };
    COHORT_ASSIGN_OR_RETURN(const bool shop, IsShopFile(options->schema));
    COHORT_ASSIGN_OR_RETURN(const PrepareReport report, shop ? PrepareShop(*options) : Prepare(*options));
    console.Print(report.ToText());
    console.SetJson(report.ToJson());
    return {};
  };
}

}  // namespace cohort
