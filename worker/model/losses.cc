#include "worker/model/losses.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "common/check.h"

namespace cohort {
namespace {

double ScaleOf(double deviation) { return std::isfinite(deviation) && deviation > 0 ? deviation : 1.0; }
double CenterOf(double mean) { return std::isfinite(mean) ? mean : 0.0; }

const double kHalfLog2Pi = 0.5 * std::log(2.0 * std::numbers::pi);

}  // namespace

bool IsPoisson(const ModelTask& task) {
  return task.info.type == TaskType::kCount || task.config.loss == TaskLoss::kPoisson;
}

std::uint32_t OutputsOf(const ModelTask& task) {
  if (IsPoisson(task)) return 1;
  switch (task.info.type) {
    case TaskType::kMulticlass:
      return static_cast<std::uint32_t>(task.info.classes.size());
    case TaskType::kValue:
      return 3;
    case TaskType::kHazard:
      return task.info.periods;
    case TaskType::kBinary:
    case TaskType::kRegression:
    case TaskType::kCount:
      break;
  }
  return 1;
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
  // REQUIRES: Has(i).
  std::uint32_t Class(std::size_t i, const ModelTask& task) const {
    const auto y = static_cast<std::uint32_t>(Label(i));
    COHORT_CHECK(Label(i) >= 0.0f && y < task.outputs, "class %g of %u in task %s", Label(i), task.outputs,
                 task.info.name.c_str());
    return y;
  }
  // REQUIRES: Has(i).
  HazardLabel Seen(std::size_t i, const ModelTask& task) const {
    COHORT_CHECK(IsHazardLabel(Label(i), task.outputs), "label %g of %u periods in task %s", Label(i),
                 task.outputs, task.info.name.c_str());
    return HazardLabelOf(Label(i));
  }
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
                           double coefficient, MatrixView<T> dz) {
  const Labelled labelled{labels, label_stride, weights, coefficient};
  if (IsPoisson(task)) return Poisson(task, rows, z, labelled, dz);
  switch (task.info.type) {
    case TaskType::kBinary:
      return Binary(task, rows, z, labelled, dz);
    case TaskType::kMulticlass:
      return Multiclass(task, rows, z, labelled, dz);
    case TaskType::kRegression:
      return Regression(task, rows, z, labelled, dz);
    case TaskType::kValue:
      return Value(task, rows, z, labelled, dz);
    case TaskType::kHazard:
      return Hazard(task, rows, z, labelled, dz);
    case TaskType::kCount:
      break;
  }
  return 0.0;
}

template <typename T>
double Losses<T>::Binary(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                         const Labelled& labels, MatrixView<T> dz) {
  if (task.config.loss == TaskLoss::kFocal) return BinaryFocal(task, rows, z, labels, dz);
  const T* logits = Column(rows, z, 0, scratch_[0]);
  T *p = scratch_[1], *softplus = scratch_[2];
  kernels_.sigmoid(rows, logits, p, softplus);
  const T smoothing = static_cast<T>(task.config.label_smoothing);
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    *dz.Row(i) = T{0};
    if (!labels.Has(i)) continue;
    const T y = (T{1} - smoothing) * static_cast<T>(labels.Label(i)) + smoothing / T{2};
    *dz.Row(i) = labels.Coefficient(i) * (p[i] - y);
    sum += static_cast<double>(labels.weights[i]) *
           (static_cast<double>(softplus[i]) - static_cast<double>(y) * static_cast<double>(logits[i]));
  }
  return sum;
}

template <typename T>
void Losses<T>::Focal(const ModelTask& task, std::size_t rows, T* s, T* loss, T* slope, T* scratch_p,
                      T* scratch_miss) {
  const T gamma = static_cast<T>(task.config.gamma);
  T *p = scratch_p, *miss = scratch_miss, *factor = slope;
  kernels_.sigmoid(rows, s, p, factor);  // factor: softplus(s) = -log(1 - p)
  for (std::size_t i = 0; i < rows; ++i) factor[i] *= -gamma, s[i] = -s[i];
  kernels_.exp(rows, factor, factor);     // (1 - p)^gamma
  kernels_.sigmoid(rows, s, miss, loss);  // loss: softplus(-s) = -log p
  for (std::size_t i = 0; i < rows; ++i) {
    const T by_p = -factor[i] * (gamma * p[i] * loss[i] + miss[i]);
    loss[i] *= factor[i];
    slope[i] = by_p;
  }
}

