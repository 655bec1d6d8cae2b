// Which of several models is better on one set of rows, and how sure that is: metrics, their differences, and intervals by the
// paired bootstrap.
//
// A draw takes as many users as there are, with replacement, and with each all of its rows (Efron & Tibshirani 1993, chapter 8: what
// is drawn is what is independent). All models are judged on the same draws, so what makes a draw hard for all cancels in a
// difference. A model may have several runs (seeds): its metric is their mean, in every draw; so intervals are about which users
// there are, at these runs. An interval is from the 2.5th to the 97.5th percentile of the draws (interpolated: type 7 of Hyndman & Fan
// 1996). Definitions of the metrics: docs/metrics.md. One thread; equal inputs give equal bits.
#ifndef COHORT_LAUNCH_PAIRED_BOOTSTRAP_H_
#define COHORT_LAUNCH_PAIRED_BOOTSTRAP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/dataset.h"

namespace cohort {

// The rows that models are judged on.
struct JudgedRows {
  std::vector<std::uint32_t> users;  // rows: the number of the row's user, from 0
  std::uint32_t user_count = 0;
  std::vector<float> weights;  // rows, or empty: all 1
};

struct Estimate {
  double value = 0;           // of the rows as they are; NaN: not defined
  double low = 0, high = 0;   // NaN: defined in no draw
  double share_above_0 = 0;   // of the draws; of a difference, how often the first one is the higher
  std::uint64_t defined = 0;  // draws in which it is defined: others are left out
};

// From the figure in each draw; NaN where it is not defined in one.
Estimate EstimateOf(double value, std::vector<double> draws);

struct MetricComparison {
  std::string metric;
  bool higher_is_better = true;       // total_ratio: neither, it should be 1
  std::vector<Estimate> models;       // in the order given
  std::vector<Estimate> differences;  // models 0 - 1, 0 - 2, ..., 1 - 2, ...
};

struct BootstrapOptions {
  std::uint32_t draws = 2000;
  std::uint64_t seed = 1;
  std::function<void(std::uint32_t draws_done)> progress;
};

// Whether a label is one of the task's, or masked: finite, and a class or a period that there is.
bool IsLabelOf(const TaskInfo& task, float label);

// Of one task: binary auc, logloss; multiclass logloss, accuracy; regression spearman, mae; value spearman, mae, total_ratio,
// decile_mape; count those and rmse, poisson_deviance; hazard logloss. `labels`: rows, NaN masks; each IsLabelOf the task. `models`: by model, by run: (rows, task.PredictionColumns()), finite.
std::vector<MetricComparison> CompareModels(const TaskInfo& task, const JudgedRows& rows,
                                            const std::vector<float>& labels,
                                            const std::vector<std::vector<std::vector<float>>>& models,
                                            const BootstrapOptions& options);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PAIRED_BOOTSTRAP_H_
