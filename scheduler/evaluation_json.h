// Metrics as JSON: the `tasks` object of result.json and of `cohort evaluate --json`, and
// RUN_DIR/evaluation.json, which carries the curves as well and is what the report draws from.
#ifndef COHORT_SCHEDULER_EVALUATION_JSON_H_
#define COHORT_SCHEDULER_EVALUATION_JSON_H_

#include <string>
#include <vector>

#include "common/status.h"
#include "scheduler/evaluation.h"

namespace cohort {

struct SplitEvaluation {
  std::string split;  // "train" | "valid" | "test"
  std::vector<TaskMetrics> tasks;
};

// {"<task>": {"<split>": {"auc": 0.95, "rows": 100, ..., "lift": [...], "calibration": [...], "bounds": {...}}}}: a text
// to embed. Every metric of the task's type is there; one that is not defined is null. "lift": by decile, the highest
// predictions first; "calibration": {"rows", "prediction", "label"} by bin, ascending; "bounds": of the values that are not
// exact, absent when all are.
std::string TaskValuesToJson(const std::vector<SplitEvaluation>& splits);

// {"format": 1, "splits": {"<split>": [{"name", "type", "values", "bounds", "top", "deciles", "lift", "calibration",
// "roc", "histogram"}]}}. Texts of earlier versions have no bounds, top and lift.
std::string EvaluationToJson(const std::vector<SplitEvaluation>& splits);
// Errors (kCorrupt) name `origin` and the place.
Result<std::vector<SplitEvaluation>> EvaluationFromJson(const std::string& text, const std::string& origin);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_EVALUATION_JSON_H_
