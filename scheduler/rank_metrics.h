// Metrics that depend on the order of predictions, from the cells of a sketch (common/score_sketch.h). Each is exact
// while the sketch's level is 0; beyond, its Bound says how far it can be off at the most. Definitions, sources and the
// derivation of the bounds: docs/metrics.md.
#ifndef COHORT_SCHEDULER_RANK_METRICS_H_
#define COHORT_SCHEDULER_RANK_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "common/score_sketch.h"

namespace cohort {

inline constexpr int kMaxRocPoints = 200;
inline constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

inline double Ratio(double a, double b) { return b > 0 ? a / b : kUndefined; }

// Rows of one prediction, or of a cell's span of predictions.
struct Tie {
  float lowest = 0, highest = 0;  // predictions
  std::uint64_t rows = 0;
  double weight = 0;
  double prediction = 0;  // weighted mean
  double label_sum = 0;   // weighted; of classes: the weight of the positives
  bool span() const { return lowest < highest; }
};
// Ascending by prediction.
std::vector<Tie> TiesOf(const ScoreSketch& sketch);

// A value, NaN when it is not defined, and the most by which it can differ from that of the rows themselves.
struct Bounded {
  double value = 0;
  double bound = 0;
};

// A run of rows that are neighbours by prediction. `label` is the mean label; multiclass: the prediction is
// the largest probability, the label the share of rows where that class was right.
struct PredictionBin {
  std::uint64_t rows = 0;
  double prediction = 0;  // weighted means
  double label = 0;
  double lowest = 0, highest = 0;  // predictions
};
// Bin b holds the positions [b n / bins, (b + 1) n / bins) of n rows by prediction; rows of one prediction are shared
// among bins in proportion. Empty bins are left out.
std::vector<PredictionBin> EqualCountBins(const std::vector<Tie>& ties, std::size_t bins);

struct RocPoint {
  double false_positive_rate = 0, true_positive_rate = 0;
};
Bounded Auc(const std::vector<Tie>& ties);
// From (0, 0) to (1, 1), at most kMaxRocPoints; empty when AUC is not defined.
std::vector<RocPoint> Roc(const std::vector<Tie>& ties);

Bounded CalibrationError(const std::vector<Tie>& ties, std::size_t bins);

// What a prediction at or above a threshold, taken as positive, is worth.
struct ThresholdMetrics {
  double accuracy = 0, precision = 0, recall = 0;  // NaN: not defined
  Bounded f1;
};
ThresholdMetrics AtThreshold(const std::vector<Tie>& ties, double threshold);
// Of the predictions (of a span the lowest one) the threshold of the highest F1, the highest of equal ones; NaN without
// positives.
double BestF1Threshold(const std::vector<Tie>& ties);

Bounded Spearman(const ScoreSketch& sketch);
Bounded NormalizedGini(const ScoreSketch& sketch);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_RANK_METRICS_H_
