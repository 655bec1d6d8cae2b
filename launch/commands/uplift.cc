// cohort uplift: what actions add to an outcome, for whom, and what choosing by it is worth, from a randomised experiment
// (lifecycle/uplift_model.h, lifecycle/policy_value.h).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include "common/atomic_file.h"
#include "common/cbor.h"
#include "common/csv_cell.h"
#include "common/nearest.h"
#include "common/random.h"
#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"
#include "launch/commands/partition_options.h"
#include "launch/report/uplift_page.h"
#include "launch/run_plan.h"
#include "lifecycle/policy_value.h"
#include "lifecycle/uplift_model.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

struct UpliftCommand {
  std::string data, out, report, split = "test", link;
  ExperimentOptions experiment;
  std::vector<std::string> without, costs, targets, rules;
  std::uint32_t splits = 5, draws = 1000;
  std::uint64_t seed = 1;
  PartitionOptions partitions;
};

// "NAME=NUMBER" of an arm.
Result<std::pair<std::size_t, double>> NumberOfArm(const std::string& option, const std::string& text,
                                                   const std::vector<std::string>& arms) {
  const std::size_t equals = text.rfind('=');
  const std::string name = text.substr(0, equals);
  const auto arm = std::find(arms.begin(), arms.end(), name);
  char* end = nullptr;
  const std::string number = equals == std::string::npos ? "" : text.substr(equals + 1);
  const double value = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != '\0' || !std::isfinite(value))
    return InvalidInput(option + " \"" + text + "\": expected ARM=NUMBER");
  if (arm == arms.end())
    return InvalidInput(option + " \"" + text + "\": no arm \"" + name + "\"" + DidYouMean(name, arms));
  return std::pair(static_cast<std::size_t>(arm - arms.begin()), value);
}

// One figure of each split: the mean, and in how many its interval lies above a bound.
struct Figure {
  double value = 0, low = 0, high = 0;
  std::uint32_t above = 0, splits = 0;
  void Add(const Interval& interval, double bound) {
    value += interval.value, low += interval.low, high += interval.high;
    above += interval.above(bound);
    ++splits;
  }
  void Add(const Figure& of_other_splits) {
    value += of_other_splits.value, low += of_other_splits.low, high += of_other_splits.high;
    above += of_other_splits.above, splits += of_other_splits.splits;
  }
  double mean() const { return value / splits; }
  std::string Text(const char* format) const {
    char text[160], whole[64];
    std::snprintf(whole, sizeof whole, "%s  [%s, %s]", format, format, format);
    std::snprintf(text, sizeof text, whole, value / splits, low / splits, high / splits);
    return text;
  }
  Json ToJson() const {
    const auto number = [&](double sum) { return std::isfinite(sum) ? Json(sum / splits) : Json(nullptr); };
    return {{"mean", number(value)},
            {"mean_low", number(low)},
            {"mean_high", number(high)},
            {"above", above},
            {"splits", splits}};
  }
};

void to_json(nlohmann::json& json, const Figure& figure) {
  json = {figure.value, figure.low, figure.high, figure.above, figure.splits};
}
void from_json(const nlohmann::json& json, Figure& figure) {
  json.at(0).get_to(figure.value), json.at(1).get_to(figure.low), json.at(2).get_to(figure.high);
  json.at(3).get_to(figure.above), json.at(4).get_to(figure.splits);
}

// Sums of one shape; an empty one takes the other's.
void AddUp(Figure& sum, const Figure& more) { sum.Add(more); }
template <typename Number>
requires std::is_arithmetic_v<Number>
void AddUp(Number& sum, Number more) { sum += more; }
template <typename Each, std::size_t N>
void AddUp(std::array<Each, N>& sums, const std::array<Each, N>& more) {
  for (std::size_t i = 0; i < N; ++i) AddUp(sums[i], more[i]);
}
template <typename Each>
void AddUp(std::vector<Each>& sums, const std::vector<Each>& more) {
  sums.resize(std::max(sums.size(), more.size()));
  for (std::size_t i = 0; i < more.size(); ++i) AddUp(sums[i], more[i]);
}

struct Target {
  std::size_t arm;
  double share;
};
struct Rule {
  std::string name;
  std::size_t column;
};

