// LinearBaseline: generalized linear models of a few numbers, fitted in this process: what a multi-task model has to beat.
//
//   binary      logistic regression
//   value       logistic (is it above 0?) times gamma with a logarithmic link (how much, where it is above 0)
//   count       Poisson regression with a logarithmic link
//   regression  least squares
// Other types have no baseline. Features are scaled as in training (standardised with the dataset's mean and deviation, after the
// logarithm where their scale is log1p; a missing one is the mean, 0). Each model maximises its mean log-likelihood, weighted, less
// l2/2 |b|^2 (not of the intercept), by Fisher scoring with halved steps (McCullagh & Nelder 1989, 2.5, 4.4, 8.3); the optimum is
// one, so nothing depends on a seed. Labels that are all 0, or all above 0, make the probability that constant.
// Memory: (features + tasks + 2) x 8 bytes a training row. One thread.
#ifndef COHORT_LAUNCH_LINEAR_BASELINE_H_
#define COHORT_LAUNCH_LINEAR_BASELINE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"

namespace cohort {

enum class LinearFamily { kGaussian, kLogistic, kGamma, kPoisson };

// The weights of the maximum, intercept first: 1 + width of them. `inputs`: (rows, width); `targets` > 0 for gamma, >= 0 for Poisson, 0 or
// 1 for logistic; `weights` > 0. No rows: all 0.
std::vector<double> FitLinear(LinearFamily family, const std::vector<double>& inputs, std::size_t width,
                              const std::vector<double>& targets, const std::vector<double>& weights,
                              double l2);

class LinearBaseline {
 public:
  // Weights of one model, in words and numbers.
  struct Part {
    std::string task, what;       // what: "probability", "above 0", "amount", "mean"
    std::vector<double> weights;  // intercept, then by feature
  };

  // Fits on the train split. kInvalidInput: no such feature, or not a numeric one; no task that has a baseline; l2 < 0.
  static Result<LinearBaseline> Fit(DatasetReader& data, const std::vector<std::string>& features, double l2);

  const std::vector<TaskInfo>& tasks() const { return tasks_; }  // those with a baseline
  const std::vector<Part>& parts() const { return parts_; }
  // Appends a prediction per task for each row of the block, read from the dataset that it was fitted on.
  void Predict(const RowBlock& block, std::vector<float>* out) const;

 private:
  std::vector<double> InputsOf(const RowBlock& block, std::size_t row) const;

  std::vector<FeatureInfo> features_;
  std::vector<std::uint32_t> columns_;
  std::size_t numeric_ = 0;  // columns in a block
  std::vector<TaskInfo> tasks_;
  std::vector<Part> parts_;  // a value task has two, in this order: above 0, amount
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_LINEAR_BASELINE_H_
