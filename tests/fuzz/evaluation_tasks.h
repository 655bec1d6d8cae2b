// The tasks of evaluations that are fuzzed.
#ifndef COHORT_TESTS_FUZZ_EVALUATION_TASKS_H_
#define COHORT_TESTS_FUZZ_EVALUATION_TASKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/dataset.h"

namespace cohort::fuzz {

inline const std::vector<std::uint32_t> kTop = {1, 5};

inline std::vector<TaskInfo> TasksOf(std::uint8_t choice) {
  const auto task = [](std::string name, TaskType type) {
    TaskInfo info;
    info.name = std::move(name);
    info.type = type;
    return info;
  };
  TaskInfo classes = task("class", TaskType::kMulticlass);
  classes.classes = {"a", "b", "c"};
  classes.class_rates = {0.5, 0.25, 0.25};
  TaskInfo hazard = task("churn", TaskType::kHazard);
  hazard.periods = 3;
  TaskInfo amount = task("amount", TaskType::kRegression);
  amount.mean = 3;
  amount.deviation = 10;
  switch (choice % 7) {
    case 0:
      return {task("buy", TaskType::kBinary)};
    case 1:
      return {classes};
    case 2:
      return {amount};
    case 3:
      return {task("value", TaskType::kValue)};
    case 4:
      return {hazard};
    case 5:
      return {task("orders", TaskType::kCount)};
    default:
      return {task("click", TaskType::kBinary), task("buy", TaskType::kBinary), amount};
  }
}

}  // namespace cohort::fuzz

#endif  // COHORT_TESTS_FUZZ_EVALUATION_TASKS_H_
