// cohort lookalike: how much people on an outside list look like the users that a shop wants more of (lifecycle/lookalike_model.h),
// with the evidence on users that the model has not seen (launch/lookalike_evidence.h), what the list lacks (lookalike_list.h) and how it scores
// (lookalike_scores.h).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "common/atomic_file.h"
#include "common/nearest.h"
#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"
#include "launch/lookalike_evidence.h"
#include "launch/lookalike_list.h"
#include "launch/lookalike_scores.h"
#include "launch/lookalike_users.h"
#include "launch/report/html.h"
#include "launch/report/lookalike_page.h"
#include "launch/run_plan.h"
#include "lifecycle/calibration.h"
#include "lifecycle/lookalike_model.h"
#include "lifecycle/prospect_list.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kChannel = "user_channel";
constexpr std::size_t kMostGroupsShown = 20;

struct LookalikeCommand {
  std::string data, split = "test", out, report, cost, by, shop, data_directory;
  ProspectOptions prospects;
  WantedOptions wanted;
  std::optional<double> top;
  std::uint32_t draws = 1000;
  std::uint64_t seed = 1;
};

struct ProspectGroup {
  std::uint64_t prospects = 0, worth_their_cost = 0;
  double score = 0, value = 0, cost = 0;  // sums
};

Json EstimateJson(const Estimate& estimate) {
  const auto number = [](double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); };
  return {{"value", number(estimate.value)}, {"low", number(estimate.low)}, {"high", number(estimate.high)}};
}
std::string EstimateText(const Estimate& estimate, const char* format, double scale = 1) {
  const auto number = [&](double value) {
    char text[40];
    std::snprintf(text, sizeof text, format, value * scale);
    return std::string(text);
  };
  return number(estimate.value) + "  [" + number(estimate.low) + ", " + number(estimate.high) + "]";
}
std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}
std::string Filled(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

Status CheckOptions(const LookalikeCommand& options) {
  if (options.wanted.by.empty() && options.wanted.ids.empty())
    return Refused(
        "who is wanted? give --seed-by COLUMN (the best tenth by it, see --top), or --seed-ids FILE with "
        "their ids");
  if (options.top && !options.wanted.ids.empty())
    return Refused("--top chooses by --seed-by, --seed-ids names the wanted users: give one of them");
  if (options.top && !(*options.top > 0 && *options.top < 1))
    return Refused(Format("--top %g: expected a share between 0 and 1, such as 0.1", *options.top));
  if (!options.wanted.scores.empty() && options.wanted.by.empty())
    return Refused("--scores is for --seed-by: name one of its predictions");
  if (!options.cost.empty() && options.wanted.by.empty())
    return Refused("--cost is taken off a value: give --seed-by too");
  if (!options.data_directory.empty() && options.shop.empty()) return Refused("--data-dir is for --shop");
  const auto& named = options.prospects.attributes;
  if (options.wanted.scores.empty() &&
      std::find(named.begin(), named.end(), options.wanted.by) != named.end())
    return Refused("--attributes names " + options.wanted.by +
                   ", by which --seed-by chooses: nobody on the list can have it");
  return {};
}

// The place among the list's attributes by whose values prospects are told apart; none: there is none.
Result<std::optional<std::size_t>> GroupingOf(const LookalikeCommand& options, const ProspectList& list) {
  const std::string& feature = options.by.empty() ? kChannel : options.by;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list.attributes.size(); ++i) {
    if (list.attributes[i].numeric) continue;
    if (list.attributes[i].feature == feature) return std::optional<std::size_t>(i);
    names.push_back(list.attributes[i].feature);
  }
  if (options.by.empty()) return std::optional<std::size_t>();
  return InvalidInput("--by " + feature + ": no categorical attribute that both sides have" +
                      DidYouMean(feature, names) + "; there are: " + Joined(names));
}

// What users cost, by the value of the attribute that costs are told apart by.
std::vector<float> CostsOfUsers(const GroupCosts& costs, const LookalikeCrowd& crowd,
                                const std::optional<std::size_t>& by) {
  std::vector<float> of_input(BinnedInputs::kMostCategories, static_cast<float>(costs.all.mean));
  if (by) {
    for (const auto& [key, input] : crowd.values[*by].categories) {
      if (input > 0) of_input[static_cast<std::size_t>(input)] = static_cast<float>(costs.Of(key));
    }
  }
  const std::size_t width = crowd.users.categorical.size();
  std::vector<float> of_users;
  for (std::size_t user = 0; user < crowd.users.user.size(); ++user)
    of_users.push_back(of_input[by ? static_cast<std::size_t>(crowd.users.inputs[user * width + *by]) : 0]);
  return of_users;
}

