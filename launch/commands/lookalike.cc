// cohort lookalike: how much people on an outside list look like the users that a shop wants more of (lifecycle/lookalike_model.h),
// with the evidence on users that the model has not seen (launch/lookalike_evidence.h).
#include <xxhash.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "common/atomic_file.h"
#include "common/csv_cell.h"
#include "common/nearest.h"
#include "launch/commands/commands.h"
#include "launch/lookalike_evidence.h"
#include "launch/lookalike_users.h"
#include "launch/report/html.h"
#include "launch/report/lookalike_page.h"
#include "launch/run_plan.h"
#include "lifecycle/calibration.h"
#include "lifecycle/lookalike_model.h"
#include "lifecycle/prospect_list.h"
#include "prepare/csv_file.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kChannel = "user_channel";
constexpr std::size_t kMostReasons = 3, kMostGroupsShown = 20;
constexpr double kLeastReason = 0.05;  // of log odds: a share below is not worth a word

struct LookalikeCommand {
  std::string data, split = "test", out, report, cost, by, shop, data_directory;
  ProspectOptions prospects;
  WantedOptions wanted;
  std::optional<double> top;
  std::uint32_t draws = 1000;
  std::uint64_t seed = 1;
  bool overwrite = false;
};

// Of one attribute: what the list says of it that users cannot answer for.
struct AttributeGaps {
  std::uint64_t missing = 0;                   // empty cells
  std::map<std::string, std::uint64_t> alien;  // values that no user has
  std::uint64_t outside = 0;                   // numbers below or above those of all users
  std::string nearest;                         // "; did you mean ...?" of the most frequent alien value
  float least = 0, most = 0;                   // of the users
  bool no_user = true;                         // has it
};

