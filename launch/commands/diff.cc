// cohort diff: what differs between two models or checkpoints (common/model_diff.h).
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/model_diff.h"
#include "launch/commands/commands.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

std::string Largest(double difference, const std::optional<Key>& key) {
  char text[80];
  std::snprintf(text, sizeof(text), "by up to %.3g (key %s)", difference, key ? ToHex(*key).c_str() : "-");
  return text;
}

std::string ToText(const TableDiff& table) {
  const auto number = [](std::uint64_t n) { return std::to_string(n); };
  std::string text =
      "table " + table.name + ": " + number(table.rows_a) + " rows in A, " + number(table.rows_b) + " in B";
  if (table.same()) return text + ": the same";
  text += "; " + number(table.only_a) + " only in A, " + number(table.only_b) + " only in B";
  if (!table.incomparable.empty()) return text + "; not compared: " + table.incomparable;
  text += ", " + number(table.differ) + " differ";
  if (table.weights_differ != 0)
    text += "\n  weights of " + number(table.weights_differ) + ", " +
            Largest(table.largest_weight, table.largest_weight_key);
  if (table.states_differ != 0)
    text += "\n  optimizer states of " + number(table.states_differ) + ", " +
            Largest(table.largest_state, table.largest_state_key);
  if (!table.other_optimizer.empty()) text += "\n  optimizer states not compared: " + table.other_optimizer;
  return text;
}

Json ToJson(const TableDiff& table) {
  Json json{{"name", table.name},
            {"rows_a", table.rows_a},
            {"rows_b", table.rows_b},
            {"only_a", table.only_a},
            {"only_b", table.only_b},
            {"differ", table.differ},
            {"weights_differ", table.weights_differ},
            {"states_differ", table.states_differ},
            {"largest_weight_difference", table.largest_weight},
            {"largest_state_difference", table.largest_state}};
  if (table.largest_weight_key) json["largest_weight_key"] = ToHex(*table.largest_weight_key);
  if (table.largest_state_key) json["largest_state_key"] = ToHex(*table.largest_state_key);
  if (!table.incomparable.empty()) json["not_compared"] = table.incomparable;
  if (!table.other_optimizer.empty()) json["states_not_compared"] = table.other_optimizer;
  return json;
}

}  // namespace

void AddDiff(CLI::App& app, Commands& commands) {
  struct Paths {
    std::string a, b;
  };
  auto paths = std::make_shared<Paths>();
  CLI::App* command = app.add_subcommand(
      "diff",
      "compare two models or checkpoints row by row, however they are cut into parts; exit code 0: the same "
      "rows, 1: they differ");
  command->add_option("a", paths->a, "a run's directory, a model's or a checkpoint's")->required();
  command->add_option("b", paths->b, "another one")->required();
  commands[command] = [paths](Console& console) -> Status {
    DiffOptions options;
    options.progress = [&](const char* what, std::uint64_t rows, std::uint64_t total) {
      console.Progress(std::string(what) + ": " + std::to_string(rows) + " of " + std::to_string(total) +
                       " rows");
    };
    COHORT_ASSIGN_OR_RETURN(const ModelDiff diff, DiffModels(paths->a, paths->b, options));
    Json tables = Json::array();
    std::string text;
    for (const TableDiff& table : diff.tables) {
      text += ToText(table) + "\n";
      tables.push_back(ToJson(table));
    }
    console.Print(text + (diff.same() ? "the same rows" : "they differ"));
    console.SetJson(Json{{"status", diff.same() ? "same" : "different"},
                         {"hash_a", ToHex(*diff.a.hash)},
                         {"hash_b", ToHex(*diff.b.hash)},
                         {"tables", std::move(tables)}}
                        .dump());
    if (!diff.same()) console.SetExitCode(1);
    return {};
  };
}

}  // namespace cohort
