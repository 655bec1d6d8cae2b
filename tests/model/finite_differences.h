// What Step's gradient is the gradient of, and how far from it finite differences are.
#ifndef COHORT_TESTS_MODEL_FINITE_DIFFERENCES_H_
#define COHORT_TESTS_MODEL_FINITE_DIFFERENCES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/model/model_fixture.h"

namespace cohort {

// sum_j a_j f_j / total_j * loss_j + sum_j l2_j / 2 |W_j|^2, and with uncertainty + sum_j a_j s_j, and the autoencoder's part: what Step's gradient is
// the gradient of (task_balance.h). With gradnorm f is held fixed.
inline double Objective(Model<double>& model, const ModelSpec& spec, const TestSlice<double>& slice,
                        const std::vector<double>& dense, bool with_l2) {
  const StepOutput<double> out = RunStep(model, spec, slice, dense, with_l2);
  double sum =
      static_cast<double>(spec.config.autoencoder.weight) / slice.Input().global_rows * out.reconstruction;
  double exponentials = 0;
  const double* learned = LearnsBalance(spec.balance) ? &dense[LayoutOf(spec).learned_balance] : nullptr;
  const std::size_t tasks = spec.tasks.size();
  for (std::size_t j = 0; j < tasks && learned; ++j) exponentials += std::exp(learned[j]);
  for (std::size_t j = 0; j < tasks; ++j) {
    if (!(slice.total_weight[j] > 0)) continue;
    const double weight = static_cast<double>(spec.tasks[j].config.weight);
    double factor = 1;
    if (spec.balance == Balance::kGradNorm)
      factor = static_cast<double>(tasks) * std::exp(learned[j]) / exponentials;
    if (spec.balance == Balance::kUncertainty && spec.tasks[j].info.type != TaskType::kValue) {
      factor = std::exp(-2 * learned[j]);
      if (with_l2) sum += weight * learned[j];
    }
    sum += weight * factor / slice.total_weight[j] * out.loss[j];
  }
  if (with_l2) {
    for (const OwnWeights& own : LayoutOf(spec).own_weights) {
      for (std::uint64_t r = 0; r < own.rows; ++r) {
        for (std::uint64_t c = 0; c < own.columns; ++c) {
          const double w = dense[own.begin + r * own.stride + c];
          sum += 0.5 * static_cast<double>(spec.tasks[own.task].config.l2) * w * w;
        }
      }
    }
  }
  return sum;
}

// The largest relative difference between the analytic gradient and central differences, over all dense weights and all
// pulled embedding rows (rows outside the slice must have none).
inline double LargestError(const ModelSpec& spec, TestSlice<double> slice, bool with_l2, std::uint64_t seed) {
  constexpr double kStep = 1e-6;
  Model<double> model(spec, slice.padded_rows);
  std::vector<double> dense = RandomDense<double>(spec, seed);
  const StepOutput<double> analytic = RunStep(model, spec, slice, dense, with_l2);
  double worst = 0;
  const auto check = [&](double* value, double gradient) {
    const double before = *value;
    *value = before + kStep;
    const double above = Objective(model, spec, slice, dense, with_l2);
    *value = before - kStep;
    const double below = Objective(model, spec, slice, dense, with_l2);
    *value = before;
    const double numeric = (above - below) / (2 * kStep);
    worst = std::max(
        worst, std::fabs(numeric - gradient) / std::max({std::fabs(numeric), std::fabs(gradient), 1e-3}));
  };
  const std::size_t checked =
      spec.balance == Balance::kGradNorm ? LayoutOf(spec).learned_balance : dense.size();
  for (std::size_t i = 0; i < checked; ++i) check(&dense[i], analytic.dense[i]);
  for (std::size_t t = 0; t < spec.tables.size(); ++t) {
    const std::size_t dim = spec.tables[t].rows.embedding_dim;
    const std::vector<std::uint32_t>& distinct = slice.ids[t].distinct;
    std::vector<double> by_row(slice.embeddings[t].size(), 0.0);
    for (std::size_t p = 0; p < distinct.size(); ++p) {
      for (std::size_t d = 0; d < dim; ++d)
        by_row[distinct[p] * dim + d] += analytic.embedding[t][p * dim + d];
    }
    for (std::size_t i = 0; i < by_row.size(); ++i) check(&slice.embeddings[t][i], by_row[i]);
  }
  return worst;
}

}  // namespace cohort

#endif  // COHORT_TESTS_MODEL_FINITE_DIFFERENCES_H_