struct Found {
  const LookalikeCommand& options;
  const ProspectList& list;
  const LookalikeCrowd& crowd;
  const LookalikeModel& model;
  const LookalikeEvidence& evidence;
  const std::vector<ListedAttribute>& listed;
  const std::optional<BestTenth>& net;  // of the order of prospects by value less cost
};

std::vector<std::size_t> AttributesByWeight(const LookalikeEvidence& evidence) {
  std::vector<std::size_t> order(evidence.auc_lost.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return evidence.auc_lost[a].value > evidence.auc_lost[b].value;
  });
  return order;
}

LookalikePage PageOf(const Found& found, const std::string& text) {
  LookalikePage page;
  page.text = text;
  page.wanted = found.evidence.wanted.all;
  page.wanted_by_tenth = found.evidence.wanted.by_part;
  if (found.evidence.worth) {
    page.value = found.options.wanted.by;
    page.of_all = found.evidence.worth->all;
    page.value_by_tenth = found.evidence.worth->by_part;
  }
  for (const std::size_t i : AttributesByWeight(found.evidence)) {
    const Estimate& lost = found.evidence.auc_lost[i];
    page.attributes.push_back({found.list.attributes[i].column, lost.value, lost.low, lost.high});
  }
  return page;
}

// What is printed and reported of users, before anything is said of prospects.
void DescribeEvidence(const Found& found, std::string* text, Json* json) {
  const LookalikeCommand& options = found.options;
  const LookalikeCrowd& crowd = found.crowd;
  const LookalikeEvidence& evidence = found.evidence;
  const std::size_t users = found.model.wanted().size();
  const double share = static_cast<double>(crowd.wanted_count) / static_cast<double>(users);
  const bool named = !options.wanted.ids.empty();
  *text += std::to_string(users) + " users of the " + options.split + " split, " +
           std::to_string(crowd.wanted_count) + Format(" of them wanted (%.1f %%): ", 100 * share) +
           (named ? "those of " + options.wanted.ids
                  : options.wanted.by + Format(" of %.6g or more", crowd.threshold)) +
           "\n";
  if (!named && share > 1.05 * options.wanted.top)
    *text += Format("  --top %g: equal numbers are not parted\n", options.wanted.top);
  if (crowd.without_worth > 0)
    *text += "  " + std::to_string(crowd.without_worth) + " users have no " + options.wanted.by +
             ", and are left out\n";
  if (crowd.not_found > 0)
    *text +=
        "  " + std::to_string(crowd.not_found) + " ids of " + options.wanted.ids + " are not in that split\n";
  (*json)["users"] = users;
  (*json)["users_left_out"] = crowd.without_worth;
  (*json)["wanted"] = {{"users", crowd.wanted_count}, {"share", share}};
  if (!named) (*json)["wanted"]["least"] = crowd.threshold;
  if (named) (*json)["wanted"]["not_found"] = crowd.not_found;

  *text += "\non users that the model has not seen, with 95 % intervals (" + std::to_string(options.draws) +
           " draws of users):\n  AUC                      " + EstimateText(evidence.auc, "%.4f") +
           "\n  wanted in the best tenth " + EstimateText(evidence.wanted.best, "%.1f", 100) + " %, " +
           EstimateText(evidence.wanted.ratio, "%.2f") + " times the share of all\n";
  (*json)["auc"] = EstimateJson(evidence.auc);
  (*json)["best_tenth"] = {{"wanted", EstimateJson(evidence.wanted.best)},
                           {"lift", EstimateJson(evidence.wanted.ratio)}};
  (*json)["tenths"]["wanted"] = evidence.wanted.by_part;
  if (evidence.worth) {
    *text += "  " + Filled(options.wanted.by + " there", 24) + " " +
             EstimateText(evidence.worth->best, "%.5g") + ", " + EstimateText(evidence.worth->ratio, "%.2f") +
             Format(" times that of all, %.5g\n", evidence.worth->all);
    (*json)["best_tenth"]["value"] = EstimateJson(evidence.worth->best);
    (*json)["best_tenth"]["value_ratio"] = EstimateJson(evidence.worth->ratio);
    (*json)["value_of_all"] = evidence.worth->all;
    (*json)["tenths"]["value"] = evidence.worth->by_part;
  }
  if (found.net) {
    *text += "  the tenth with the highest expected " + options.wanted.by + " less " + options.cost +
             " brings\n" + std::string(27, ' ') + EstimateText(found.net->best, "%.5g") +
             Format(", all %.5g\n", found.net->all);
    (*json)["best_tenth_by_net"] = {{"net", EstimateJson(found.net->best)}, {"net_of_all", found.net->all}};
  }
  (*json)["distinguishes"] = evidence.distinguishes();
  (*json)["trees"] = found.model.trees();

  *text += "AUC lost when an attribute is not known:\n";
  std::size_t width = 12;
  for (const Attribute& attribute : found.list.attributes) width = std::max(width, attribute.column.size());
  Json attributes = Json::array();
  for (const std::size_t i : AttributesByWeight(evidence)) {
    const Attribute& attribute = found.list.attributes[i];
    const ListedAttribute& listed = found.listed[i];
    *text +=
        "  " + Filled(attribute.column, width) + "  " + EstimateText(evidence.auc_lost[i], "%+.4f") + "\n";
    attributes.push_back({{"feature", attribute.feature},
                          {"column", attribute.column},
                          {"auc_lost", EstimateJson(evidence.auc_lost[i])},
                          {"missing", listed.missing},
                          {"never_seen", listed.alien},
                          {"outside", listed.outside}});
  }
  (*json)["attributes"] = std::move(attributes);
}

