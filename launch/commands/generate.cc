// cohort generate: a synthetic shop (prepare/shop.h).
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "launch/commands/commands.h"
#include "prepare/shop.h"

namespace cohort {

void AddGenerate(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<ShopOptions>();
  CLI::App* command = app.add_subcommand(
      "generate",
      "write a synthetic shop as CSV, with the true conditional expectations kept apart in truth/");
  command->add_option("--out", options->directory, "directory to write to")->required();
  command->add_option("--users", options->users, "customers, a row each (1 .. 10^9)")->capture_default_str();
  command->add_option("--items", options->items, "items of the shop (1 .. 10^7)")->capture_default_str();
  command->add_option("--days", options->days, "days over which customers sign up (1 .. 36500)")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "what is drawn")->capture_default_str();
  command->add_flag("--overwrite", options->overwrite, "replace a customers.csv that is there");
  commands[command] = [options](Console& console) -> Status {
    COHORT_ASSIGN_OR_RETURN(const ShopSummary summary, GenerateShop(*options, [&](std::uint64_t rows) {
                              console.Progress("generating: " + std::to_string(rows) + " of " +
                                               std::to_string(options->users) + " customers");
                            }));
    console.Print("wrote " + std::to_string(summary.users) + " customers to " + summary.customers_path +
                  "\nwrote what the best predictor would say of each to " + summary.truth_path);
    console.SetJson(nlohmann::json{{"status", "done"},
                                   {"rows", summary.users},
                                   {"bytes", summary.bytes},
                                   {"customers", summary.customers_path},
                                   {"truth", summary.truth_path}}
                        .dump());
    return {};
  };
}

}  // namespace cohort
