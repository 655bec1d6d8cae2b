#include "scheduler/early_stopping.h"

#include <cmath>
#include <utility>

#include "common/check.h"

namespace cohort {
namespace {

double ValueOfTask(const TaskMetrics& task, StoppingMetric metric) {
  const bool classes = PredictsProbability(task.type);
  if (metric == StoppingMetric::kRanking) {
    const double within = task.Value("gauc");
    return std::isfinite(within) ? within : task.Value(classes ? "auc" : "spearman");
  }
  return classes ? task.Value("logloss") : 1 - task.Value("r2");
}

}  // namespace

EarlyStopping::EarlyStopping(std::uint32_t patience, StoppingMetric metric, std::vector<double> task_weights)
    : patience_(patience), metric_(metric), task_weights_(std::move(task_weights)) {
  COHORT_CHECK(patience > 0);
}

double EarlyStopping::ValueOf(std::span<const TaskMetrics> tasks) const {
  COHORT_CHECK(tasks.size() == task_weights_.size());
  double sum = 0;
  bool any = false;
  for (std::size_t j = 0; j < tasks.size(); ++j) {
    const double value = ValueOfTask(tasks[j], metric_);
    if (std::isfinite(value)) {
      sum += task_weights_[j] * value;
      any = true;
    } else if (tasks[j].values.contains("bad_predictions")) {
      return std::numeric_limits<double>::quiet_NaN();
    }
  }
  return any ? sum : std::numeric_limits<double>::quiet_NaN();
}

void EarlyStopping::Add(std::uint32_t epoch, std::span<const TaskMetrics> tasks) {
  const double value = ValueOf(tasks);
  const bool better = metric_ == StoppingMetric::kLoss ? value < best_ : value > best_;
  improved_ = !any_ || better || (std::isnan(best_) && !std::isnan(value));
  any_ = true;
  if (improved_) {
    best_ = value;
    best_epoch_ = epoch;
    since_best_ = 0;
  } else {
    ++since_best_;
  }
}

std::string EarlyStopping::Ending() const {
  if (!exhausted()) return "all epochs were trained";
  return std::to_string(since_best_) + (since_best_ == 1 ? " epoch" : " epochs") + " without improvement";
}

}  // namespace cohort