template <typename T>
double Losses<T>::BinaryFocal(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                              const Labelled& labels, MatrixView<T> dz) {
  T *s = scratch_[0], *loss = scratch_[1], *slope = scratch_[2];
  const auto positive = [&](std::size_t i) { return labels.Label(i) > 0.5f; };  // false: no label, too
  for (std::size_t i = 0; i < rows; ++i) s[i] = positive(i) ? *z.Row(i) : -*z.Row(i);
  Focal(task, rows, s, loss, slope, scratch_[3], scratch_[4]);
  const double alpha = static_cast<double>(task.config.alpha);
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    *dz.Row(i) = T{0};
    if (!labels.Has(i)) continue;
    const double a = positive(i) ? alpha : 1.0 - alpha;
    const T by_z = static_cast<T>(a) * (positive(i) ? slope[i] : -slope[i]);
    *dz.Row(i) = labels.Coefficient(i) * by_z;
    sum += static_cast<double>(labels.weights[i]) * a * static_cast<double>(loss[i]);
  }
  return sum;
}

// The logit of class y against all others is s = z_y - log sum_(k != y) exp(z_k); ds/dz_y = 1, ds/dz_k = -p_k / (1 - p_y).
template <typename T>
double Losses<T>::MulticlassFocal(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                                  const Labelled& labels, MatrixView<T> dz) {
  T *s = scratch_[0], *rest = scratch_[1], *log_rest = scratch_[2], *loss = scratch_[3], *slope = scratch_[4];
  for (std::size_t i = 0; i < rows; ++i) {
    // 1 - p_y as the sum of the others: nothing cancels.
    rest[i] = T{0};
    if (labels.Has(i)) {
      const std::uint32_t y = labels.Class(i, task);
      for (std::uint32_t k = 0; k < task.outputs; ++k) rest[i] += k == y ? T{0} : dz.Row(i)[k];
      s[i] = z.Row(i)[y] - s[i];
    }
    rest[i] = std::max(rest[i], std::numeric_limits<T>::min());
  }
  kernels_.log(rows, rest, log_rest);
  for (std::size_t i = 0; i < rows; ++i) s[i] -= log_rest[i];
  Focal(task, rows, s, loss, slope, scratch_[5], scratch_[6]);
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    T* row = dz.Row(i);
    if (!labels.Has(i)) {
      std::fill_n(row, task.outputs, T{0});
      continue;
    }
    const T by_s = labels.Coefficient(i) * slope[i];
    for (std::uint32_t k = 0; k < task.outputs; ++k) row[k] *= -by_s / rest[i];
    row[labels.Class(i, task)] = by_s;
    sum += static_cast<double>(labels.weights[i]) * static_cast<double>(loss[i]);
  }
  return sum;
}

template <typename T>
double Losses<T>::Multiclass(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                             const Labelled& labels, MatrixView<T> dz) {
  T* log_sum = scratch_[0];
  kernels_.softmax(rows, task.outputs, z.data, z.row, dz.data, dz.row, log_sum);
  if (task.config.loss == TaskLoss::kFocal) return MulticlassFocal(task, rows, z, labels, dz);
  const T smoothing = static_cast<T>(task.config.label_smoothing);
  const T share = smoothing / static_cast<T>(task.outputs);  // of the label that goes to each class
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    T* row = dz.Row(i);
    if (!labels.Has(i)) {
      std::fill_n(row, task.outputs, T{0});
      continue;
    }
    const std::uint32_t y = labels.Class(i, task);
    row[y] -= T{1} - smoothing;
    const T coefficient = labels.Coefficient(i);
    double loss = static_cast<double>(log_sum[i]) -
                  static_cast<double>(T{1} - smoothing) * static_cast<double>(z.Row(i)[y]);
    for (std::uint32_t k = 0; k < task.outputs; ++k) {
      row[k] = coefficient * (row[k] - share);
      if (share > T{0}) loss -= static_cast<double>(share) * static_cast<double>(z.Row(i)[k]);
    }
    sum += static_cast<double>(labels.weights[i]) * loss;
  }
  return sum;
}

