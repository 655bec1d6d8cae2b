// Metrics of a split: predictions against labels, per task, and the curves that the report draws.
//
// Rows are given in row order and every sum runs in double over that order (or over a sort whose ties are
// broken by it), so equal inputs give equal bits. A NaN label masks that task for that row. A metric that is
// not defined (an AUC with one class only, r2 of a constant label) is absent from TaskMetrics::values; JSON
// shows it as null.
//
//   binary, multiclass  auc, logloss, accuracy, precision, recall, f1, ece
//   regression, value   mse, mae, r2, spearman, gini, total_ratio
//   always              rows: the number of labelled rows
//   bad_predictions, bad_labels   only when predictions of labelled rows are not finite, or labels are
//   infinite or no
//                       class: how many. The other metrics are then absent: a number computed around them
//                       would look better than the model is.
//
// Definitions; w is the row's weight, 1 without weights.
//   auc         P(score of a positive > score of a negative) + 1/2 P(equal), by weight (Hanley & McNeil
//   1982): exact with
//               ties. multiclass: the mean of the one-against-rest AUCs over the classes for which it is
//               defined.
//   logloss     mean of -log p(label), p clipped to [1e-7, 1 - 1e-7]
//   precision, recall, f1  binary: prediction >= 0.5 is positive. multiclass: the class of the largest
//   probability
//               (the first of equals), then the unweighted mean over the classes that occur among labels or
//               predictions; in that mean a class that is never predicted has precision 0, one never seen
//               recall 0.
//   ece         expected calibration error over 15 bins of equal count by prediction (Nixon et al. 2019);
//   multiclass:
//               of the largest probability against "it was right" (Guo et al. 2017)
//   spearman    Pearson correlation of the tie-averaged ranks
//   gini        area between the diagonal and the Lorenz curve of the labels sorted by prediction, over the
//   same with the
//               labels sorted by themselves: 1 is a perfect order, 0 a random one
//   total_ratio sum of predictions over sum of labels
#ifndef COHORT_SCHEDULER_EVALUATION_H_
#define COHORT_SCHEDULER_EVALUATION_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/dataset.h"

namespace cohort {

inline constexpr int kCalibrationBins = 15;
inline constexpr int kDeciles = 10;
inline constexpr int kHistogramBins = 40;
inline constexpr int kMaxRocPoints = 200;

// A run of rows that are neighbours by prediction. `label` is the mean label; multiclass: the prediction is
// the largest probability, the label the share of rows where that class was right.
struct PredictionBin {
  std::uint64_t rows = 0;
  double prediction = 0;  // weighted means
  double label = 0;
  double lowest = 0, highest = 0;  // predictions
};
struct RocPoint {
  double false_positive_rate = 0, true_positive_rate = 0;
};
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

struct TaskMetrics {
  std::string name;
  TaskType type = TaskType::kBinary;
  std::map<std::string, double> values;    // finite values only
  std::vector<PredictionBin> deciles;      // ascending by prediction; fewer than 10 when there are fewer rows
  std::vector<PredictionBin> calibration;  // 15 bins of equal count
  std::vector<RocCurve> roc;  // binary: one; multiclass: one per class that has both kinds of rows
  ScoreHistogram histogram;

  // The value of a metric, NaN when it is not defined.
  double Value(const std::string& metric) const;
};

// What the task is trained for, as far as predictions show it: "logloss", or "mse" for regression and value.
const char* LossMetric(TaskType type);

// Memory: 4 * (prediction columns + 1) bytes per labelled row and task, 4 more with weights; Finish needs up
// to 20 bytes per row of one task at a time on top. One thread at a time.
class Evaluation {
 public:
  // `tasks` in the order of the label columns; task j's predictions follow those of task j - 1.
  explicit Evaluation(std::vector<TaskInfo> tasks);

  // predictions: rows x (sum of PredictionColumns), labels: rows x tasks, weights: rows, or empty for 1 each.
  // REQUIRES: the sizes fit.
  void Add(std::span<const float> predictions, std::span<const float> labels, std::span<const float> weights,
           std::size_t rows);

  // One entry per task, in order.
  std::vector<TaskMetrics> Finish() const;

 private:
  struct TaskRows {
    std::vector<float> predictions;  // labelled rows x columns
    std::vector<float> labels;
    std::vector<float> weights;  // empty while every weight was 1
  };

  std::vector<TaskInfo> tasks_;
  std::size_t columns_ = 0;
  std::vector<TaskRows> rows_;
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_EVALUATION_H_
