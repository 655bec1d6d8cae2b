#include "worker/model/chain_losses.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cohort {
namespace {

// Arrays of a chain's task: sigmoid(z), sigmoid(-z), softplus(-z), the product P and 1 - P of the chain so far, and its log.
enum : std::size_t { kRate, kMiss, kCost, kProduct, kComplement, kLogComplement, kArrays };

}  // namespace

template <typename T>
ChainLosses<T>::ChainLosses(const ModelSpec& spec, std::size_t capacity)
    : kernels_(ActiveKernels<T>()),
      chain_(spec.chain),
      tasks_(spec.tasks),
      calibration_(spec.config.kind == "aitm" ? static_cast<T>(spec.config.calibration) : T{0}),
      owned_(spec.tasks.size(), false),
      stride_((capacity + 15) / 16 * 16),
      memory_(kArrays * chain_.size() * stride_) {
  if (spec.config.kind != "esmm") return;
  for (const std::uint32_t task : chain_) owned_[task] = true;
}

template <typename T>
void ChainLosses<T>::Products(std::size_t rows, const Structure<T>& structure) {
  for (std::size_t j = 0; j < chain_.size(); ++j) {
    const MatrixView<T> z = structure.logits(chain_[j]);
    T *rate = Array(kRate, j), *miss = Array(kMiss, j);
    for (std::size_t i = 0; i < rows; ++i) rate[i] = *z.Row(i), miss[i] = -*z.Row(i);
    kernels_.sigmoid(rows, rate, rate, nullptr);
    kernels_.sigmoid(rows, miss, miss, Array(kCost, j));
  }
  for (std::size_t j = 0; j < chain_.size(); ++j) {
    const T* rate = Array(kRate, j);
    T *miss = Array(kMiss, j), *product = Array(kProduct, j), *complement = Array(kComplement, j),
      *cost = Array(kCost, j);
    for (std::size_t i = 0; i < rows; ++i) {
      miss[i] = std::max(miss[i], std::numeric_limits<T>::min());
      const T before = j == 0 ? T{1} : Array(kProduct, j - 1)[i];
      product[i] = before * rate[i];
      const T missed = before * miss[i];
      complement[i] = j == 0 ? miss[i] : Array(kComplement, j - 1)[i] + missed;
      complement[i] = std::max(complement[i], std::numeric_limits<T>::min());
      if (j > 0) cost[i] += Array(kCost, j - 1)[i];
    }
    kernels_.log(rows, complement, Array(kLogComplement, j));
  }
}

template <typename T>
void ChainLosses<T>::Gradient(std::size_t rows, const float* labels, std::size_t label_stride,
                              const float* weights, const double* coefficient, const Structure<T>& structure,
                              double* loss_sum) {
  if (chain_.empty()) return;
  if (Owns(chain_[0])) {
    EntireSpace(rows, labels, label_stride, weights, coefficient, structure, loss_sum);
  } else if (calibration_ > T{0}) {
    Calibration(rows, labels, label_stride, weights, coefficient, structure, loss_sum);
  }
}

template <typename T>
void ChainLosses<T>::EntireSpace(std::size_t rows, const float* labels, std::size_t label_stride,
                                 const float* weights, const double* coefficient,
                                 const Structure<T>& structure, double* loss_sum) {
  Products(rows, structure);
  for (const std::uint32_t task : chain_) {
    const MatrixView<T> dz = structure.logit_gradient(task);
    for (std::size_t i = 0; i < rows; ++i) *dz.Row(i) = T{0};
  }
  for (std::size_t j = 0; j < chain_.size(); ++j) {
    const ModelTask& task = tasks_[chain_[j]];
    double sum = 0.0;
    for (std::size_t i = 0; i < rows; ++i) {
      const float label = labels[i * label_stride + task.label_column];
      if (std::isnan(label) || !(weights[i] > 0.0f)) continue;
      const T y = static_cast<T>(label);
      sum += static_cast<double>(weights[i]) *
             (static_cast<double>(y) * static_cast<double>(Array(kCost, j)[i]) -
              static_cast<double>(T{1} - y) * static_cast<double>(Array(kLogComplement, j)[i]));
      const T scale = static_cast<T>(coefficient[chain_[j]] * static_cast<double>(weights[i]));
      for (std::size_t k = 0; k <= j; ++k) {
        // The quotient is at most 2, whatever P: 1 - P_j is at least P_(k-1) sigmoid(-z_k), and at least 1 - P_(k-1).
        const T miss = Array(kMiss, k)[i], share = Array(kProduct, j)[i] * (miss / Array(kComplement, j)[i]);
        *structure.logit_gradient(chain_[k]).Row(i) += scale * ((T{1} - y) * share - y * miss);
      }
    }
    loss_sum[chain_[j]] = sum;
  }
}

template <typename T>
void ChainLosses<T>::Calibration(std::size_t rows, const float* labels, std::size_t label_stride,
                                 const float* weights, const double* coefficient,
                                 const Structure<T>& structure, double* loss_sum) {
  const auto binary = [&](std::size_t j) { return tasks_[chain_[j]].info.type == TaskType::kBinary; };
  for (std::size_t j = 0; j < chain_.size(); ++j) {
    if (!binary(j)) continue;
    const MatrixView<T> z = structure.logits(chain_[j]);
    T* rate = Array(kRate, j);
    for (std::size_t i = 0; i < rows; ++i) rate[i] = *z.Row(i);
    kernels_.sigmoid(rows, rate, rate, nullptr);
  }
  for (std::size_t j = 1; j < chain_.size(); ++j) {
    if (!binary(j) || !binary(j - 1)) continue;
    const ModelTask& task = tasks_[chain_[j]];
    const MatrixView<T> dz = structure.logit_gradient(chain_[j]),
                        before = structure.logit_gradient(chain_[j - 1]);
    const T *p = Array(kRate, j), *p_before = Array(kRate, j - 1);
    double sum = 0.0;
    for (std::size_t i = 0; i < rows; ++i) {
      if (std::isnan(labels[i * label_stride + task.label_column]) || !(weights[i] > 0.0f)) continue;
      if (!(p[i] > p_before[i])) continue;
      sum += static_cast<double>(weights[i]) * static_cast<double>(calibration_) *
             static_cast<double>(p[i] - p_before[i]);
      const T slope = static_cast<T>(coefficient[chain_[j]] * static_cast<double>(weights[i])) * calibration_;
      *dz.Row(i) += slope * (p[i] * (T{1} - p[i]));
      *before.Row(i) -= slope * (p_before[i] * (T{1} - p_before[i]));
    }
    loss_sum[chain_[j]] += sum;
  }
}

template <typename T>
void ChainLosses<T>::Predict(std::size_t rows, const Structure<T>& structure, T* predictions,
                             std::size_t stride) {
  if (chain_.empty() || !Owns(chain_[0])) return;
  Products(rows, structure);
  for (std::size_t j = 0; j < chain_.size(); ++j) {
    T* to = predictions + tasks_[chain_[j]].prediction_column;
    for (std::size_t i = 0; i < rows; ++i) to[i * stride] = Array(kProduct, j)[i];
  }
}

template class ChainLosses<float>;
template class ChainLosses<double>;

}  // namespace cohort