// All that one half says of the model of the other, of one split or of several.
struct Findings {
  // Policies: nobody, each arm to everybody, a random arm, the best single one, by predicted effect.
  std::vector<std::string> policies;
  std::vector<std::array<Figure, kEstimators>> values, over_best;
  std::vector<Figure> over_nobody;
  std::vector<std::uint32_t> chosen;  // by arm: in how many splits it was the best single one
  std::vector<double> shares;         // by arm: of the rows, by predicted effect
  // By target, by ranking (uplift, response, rules): the increment over that of a random choice of as many.
  std::vector<std::vector<std::array<Figure, kEstimators>>> ratios;
  // By target, by ranking and then of the random choice: what it adds to nobody, doubly robust.
  std::vector<std::vector<Figure>> increments;
  // By arm but the control, by ranking.
  std::vector<std::vector<Figure>> qini, auuc;
  std::vector<std::vector<std::vector<double>>> curves;  // the same: gains of the curve, means

  nlohmann::json ToJson() const {
    return {policies, values, over_best, over_nobody, chosen, shares, ratios, increments, qini, auuc, curves};
  }
  // Those of other splits.
  void AddPart(const nlohmann::json& part) {
    part.at(0).get_to(policies);
    std::size_t place = 1;
    const auto add = [&](auto&... sums) {
      (AddUp(sums, part.at(place++).template get<std::remove_reference_t<decltype(sums)>>()), ...);
    };
    add(values, over_best, over_nobody, chosen, shares, ratios, increments, qini, auuc, curves);
  }
};

void JudgeSplit(const Experiment& fitting, const Experiment& judged, const UpliftCommand& options,
                const std::vector<double>& costs, const std::vector<Target>& targets,
                const std::vector<Rule>& rules, std::uint64_t seed, Findings* findings) {
  UpliftOptions learner;
  learner.seed = seed;
  const UpliftModel model = UpliftModel::Fit(fitting, learner);
  const Outlook outlook = model.Predict(judged.inputs);
  const std::size_t rows = judged.rows(), arms = judged.arms.size();

  std::vector<Policy> policies;
  std::vector<double> chances(arms);
  for (std::size_t a = 0; a < arms; ++a) {
    std::fill(chances.begin(), chances.end(), 0.0);
    chances[a] = 1;
    policies.push_back(ConstantPolicy(a == 0 ? "nobody" : "everybody: " + judged.arms[a], rows, chances));
  }
  std::fill(chances.begin(), chances.end(), 1 / static_cast<double>(arms));
  policies.push_back(ConstantPolicy("a random arm each", rows, chances));
  // Chosen on the half that was fitted.
  std::size_t best = 0;
  double most = 0;
  for (std::size_t a = 1; a < arms; ++a) {
    if (model.arms()[a].average - costs[a] > most) best = a, most = model.arms()[a].average - costs[a];
  }
  policies.push_back(policies[best]);
  policies.back().name = "the best single arm";
  policies.push_back(BestArmPolicy("by predicted effect", outlook, costs));
  const std::size_t single = policies.size() - 2, personal = policies.size() - 1;
  findings->policies.clear();
  for (const Policy& policy : policies) findings->policies.push_back(policy.name);
  const std::size_t named = policies.size();
  findings->chosen.resize(arms);
  findings->shares.resize(arms);
  ++findings->chosen[best];
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t a = 0; a < arms; ++a)
      findings->shares[a] +=
          static_cast<double>(policies[personal].chances[row * arms + a]) / static_cast<double>(rows);
  }

  // Scores by arm and ranking.
  const auto scores_of = [&](std::size_t arm, std::size_t ranking) {
    std::vector<double> scores(rows);
    for (std::size_t row = 0; row < rows; ++row) {
      scores[row] = ranking == 0 ? outlook.effect[row * arms + arm]
                    : ranking == 1
                        ? outlook.outcome[row * arms + arm]
                        : static_cast<double>(judged.inputs[row * judged.width + rules[ranking - 2].column]);
    }
    return scores;
  };
  const std::size_t rankings = 2 + rules.size();
  for (const Target& target : targets) {
    for (std::size_t ranking = 0; ranking < rankings; ++ranking)
      policies.push_back(TopPolicy("", arms, target.arm, scores_of(target.arm, ranking), target.share));
    policies.push_back(TopPolicy("", arms, target.arm, std::vector<double>(rows, 0), target.share));
  }
  const PolicyEstimates values(judged, outlook.outcome, costs, policies, options.draws, seed);
  findings->values.resize(named), findings->over_best.resize(named), findings->over_nobody.resize(named);
  findings->ratios.resize(targets.size(), std::vector<std::array<Figure, kEstimators>>(rankings));
  findings->increments.resize(targets.size(), std::vector<Figure>(rankings + 1));
  for (std::size_t t = 0; t < targets.size(); ++t) {
    for (std::size_t k = 0; k <= rankings; ++k)
      findings->increments[t][k].Add(values.Difference(Estimator::kDr, named + t * (rankings + 1) + k, 0), 0);
  }
  for (const Estimator estimator : {Estimator::kIps, Estimator::kSnips, Estimator::kDr}) {
    const auto e = static_cast<std::size_t>(estimator);
    for (std::size_t k = 0; k < named; ++k) {
      findings->values[k][e].Add(values.Value(estimator, k), 0);
      findings->over_best[k][e].Add(values.Difference(estimator, k, single), 0);
    }
    for (std::size_t t = 0; t < targets.size(); ++t) {
      const std::size_t first = named + t * (rankings + 1);
      for (std::size_t ranking = 0; ranking < rankings; ++ranking)
        findings->ratios[t][ranking][e].Add(values.Ratio(estimator, first + ranking, first + rankings, 0), 1);
    }
  }
  for (std::size_t k = 0; k < named; ++k)
    findings->over_nobody[k].Add(values.Difference(Estimator::kDr, k, 0), 0);

  findings->qini.resize(arms, std::vector<Figure>(rankings));
  findings->auuc.resize(arms, std::vector<Figure>(rankings));
  findings->curves.resize(arms, std::vector<std::vector<double>>(rankings));
  for (std::size_t a = 1; a < arms; ++a) {
    for (std::size_t ranking = 0; ranking < rankings; ++ranking) {
      const JudgedCurve curve =
          JudgeCurve(judged, a, scores_of(a, ranking), std::min(options.draws, 200u), seed);
      findings->qini[a][ranking].Add(curve.qini, 0);
      findings->auuc[a][ranking].Add(curve.auuc, 0);
      std::vector<double>& mean = findings->curves[a][ranking];
      mean.resize(curve.curve.gain.size());
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += curve.curve.gain[i] / options.splits;
    }
  }
}

