#include "worker/model/losses.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/check.h"

namespace cohort {
namespace {

double ScaleOf(double deviation) { return std::isfinite(deviation) && deviation > 0 ? deviation : 1.0; }
double CenterOf(double mean) { return std::isfinite(mean) ? mean : 0.0; }

double Logit(double rate) {
  constexpr double kLeast = 1e-6;
  rate = std::clamp(rate, kLeast, 1.0 - kLeast);
  return std::log(rate / (1.0 - rate));
}

const double kHalfLog2Pi = 0.5 * std::log(2.0 * std::numbers::pi);

}  // namespace

std::uint32_t OutputsOf(const TaskInfo& task) {
  switch (task.type) {
    case TaskType::kMulticlass:
      return static_cast<std::uint32_t>(task.classes.size());
    case TaskType::kValue:
      return 3;
    case TaskType::kBinary:
    case TaskType::kRegression:
      break;
  }
  return 1;
}

float BaseRateBias(const TaskInfo& task, std::uint32_t output) {
  if (task.labelled == 0) return 0.0f;
  double bias = 0.0;
  switch (task.type) {
    case TaskType::kBinary:
      bias = Logit(task.mean);
      break;
    case TaskType::kMulticlass:
      if (output < task.class_rates.size()) bias = std::log(std::max(task.class_rates[output], 1e-6));
      break;
    case TaskType::kRegression:
      break;                // 0 is the mean
    case TaskType::kValue:  // the share, the mean and, through softplus, a deviation of 1
      bias = output == 0   ? Logit(task.positive_share)
             : output == 1 ? 0.0
                           : std::log(std::expm1(1.0 - kSigmaFloor));
      break;
  }
  return std::isfinite(bias) ? static_cast<float>(bias) : 0.0f;
}

template <typename T>
struct Losses<T>::Labelled {
  const float* labels;
  std::size_t stride;
  const float* weights;
  double coefficient;

  float Label(std::size_t i) const { return labels[i * stride]; }
  // Whether the row counts; its label is a number then.
  bool Has(std::size_t i) const { return !std::isnan(Label(i)) && weights[i] > 0.0f; }
  T Coefficient(std::size_t i) const { return static_cast<T>(coefficient * static_cast<double>(weights[i])); }
};

template <typename T>
Losses<T>::Losses(std::size_t capacity)
    : kernels_(ActiveKernels<T>()), memory_(std::size(scratch_) * ((capacity + 15) / 16 * 16)) {
  for (std::size_t i = 0; i < std::size(scratch_); ++i)
    scratch_[i] = memory_.data() + i * ((capacity + 15) / 16 * 16);
}

template <typename T>
const T* Losses<T>::Column(std::size_t rows, MatrixView<const T> z, std::size_t k, T* out) const {
  for (std::size_t i = 0; i < rows; ++i) out[i] = z.Row(i)[k];
  return out;
}

template <typename T>
double Losses<T>::Gradient(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                           const float* labels, std::size_t label_stride, const float* weights,
                           double total_weight, MatrixView<T> dz) {
  const double coefficient =
      total_weight > 0.0 ? static_cast<double>(task.config.weight) / total_weight : 0.0;
  const Labelled labelled{labels, label_stride, weights, coefficient};
  switch (task.info.type) {
    case TaskType::kBinary:
      return Binary(rows, z, labelled, dz);
    case TaskType::kMulticlass:
      return Multiclass(task, rows, z, labelled, dz);
    case TaskType::kRegression:
      return Regression(task, rows, z, labelled, dz);
    case TaskType::kValue:
      return Value(task, rows, z, labelled, dz);
  }
  return 0.0;
}

template <typename T>
double Losses<T>::Binary(std::size_t rows, MatrixView<const T> z, const Labelled& labels, MatrixView<T> dz) {
  const T* logits = Column(rows, z, 0, scratch_[0]);
  T *p = scratch_[1], *softplus = scratch_[2];
  kernels_.sigmoid(rows, logits, p, softplus);
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    *dz.Row(i) = T{0};
    if (!labels.Has(i)) continue;
    const T y = static_cast<T>(labels.Label(i));
    *dz.Row(i) = labels.Coefficient(i) * (p[i] - y);
    sum += static_cast<double>(labels.weights[i]) *
           (static_cast<double>(softplus[i]) - static_cast<double>(y) * static_cast<double>(logits[i]));
  }
  return sum;
}

template <typename T>
double Losses<T>::Multiclass(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                             const Labelled& labels, MatrixView<T> dz) {
  T* log_sum = scratch_[0];
  kernels_.softmax(rows, task.outputs, z.data, z.row, dz.data, dz.row, log_sum);
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    T* row = dz.Row(i);
    if (!labels.Has(i)) {
      std::fill_n(row, task.outputs, T{0});
      continue;
    }
    const auto y = static_cast<std::uint32_t>(labels.Label(i));
    COHORT_CHECK(labels.Label(i) >= 0.0f && y < task.outputs, "class %g of %u in task %s", labels.Label(i),
                 task.outputs, task.info.name.c_str());
    row[y] -= T{1};
    const T coefficient = labels.Coefficient(i);
    for (std::uint32_t k = 0; k < task.outputs; ++k) row[k] *= coefficient;
    sum += static_cast<double>(labels.weights[i]) *
           (static_cast<double>(log_sum[i]) - static_cast<double>(z.Row(i)[y]));
  }
  return sum;
}

