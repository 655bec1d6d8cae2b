// cohort strategy: which user gets which action, and what that is worth (lifecycle/actions.h, assignment.h, uplift_model.h).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include "common/atomic_file.h"
#include "common/cbor.h"
#include "common/csv_cell.h"
#include "common/nearest.h"
#include "common/random.h"
#include "launch/commands/commands.h"
#include "launch/commands/partition_options.h"
#include "lifecycle/actions.h"
#include "lifecycle/policy_value.h"
#include "lifecycle/uplift_model.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t kEvidenceDraws = 1000;
constexpr std::size_t kLeastKey = 16;

struct StrategyCommand {
  std::string actions, out;
  PartitionOptions partitions;
};

std::string MoneyText(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

// The users to decide for, and what is known of them; gains in the order (users, actions), less the action's cost.
struct Decision {
  std::vector<std::string> ids;
  AssignmentProblem problem;
  std::vector<std::string> groups;   // by number
  std::vector<std::string> reasons;  // by user; empty: not decided yet
  std::vector<bool> held, explored;
  std::vector<double> untreated;  // by user: expected without action, or risk x value
};

// The small files beside the dataset; what ACTIONS.toml does not name is empty.
struct Files {
  UserTable users;  // stage, group, then consent by action
  std::unordered_map<std::string, int> contacts;
  std::string key;
  UserTable scores;  // risk, value
};
Result<Files> ReadFiles(const ActionsFile& file) {
  Files files;
  if (file.users) {
    std::vector<std::string> columns = {file.users->stage, file.users->group};
    for (const Action& action : file.actions) columns.push_back(action.consent);
    for (std::string& column : columns) column = column.empty() ? file.users->id : column;
    COHORT_ASSIGN_OR_RETURN(files.users, ReadUserTable(file.users->file, file.users->id, columns));
  }
  if (file.contacts) {
    COHORT_ASSIGN_OR_RETURN(files.contacts, CountContacts(*file.contacts));
  }
  if (file.rules) {
    COHORT_ASSIGN_OR_RETURN(files.scores,
                            ReadUserTable(file.rules->scores, "id", {file.rules->risk, file.rules->value}));
  }
  if (!file.key_file.empty()) {
    COHORT_ASSIGN_OR_RETURN(files.key, ReadFile(file.key_file, 4096));
    while (!files.key.empty() && (files.key.back() == '\n' || files.key.back() == '\r')) files.key.pop_back();
    if (files.key.size() < kLeastKey)
      return InvalidInput(file.key_file + ": a key of " + std::to_string(files.key.size()) +
                          " characters; expected " + std::to_string(kLeastKey) +
                          " or more that nobody guesses");
  }
  return files;
}

// 1, true or yes; 0, false, no or nothing; anything else: nullopt.
std::optional<bool> ReadConsent(std::string cell) {
  for (char& letter : cell) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  if (cell == "1" || cell == "true" || cell == "yes") return true;
  if (cell.empty() || cell == "0" || cell == "false" || cell == "no") return false;
  return std::nullopt;
}

Status CheckConsents(const ActionsFile& file, const UserTable& users) {
  for (std::size_t i = 0; i < file.actions.size(); ++i) {
    const std::string& column = file.actions[i].consent;
    if (column.empty()) continue;
    for (const auto& [user, cells] : users.cells) {
      if (!ReadConsent(cells[2 + i]).has_value())
        return Refused(file.users->file + ": user \"" + user + "\": \"" + cells[2 + i] + "\" in column \"" +
                       column + "\"; a consent is 1, true or yes, or 0, false, no or empty");
    }
  }
  return {};
}

// What fits too badly to be meant: nobody of the dataset in a file beside it is an error, the rest is said.
Status CheckFit(const ActionsFile& file, const Files& files, const Decision& decision,
                std::vector<std::string>* warnings) {
  const auto known = [&](const auto& cells) {
    return static_cast<std::size_t>(
        std::count_if(decision.ids.begin(), decision.ids.end(),
                      [&](const std::string& id) { return cells.count(id) > 0; }));
  };
  const std::string of_all = " of " + std::to_string(decision.ids.size()) + " users";
  if (file.users) {
    const std::size_t found = known(files.users.cells);
    if (found == 0 && !decision.ids.empty() && !files.users.cells.empty())
      return Refused(file.users->file + ": none of the users of " + file.data + " (the first is \"" +
                     decision.ids[0] + "\") is in column \"" + file.users->id + "\" (one is \"" +
                     files.users.cells.begin()->first + "\")");
    if (found < decision.ids.size())
      warnings->push_back(std::to_string(decision.ids.size() - found) + of_all + " are not in " +
                          file.users->file + ": they agreed to nothing and are in no stage");
    std::set<std::string> stages;
    for (const auto& [user, cells] : files.users.cells) stages.insert(cells[0]);
    for (const Action& action : file.actions) {
      for (const std::string& stage : action.stages) {
        if (stages.count(stage) == 0)
          warnings->push_back(action.where + ": the action \"" + action.name + "\": nobody in " +
                              file.users->file + " has the stage \"" + stage + "\"" +
                              DidYouMean(stage, {stages.begin(), stages.end()}));
      }
    }
  }
  if (file.contacts && !files.contacts.empty() && known(files.contacts) == 0)
    warnings->push_back(file.contacts->file + ": none of its users of those days is in " + file.data);
  if (file.rules) {
    const auto below = std::count_if(decision.untreated.begin(), decision.untreated.end(),
                                     [](double value) { return value < 0; });
    if (below > 0)
      warnings->push_back(std::to_string(below) + of_all + " have a " + file.rules->value + " below 0 in " +
                          file.rules->scores + ": nothing is done for them");
  }
  return {};
}

// Marks what a user may not get: consent, stage, contact windows, the control group.
void ApplyRules(const ActionsFile& file, const Files& files, Decision* decision) {
  AssignmentProblem& problem = decision->problem;
  const std::size_t actions = file.actions.size();
  const auto forbid = [&](std::size_t user, std::size_t action) {
    problem.gains[user * actions + action] = -kNoLimit;
  };
  std::unordered_map<std::string, std::uint32_t> group_numbers;
  decision->held.resize(problem.users);
  for (std::size_t user = 0; user < problem.users; ++user) {
    const std::string& id = decision->ids[user];
    if (file.users) {
      const auto found = files.users.cells.find(id);
      const bool known = found != files.users.cells.end();
      for (std::size_t i = 0; i < actions; ++i) {
        const Action& action = file.actions[i];
        if (!action.stages.empty() && (!known || std::find(action.stages.begin(), action.stages.end(),
                                                           found->second[0]) == action.stages.end()))
          forbid(user, i);
        if (!action.consent.empty() && (!known || !ReadConsent(found->second[2 + i]).value_or(false)))
          forbid(user, i);
      }
      if (file.least_ratio > 0) {
        const std::string group = known ? found->second[1] : "";
        const auto number = group_numbers.emplace(group, static_cast<std::uint32_t>(group_numbers.size()));
        if (number.second) decision->groups.push_back(group);
        problem.groups.push_back(number.first->second);
      }
    }
    const double* gains = problem.gains.data() + user * actions;
    if (std::all_of(gains, gains + actions, [](double gain) { return gain == -kNoLimit; }))
      decision->reasons[user] = "no action: not in its stage or no consent";
    const auto contacted = files.contacts.find(id);
    if (contacted != files.contacts.end() && contacted->second >= file.contacts->most) {
      for (std::size_t i = 0; i < actions; ++i) forbid(user, i);
      decision->reasons[user] = "no action: contacted " + std::to_string(contacted->second) +
                                " times within " + std::to_string(file.contacts->within_days) + " days";
    }
    decision->held[user] = file.holdout > 0 && KeyedShare(files.key, "holdout", id) < file.holdout;
    if (decision->held[user]) {
      for (std::size_t i = 0; i < actions; ++i) forbid(user, i);
      decision->reasons[user] = "control group";
    }
  }
  problem.group_count = static_cast<std::uint32_t>(decision->groups.size());
  problem.least_ratio = file.least_ratio;
}

// Some users get one of what they may get, or nothing, each as likely, whatever is expected of it; its costs come first.
struct Explored {
  std::vector<std::uint32_t> action;  // by user
  double cost = 0;
  std::uint64_t users = 0;
};
Explored Explore(const ActionsFile& file, const std::string& key, Decision* decision) {
  Explored explored;
  AssignmentProblem& problem = decision->problem;
  explored.action.assign(problem.users, kNoAction);
  decision->explored.resize(problem.users);
  const std::string round = "explore " + std::to_string(file.seed);
  for (std::size_t user = 0; user < problem.users; ++user) {
    if (!decision->reasons[user].empty() || KeyedShare(key, round, decision->ids[user]) >= file.exploration)
      continue;
    std::vector<std::uint32_t> choices = {kNoAction};
    for (std::uint32_t i = 0; i < problem.actions; ++i) {
      if (problem.gains[user * problem.actions + i] > -kNoLimit) choices.push_back(i);
    }
    const std::uint32_t drawn = choices[static_cast<std::size_t>(
        KeyedShare(key, round + " arm", decision->ids[user]) * static_cast<double>(choices.size()))];
    const double cost = drawn == kNoAction ? 0 : problem.costs[drawn];
    if (cost > problem.budget || (drawn != kNoAction && problem.caps[drawn] < 1)) continue;
    decision->explored[user] = true;
    decision->reasons[user] = "exploration: drawn among " + std::to_string(choices.size()) + " choices";
    explored.action[user] = drawn;
    explored.cost += cost;
    ++explored.users;
    if (drawn != kNoAction) problem.budget -= cost, problem.caps[drawn] -= 1;
    for (std::size_t i = 0; i < problem.actions; ++i) problem.gains[user * problem.actions + i] = -kNoLimit;
  }
  return explored;
}

// What the same way of choosing is worth on users of the experiment who had no part in it.
struct Evidence {
  std::vector<std::string> names;
  std::vector<std::array<Interval, kEstimators>> over_nobody, strategy_over;

  nlohmann::json ToJson() const {
    const auto list = [](const std::vector<std::array<Interval, kEstimators>>& intervals) {
      nlohmann::json json = nlohmann::json::array();
      for (const auto& of_policy : intervals) {
        for (const Interval& each : of_policy) json.push_back({each.value, each.low, each.high});
      }
      return json;
    };
    return {names, list(over_nobody), list(strategy_over)};
  }
  static Evidence From(const nlohmann::json& json) {
    Evidence evidence;
    json.at(0).get_to(evidence.names);
    const auto read = [&](const nlohmann::json& list, std::vector<std::array<Interval, kEstimators>>* into) {
      into->resize(evidence.names.size());
      for (std::size_t i = 0; i < into->size() * kEstimators; ++i) {
        const nlohmann::json& each = list.at(i);
        (*into)[i / kEstimators][i % kEstimators] = {each.at(0).get<double>(), each.at(1).get<double>(),
                                                     each.at(2).get<double>()};
      }
    };
    read(json.at(1), &evidence.over_nobody), read(json.at(2), &evidence.strategy_over);
    return evidence;
  }
};
Evidence Judge(const Experiment& experiment, const ActionsFile& file,
               const std::vector<std::size_t>& arm_of_action, const std::vector<double>& costs,
               double users_to_decide) {
  std::vector<std::uint32_t> fitting, judged_rows;
  for (std::uint32_t row = 0; row < experiment.rows(); ++row)
    (RandomBits(file.seed, experiment.user[row], 2) >> 63 ? fitting : judged_rows).push_back(row);
  const Experiment judged = experiment.Select(judged_rows);
  UpliftOptions learner;
  learner.seed = file.seed;
  const UpliftModel model = UpliftModel::Fit(experiment.Select(fitting), learner);
  const Outlook outlook = model.Predict(judged.inputs);
  const std::size_t rows = judged.rows(), arms = judged.arms.size();
  // Budget and caps in proportion.
  const double share = static_cast<double>(rows) / users_to_decide;
  AssignmentProblem problem;
  problem.users = rows, problem.actions = file.actions.size(), problem.budget = file.budget * share;
  for (std::size_t i = 0; i < problem.actions; ++i) {
    problem.costs.push_back(file.actions[i].cost);
    problem.caps.push_back(std::floor(file.actions[i].cap * share));
  }
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = 0; i < problem.actions; ++i)
      problem.gains.push_back(outlook.effect[row * arms + arm_of_action[i]] - problem.costs[i]);
  }
  const Assignment assignment = Assign(problem);
  Policy strategy{"the strategy", std::vector<float>(rows * arms)};
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint32_t action = assignment.action[row];
    strategy.chances[row * arms + (action == kNoAction ? 0 : arm_of_action[action])] = 1;
  }
  std::vector<Policy> policies = {std::move(strategy)};
  std::vector<double> chances(arms);
  chances[0] = 1;
  policies.push_back(ConstantPolicy("nobody", rows, chances));
  // Each action to everybody, or to as many at random as the budget and its cap allow; and to those with the highest expected outcome.
  for (std::size_t i = 0; i < problem.actions; ++i) {
    const std::size_t arm = arm_of_action[i];
    const double count = static_cast<double>(rows);
    double to = std::min(1.0, problem.caps[i] / count);
    if (problem.costs[i] > 0) to = std::min(to, problem.budget / (problem.costs[i] * count));
    const std::string whom = to < 1 ? " to " + MoneyText(100 * to) + " % " : " to everybody";
    policies.push_back(TopPolicy(file.actions[i].name + whom + (to < 1 ? "at random" : ""), arms, arm,
                                 std::vector<double>(rows, 0), to));
    if (to >= 1) continue;
    std::vector<double> scores(rows);
    for (std::size_t row = 0; row < rows; ++row) scores[row] = outlook.outcome[row * arms + arm];
    policies.push_back(TopPolicy(file.actions[i].name + whom + "by response", arms, arm, scores, to));
  }
  const PolicyEstimates values(judged, outlook.outcome, costs, policies, kEvidenceDraws, file.seed);
  Evidence evidence;
  for (std::size_t k = 0; k < policies.size(); ++k) {
    evidence.names.push_back(policies[k].name);
    evidence.over_nobody.emplace_back(), evidence.strategy_over.emplace_back();
    for (const Estimator estimator : {Estimator::kIps, Estimator::kSnips, Estimator::kDr}) {
      evidence.over_nobody[k][static_cast<std::size_t>(estimator)] = values.Difference(estimator, k, 1);
      evidence.strategy_over[k][static_cast<std::size_t>(estimator)] = values.Difference(estimator, 0, k);
    }
  }
  return evidence;
}