std::string Padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}
std::string Percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

// What a model of all rows expects of each row of a split: the outcome without action, and what each arm adds. CSV.
Result<std::string> Effects(DatasetReader& data, const DenseInputs& inputs, const Experiment& experiment,
                            std::uint64_t seed, Split split) {
  UpliftOptions learner;
  learner.seed = seed;
  const UpliftModel model = UpliftModel::Fit(experiment, learner);
  std::string text = data.info().has_id ? "id" : "row";
  text += ',', AppendCsvCell("outcome." + experiment.arms[0], &text);
  for (std::size_t a = 1; a < experiment.arms.size(); ++a)
    text += ',', AppendCsvCell("effect." + experiment.arms[a], &text);
  text += "\n";
  const std::uint64_t rows = data.info().rows[static_cast<std::size_t>(split)];
  RowBlock block;
  std::vector<float> values;
  for (std::uint64_t first = 0; first < rows; first += block.rows) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
    COHORT_RETURN_IF_ERROR(data.Read(split, first, count, /*with_ids=*/true, &block));
    values.clear();
    inputs.Append(block, &values);
    const Outlook outlook = model.Predict(values);
    for (std::size_t row = 0; row < block.rows; ++row) {
      AppendCsvCell(block.ids.empty() ? std::to_string(block.input_rows[row]) : block.ids[row], &text);
      char number[40];
      std::snprintf(number, sizeof number, ",%.9g", outlook.outcome[row * outlook.arms]);
      text += number;
      for (std::size_t a = 1; a < outlook.arms; ++a) {
        std::snprintf(number, sizeof number, ",%.9g", outlook.effect[row * outlook.arms + a]);
        text += number;
      }
      text += "\n";
    }
  }
  return text;
}

