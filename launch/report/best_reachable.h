// What the best and the constant predictor reach on a dataset whose truth is known (prepare/shop.h): the
// measure of a model's figures. The best predictor says the true conditional expectation of every row, the
// constant one the train split's mean (rates, for classes).
#ifndef COHORT_LAUNCH_REPORT_BEST_REACHABLE_H_
#define COHORT_LAUNCH_REPORT_BEST_REACHABLE_H_

#include <string>
#include <vector>

#include "common/status.h"
#include "scheduler/evaluation_json.h"

namespace cohort {

struct BestReachable {
  std::vector<SplitEvaluation> best, constant;  // by split; values only
};

// `truth` is a directory with expectations.csv, or the file itself: a header with id and, per task of the
// dataset, the columns of a score CSV. With a column `split` a row is of that split (valid, test) alone, and an id may stand there
// once in each. The rows of `dataset` (splits valid and test) are found in it by id; memory: the truth as floats, by id. Errors:
// kInvalidInput names the file and the row or column; kCorrupt, kIo of the dataset.
Result<BestReachable> ComputeBestReachable(const std::string& dataset, const std::string& truth);

// RUN_DIR/best_reachable.json: {"format": 1, "best": <evaluation>, "constant": <evaluation>}.
inline constexpr const char* kBestReachableFile = "best_reachable.json";
std::string ToJson(const BestReachable& reachable);
Result<BestReachable> BestReachableFromJson(const std::string& text, const std::string& origin);

// A task's loss (LossMetric) on a split beside what can be reached.
struct LossComparison {
  std::string task, split, metric;
  double model = 0, best = 0, constant = 0;  // NaN: not known
  // The share of the way from the constant to the best predictor: 1 is perfect. NaN when there is no way.
  double GapClosed() const { return (constant - model) / (constant - best); }
};
std::vector<LossComparison> CompareLosses(const std::vector<SplitEvaluation>& model,
                                          const BestReachable& reachable);

// The metrics of a split as a table for a terminal; with `reachable`, the losses beside the best reachable
// ones.
std::string MetricsTable(const std::vector<SplitEvaluation>& model, const std::string& split,
                         const BestReachable* reachable);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_BEST_REACHABLE_H_