// What is to be known before the scores are used.
std::vector<std::string> ProspectWarnings(const Found& found, const CustomerIds& customers, bool has_id) {
  std::vector<std::string> warnings;
  if (!found.evidence.distinguishes())
    warnings.push_back(
        "nothing distinguishes the wanted users from others by these attributes: the AUC on users that the "
        "model "
        "has not seen is not shown to be above one half. The order of the prospects is no better than "
        "chance");
  const std::vector<std::string> of_list = WarningsOf(found.list, found.listed);
  warnings.insert(warnings.end(), of_list.begin(), of_list.end());
  if (!has_id) {
    warnings.push_back("the dataset has no ids: nobody on the list can be known as a customer");
  } else if (customers.hidden()) {
    warnings.push_back(
        "the dataset knows users by pseudonyms (docs/privacy.md): without --shop SHOP.toml, which names "
        "their key, "
        "nobody on the list can be known as a customer");
  }
  return warnings;
}

// Prospects by the values of one attribute, the best first.
void DescribeGroups(const std::vector<ScoredProspect>& scored, const ProspectList& list, std::size_t by,
                    bool with_value, bool with_cost, std::string* text, Json* json) {
  std::vector<ProspectGroup> by_value(list.values[by].size());
  for (const ScoredProspect& of : scored) {
    ProspectGroup& group = by_value[list.ValueOf(of.prospect, by)];
    ++group.prospects;
    group.score += of.score, group.value += of.value, group.cost += of.cost;
    group.worth_their_cost += of.value > of.cost;
  }
  std::vector<std::pair<std::string, ProspectGroup>> order;
  for (std::size_t value = 0; value < by_value.size(); ++value) {
    if (by_value[value].prospects > 0) order.emplace_back(list.values[by][value], by_value[value]);
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.second.prospects != b.second.prospects ? a.second.prospects > b.second.prospects
                                                    : a.first < b.first;
  });
  if (order.size() > kMostGroupsShown) order.resize(kMostGroupsShown);
  const auto merit = [&](const ProspectGroup& of) {
    return (with_value ? of.value - of.cost : of.score) / static_cast<double>(of.prospects);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](const auto& a, const auto& b) { return merit(a.second) > merit(b.second); });
  std::size_t width = list.attributes[by].column.size() + 3;
  for (const auto& [name, group] : order) width = std::max(width, name.size());
  *text += "\n" + Filled("by " + list.attributes[by].column, width) + "  prospects   score";
  if (with_value) *text += "      value";
  if (with_cost) *text += "       cost   less cost   worth their cost";
  *text += "\n";
  Json each = Json::array();
  for (const auto& [name, group] : order) {
    const auto count = static_cast<double>(group.prospects);
    *text += Filled(name.empty() ? "(not known)" : name, width) +
             Format("  %9.0f  %.4f", count, group.score / count);
    Json one{{"name", name}, {"prospects", group.prospects}, {"score", group.score / count}};
    if (with_value) {
      *text += Format("  %9.5g", group.value / count);
      one["expected_value"] = group.value / count;
    }
    if (with_cost) {
      *text += Format("  %9.5g  %10.5g   %10llu", group.cost / count, (group.value - group.cost) / count,
                      static_cast<unsigned long long>(group.worth_their_cost));
      one["cost"] = group.cost / count;
      one["net"] = (group.value - group.cost) / count;
      one["worth_their_cost"] = group.worth_their_cost;
    }
    *text += "\n";
    each.push_back(std::move(one));
  }
  (*json)["by"] = {{"feature", list.attributes[by].feature}, {"groups", std::move(each)}};
}

