// cohort explain: why a model predicts what it does (launch/explanation.h).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/atomic_file.h"
#include "common/csv_cell.h"
#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"
#include "launch/commands/partition_options.h"
#include "launch/explanation.h"
#include "launch/run_plan.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

struct ExplainOptions {
  ExplainRequest request;
  std::string split = "test", out;
  std::uint32_t top = 10;
  PartitionOptions partitions;
};

std::string Formatted(double value, const char* format = "%.6g") {
  char text[40];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// One line of a chart: shares are drawn on the same scale, up to 20 characters.
std::string Bar(const std::string& label, std::size_t width, double share, double greatest,
                const char* format) {
  const auto length = static_cast<std::size_t>(std::lround(20 * std::abs(share) / greatest));
  return "  " + label + std::string(width - label.size(), ' ') + "  " + Formatted(share, format) + "  " +
         std::string(length, share < 0 ? '-' : '+') + "\n";
}

using Shares = std::vector<FeatureShare>;
// The greatest ones by size, drawn; what the rest comes to.
std::string BarChart(Shares shares, std::uint32_t top, const char* format) {
  std::stable_sort(shares.begin(), shares.end(), [](const FeatureShare& a, const FeatureShare& b) {
    return std::abs(a.share) > std::abs(b.share);
  });
  const std::size_t drawn = std::min<std::size_t>(top, shares.size());
  std::vector<std::string> labels;
  std::size_t width = 0;
  for (std::size_t i = 0; i < drawn; ++i) {
    labels.push_back(shares[i].feature + (shares[i].value.empty() ? "" : " = " + shares[i].value));
    width = std::max(width, labels[i].size());
  }
  double rest = 0;
  for (std::size_t i = drawn; i < shares.size(); ++i) rest += shares[i].share;
  const std::string others = std::to_string(shares.size() - drawn) + " others";
  width = std::max(width, others.size());
  const double greatest = std::max(shares.empty() ? 0.0 : std::abs(shares[0].share), 1e-300);
  std::string text;
  for (std::size_t i = 0; i < drawn; ++i) text += Bar(labels[i], width, shares[i].share, greatest, format);
  if (drawn < shares.size())
    text += "  " + others + std::string(width - others.size(), ' ') + "  " + Formatted(rest, format) + "\n";
  return text;
}

std::string InWords(const Explanation& one) {
  Shares shares = one.shares;
  std::stable_sort(shares.begin(), shares.end(),
                   [](const FeatureShare& a, const FeatureShare& b) { return a.share > b.share; });
  const auto name = [](const FeatureShare& share) {
    return share.feature + (share.value.empty() ? "" : " (" + share.value + ")");
  };
  std::string up, down;
  for (std::size_t i = 0; i < 3 && i < shares.size() && shares[i].share > 0; ++i)
    up += (up.empty() ? "" : ", ") + name(shares[i]);
  for (std::size_t i = 0; i < 3 && i < shares.size() && shares[shares.size() - 1 - i].share < 0; ++i)
    down += (down.empty() ? "" : ", ") + name(shares[shares.size() - 1 - i]);
  std::string text = one.output + " " + Formatted(one.prediction, "%.4g") + ", where the average input has " +
                     Formatted(one.baseline, "%.4g");
  if (!up.empty()) text += "; raised by " + up;
  if (!down.empty()) text += "; lowered by " + down;
  return text;
}

// By output, in the order of their first explanation: mean |share| of each feature.
struct Importance {
  std::string output;
  std::uint64_t rows = 0;
  Shares means;
};
std::vector<Importance> ImportancesOf(const std::vector<Explanation>& all) {
  std::vector<Importance> importances;
  for (const Explanation& one : all) {
    auto at = std::find_if(importances.begin(), importances.end(),
                           [&](const Importance& each) { return each.output == one.output; });
    if (at == importances.end()) {
      at = importances.insert(at, {one.output, 0, {}});
      for (const FeatureShare& share : one.shares) at->means.push_back({share.feature, "", 0});
    }
    ++at->rows;
    for (std::size_t i = 0; i < one.shares.size(); ++i) at->means[i].share += std::abs(one.shares[i].share);
  }
  for (Importance& each : importances) {
    for (FeatureShare& mean : each.means) mean.share /= static_cast<double>(each.rows);
  }
  return importances;
}

Status WriteShares(const std::string& path, const std::vector<Explanation>& all) {
  std::string text = "id,row,output,prediction,baseline,feature,value,share\n";
  for (const Explanation& one : all) {
    std::string begin;
    AppendCsvCell(one.id, &begin);
    begin += "," + std::to_string(one.row) + ",";
    AppendCsvCell(one.output, &begin);
    begin += "," + Formatted(one.prediction, "%.9g") + "," + Formatted(one.baseline, "%.9g") + ",";
    for (const FeatureShare& share : one.shares) {
      text += begin;
      AppendCsvCell(share.feature, &text);
      text += ',';
      AppendCsvCell(share.value, &text);
      text += "," + Formatted(share.share, "%.9g") + "\n";
    }
  }
  return WriteFileAtomically(path, text);
}

Status Run(const ExplainOptions& options, Console& console) {
  ExplainRequest request = options.request;
  COHORT_ASSIGN_OR_RETURN(const std::optional<Split> split, SplitFromName(options.split));
  request.split = split.value_or(Split::kTest);
  request.progress = [&](const std::string& what) { console.Progress(what); };
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Partitions> partitions,
                          options.partitions.Start(options.out, console));
  COHORT_ASSIGN_OR_RETURN(const std::vector<Explanation> all, Explain(request, *partitions));
  if (!options.out.empty()) COHORT_RETURN_IF_ERROR(WriteShares(options.out, all));

  double furthest = 0;
  for (const Explanation& one : all)
    furthest = std::max(furthest, std::abs(one.sum - (one.prediction - one.baseline)) / one.unit);
  std::string text;
  Json json{{"status", "done"}, {"explanations", Json::array()}, {"importances", Json::object()}};
  const std::vector<Importance> importances = ImportancesOf(all);
  for (const Importance& each : importances) {
    Json means = Json::object();
    for (const FeatureShare& mean : each.means) means[mean.feature] = mean.share;
    json["importances"][each.output] = std::move(means);
  }
  if (request.users.empty()) {
    for (const Importance& each : importances)
      text += each.output + ": mean size of each feature's share, " + std::to_string(each.rows) + " rows\n" +
              BarChart(each.means, options.top, "%.4g");
  }
  for (const Explanation& one : all) {
    if (request.users.empty()) break;
    text += one.id + ", row " + std::to_string(one.row) + " of " + options.split + ": " + InWords(one) +
            "\n" + BarChart(one.shares, options.top, "%+.4g");
    Json shares = Json::object();
    for (const FeatureShare& share : one.shares) shares[share.feature] = share.share;
    json["explanations"].push_back({{"id", one.id},
                                    {"row", one.row},
                                    {"output", one.output},
                                    {"prediction", one.prediction},
                                    {"baseline", one.baseline},
                                    {"words", InWords(one)},
                                    {"shares", std::move(shares)}});
  }
  text += "shares sum to the prediction less that of the average input, within " +
          Formatted(furthest, "%.1e") + " (of a number that is no probability: of the difference)";
  if (!options.out.empty()) {
    text += "\nwrote " + options.out;
    json["out"] = options.out;
  }
  json["rows_and_outputs"] = all.size();
  json["furthest_sum"] = furthest;
  console.Print(text);
  console.SetJson(json.dump());
  return {};
}

}  // namespace