// What is expected of the rows of a split, by a model of the whole experiment.
struct Expected {
  std::vector<double> untreated;  // by row
  std::vector<double> effects;    // (rows, arms)
};
Result<Expected> Expect(DatasetReader& data, const DenseInputs& inputs, const Experiment& experiment,
                        Split split, std::uint64_t seed) {
  UpliftOptions learner;
  learner.seed = seed;
  const UpliftModel model = UpliftModel::Fit(experiment, learner);
  Expected expected;
  RowBlock block;
  std::vector<float> values;
  const std::uint64_t rows = data.info().rows[static_cast<std::size_t>(split)];
  for (std::uint64_t first = 0; first < rows; first += block.rows) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
    COHORT_RETURN_IF_ERROR(data.Read(split, first, count, /*with_ids=*/false, &block));
    values.clear();
    inputs.Append(block, &values);
    const Outlook outlook = model.Predict(values);
    for (std::size_t row = 0; row < block.rows; ++row)
      expected.untreated.push_back(outlook.outcome[row * outlook.arms]);
    expected.effects.insert(expected.effects.end(), outlook.effect.begin(), outlook.effect.end());
  }
  return expected;
}

std::string IntervalText(const Interval& interval) {
  char text[120];
  std::snprintf(text, sizeof text, "%+.4f [%+.4f, %+.4f]", interval.value, interval.low, interval.high);
  return text;
}