Status Uplift(UpliftCommand options, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const std::optional<Split> written_split, SplitFromName(options.split));
  if (options.link == "identity") options.experiment.link = Link::kIdentity;
  if (options.link == "log") options.experiment.link = Link::kLog;
  if (options.link == "logit") options.experiment.link = Link::kLogit;
  COHORT_ASSIGN_OR_RETURN(
      const std::unique_ptr<Partitions> partitions,
      options.partitions.Start(options.out.empty() ? options.report : options.out, console));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> data, DatasetReader::Open(options.data));
  COHORT_ASSIGN_OR_RETURN(const DenseInputs inputs, DenseInputs::Of(*data, options.without));
  std::uint64_t left_out = 0;
  COHORT_ASSIGN_OR_RETURN(const Experiment experiment,
                          ReadExperiment(*data, inputs, options.experiment, &left_out));
  const std::size_t arms = experiment.arms.size();
  std::vector<double> costs(arms);
  for (const std::string& text : options.costs) {
    COHORT_ASSIGN_OR_RETURN(const auto cost, NumberOfArm("--cost", text, experiment.arms));
    if (cost.first == 0) return Refused("--cost \"" + text + "\": the control costs nothing");
    if (cost.second < 0) return Refused("--cost \"" + text + "\": expected 0 or more");
    costs[cost.first] = cost.second;
  }
  std::vector<Target> targets;
  for (const std::string& text : options.targets) {
    COHORT_ASSIGN_OR_RETURN(const auto target, NumberOfArm("--target", text, experiment.arms));
    if (target.first == 0 || !(target.second > 0 && target.second < 1))
      return Refused("--target \"" + text +
                     "\": expected an arm that is not the control, and a share between 0 and 1");
    targets.push_back({target.first, target.second});
  }
  std::vector<Rule> rules;
  for (const std::string& text : options.rules) {
    const std::size_t equals = text.find('=');
    const std::optional<std::size_t> column =
        equals == std::string::npos ? std::nullopt
                                    : inputs.ColumnOf(text.substr(0, equals), text.substr(equals + 1));
    if (!column)
      return Refused("--rule \"" + text +
                     "\": expected FEATURE=VALUE, a categorical feature and one of its " +
                     std::to_string(DenseInputs::kMostLevels) + " most frequent values");
    rules.push_back({text, *column});
  }
  if (!inputs.skipped().empty()) {
    std::string names;
    for (const std::string& name : inputs.skipped()) names += (names.empty() ? "" : ", ") + name;
    console.Note("features that are bags, texts or sequences are not looked at: " + names);
  }
  if (left_out > 0)
    console.Note(std::to_string(left_out) + " rows have no arm or no outcome, and are left out");

  // A part is a split; the last one, if it is asked for, the model of all rows.
  Findings findings;
  std::string effects;
  PartitionedWork work;
  work.doing = "fitting", work.noun = "models";
  work.count = options.splits + (options.out.empty() ? 0 : 1);
  work.fingerprint = experiment.Fingerprint();
  work.make = [&](std::uint64_t split, std::uint64_t) -> Result<std::string> {
    if (split == options.splits)
      return Effects(*data, inputs, experiment, options.seed, written_split.value_or(Split::kTest));
    const std::uint64_t seed = RandomBits(options.seed, split);
    std::vector<std::uint32_t> fitting, judged;
    for (std::uint32_t row = 0; row < experiment.rows(); ++row)
      (RandomBits(seed, experiment.user[row], 1) >> 63 ? fitting : judged).push_back(row);
    Findings of_split;
    JudgeSplit(experiment.Select(fitting), experiment.Select(judged), options, costs, targets, rules, seed,
               &of_split);
    return ToCbor(of_split.ToJson());
  };
  std::uint64_t taken = 0;
  work.take = [&](const std::string& part) -> Status {
    if (taken++ < options.splits)
      return FromCbor(part, [&](const nlohmann::json& json) { findings.AddPart(json); });
    effects = part;
    return {};
  };
  COHORT_RETURN_IF_ERROR(partitions->Run(work));

  Json json{
      {"status", "done"}, {"rows", experiment.rows()}, {"left_out", left_out}, {"splits", options.splits}};
  std::string text = std::to_string(experiment.rows()) + " rows of the experiment:";
  for (std::size_t a = 0; a < arms; ++a)
    text += (a == 0 ? " " : ", ") + experiment.arms[a] + " " + Percent(experiment.propensities[a]);
  text += "\n" + std::to_string(options.splits) +
          " times cut into halves by user: one is fitted, the other judges. Means over them, of the values "
          "and of the bounds of "
          "95 % intervals\n(" +
          std::to_string(options.draws) + " draws of users); doubly robust, unless said\n\n";
  const auto dr = static_cast<std::size_t>(Estimator::kDr);
  std::size_t width = 20;
  for (const std::string& name : findings.policies) width = std::max(width, name.size());
  text +=
      options.experiment.outcome + " per row, less costs\n" + Padded("", width) +
      "     ips       snips     dr        dr, over nobody                  dr, over the best single arm\n";
  Json policies = Json::object();
  for (std::size_t k = 0; k < findings.policies.size(); ++k) {
    char line[120];
    std::snprintf(line, sizeof line, "  %-9.5g %-9.5g %-9.5g", findings.values[k][0].mean(),
                  findings.values[k][1].mean(), findings.values[k][2].mean());
    text += "  " + Padded(findings.policies[k], width) + line + "  " +
            Padded(findings.over_nobody[k].Text("%+.4g"), 30) + "  " +
            findings.over_best[k][dr].Text("%+.4g") + "\n";
    Json each = Json::object();
    for (const Estimator estimator : {Estimator::kIps, Estimator::kSnips, Estimator::kDr}) {
      const auto e = static_cast<std::size_t>(estimator);
      each[EstimatorName(estimator)] = findings.values[k][e].ToJson();
      each[std::string(EstimatorName(estimator)) + "_over_best_single"] = findings.over_best[k][e].ToJson();
    }
    each["dr_over_nobody"] = findings.over_nobody[k].ToJson();
    policies[findings.policies[k]] = std::move(each);
  }
  const Figure& gain = findings.over_best.back()[dr];
  text += "  the best single arm:";
  Json chosen = Json::object(), shares = Json::object();
  for (std::size_t a = 0; a < arms; ++a) {
    chosen[experiment.arms[a]] = findings.chosen[a];
    shares[experiment.arms[a]] = findings.shares[a] / options.splits;
    if (findings.chosen[a] > 0)
      text += " " + (a == 0 ? std::string("nobody") : experiment.arms[a]) + " (" +
              std::to_string(findings.chosen[a]) + " of " + std::to_string(options.splits) + ")";
  }
  text += "; by predicted effect:";
  for (std::size_t a = 0; a < arms; ++a)
    text += (a == 0 ? " " : ", ") + experiment.arms[a] + " " + Percent(findings.shares[a] / options.splits);
  const bool claimed = 10 * gain.above >= 9 * options.splits;
  text += "\n  choosing by predicted effect beats the best single arm in " + std::to_string(gain.above) +
          " of " + std::to_string(options.splits) +
          " (interval above 0): " + (claimed ? "a gain" : "no gain is shown") + "\n";
  json["policies"] = std::move(policies);
  json["best_single"] = std::move(chosen);
  json["shares"] = std::move(shares);
  json["gain_over_best_single"] = claimed;

  std::vector<std::string> rankings = {"predicted effect", "predicted outcome"};
  for (const Rule& rule : rules) rankings.push_back(rule.name);
  Json target_json = Json::array();
  for (std::size_t t = 0; t < targets.size(); ++t) {
    text += "\n" + experiment.arms[targets[t].arm] + " to " + Percent(targets[t].share) +
            ", the first by: what it adds per row, and over what as many at random add\n";
    const Figure& random = findings.increments[t].back();
    // Times nothing is no figure.
    const bool comparable = 2 * random.above > random.splits;
    Json each{{"arm", experiment.arms[targets[t].arm]},
              {"share", targets[t].share},
              {"random", random.ToJson()},
              {"comparable", comparable}};
    for (std::size_t ranking = 0; ranking < rankings.size(); ++ranking) {
      const Figure& ratio = findings.ratios[t][ranking][dr];
      text += "  " + Padded(rankings[ranking], width) + "  " +
              Padded(findings.increments[t][ranking].Text("%+.4g"), 34);
      text += comparable ? Padded(ratio.Text("%.3f"), 30) + "interval above 1 in " +
                               std::to_string(ratio.above) + " of " + std::to_string(ratio.splits) + "\n"
                         : "–\n";
      each[rankings[ranking]]["increment"] = findings.increments[t][ranking].ToJson();
      for (const Estimator estimator : {Estimator::kIps, Estimator::kSnips, Estimator::kDr})
        each[rankings[ranking]][EstimatorName(estimator)] =
            findings.ratios[t][ranking][static_cast<std::size_t>(estimator)].ToJson();
    }
    text += "  " + Padded("at random", width) + "  " + random.Text("%+.4g") +
            (comparable ? "\n" : ": not shown to add anything, so there is nothing to compare with\n");
    target_json.push_back(std::move(each));
  }
  json["targets"] = std::move(target_json);

  text += "\nranking of users by:                  Qini coefficient               AUUC\n";
  Json curves = Json::object();
  UpliftPage page{.outcome = options.experiment.outcome, .text = {}, .arms = {}};
  for (std::size_t a = 1; a < arms; ++a) {
    text += experiment.arms[a] + "\n";
    Json each = Json::object();
    page.arms.push_back({experiment.arms[a], {}});
    for (std::size_t ranking = 0; ranking < rankings.size(); ++ranking) {
      const Figure& qini = findings.qini[a][ranking];
      page.arms.back().rankings.push_back({rankings[ranking], findings.curves[a][ranking], qini.mean(),
                                           qini.low / qini.splits, qini.high / qini.splits});
      text += "  " + Padded(rankings[ranking], width) + "  " +
              Padded(findings.qini[a][ranking].Text("%+.3g"), 30) + "  " +
              findings.auuc[a][ranking].Text("%+.3g") + "\n";
      each[rankings[ranking]] = {{"qini", findings.qini[a][ranking].ToJson()},
                                 {"auuc", findings.auuc[a][ranking].ToJson()},
                                 {"gain_by_percent", findings.curves[a][ranking]}};
    }
    curves[experiment.arms[a]] = std::move(each);
  }
  json["curves"] = std::move(curves);
  if (!options.out.empty()) {
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(options.out, effects));
    const std::uint64_t written =
        data->info().rows[static_cast<std::size_t>(written_split.value_or(Split::kTest))];
    text += "\nwrote " + options.out + " (" + std::to_string(written) + " rows of the " + options.split +
            " split, by a model of all rows of the experiment)\n";
    json["out"] = options.out;
  }
  text.pop_back();
  if (!options.report.empty()) {
    page.text = text;
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(options.report, RenderUpliftPage(page)));
    text += "\nwrote " + options.report;
    json["report"] = options.report;
  }
  console.Print(text);
  console.SetJson(json.dump());
  return {};
}

}  // namespace