void AddExplain(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = app.add_subcommand(
      "explain",
      "why a model predicts what it does: each feature's share of a user's predictions, or of many "
      "rows' (docs/shop.md)");
  command->add_option("RUN_DIR", options->request.model, "a run, or a model's directory")->required();
  command->add_option("--data", options->request.data, "a dataset written by `cohort prepare`")->required();
  CLI::Option* users =
      command
          ->add_option("--user", options->request.users,
                       "ids whose rows are explained, separated by commas (default: --rows of all)")
          ->delimiter(',');
  command->add_option("--split", options->split, "train, valid or test (default: test)");
  command
      ->add_option("--output", options->request.outputs,
                   "predictions to explain, named as `cohort score` does, separated by commas (default: one "
                   "of each task)")
      ->delimiter(',');
  command
      ->add_option("--rows", options->request.rows,
                   "without --user: so many rows, spread over the split (default: 1000)")
      ->excludes(users)
      ->check(Between(1u, 1'000'000u));
  command
      ->add_option("--background", options->request.background,
                   "rows of the train split whose mean is the average input (default: 1000)")
      ->check(Between(1u, 1'000'000u));
  command->add_option("--top", options->top, "features to show (default: 10)");
  command->add_option("--out", options->out, "a CSV file to write with every share")->type_name(kOutputType);
  options->partitions.AddTo(*command);
  command->add_flag("--overwrite")->description("replace a file that is there");
  commands[command] = [options](Console& console) { return Run(*options, console); };
}

}  // namespace cohort