template <typename T>
double Losses<T>::Regression(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                             const Labelled& labels, MatrixView<T> dz) {
  const double mean = CenterOf(task.info.mean), deviation = ScaleOf(task.info.deviation);
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    *dz.Row(i) = T{0};
    if (!labels.Has(i)) continue;
    const T target = static_cast<T>((static_cast<double>(labels.Label(i)) - mean) / deviation);
    const T difference = *z.Row(i) - target;
    *dz.Row(i) = labels.Coefficient(i) * difference;
    sum += static_cast<double>(labels.weights[i]) * 0.5 * static_cast<double>(difference) *
           static_cast<double>(difference);
  }
  return sum;
}

template <typename T>
double Losses<T>::Value(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                        const Labelled& labels, MatrixView<T> dz) {
  const T log_mean = static_cast<T>(CenterOf(task.info.log_mean));
  const T log_deviation = static_cast<T>(ScaleOf(task.info.log_deviation));
  const T* z_p = Column(rows, z, 0, scratch_[0]);
  const T* z_sigma = Column(rows, z, 2, scratch_[1]);
  T *p = scratch_[2], *softplus_p = scratch_[3], *slope = scratch_[4], *sigma = scratch_[5],
    *log_y = scratch_[6], *log_sigma = scratch_[7];
  kernels_.sigmoid(rows, z_p, p, softplus_p);
  kernels_.sigmoid(rows, z_sigma, slope, sigma);
  for (std::size_t i = 0; i < rows; ++i) {
    sigma[i] += static_cast<T>(kSigmaFloor);
    log_y[i] = labels.Has(i) && labels.Label(i) > 0.0f ? static_cast<T>(labels.Label(i)) : T{1};
  }
  kernels_.log(rows, log_y, log_y);
  kernels_.log(rows, sigma, log_sigma);
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    T* row = dz.Row(i);
    row[0] = row[1] = row[2] = T{0};
    if (!labels.Has(i)) continue;
    const T coefficient = labels.Coefficient(i);
    double loss = static_cast<double>(softplus_p[i]);
    if (labels.Label(i) > 0.0f) {
      const T r = ((log_y[i] - log_mean) / log_deviation - z.Row(i)[1]) / sigma[i];
      row[0] = coefficient * (p[i] - T{1});
      row[1] = -coefficient * r / sigma[i];
      row[2] = coefficient * (T{1} - r * r) / sigma[i] * slope[i];
      loss += -static_cast<double>(z_p[i]) + static_cast<double>(log_sigma[i]) + kHalfLog2Pi +
              0.5 * static_cast<double>(r) * static_cast<double>(r);
    } else {
      row[0] = coefficient * p[i];
    }
    sum += static_cast<double>(labels.weights[i]) * loss;
  }
  return sum;
}

template <typename T>
void Losses<T>::Predict(const ModelTask& task, std::size_t rows, MatrixView<const T> z, T* predictions,
                        std::size_t stride) {
  switch (task.info.type) {
    case TaskType::kBinary: {
      T* p = scratch_[1];
      kernels_.sigmoid(rows, Column(rows, z, 0, scratch_[0]), p, nullptr);
      for (std::size_t i = 0; i < rows; ++i) predictions[i * stride] = p[i];
      return;
    }
    case TaskType::kMulticlass:
      kernels_.softmax(rows, task.outputs, z.data, z.row, predictions, static_cast<std::ptrdiff_t>(stride),
                       nullptr);
      return;
    case TaskType::kRegression: {
      const double mean = CenterOf(task.info.mean), deviation = ScaleOf(task.info.deviation);
      for (std::size_t i = 0; i < rows; ++i) {
        predictions[i * stride] = static_cast<T>(mean + deviation * static_cast<double>(*z.Row(i)));
      }
      return;
    }
    case TaskType::kValue: {
      const double log_mean = CenterOf(task.info.log_mean), log_deviation = ScaleOf(task.info.log_deviation);
      T *p = scratch_[2], *sigma = scratch_[3], *exponent = scratch_[4];
      kernels_.sigmoid(rows, Column(rows, z, 0, scratch_[0]), p, nullptr);
      kernels_.sigmoid(rows, Column(rows, z, 2, scratch_[1]), nullptr, sigma);
      for (std::size_t i = 0; i < rows; ++i) {
        const double s = log_deviation * (static_cast<double>(sigma[i]) + kSigmaFloor);
        const double e = log_mean + log_deviation * static_cast<double>(z.Row(i)[1]) + 0.5 * s * s;
        exponent[i] = static_cast<T>(std::clamp(e, -80.0, 80.0));
      }
      kernels_.exp(rows, exponent, exponent);
      for (std::size_t i = 0; i < rows; ++i) predictions[i * stride] = p[i] * exponent[i];
      return;
    }
  }
}

template class Losses<float>;
template class Losses<double>;

}  // namespace cohort