Status Lookalike(LookalikeCommand options, Console& console) {
  COHORT_RETURN_IF_ERROR(CheckOptions(options));
  COHORT_ASSIGN_OR_RETURN(const std::optional<Split> split, SplitFromName(options.split));
  options.wanted.split = split.value_or(Split::kTest);
  options.wanted.data = options.data;
  if (options.top) options.wanted.top = *options.top;
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> data, DatasetReader::Open(options.data));
  const DatasetInfo& info = data->info();
  console.Progress("reading ids");
  COHORT_ASSIGN_OR_RETURN(const CustomerIds customers,
                          CustomerIds::Read(*data, options.shop, options.data_directory));
  COHORT_ASSIGN_OR_RETURN(
      const ProspectList list,
      ReadProspects(options.prospects, info, [&](const std::string& id) { return customers.Contains(id); }));
  COHORT_ASSIGN_OR_RETURN(const std::optional<std::size_t> by, GroupingOf(options, list));
  COHORT_ASSIGN_OR_RETURN(LookalikeCrowd crowd, ReadCrowd(*data, options.wanted, list.attributes, customers));
  std::optional<GroupCosts> costs;
  if (!options.cost.empty()) {
    COHORT_ASSIGN_OR_RETURN(
        costs, ReadCosts(*data, options.cost, by ? list.attributes[*by].feature : std::string()));
  }
  COHORT_ASSIGN_OR_RETURN(const DatasetNames names, data->ReadNames());
  std::vector<ListedAttribute> listed;
  for (std::size_t i = 0; i < list.attributes.size(); ++i)
    listed.push_back(ListedAttribute::Of(list, i, crowd.values[i], names));
  const std::vector<float> user_costs = costs ? CostsOfUsers(*costs, crowd, by) : std::vector<float>();

  console.Progress("fitting");
  LookalikeOptions fitting;
  fitting.seed = options.seed;
  const LookalikeModel model = LookalikeModel::Fit(std::move(crowd.users), fitting);
  BootstrapOptions bootstrap;
  bootstrap.draws = options.draws, bootstrap.seed = options.seed;
  bootstrap.progress = [&](std::uint32_t draw) {
    if (draw % 50 == 0)
      console.Progress("draw " + std::to_string(draw) + " of " + std::to_string(options.draws));
  };
  const LookalikeEvidence evidence = JudgeLookalike(model, crowd.worth, bootstrap);
  const Calibration probability(model.held_out(), model.wanted(), true);
  std::optional<Calibration> value;
  if (!crowd.worth.empty()) value.emplace(model.held_out(), crowd.worth, false);
  std::optional<BestTenth> net;
  if (costs) {
    std::vector<float> expected, brought;
    for (std::size_t user = 0; user < user_costs.size(); ++user) {
      expected.push_back(static_cast<float>(value->Of(model.held_out()[user]).value) - user_costs[user]);
      brought.push_back(crowd.worth[user] - user_costs[user]);
    }
    net = JudgeBestTenth(expected, brought, bootstrap);
  }

  console.Progress("scoring prospects");
  const std::vector<ScoredProspect> scored = ScoreProspects(
      model, list, listed, {probability, value ? &*value : nullptr, costs ? &*costs : nullptr, by});

  std::string text;
  Json json{{"status", "done"}};
  const Found found{options, list, crowd, model, evidence, listed, net};
  DescribeEvidence(found, &text, &json);
  text += "\n" + std::to_string(list.ids.size()) + " prospects scored; of " + std::to_string(list.records) +
          " records " + std::to_string(list.customers) + " are customers already, " +
          std::to_string(list.repeated) + " repeat an id (" + std::to_string(list.contradicted) +
          " with other attributes), " + std::to_string(list.without_id) + " have none\n";
  json["prospects"] = {{"records", list.records},           {"scored", list.ids.size()},
                       {"customers", list.customers},       {"repeated", list.repeated},
                       {"contradicted", list.contradicted}, {"without_id", list.without_id}};
  if (costs) {
    text += Format("%s: %.5g, the mean of %llu users", options.cost.c_str(), costs->all.mean,
                   static_cast<unsigned long long>(costs->all.users)) +
            (by ? "; of each " + list.attributes[*by].column + " its own, where " +
                      std::to_string(GroupCosts::kLeastUsers) + " users or more have one\n"
                : std::string("\n"));
    json["cost_of_all"] = {{"mean", costs->all.mean}, {"users", costs->all.users}};
  }
  if (by) DescribeGroups(scored, list, *by, value.has_value(), costs.has_value(), &text, &json);
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(
      options.out, ProspectLines(scored, list, listed, value.has_value(), costs.has_value())));
  const std::vector<std::string> warnings = ProspectWarnings(found, customers, info.has_id);
  for (const std::string& warning : warnings) console.Note("warning: " + warning);
  json["warnings"] = warnings;
  json["out"] = options.out;
  text += "wrote " + options.out;
  if (!options.report.empty()) {
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(options.report, RenderLookalikePage(PageOf(found, text))));
    text += "\nwrote " + options.report;
    json["report"] = options.report;
  }
  console.Print(text);
  console.SetJson(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  return {};
}

}  // namespace

