// What a prediction owes to each of the model's inputs: integrated gradients.
//
// F is a prediction (a column of Model::Predict), x the input that the sharing structure reads, x0 a baseline of the same
// shape. Input c is given
//   a_c = (x_c - x0_c) * integral over s in [0, 1] of dF/dx_c (x0 + s (x - x0)) ds,   so that   sum_c a_c = F(x) - F(x0).
// Sundararajan, Taly, Yan: "Axiomatic Attribution for Deep Networks", ICML 2017. The integral is a sum over the midpoints of
// intervals. What F gains over an interval is known, and so is what the sum over c misses of it: those that miss most, where a unit of the
// network switches on or off, are halved until all together miss little enough.
#ifndef COHORT_WORKER_MODEL_ATTRIBUTION_H_
#define COHORT_WORKER_MODEL_ATTRIBUTION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "worker/model/chain_losses.h"
#include "worker/model/layout.h"
#include "worker/model/losses.h"
#include "worker/model/model.h"
#include "worker/model/structure.h"

namespace cohort {

// A feature's columns of the input x.
struct FeatureColumns {
  std::size_t feature = 0;  // in DatasetInfo::features; its size: the autoencoder's bottleneck
  std::vector<std::uint32_t> columns;
};
// Each column is one feature's. Features without a column are left out. REQUIRES: not a two_tower.
std::vector<FeatureColumns> ColumnsByFeature(const ModelSpec& spec);

struct Attributed {
  double prediction = 0, baseline = 0;  // F(x), F(x0)
  std::vector<double> inputs;           // a_c
  double sum = 0;                       // of a_c
};

// In double precision, and without dropout. One thread at a time.
class Attribution {
 public:
  // `spec` must outlive this. REQUIRES: not a two_tower.
  explicit Attribution(const ModelSpec& spec);

  // Keeps the pointer until the next call: dense_count values.
  void SetDense(const double* dense);

  // The prediction of column `output` at x: spec.InputWidth() values (Model::Inputs).
  double Predict(std::span<const double> x, std::uint32_t output);
  // Halves intervals until their |misses| sum to at most `tolerance`, so |sum - (F(x) - F(x0))| is, or there are kMaxIntervals.
  Attributed Explain(std::span<const double> x, std::span<const double> baseline, std::uint32_t output,
                     double tolerance);

 private:
  static constexpr std::size_t kRows = 64;  // points that are computed together
  static constexpr std::size_t kMaxIntervals = 16'384;

  // Predictions of the first `rows` rows of x_ into predictions_; then the gradients of column `output` into dx_.
  void Forward(std::size_t rows);
  void Backward(std::size_t rows, std::uint32_t output);
  // dF/dz of row i, for the task that `output` is of and those it depends on.
  void LogitGradient(std::size_t i, std::size_t task, std::uint32_t column);

  const ModelSpec& spec_;
  const ModelLayout layout_;
  Structure<double> structure_;
  Losses<double> losses_;
  ChainLosses<double> chain_losses_;
  Matrix<double> x_, dx_;
  std::vector<double> predictions_, dense_gradient_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_ATTRIBUTION_H_