template <typename T>
double Losses<T>::Regression(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                             const Labelled& labels, MatrixView<T> dz) {
  const double mean = CenterOf(task.info.mean), deviation = ScaleOf(task.info.deviation);
  const T delta = task.config.loss == TaskLoss::kHuber ? static_cast<T>(task.config.delta)
                                                       : std::numeric_limits<T>::infinity();
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    *dz.Row(i) = T{0};
    if (!labels.Has(i)) continue;
    const T target = static_cast<T>((static_cast<double>(labels.Label(i)) - mean) / deviation);
    const T difference = *z.Row(i) - target;
    const T limited = std::clamp(difference, -delta, delta);
    *dz.Row(i) = labels.Coefficient(i) * limited;
    // Both branches of the loss: limited * (difference - limited / 2).
    sum += static_cast<double>(labels.weights[i]) * static_cast<double>(limited) *
           (static_cast<double>(difference) - 0.5 * static_cast<double>(limited));
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
double Losses<T>::Poisson(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                          const Labelled& labels, MatrixView<T> dz) {
  const double unit = ScaleOf(task.info.mean);
  const T per_unit = static_cast<T>(1.0 / unit);
  T *mean = scratch_[0], *log_y = scratch_[1];
  for (std::size_t i = 0; i < rows; ++i) {
    mean[i] = std::clamp(*z.Row(i), static_cast<T>(-kMostLogMean), static_cast<T>(kMostLogMean));
    log_y[i] = labels.Has(i) && labels.Label(i) > 0.0f ? static_cast<T>(labels.Label(i)) : T{1};
  }
  kernels_.exp(rows, mean, mean);
  kernels_.log(rows, log_y, log_y);
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    *dz.Row(i) = T{0};
    if (!labels.Has(i)) continue;
    const T y = static_cast<T>(labels.Label(i));
    *dz.Row(i) = labels.Coefficient(i) * per_unit * (mean[i] - y);
    sum += static_cast<double>(labels.weights[i]) / unit *
           (static_cast<double>(mean[i]) - static_cast<double>(y) +
            static_cast<double>(y) * (static_cast<double>(log_y[i]) - static_cast<double>(*z.Row(i))));
  }
  return sum;
}

template <typename T>
double Losses<T>::Hazard(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                         const Labelled& labels, MatrixView<T> dz) {
  // s: the logit of what did not happen; l = softplus(s), where nothing cancels.
  T *s = scratch_[0], *p = scratch_[1], *softplus = scratch_[2], *loss = scratch_[3];
  std::fill_n(loss, rows, T{0});
  const auto event = [&](std::size_t i, std::uint32_t k) {
    return labels.Has(i) && labels.Label(i) == static_cast<float>(k + 1);
  };
  for (std::uint32_t k = 0; k < task.outputs; ++k) {
    for (std::size_t i = 0; i < rows; ++i) s[i] = event(i, k) ? -z.Row(i)[k] : z.Row(i)[k];
    kernels_.sigmoid(rows, s, p, softplus);
    for (std::size_t i = 0; i < rows; ++i) {
      T& slope = dz.Row(i)[k];
      slope = T{0};
      if (!labels.Has(i) || k >= labels.Seen(i, task).period) continue;
      slope = labels.Coefficient(i) * (event(i, k) ? -p[i] : p[i]);
      loss[i] += softplus[i];
    }
  }
  double sum = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    if (labels.Has(i)) sum += static_cast<double>(labels.weights[i]) * static_cast<double>(loss[i]);
  }
  return sum;
}

template <typename T>
void Losses<T>::Predict(const ModelTask& task, std::size_t rows, MatrixView<const T> z, T* predictions,
                        std::size_t stride) {
  if (IsPoisson(task)) {
    T* mean = scratch_[0];
    for (std::size_t i = 0; i < rows; ++i)
      mean[i] = std::clamp(*z.Row(i), static_cast<T>(-kMostLogMean), static_cast<T>(kMostLogMean));
    kernels_.exp(rows, mean, mean);
    for (std::size_t i = 0; i < rows; ++i) predictions[i * stride] = mean[i];
    return;
  }
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
    case TaskType::kHazard: {
      T *hazard = scratch_[1], *share = scratch_[2];
      std::fill_n(share, rows, T{0});
      for (std::uint32_t k = 0; k < task.outputs; ++k) {
        kernels_.sigmoid(rows, Column(rows, z, k, scratch_[0]), hazard, nullptr);
        for (std::size_t i = 0; i < rows; ++i) {
          share[i] = std::min(T{1}, share[i] + (T{1} - share[i]) * hazard[i]);
          predictions[i * stride + k] = share[i];
        }
      }
      return;
    }
    case TaskType::kCount:
      break;
  }
}

template class Losses<float>;
template class Losses<double>;

}  // namespace cohort