Status Strategy(const StrategyCommand& options, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Partitions> partitions,
                          options.partitions.Start(options.out, console));
  COHORT_ASSIGN_OR_RETURN(const ActionsFile file, LoadActions(options.actions));
  COHORT_ASSIGN_OR_RETURN(const Files files, ReadFiles(file));
  if (file.users) COHORT_RETURN_IF_ERROR(CheckConsents(file, files.users));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> data, DatasetReader::Open(file.data));
  const std::size_t actions = file.actions.size();

  Decision decision;
  AssignmentProblem& problem = decision.problem;
  problem.actions = actions, problem.budget = file.budget;
  for (const Action& action : file.actions)
    problem.costs.push_back(action.cost), problem.caps.push_back(action.cap);

  Experiment experiment;
  std::vector<std::size_t> arm_of_action;
  std::vector<double> arm_costs;
  std::unique_ptr<DenseInputs> inputs;
  const std::uint64_t rows = data->info().rows[static_cast<std::size_t>(file.split)];
  if (rows == 0) return Refused(file.data + ": the " + SplitName(file.split) + " split has no rows");
  // The two things that take long: a part each.
  Expected expected;
  Evidence evidence;
  PartitionedWork work;
  work.doing = "learning the effects", work.noun = "models";
  if (file.effects) {
    COHORT_ASSIGN_OR_RETURN(DenseInputs read, DenseInputs::Of(*data, file.effects->without));
    inputs = std::make_unique<DenseInputs>(std::move(read));
    std::uint64_t left_out = 0;
    Result<Experiment> read_experiment = ReadExperiment(*data, *inputs, file.effects->experiment, &left_out);
    if (!read_experiment.has_value())
      return read_experiment.error().Within(file.effects->where + ": " + file.data);
    experiment = *std::move(read_experiment);
    arm_costs.resize(experiment.arms.size());
    for (const Action& action : file.actions) {
      const auto arm = std::find(experiment.arms.begin(), experiment.arms.end(), action.arm);
      if (arm == experiment.arms.end() || arm == experiment.arms.begin())
        return Refused(action.where + ": the action \"" + action.name + "\": \"" + action.arm +
                       "\" is no arm of the experiment besides its control" +
                       DidYouMean(action.arm, experiment.arms));
      arm_of_action.push_back(static_cast<std::size_t>(arm - experiment.arms.begin()));
      arm_costs[arm_of_action.back()] = action.cost;
    }
    work.count = 2;
    work.fingerprint = experiment.Fingerprint();
  }
  work.make = [&](std::uint64_t part, std::uint64_t) -> Result<std::string> {
    if (part == 1)
      return ToCbor(Judge(experiment, file, arm_of_action, arm_costs, static_cast<double>(rows)).ToJson());
    COHORT_ASSIGN_OR_RETURN(const Expected of_rows,
                            Expect(*data, *inputs, experiment, file.split, file.seed));
    return ToCbor({of_rows.untreated, of_rows.effects});
  };
  work.take = [&](const std::string& part) {
    return FromCbor(part, [&](const nlohmann::json& json) {
      if (expected.untreated.empty()) {
        json.at(0).get_to(expected.untreated), json.at(1).get_to(expected.effects);
        if (expected.untreated.size() != rows || expected.effects.size() != rows * experiment.arms.size())
          throw std::length_error("not as many rows as the split has");
      } else {
        evidence = Evidence::From(json);
      }
    });
  };
  COHORT_RETURN_IF_ERROR(partitions->Run(work));

  const std::size_t arms = experiment.arms.size();
  RowBlock block;
  for (std::uint64_t first = 0; first < rows; first += block.rows) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
    COHORT_RETURN_IF_ERROR(data->Read(file.split, first, count, /*with_ids=*/true, &block));
    for (std::size_t row = 0; row < block.rows; ++row) {
      decision.ids.push_back(block.ids.empty() ? std::to_string(block.input_rows[row]) : block.ids[row]);
      if (file.effects) {
        decision.untreated.push_back(expected.untreated[first + row]);
        for (std::size_t i = 0; i < actions; ++i)
          problem.gains.push_back(expected.effects[(first + row) * arms + arm_of_action[i]] -
                                  problem.costs[i]);
        continue;
      }
      const auto found = files.scores.cells.find(decision.ids.back());
      if (found == files.scores.cells.end())
        return Refused(file.rules->scores + ": nothing of user \"" + decision.ids.back() +
                       "\"; score the same split");
      char* end = nullptr;
      const double risk = std::strtod(found->second[0].c_str(), &end),
                   value = std::strtod(found->second[1].c_str(), &end);
      if (!std::isfinite(risk * value) || risk < 0 || risk > 1)
        return Refused(file.rules->scores + ": user \"" + decision.ids.back() + "\": \"" + found->second[0] +
                       "\" and \"" + found->second[1] + "\"; expected a probability and a number");
      decision.untreated.push_back(risk * value);
      for (const Action& action : file.actions)
        problem.gains.push_back(*action.assumed * risk * value - action.cost);
    }
  }
  problem.users = decision.ids.size();
  decision.reasons.resize(problem.users);
  std::vector<std::string> warnings;
  COHORT_RETURN_IF_ERROR(CheckFit(file, files, decision, &warnings));
  ApplyRules(file, files, &decision);
  const Explored explored = Explore(file, files.key, &decision);
  console.Progress("assigning");
  const Assignment assignment = Assign(problem);

  std::string csv = "id,action,expected_gain,cost,reason\n";
  std::uint64_t held = 0, nobody = 0;
  for (std::size_t user = 0; user < problem.users; ++user) {
    const bool drawn = decision.explored[user];
    const std::uint32_t action = drawn ? explored.action[user] : assignment.action[user];
    std::string reason = decision.reasons[user], gain;
    held += decision.held[user];
    nobody += action == kNoAction;
    if (action != kNoAction && !drawn) {
      gain = MoneyText(problem.gains[user * actions + action]);
      reason = file.effects
                   ? "adds " + MoneyText(problem.gains[user * actions + action] + problem.costs[action]) +
                         " to " + MoneyText(decision.untreated[user])
                   : "rule: risk x value " + MoneyText(decision.untreated[user]) + "; effect not measured";
    } else if (reason.empty()) {
      const double* gains = problem.gains.data() + user * actions;
      reason = *std::max_element(gains, gains + actions) > 0
                   ? "no action: the limits go to users with more gain"
                   : "no action: none is expected to pay";
    }
    AppendCsvCell(decision.ids[user], &csv);
    csv += ',';
    if (action != kNoAction) AppendCsvCell(file.actions[action].name, &csv);
    csv += "," + gain + "," + (action == kNoAction ? "0" : MoneyText(problem.costs[action])) + ",";
    AppendCsvCell(reason, &csv);
    csv += '\n';
  }
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(options.out, csv));

  std::string text = std::to_string(problem.users) + " users: " + std::to_string(held) +
                     " in the control group, " + std::to_string(explored.users) + " explored, " +
                     std::to_string(nobody) + " without action\n";
  Json json{{"status", "done"},
            {"users", problem.users},
            {"held", held},
            {"explored", explored.users},
            {"without_action", nobody},
            {"measured", file.effects.has_value()},
            {"gain", assignment.gain},
            {"bound", assignment.bound},
            {"cost", assignment.cost},
            {"exploration_cost", explored.cost}};
  for (std::size_t i = 0; i < actions; ++i) {
    text += "  " + file.actions[i].name + ": " + std::to_string(assignment.of_action[i]) + " users, cost " +
            MoneyText(file.actions[i].cost * static_cast<double>(assignment.of_action[i])) + "\n";
    json["actions"][file.actions[i].name] = assignment.of_action[i];
  }
  text += "expected gain, less costs: " + MoneyText(assignment.gain) + ", at a cost of " +
          MoneyText(assignment.cost) +
          (explored.users > 0 ? " and " + MoneyText(explored.cost) + " for exploration" : "") +
          "; no assignment within these limits reaches more than " + MoneyText(assignment.bound) + "\n";
  if (file.least_ratio > 0) {
    std::vector<std::uint64_t> sizes(decision.groups.size());
    for (const std::uint32_t group : problem.groups) ++sizes[group];
    text += "share of the users with an action, by group (fairness costs " +
            MoneyText(assignment.unfair_gain - assignment.gain) + " of expected gain):\n";
    for (std::size_t group = 0; group < sizes.size(); ++group) {
      text += "  " + (decision.groups[group].empty() ? "(not known)" : decision.groups[group]) + ": " +
              std::to_string(assignment.of_group[group]) + " of " + std::to_string(sizes[group]) + "\n";
      json["groups"][decision.groups[group]] = {assignment.of_group[group], sizes[group]};
    }
  }
  if (!file.effects) {
    text +=
        "the effects are ASSUMED, not measured: there is no experiment. Keep a control group (holdout) and "
        "explore, and the next "
        "run can measure them\n";
  } else {
    text +=
        "evidence: chosen alike on one half of the experiment, measured on the other; per user, less costs, "
        "95 % intervals, doubly "
        "robust\n";
    for (std::size_t k = 0; k < evidence.names.size(); ++k) {
      const auto dr = static_cast<std::size_t>(Estimator::kDr);
      text += "  " + evidence.names[k] + ": over nobody " + IntervalText(evidence.over_nobody[k][dr]) +
              (k > 0 ? "; the strategy over it " + IntervalText(evidence.strategy_over[k][dr]) : "") + "\n";
      for (const Estimator estimator : {Estimator::kIps, Estimator::kSnips, Estimator::kDr}) {
        const auto e = static_cast<std::size_t>(estimator);
        const auto list = [](const Interval& interval) {
          return Json{interval.value, interval.low, interval.high};
        };
        json["evidence"][evidence.names[k]][EstimatorName(estimator)] = {
            {"over_nobody", list(evidence.over_nobody[k][e])},
            {"strategy_over", list(evidence.strategy_over[k][e])}};
      }
    }
    if (!evidence.over_nobody[0][static_cast<std::size_t>(Estimator::kDr)].above(0))
      text += "no gain over nobody is shown: the interval covers 0\n";
  }
  for (const std::string& warning : warnings) console.Note("warning: " + warning);
  json["warnings"] = warnings;
  console.Print(text + "wrote " + options.out);
  console.SetJson(json.dump());
  return {};
}

}  // namespace

void AddStrategy(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<StrategyCommand>();
  CLI::App* command = app.add_subcommand("strategy",
                                         "which user gets which action within budget, caps, consent and "
                                         "fairness, and what that is worth (docs/strategy.md)");
  command->add_option("ACTIONS.toml", options->actions, "the actions, their costs and limits")->required();
  command->add_option("--out", options->out, "the CSV to write: user, action, expected gain, cost, reason")
      ->required()
      ->type_name(kOutputType);
  options->partitions.AddTo(*command);
  command->add_flag("--overwrite")->description("replace a file that is there");
  commands[command] = [options](Console& console) { return Strategy(*options, console); };
}

}  // namespace cohort
