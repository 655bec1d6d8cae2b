#include "lifecycle/experiment.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>

#include "common/nearest.h"
#include "common/random.h"

namespace cohort {
namespace {

Result<std::size_t> TaskNamed(const DatasetInfo& info, const std::string& name) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < info.tasks.size(); ++i) {
    if (info.tasks[i].name == name) return i;
    names.push_back(info.tasks[i].name);
  }
  return InvalidInput("the dataset has no task \"" + name + "\"" + DidYouMean(name, names));
}

}  // namespace

std::uint64_t Experiment::Fingerprint() const {
  std::uint64_t hash = RandomBits(arms.size(), width, static_cast<std::uint64_t>(link));
  const auto add = [&hash](const auto& values) {
    hash = XXH3_64bits_withSeed(values.data(), values.size() * sizeof(values[0]), hash);
  };
  for (const std::string& name : arms) add(name);
  add(inputs), add(arm), add(outcome), add(user);
  return hash;
}

Experiment Experiment::Select(std::span<const std::uint32_t> rows) const {
  Experiment some;
  some.arms = arms, some.propensities = propensities, some.link = link, some.width = width;
  for (const std::uint32_t row : rows) {
    const auto first = inputs.begin() + static_cast<std::ptrdiff_t>(row * width);
    some.inputs.insert(some.inputs.end(), first, first + static_cast<std::ptrdiff_t>(width));
    some.arm.push_back(arm[row]);
    some.outcome.push_back(outcome[row]);
    some.user.push_back(user[row]);
  }
  return some;
}

std::uint64_t UserHash(const RowBlock& block, std::size_t row, const DatasetInfo& info, Split split) {
  if (!block.ids.empty()) return Mix64(XXH3_64bits(block.ids[row].data(), block.ids[row].size()));
  return RandomBits(info.files[static_cast<std::size_t>(split)], block.input_rows[row]);
}

Result<Experiment> ReadExperiment(DatasetReader& data, const DenseInputs& inputs,
                                  const ExperimentOptions& options, std::uint64_t* left_out) {
  const DatasetInfo& info = data.info();
  COHORT_ASSIGN_OR_RETURN(const std::size_t arm_task, TaskNamed(info, options.arm));
  COHORT_ASSIGN_OR_RETURN(const std::size_t outcome_task, TaskNamed(info, options.outcome));
  const TaskInfo &arms = info.tasks[arm_task], &outcome = info.tasks[outcome_task];
  if (arms.type != TaskType::kMulticlass)
    return InvalidInput("the task \"" + options.arm + "\" is " + TaskTypeName(arms.type) +
                        "; the arm of an experiment is a multiclass task, whose classes are the arms");
  if (arms.classes.size() > kMostArms)
    return InvalidInput("the task \"" + options.arm + "\" has " + std::to_string(arms.classes.size()) +
                        " classes; an experiment has at most " + std::to_string(kMostArms) + " arms");
  const auto control = std::find(arms.classes.begin(), arms.classes.end(), options.control);
  if (control == arms.classes.end()) {
    std::string names;
    for (const std::string& name : arms.classes) names += (names.empty() ? "" : ", ") + name;
    return InvalidInput("the task \"" + options.arm + "\" has no class \"" + options.control + "\"" +
                        DidYouMean(options.control, arms.classes) +
                        "; the control is the arm without action, one of: " + names);
  }
  const bool amount = outcome.type == TaskType::kValue || outcome.type == TaskType::kCount;
  if (outcome.type != TaskType::kBinary && outcome.type != TaskType::kRegression && !amount)
    return InvalidInput("the task \"" + options.outcome + "\" is " + TaskTypeName(outcome.type) +
                        "; an outcome is binary, a value, a count or a regression");
  if (info.has_weight)
    return InvalidInput(
        "the rows of the dataset have weights, which an experiment does not know; leave [weight] out");

  Experiment experiment;
  experiment.width = inputs.width();
  experiment.link = options.link.value_or(outcome.type == TaskType::kBinary ? Link::kLogit
                                          : amount                          ? Link::kLog
                                                                            : Link::kIdentity);
  if (experiment.link == Link::kLogit && outcome.type != TaskType::kBinary)
    return InvalidInput("the logit link is for binary outcomes; \"" + options.outcome + "\" is " +
                        TaskTypeName(outcome.type));
  // The control first, then the others in the order of the classes.
  const auto first = static_cast<std::size_t>(control - arms.classes.begin());
  std::vector<std::uint8_t> number(arms.classes.size());
  experiment.arms.push_back(options.control);
  for (std::size_t i = 0; i < arms.classes.size(); ++i) {
    if (i == first) continue;
    number[i] = static_cast<std::uint8_t>(experiment.arms.size());
    experiment.arms.push_back(arms.classes[i]);
  }
  std::vector<std::uint64_t> counts(experiment.arms.size());
  *left_out = 0;
  RowBlock block;
  std::vector<float> values;
  for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) {
    const std::uint64_t rows = info.rows[static_cast<std::size_t>(split)];
    for (std::uint64_t at = 0; at < rows; at += block.rows) {
      const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - at));
      COHORT_RETURN_IF_ERROR(data.Read(split, at, count, /*with_ids=*/true, &block));
      values.clear();
      inputs.Append(block, &values);
      for (std::size_t row = 0; row < block.rows; ++row) {
        const float label = block.labels[row * info.tasks.size() + arm_task];
        const float came = block.labels[row * info.tasks.size() + outcome_task];
        if (std::isnan(label) || std::isnan(came)) {
          ++*left_out;
          continue;
        }
        experiment.arm.push_back(number[static_cast<std::size_t>(label)]);
        ++counts[experiment.arm.back()];
        experiment.outcome.push_back(came);
        experiment.user.push_back(UserHash(block, row, info, split));
        const auto from = values.begin() + static_cast<std::ptrdiff_t>(row * inputs.width());
        experiment.inputs.insert(experiment.inputs.end(), from,
                                 from + static_cast<std::ptrdiff_t>(inputs.width()));
      }
    }
  }
  for (std::size_t a = 0; a < counts.size(); ++a) {
    if (counts[a] < kLeastArmRows)
      return InvalidInput("the arm \"" + experiment.arms[a] + "\" has " + std::to_string(counts[a]) +
                          " rows with a label of \"" + options.outcome + "\"; at least " +
                          std::to_string(kLeastArmRows) + " are needed to learn what it does");
    experiment.propensities.push_back(static_cast<double>(counts[a]) /
                                      static_cast<double>(experiment.rows()));
  }
  if (experiment.rows() > 0xffffffffu)
    return InvalidInput("more than 2^32 rows of an experiment are not supported");
  return experiment;
}

}  // namespace cohort
