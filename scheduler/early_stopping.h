// Early stopping: training ends after `patience` epochs in a row whose evaluation of the valid split was no better than the
// best one so far, and the model of the best epoch is the one kept.
// Prechelt: "Early Stopping - But When?", in Neural Networks: Tricks of the Trade, 1998.
//
// An epoch's value, over the tasks j with weights a_j of the objective:
//   loss      sum_j a_j l_j, l_j = logloss (binary, multiclass, hazard), 1 - r2 (regression, value); lower is better
//   ranking   sum_j a_j r_j, r_j = auc, or spearman; higher is better
// A task whose metric the valid split does not define (no label, one class only, a constant) is left out. A prediction that
// is not finite makes the value NaN, which any number is better than. The first epoch is the best so far whatever it is.
#ifndef COHORT_SCHEDULER_EARLY_STOPPING_H_
#define COHORT_SCHEDULER_EARLY_STOPPING_H_

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "common/config.h"
#include "scheduler/evaluation.h"

namespace cohort {

class EarlyStopping {
 public:
  // `task_weights`: by task, as the evaluations will have them. REQUIRES: patience >= 1.
  EarlyStopping(std::uint32_t patience, StoppingMetric metric, std::vector<double> task_weights);

  // Takes the evaluation of the valid split after an epoch; epochs come in ascending order.
  void Add(std::uint32_t epoch, std::span<const TaskMetrics> tasks);

  bool improved() const { return improved_; }  // the newest epoch is the best so far
  bool exhausted() const { return since_best_ >= patience_; }

  std::uint32_t patience() const { return patience_; }
  const char* metric() const { return metric_ == StoppingMetric::kLoss ? "loss" : "ranking"; }
  std::uint32_t best_epoch() const { return best_epoch_; }
  double best() const { return best_; }  // NaN: no epoch had a value
  // "2 epochs without improvement", "all epochs were trained".
  std::string Ending() const;

  // NaN where there is no value.
  double ValueOf(std::span<const TaskMetrics> tasks) const;

 private:
  const std::uint32_t patience_;
  const StoppingMetric metric_;
  const std::vector<double> task_weights_;
  bool any_ = false, improved_ = false;
  std::uint32_t best_epoch_ = 0, since_best_ = 0;
  double best_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_EARLY_STOPPING_H_
