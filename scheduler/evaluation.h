// Metrics of a split, per task, and the curves that the report draws, from the merged sums of the workers
// (common/evaluation_sums.h). Definitions, formulas, sources, tie rules and bounds: docs/metrics.md.
//
// Equal sums give equal bits. A NaN label masks that task for that row. A metric that is not defined (an AUC with one
// class only, r2 of a constant label) is absent from TaskMetrics::values; JSON shows it as null.
//
//   binary, multiclass  auc, logloss, accuracy, precision, recall, f1, ece
//   binary              with a threshold: best_threshold, accuracy_best, precision_best, recall_best, f1_best
//   binary, with groups gauc, mrr, hr@k, ndcg@k, recall@k; groups, one_class_groups, ungrouped_rows
//   regression, value   mse, mae, r2, spearman, gini, total_ratio
//   value               decile_mape
//   hazard              logloss, c_index; of the end of the last period: auc, brier, ece, horizon_rows
//   always              rows: the number of labelled rows
//   bad_predictions, bad_labels   only when predictions of labelled rows are not finite, or labels are infinite or no
//                       class: how many. The other metrics are then absent: a number computed around them would look
//                       better than the model is.
#ifndef COHORT_SCHEDULER_EVALUATION_H_
#define COHORT_SCHEDULER_EVALUATION_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/evaluation_sums.h"
#include "scheduler/rank_metrics.h"

namespace cohort {

inline constexpr int kCalibrationBins = 15;
inline constexpr int kDeciles = 10;
inline constexpr int kHistogramBins = 40;

struct RocCurve {
  std::string name;              // multiclass: the class, against the rest; binary: the task
  std::vector<RocPoint> points;  // from (0, 0) to (1, 1), at most kMaxRocPoints
};
// Predictions in kHistogramBins bins of equal width over [low, high]; binary: by label, else all in
// `negatives`.
struct ScoreHistogram {
  double low = 0, high = 1;
  std::vector<std::uint64_t> negatives, positives;
};

// Of a hazard task's period, by weight: the rows at risk in it, those with the event, and how many were expected of them.
struct PeriodMetrics {
  double at_risk = 0, events = 0, expected = 0;
};

struct TaskMetrics {
  std::string name;
  TaskType type = TaskType::kBinary;
  std::map<std::string, double> values;  // finite values only
  // By metric: the most by which a value can be off, where the rows had more different predictions than a sketch has
  // cells. A metric without an entry is exact.
  std::map<std::string, double> bounds;
  std::vector<std::uint32_t> top;          // k of the metrics of groups; empty: the split has no groups
  std::vector<PredictionBin> deciles;      // ascending by prediction; fewer than 10 when there are fewer rows
  std::vector<double> lift;                // by decile: its mean label over the split's; not multiclass
  std::vector<PredictionBin> calibration;  // 15 bins of equal count
  std::vector<RocCurve> roc;  // binary: one; multiclass: one per class that has both kinds of rows
  ScoreHistogram histogram;
  std::vector<PeriodMetrics> periods;  // hazard

  // The value of a metric, NaN when it is not defined.
  double Value(const std::string& metric) const;
};

// What the task is trained for, as far as predictions show it: "logloss", or "mse" for regression and value.
const char* LossMetric(TaskType type);

// By task: the threshold of the highest F1 on these rows; NaN where there is none (not binary, no positives, bad
// predictions). REQUIRES: finished sums.
std::vector<double> BestThresholds(const EvaluationSums& sums);

// One entry per task, in order. `thresholds`: by task, NaN or none at all: no *_best metrics. REQUIRES: finished sums.
std::vector<TaskMetrics> MetricsOf(const EvaluationSums& sums, const std::vector<double>& thresholds = {});

}  // namespace cohort

#endif  // COHORT_SCHEDULER_EVALUATION_H_
