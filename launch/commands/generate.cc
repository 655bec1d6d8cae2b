// cohort generate: a synthetic shop: a table of customers (prepare/shop.h), or with --shop its event logs (lifecycle/shop_logs.h).
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/process.h"
#include "launch/commands/commands.h"
#include "lifecycle/shop_logs.h"
#include "prepare/shop.h"

namespace cohort {
namespace {

struct GenerateOptions {
  ShopOptions table;
  bool logs = false, null_effects = false;
};

Status GenerateTable(const ShopOptions& options, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const ShopSummary summary, GenerateShop(options, [&](std::uint64_t rows) {
                            console.Progress("generating: " + std::to_string(rows) + " of " +
                                             std::to_string(options.users) + " customers");
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
}

std::string PoliciesLine(const char* when, const PolicyValues& values) {
  const auto share = [&](double value) { return values.oracle > 0 ? 100 * value / values.oracle : 0; };
  char line[256];
  std::snprintf(
      line, sizeof line,
      "%s: oracle %.0f (contacts cost %.0f); best single action (%s) %.1f %% of it, ranked by response "
      "%.1f %%, by RFM cell %.1f %%",
      when, values.oracle, values.oracle_cost, ShopWorld::Arms()[static_cast<std::size_t>(values.single_arm)],
      share(values.single), share(values.response), share(values.rfm));
  return line;
}

nlohmann::json PoliciesJson(const PolicyValues& values) {
  return {{"oracle", values.oracle},
          {"oracle_cost", values.oracle_cost},
          {"single", values.single},
          {"single_arm", ShopWorld::Arms()[static_cast<std::size_t>(values.single_arm)]},
          {"response", values.response},
          {"rfm", values.rfm}};
}

Status GenerateLogs(const GenerateOptions& given, Console& console) {
  ShopLogsOptions options;
  options.directory = given.table.directory;
  options.users = given.table.users;
  options.items = given.table.items;
  options.days = given.table.days;
  options.seed = given.table.seed;
  options.null_effects = given.null_effects;
  options.overwrite = given.table.overwrite;
  const auto start = std::chrono::steady_clock::now();
  COHORT_ASSIGN_OR_RETURN(
      const ShopLogsSummary summary,
      GenerateShopLogs(options, [&](std::uint64_t users, std::uint64_t events) {
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        char line[160];
        std::snprintf(line, sizeof line, "generating: %llu of %llu users, %llu events, %.0f events/s",
                      static_cast<unsigned long long>(users), static_cast<unsigned long long>(options.users),
                      static_cast<unsigned long long>(events), static_cast<double>(events) / seconds);
        console.Progress(line);
      }));
  const double rate = static_cast<double>(summary.events) / summary.seconds;
  char text[512];
  std::snprintf(
      text, sizeof text,
      "wrote %llu users (%llu ordered, %llu left), %llu events (%llu lines of orders), %llu contacts: "
      "%.0f MB in %.1f s, %.0f events/s\n",
      static_cast<unsigned long long>(summary.users), static_cast<unsigned long long>(summary.customers),
      static_cast<unsigned long long>(summary.lost), static_cast<unsigned long long>(summary.events),
      static_cast<unsigned long long>(summary.order_lines), static_cast<unsigned long long>(summary.contacts),
      static_cast<double>(summary.bytes) / 1e6, summary.seconds, rate);
  console.Print(text + PoliciesLine("policies at the campaign", summary.policies) + "\n" +
                PoliciesLine("with half of those contacts' cost", summary.under_budget) +
                "\nnext: cohort prepare " + options.directory + "/shop.toml --out " + options.directory +
                "/shop.h5, then cohort train " + options.directory + "/run.toml --truth " +
                options.directory + "/truth --out RUN_DIR\nor:   cohort prepare " + options.directory +
                "/campaign.toml --out " + options.directory + "/campaign.h5, then cohort strategy " +
                options.directory + "/actions.toml --out ACTIONS.csv");
  console.SetJson(nlohmann::json{{"status", "done"},
                                 {"users", summary.users},
                                 {"customers", summary.customers},
                                 {"lost", summary.lost},
                                 {"events", summary.events},
                                 {"order_lines", summary.order_lines},
                                 {"contacts", summary.contacts},
                                 {"bytes", summary.bytes},
                                 {"seconds", summary.seconds},
                                 {"events_per_second", rate},
                                 {"policies", PoliciesJson(summary.policies)},
                                 {"policies_under_budget", PoliciesJson(summary.under_budget)}}
                      .dump());
  return {};
}

}  // namespace

void AddGenerate(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<GenerateOptions>();
  ShopOptions& table = options->table;
  CLI::App* command = app.add_subcommand("generate",
                                         "write a synthetic shop as CSV, with the true conditional "
                                         "expectations kept apart in truth/: a table of "
                                         "customers, or with --shop its event logs (docs/shop.md)");
  command->add_option("--out", table.directory, "directory to write to")->required();
  command->add_flag(
      "--shop", options->logs,
      "users, items, events and campaigns, for `cohort prepare DIR/shop.toml`, instead of a table");
  command->add_option("--users", table.users, "users, of a table a row each (1 .. 10^9; --shop: 10^8)")
      ->capture_default_str();
  command->add_option("--items", table.items, "items of the shop (1 .. 10^7; --shop: 48 .. 10^6)")
      ->capture_default_str();
  command
      ->add_option("--days", table.days,
                   "days over which customers sign up (1 .. 36500); --shop: of the logs (210 .. 3650)")
      ->capture_default_str();
  command->add_option("--seed", table.seed, "what is drawn")->capture_default_str();
  command->add_flag("--null-effects", options->null_effects,
                    "with --shop: no action changes what a user does");
  command->add_flag("--overwrite", table.overwrite, "replace files of such a shop that are there");
  commands[command] = [options](Console& console) -> Status {
    CatchStopSignals();
    if (options->logs) return GenerateLogs(*options, console);
    if (options->null_effects)
      return {ErrorCode::kInvalidInput,
              "--null-effects is about campaigns, which only --shop has; give both, or neither"};
    return GenerateTable(options->table, console);
  };
}

}  // namespace cohort
