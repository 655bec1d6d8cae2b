// What is measured of features and labels while rows stream past. Sums are in double, in row order, so that equal inputs
// give equal statistics.
#ifndef COHORT_PREPARE_STATISTICS_H_
#define COHORT_PREPARE_STATISTICS_H_

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "common/dataset.h"
#include "prepare/distinct_sketch.h"
#include "prepare/quantile_sketch.h"

namespace cohort {

// Weighted mean and deviation: West, "Updating mean and variance estimates", 1979.
class Moments {
 public:
  void Add(double value, double weight = 1) {
    weight_ += weight;
    const double step = value - mean_;
    mean_ += step * weight / weight_;
    squares_ += weight * step * (value - mean_);
  }
  // Of whole blocks, two passes over each: as exact, and fast (Chan, Golub, LeVeque 1979).
  void AddAll(std::span<const double> values);
  double weight() const { return weight_; }
  double mean() const { return mean_; }
  double deviation() const;  // of the population; 1 when all values are equal, so that one may divide by it

 private:
  double weight_ = 0, mean_ = 0, squares_ = 0;
};

// One feature over the blocks of the train split.
class FeatureStatistics {
 public:
  // `column` is the feature's column among those of its type, out of `columns`; `quantiles`: for bins.
  FeatureStatistics(const FeatureInfo& feature, std::uint32_t column, std::uint32_t columns, bool quantiles);
  void Add(const RowBlock& block);
  // Writes what was measured; `bins` of the schema.
  void Fill(std::uint32_t bins, FeatureInfo* feature) const;

 private:
  FeatureType type_;
  NumericScale scale_;
  Key missing_key_;
  std::uint32_t column_, columns_;
  bool with_quantiles_;
  std::uint64_t missing_ = 0;
  double minimum_ = std::numeric_limits<double>::infinity(), maximum_ = -minimum_;
  Moments moments_;
  DistinctSketch distinct_;
  QuantileSketch quantiles_;
  std::vector<double> values_;  // of the block at hand
};

// One task over the rows of one split.
class TaskStatistics {
 public:
  // `task`: its classes or periods.
  explicit TaskStatistics(const TaskInfo& task)
      : class_weights_(task.PredictionColumns()), at_risk_(task.periods) {}
  void Add(const TaskInfo& task, float label, double weight);  // NaN: not labelled
  void Fill(TaskInfo* task) const;
  std::uint64_t labelled() const { return labelled_; }

 private:
  std::uint64_t labelled_ = 0;
  double weight_ = 0, positive_weight_ = 0;
  Moments labels_, logarithms_;
  std::vector<double> class_weights_;  // hazard: of the events in each period
  std::vector<double> at_risk_;        // hazard: by the last period that the row was at risk in
};

}  // namespace cohort

#endif  // COHORT_PREPARE_STATISTICS_H_