void AddUplift(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<UpliftCommand>();
  CLI::App* command = app.add_subcommand("uplift",
                                         "what actions add to an outcome, for whom, and what choosing by it "
                                         "is worth, from a randomised experiment: a doubly robust "
                                         "learner, judged on users that it has not seen (docs/uplift.md)");
  command->add_option("DATASET", options->data, "a dataset written by `cohort prepare`")->required();
  command->add_option("--arm", options->experiment.arm, "the multiclass task that says which arm a row got")
      ->required();
  command->add_option("--control", options->experiment.control, "the arm without action")->required();
  command
      ->add_option("--outcome", options->experiment.outcome,
                   "the task that says what came of it: binary, value, count or regression")
      ->required();
  command
      ->add_option("--link", options->link,
                   "on which scale effects are alike: identity, log (a factor) or logit (default: identity "
                   "for a regression, "
                   "log for a value or count, logit for a binary outcome)")
      ->check(CLI::IsMember({"identity", "log", "logit"}));
  command->add_option("--without", options->without, "features that are not looked at, separated by commas")
      ->delimiter(',');
  command->add_option("--cost", options->costs,
                      "ARM=NUMBER: of a contact, in the outcome's unit (default: 0); may be repeated");
  CLI::Option* target = command->add_option(
      "--target", options->targets,
      "ARM=SHARE: what it brings to give the arm to this share of the users, the first by "
      "predicted effect, by "
      "predicted outcome and by each --rule, over as many at random; may be repeated");
  command
      ->add_option("--rule", options->rules,
                   "for --target, FEATURE=VALUE: a ranking that puts these first; may be repeated")
      ->needs(target);
  command
      ->add_option("--splits", options->splits,
                   "how often the rows are cut into halves, 1 to 1000 (default: 5)")
      ->check(Between(1u, 1000u));
  command->add_option("--draws", options->draws, "of the bootstrap, 1 to 100000 (default: 1000)")
      ->check(Between(1u, 100'000u));
  command->add_option("--seed", options->seed, "of the halves, folds and draws (default: 1)");
  CLI::Option* out =
      command
          ->add_option("--out", options->out,
                       "a CSV to write: the outcome expected without action of each row of --split, and what "
                       "each arm adds to it, costs not taken off")
          ->type_name(kOutputType);
  command->add_option("--report", options->report, "an HTML page to write: Qini curves, and what is printed")
      ->type_name(kOutputType);
  command->add_option("--split", options->split, "of --out: train, valid or test (default: test)")
      ->needs(out);
  options->partitions.AddTo(*command);
  command->add_flag("--overwrite")->description("replace a file that is there");
  commands[command] = [options](Console& console) { return Uplift(*options, console); };
}

}  // namespace cohort