// A prospect, as scored.
struct ScoredProspect {
  std::size_t prospect = 0;  // of the list
  double raw = 0, score = 0, value = 0, cost = 0;
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

// Marks what is not known of a prospect: empty cells, and values that no user has. By prospect and attribute.
std::vector<std::uint8_t> FindUnknown(const ProspectList& list, const LookalikeCrowd& crowd,
                                      const DatasetNames& names, std::vector<AttributeGaps>* gaps) {
  const std::size_t width = list.attributes.size();
  std::vector<std::uint8_t> unknown(list.ids.size() * width);
  gaps->assign(width, {});
  for (std::size_t i = 0; i < width; ++i) {
    const Attribute& attribute = list.attributes[i];
    AttributeGaps& of = (*gaps)[i];
    const Key missing = MissingKey(attribute.feature);
    std::set<Key> seen;
    for (std::size_t user = 0; user < crowd.ids.size(); ++user) {
      const float number = crowd.rows.numbers[user * width + i];
      const Key key = crowd.rows.keys[user * width + i];
      if (attribute.numeric ? std::isnan(number) : key == missing) continue;
      if (of.no_user) of.least = of.most = number;
      of.no_user = false;
      of.least = std::min(of.least, number), of.most = std::max(of.most, number);
      seen.insert(key);
    }
    for (std::size_t prospect = 0; prospect < list.ids.size(); ++prospect) {
      const std::size_t at = prospect * width + i;
      const std::string& cell = list.cells[prospect][i];
      if (cell.empty()) {
        ++of.missing;
      } else if (attribute.numeric) {
        of.outside += !of.no_user && (list.rows.numbers[at] < of.least || list.rows.numbers[at] > of.most);
        unknown[at] = of.no_user;
      } else if (!seen.contains(list.rows.keys[at])) {
        ++of.alien[cell];
        unknown[at] = 1;
      }
      if (cell.empty()) unknown[at] = 1;
    }
    if (of.alien.empty()) continue;
    std::vector<std::string> candidates;
    for (const Key key : seen) {
      if (const auto name = names.find(key); name != names.end()) candidates.push_back(name->second);
    }
    std::sort(candidates.begin(), candidates.end());
    const auto most = std::max_element(of.alien.begin(), of.alien.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    of.nearest = DidYouMean(most->first, candidates);
  }
  return unknown;
}

// The attributes that move the score most, in words.
std::string ReasonOf(const LookalikeModel::Score& score, const std::vector<Attribute>& attributes,
                     const std::vector<std::string>& cells, const std::uint8_t* unknown) {
  std::vector<std::size_t> order;
  std::vector<std::string> not_known;
  for (std::size_t i = 0; i < attributes.size(); ++i) {
    if (unknown[i] != 0) {
      not_known.push_back(attributes[i].column);
    } else if (std::abs(score.shares[i]) >= kLeastReason) {
      order.push_back(i);
    }
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::abs(score.shares[a]) > std::abs(score.shares[b]);
  });
  if (order.size() > kMostReasons) order.resize(kMostReasons);
  std::string text;
  for (const bool raised : {true, false}) {
    std::string part;
    for (const std::size_t i : order) {
      if ((score.shares[i] > 0) != raised) continue;
      part += (part.empty() ? (raised ? "raised by " : "lowered by ") : ", ") + attributes[i].column + " = " +
              cells[i] + Format(" (odds x %.2f)", std::exp(double{score.shares[i]}));
    }
    if (!part.empty()) text += (text.empty() ? "" : "; ") + part;
  }
  if (text.empty()) text = "as users in general";
  if (!not_known.empty()) text += "; not known: " + Joined(not_known);
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

struct Found {
  const LookalikeCommand& options;
  const ProspectList& list;
  const LookalikeCrowd& crowd;
  const LookalikeModel& model;
  const LookalikeEvidence& evidence;
  const std::vector<AttributeGaps>& gaps;
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
  page.wanted = static_cast<double>(found.crowd.wanted_count) / static_cast<double>(found.crowd.ids.size());
  page.wanted_by_tenth = found.evidence.wanted_by_part;
  if (found.evidence.worth) {
    page.value = found.options.wanted.by;
    page.of_all = found.evidence.worth->all;
    page.value_by_tenth = found.evidence.worth_by_part;
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
  const double share = static_cast<double>(crowd.wanted_count) / static_cast<double>(crowd.ids.size());
  const bool named = !options.wanted.ids.empty();
  *text += std::to_string(crowd.ids.size()) + " users of the " + options.split + " split, " +
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
  (*json)["users"] = crowd.ids.size();
  (*json)["users_left_out"] = crowd.without_worth;
  (*json)["wanted"] = {{"users", crowd.wanted_count}, {"share", share}};
  if (!named) (*json)["wanted"]["least"] = crowd.threshold;
  if (named) (*json)["wanted"]["not_found"] = crowd.not_found;

  *text += "\non users that the model has not seen, with 95 % intervals (" + std::to_string(options.draws) +
           " draws of users):\n  AUC                      " + EstimateText(evidence.auc, "%.4f") +
           "\n  wanted in the best tenth " + EstimateText(evidence.wanted, "%.1f", 100) + " %, " +
           EstimateText(evidence.lift, "%.2f") + " times the share of all\n";
  (*json)["auc"] = EstimateJson(evidence.auc);
  (*json)["best_tenth"] = {{"wanted", EstimateJson(evidence.wanted)}, {"lift", EstimateJson(evidence.lift)}};
  (*json)["tenths"]["wanted"] = evidence.wanted_by_part;
  if (evidence.worth) {
    *text += "  " + Filled(options.wanted.by + " there", 24) + " " +
             EstimateText(evidence.worth->best, "%.5g") + ", " + EstimateText(evidence.worth->ratio, "%.2f") +
             Format(" times that of all, %.5g\n", evidence.worth->all);
    (*json)["best_tenth"]["value"] = EstimateJson(evidence.worth->best);
    (*json)["best_tenth"]["value_ratio"] = EstimateJson(evidence.worth->ratio);
    (*json)["value_of_all"] = evidence.worth->all;
    (*json)["tenths"]["value"] = evidence.worth_by_part;
  }
  (*json)["distinguishes"] = evidence.distinguishes();
  (*json)["trees"] = found.model.rounds();

  *text += "AUC lost when an attribute is somebody else's:\n";
  std::size_t width = 12;
  for (const Attribute& attribute : found.list.attributes) width = std::max(width, attribute.column.size());
  Json attributes = Json::array();
  for (const std::size_t i : AttributesByWeight(evidence)) {
    const Attribute& attribute = found.list.attributes[i];
    const AttributeGaps& gaps = found.gaps[i];
    *text +=
        "  " + Filled(attribute.column, width) + "  " + EstimateText(evidence.auc_lost[i], "%+.4f") + "\n";
    std::uint64_t alien = 0;
    for (const auto& [value, count] : gaps.alien) alien += count;
    attributes.push_back({{"feature", attribute.feature},
                          {"column", attribute.column},
                          {"auc_lost", EstimateJson(evidence.auc_lost[i])},
                          {"missing", gaps.missing},
                          {"never_seen", alien},
                          {"outside", gaps.outside}});
  }
  (*json)["attributes"] = std::move(attributes);
}

// What the list has that was not used, or that users cannot answer for.
std::vector<std::string> ProspectWarnings(const Found& found, const CustomerIds& customers, bool has_id) {
  std::vector<std::string> warnings;
  const ProspectList& list = found.list;
  if (!found.evidence.distinguishes())
    warnings.push_back(
        "nothing distinguishes the wanted users from others by these attributes: the AUC on users that the "
        "model "
        "has not seen is not shown to be above one half. The order of the prospects is no better than "
        "chance");
  if (!list.lacking.empty())
    warnings.push_back("attributes of the users that the list does not have: " + Joined(list.lacking));
  if (!list.behaviour.empty())
    warnings.push_back(
        "columns that are features of the dataset, but no attributes of [users], and are not "
        "used unless --attributes names them: " +
        Joined(list.behaviour));
  if (!list.unused.empty()) warnings.push_back("columns that are not used: " + Joined(list.unused));
  for (std::size_t i = 0; i < list.attributes.size(); ++i) {
    const AttributeGaps& gaps = found.gaps[i];
    const std::string& column = list.attributes[i].column;
    if (gaps.no_user) warnings.push_back(column + ": no user has it, so it says nothing");
    if (gaps.missing > 0)
      warnings.push_back(column + ": not known of " + std::to_string(gaps.missing) + " prospects");
    if (gaps.outside > 0)
      warnings.push_back(column + ": " + std::to_string(gaps.outside) +
                         Format(" prospects are below or above all users (%.6g to %.6g)", double{gaps.least},
                                double{gaps.most}));
    if (gaps.alien.empty() || gaps.no_user) continue;
    std::uint64_t count = 0;
    for (const auto& [value, of] : gaps.alien) count += of;
    const auto most = std::max_element(gaps.alien.begin(), gaps.alien.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    warnings.push_back(column + ": " + std::to_string(count) +
                       " prospects have a value that no user has, most often \"" + most->first + "\"" +
                       gaps.nearest);
  }
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

std::string ProspectLines(const std::vector<ScoredProspect>& order, const ProspectList& list,
                          const std::vector<LookalikeModel::Score>& scores,
                          const std::vector<std::uint8_t>& unknown, bool with_value, bool with_cost) {
  std::string text = "id,score";
  if (with_value) text += ",expected_value";
  if (with_cost) text += ",cost,net";
  text += ",rank,decile,reason\n";
  const auto number = [&](double value) { text += ',', AppendCsvNumber(value, &text); };
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const ScoredProspect& of = order[rank];
    AppendCsvCell(list.ids[of.prospect], &text);
    number(of.score);
    if (with_value) number(of.value);
    if (with_cost) number(of.cost), number(of.value - of.cost);
    text += "," + std::to_string(rank + 1) + "," + std::to_string(1 + rank * 10 / order.size()) + ",";
    AppendCsvCell(ReasonOf(scores[of.prospect], list.attributes, list.cells[of.prospect],
                           unknown.data() + of.prospect * list.attributes.size()),
                  &text);
    text += "\n";
  }
  return text;
}

// Prospects by the values of one attribute, the best first.
void DescribeGroups(const std::vector<ScoredProspect>& scored, const ProspectList& list, std::size_t by,
                    bool with_value, bool with_cost, std::string* text, Json* json) {
  std::map<std::string, ProspectGroup> groups;
  for (const ScoredProspect& of : scored) {
    ProspectGroup& group = groups[list.cells[of.prospect][by]];
    ++group.prospects;
    group.score += of.score, group.value += of.value, group.cost += of.cost;
    group.worth_their_cost += of.value > of.cost;
  }
  std::vector<std::pair<std::string, ProspectGroup>> order(groups.begin(), groups.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.second.prospects > b.second.prospects; });
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
  for (const std::string& path : {options.out, options.report}) {
    if (!path.empty())
      COHORT_RETURN_IF_ERROR(CheckOutput(
          path, options.overwrite,
          {options.data, options.prospects.path, options.shop, options.wanted.scores, options.wanted.ids}));
  }
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> data, DatasetReader::Open(options.data));
  const DatasetInfo& info = data->info();
  console.Progress("reading ids");
  COHORT_ASSIGN_OR_RETURN(const CustomerIds customers,
                          CustomerIds::Read(*data, options.shop, options.data_directory));
  COHORT_ASSIGN_OR_RETURN(
      const ProspectList list,
      ReadProspects(options.prospects, info, [&](const std::string& id) { return customers.Contains(id); }));
  COHORT_ASSIGN_OR_RETURN(const std::optional<std::size_t> by, GroupingOf(options, list));
  COHORT_ASSIGN_OR_RETURN(const LookalikeCrowd crowd,
                          ReadCrowd(*data, options.wanted, list.attributes, customers));
  std::optional<GroupCosts> costs;
  if (!options.cost.empty()) {
    COHORT_ASSIGN_OR_RETURN(
        costs, ReadCosts(*data, options.cost, by ? list.attributes[*by].feature : std::string()));
  }
  COHORT_ASSIGN_OR_RETURN(const DatasetNames names, data->ReadNames());
  std::vector<AttributeGaps> gaps;
  const std::vector<std::uint8_t> unknown = FindUnknown(list, crowd, names, &gaps);

  std::vector<std::string> without;
  for (const FeatureInfo& feature : info.features) {
    if (std::none_of(list.attributes.begin(), list.attributes.end(),
                     [&](const Attribute& attribute) { return attribute.feature == feature.name; }))
      without.push_back(feature.name);
  }
  COHORT_ASSIGN_OR_RETURN(const DenseInputs inputs, DenseInputs::Of(*data, without));
  LookalikeUsers users;
  users.width = inputs.width();
  for (const Attribute& attribute : list.attributes)
    users.attributes.push_back(inputs.ColumnsOf(attribute.feature));
  users.inputs = DenseRowsOf(crowd.rows, list.attributes, info, inputs);
  users.wanted = crowd.wanted;
  for (const std::string& id : crowd.ids) users.user.push_back(XXH3_64bits(id.data(), id.size()));
  console.Progress("fitting");
  LookalikeOptions fitting;
  fitting.seed = options.seed;
  const LookalikeModel model = LookalikeModel::Fit(std::move(users), fitting);
  BootstrapOptions bootstrap;
  bootstrap.draws = options.draws, bootstrap.seed = options.seed;
  bootstrap.progress = [&](std::uint32_t draw) {
    if (draw % 50 == 0)
      console.Progress("draw " + std::to_string(draw) + " of " + std::to_string(options.draws));
  };
  const LookalikeEvidence evidence = JudgeLookalike(model, crowd.worth, bootstrap);

  console.Progress("scoring prospects");
  const std::vector<LookalikeModel::Score> scores =
      model.Predict(DenseRowsOf(list.rows, list.attributes, info, inputs), unknown);
  const Calibration probability(model.held_out(), crowd.wanted, true);
  std::optional<Calibration> value;
  if (!crowd.worth.empty()) value.emplace(model.held_out(), crowd.worth, false);
  std::vector<ScoredProspect> scored(list.ids.size());
  for (std::size_t prospect = 0; prospect < scored.size(); ++prospect) {
    ScoredProspect& of = scored[prospect];
    of.prospect = prospect;
    of.raw = double{scores[prospect].log_odds};
    of.score = probability.Of(scores[prospect].log_odds).value;
    if (value) of.value = value->Of(scores[prospect].log_odds).value;
    if (!costs) continue;
    const std::size_t at = prospect * list.attributes.size() + by.value_or(0);
    of.cost = by && unknown[at] == 0 ? costs->Of(list.rows.keys[at]) : costs->all.mean;
  }
  // Equal scores: by id, as the list is.
  std::stable_sort(scored.begin(), scored.end(),
                   [](const ScoredProspect& a, const ScoredProspect& b) { return a.raw > b.raw; });

  std::string text;
  Json json{{"status", "done"}};
  const Found found{options, list, crowd, model, evidence, gaps};
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
      options.out, ProspectLines(scored, list, scores, unknown, value.has_value(), costs.has_value())));
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
      ->required();
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
                      "mean by --by is taken off what a prospect is expected to be worth");
  command->add_option("--report", options->report,
                      "an HTML page to write: held-out users by their scores, and what is printed");
  command->add_option("--shop", options->shop,
                      "SHOP.toml: whoever is in its logs is a customer, and its user_key finds customers "
                      "behind their pseudonyms");
  command->add_option("--data-dir", options->data_directory,
                      "what the file names in SHOP.toml are relative to (default: its own directory)");
  command->add_option("--draws", options->draws, "of the bootstrap, 1 to 100000 (default: 1000)")
      ->check(CLI::Range(1u, 100'000u));
  command->add_option("--seed", options->seed, "of folds and draws (default: 1)");
  command->add_flag("--overwrite", options->overwrite, "replace a file that is there");
  commands[command] = [options](Console& console) { return Lookalike(*options, console); };
}

}  // namespace cohort