void AddLookalike(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<LookalikeCommand>();
  CLI::App* command = app.add_subcommand(
      "lookalike",
      "how much people on an outside list look like the users that are wanted, by what is known of somebody "
      "who is no customer yet: scores, expected values, reasons, evidence (docs/lookalike.md)");
  command->add_option("DATASET", options->data, "a dataset written by `cohort prepare`")->required();
  command
      ->add_option(
          "--prospects", options->prospects.path,
          "the list: a CSV file with a column of ids and attributes, named as in [users] of SHOP.toml "
          "or as the dataset's features")
      ->required();
  command->add_option("--out", options->out, "the CSV to write, a line a prospect, the best first")
      ->required()
      ->type_name(kOutputType);
  command->add_option("--id", options->prospects.id, "the list's column of ids (default: id)");
  command->add_option("--seed-by", options->wanted.by,
                      "what a user is worth: a label or numeric feature of the dataset, or a prediction of "
                      "--scores; the best by it are wanted");
  command->add_option("--top", options->top,
                      "which share of the users, the best by --seed-by (default: 0.1)");
  command->add_option("--scores", options->wanted.scores,
                      "predictions of --split, written by `cohort score`, for --seed-by");
  command->add_option("--seed-ids", options->wanted.ids,
                      "a CSV file with a header: the users in its first column are wanted");
  command->add_option("--split", options->split, "whose users: train, valid or test (default: test)");
  command
      ->add_option("--attributes", options->prospects.attributes,
                   "features that are looked at, separated by commas (default: all user_... that the list "
                   "has); name only what is known of somebody who is no customer yet")
      ->delimiter(',');
  command->add_option("--by", options->by,
                      "a categorical attribute by whose values prospects, values and costs are told apart "
                      "(default: user_channel, if both sides have it)");
  command->add_option("--cost", options->cost,
                      "a label or numeric feature, in the unit of --seed-by: what it took to win users; its "
                      "mean by --by is taken off what a prospect is expected to be worth, and what is left "
                      "orders them");
  command
      ->add_option("--report", options->report,
                   "an HTML page to write: held-out users by their scores, and what is printed")
      ->type_name(kOutputType);
  command->add_option("--shop", options->shop,
                      "SHOP.toml: whoever is in its logs is a customer, and its user_key finds customers "
                      "behind their pseudonyms");
  command->add_option("--data-dir", options->data_directory,
                      "what the file names in SHOP.toml are relative to (default: its own directory)");
  command->add_option("--draws", options->draws, "of the bootstrap, 1 to 100000 (default: 1000)")
      ->check(Between(1u, 100'000u));
  command->add_option("--seed", options->seed, "of folds and draws (default: 1)");
  command->add_flag("--overwrite")->description("replace a file that is there");
  commands[command] = [options](Console& console) { return Lookalike(*options, console); };
}

}  // namespace cohort
