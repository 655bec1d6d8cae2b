// The best constant prediction of a task: where its raw outputs start, and what it costs.
#ifndef COHORT_WORKER_MODEL_BASE_RATES_H_
#define COHORT_WORKER_MODEL_BASE_RATES_H_

#include <vector>

#include "worker/model/model.h"

namespace cohort {

struct BaseRates {
  // By raw output: biases with which the task's own loss (losses.h) is least when all else is 0. Huber's is the mean of the
  // label, not its Huber estimate of location, which needs the labels. All 0 when no row is labelled.
  std::vector<float> biases;
  // Their mean loss over the labelled rows of the train split, above 0. Labels of regression tasks, and logarithms of
  // positive values, count as normally distributed.
  double loss = 1.0;
};

BaseRates BaseRatesOf(const ModelTask& task);

// The p that minimises sum_k weight_k f(p_k) with f(p) = -(1 - p)^gamma log p and sum_k p_k = 1: what focal loss takes rates
// for. Weights are >= 0, one at least above 0.
std::vector<double> FocalRates(const std::vector<double>& weights, double gamma);

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_BASE_RATES_H_
