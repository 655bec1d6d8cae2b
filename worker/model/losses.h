// Losses and predictions of the tasks, from the raw outputs z of their towers. m: labelled, w: the row's
// weight.
//
//   binary      l = softplus(z) - y z  (cross-entropy with logits);  prediction sigmoid(z)
//   multiclass  l = log sum_k exp(z_k) - z_y  (softmax cross-entropy);  prediction softmax(z)
//   regression  l = 1/2 (z - t)^2, t = (y - mean) / deviation;  prediction mean + deviation z
//   value       zero-inflated log-normal (Wang, Liu, Miao: "A Deep Probabilistic Model for Customer Lifetime Value
//               Prediction", 2019), z = (z_p, z_mu, z_sigma):
//               y = 0: l = softplus(z_p);   y > 0: l = softplus(z_p) - z_p + log s + log(2 pi) / 2 + r^2 / 2
//               with s = kSigmaFloor + softplus(z_sigma), r = (u - z_mu) / s, u = (log y - log_mean) /
//               log_deviation; prediction sigmoid(z_p) exp(E), E = log_mean + log_deviation z_mu +
//               (log_deviation s)^2 / 2, held within [-80, 80] so that it is finite and above 0.
//   hazard      in discrete time, K periods, z_k the logit of the hazard h_k = P(event in period k | none before):
//               event in period t: l = -log h_t - sum_(j<t) log(1 - h_j); censored after t whole periods: l = -sum_(j<=t)
//               log(1 - h_j). So each period that a row was at risk in is a cross-entropy with logits:
//               l = sum_(j<=t) softplus(z_j) - [event] z_t; the periods after it have no part. Prediction k: P(event by the
//               end of period k) = 1 - prod_(j<=k) (1 - h_j), summed up as F_k = F_(k-1) + (1 - F_(k-1)) h_k.
//               Singer, Willett: "It's About Time: Using Discrete-Time Survival Analysis to Study Duration and the Timing
//               of Events", J. Educational Statistics 1993; Gensheimer, Narasimhan: "A scalable discrete-time survival
//               model for neural networks", PeerJ 2019; Kvamme, Borgan: "Continuous and discrete-time survival prediction
//               with neural networks", Lifetime Data Analysis 2021.
//
//   count       Poisson with a logarithmic link: mean mu = exp(z), held within exp(+-80); m: the mean label of the train split:
//               l = (mu - y z - (y - y log y)) / m, half the deviance in units of m, which is 0 at mu = y. Only the mean must be
//               right for mu to be estimated consistently, so it serves any label >= 0: Gourieroux, Monfort, Trognon: "Pseudo
//               Maximum Likelihood Methods: Applications to Poisson Models", Econometrica 1984. Prediction mu.
//
// An offset ([task.NAME] offset) is the value of a numeric feature that Model adds to z: the logarithm of an exposure, or of a
// forecast that the model is to correct (McCullagh, Nelder: "Generalized Linear Models", 1989, section 6.2).
//
// Losses that a task may take instead ([task.NAME] loss); predictions stay as above, but poisson's:
//
//   huber       regression: with r = z - t, l = r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2). delta is in units
//               of the scaled target: deviations of the label. Huber: "Robust Estimation of a Location Parameter", 1964.
//   poisson     value: z, loss and prediction of count.
//   focal       with p the probability that is predicted for the label, l = -a (1 - p)^gamma log p. binary: a = alpha for
//               label 1, 1 - alpha for label 0; multiclass: a = 1. With s the logit of p it is
//               a exp(-gamma softplus(s)) softplus(-s), whose slope by s, -a exp(-gamma softplus(s))
//               (gamma p softplus(-s) + 1 - p), is finite everywhere. Lin, Goyal, Girshick, He, Dollar: "Focal Loss for
//               Dense Object Detection", ICCV 2017. Its least lies at probabilities nearer to 1/K than the true ones.
//   label smoothing e (cross-entropy of binary and multiclass): the label's indicator y_k becomes (1 - e) y_k + e / K, binary
//               with K = 2. Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: "Rethinking the Inception Architecture for Computer
//               Vision", CVPR 2016.
//
// Labels of regression and value tasks are standardised by the train split's statistics (TaskInfo; a
// deviation that is not above 0 counts as 1), so that one learning rate serves whatever unit the label has;
// predictions are in the label's unit. Losses are reported as written here (the one that the task takes, of the smoothed
// labels): regression in units of the label's variance, value without the terms log y + log(log_deviation), which no weight
// influences.
//
// The gradient by z is coefficient * m w dl/dz, with coefficient = the task's factor in the objective / total weight of the
// labelled rows of the global batch; 0 for an absent task. Rows without a label, or of weight 0, give exactly 0,
// whatever z is.
#ifndef COHORT_WORKER_MODEL_LOSSES_H_
#define COHORT_WORKER_MODEL_LOSSES_H_

#include <cstddef>
#include <cstdint>

#include "common/dataset.h"
#include "worker/model/kernels.h"
#include "worker/model/matrix.h"
#include "worker/model/model.h"

namespace cohort {

// Least standard deviation of the log-normal part, in deviations of the label's logarithm: its density, hence
// a gradient, cannot grow without bound on rows that are fitted exactly.
inline constexpr double kSigmaFloor = 0.05;
// How far from 0 the logarithm of a Poisson mean is held: e^40 is more than anything that is counted, and a gradient of it still has
// room in a float for what the layers below multiply it with.
inline constexpr double kMostLogMean = 40.0;

// Raw outputs of a task's tower: 1; the classes (multiclass); 3 (value, but poisson); the periods (hazard).
std::uint32_t OutputsOf(const ModelTask& task);
// Whether a task's loss is that of count: z is the logarithm of what is predicted.
bool IsPoisson(const ModelTask& task);
// Adds the task's offset, if it has one, to its z. `numerics`: the rows' numeric inputs, in the order of ModelSpec::numerics.
template <typename T>
void AddOffset(const ModelTask& task, std::size_t rows, MatrixView<const T> numerics, MatrixView<T> z) {
  if (!task.has_offset) return;
  const T shift = static_cast<T>(task.offset_shift), factor = static_cast<T>(task.offset_factor);
  for (std::size_t i = 0; i < rows; ++i) *z.Row(i) += shift + factor * numerics.Row(i)[task.offset_input];
}

// Scratch memory for `capacity` rows; one thread at a time.
template <typename T>
class Losses {
 public:
  explicit Losses(std::size_t capacity);

  // Writes the gradient by z (rows x outputs) to dz, and returns sum over rows of m w l, in ascending row
  // order. Label of row i: labels[i * label_stride]; NaN = missing; REQUIRES: a multiclass label is a class
  // index, a hazard label one of its periods (dataset.h).
  double Gradient(const ModelTask& task, std::size_t rows, MatrixView<const T> z, const float* labels,
                  std::size_t label_stride, const float* weights, double coefficient, MatrixView<T> dz);

  // predictions[i * stride ..]: task.info.PredictionColumns() values for row i.
  void Predict(const ModelTask& task, std::size_t rows, MatrixView<const T> z, T* predictions,
               std::size_t stride);

 private:
  struct Labelled;
  double Binary(const ModelTask& task, std::size_t rows, MatrixView<const T> z, const Labelled& labels,
                MatrixView<T> dz);
  double Multiclass(const ModelTask& task, std::size_t rows, MatrixView<const T> z, const Labelled& labels,
                    MatrixView<T> dz);
  // Of rows whose label has the logits s: the losses with a = 1, and their slopes by s. s is replaced, and two more arrays of
  // scratch are used.
  void Focal(const ModelTask& task, std::size_t rows, T* s, T* loss, T* slope, T* scratch_p, T* scratch_miss);
  double BinaryFocal(const ModelTask& task, std::size_t rows, MatrixView<const T> z, const Labelled& labels,
                     MatrixView<T> dz);
  double MulticlassFocal(const ModelTask& task, std::size_t rows, MatrixView<const T> z,
                         const Labelled& labels, MatrixView<T> dz);
  double Regression(const ModelTask& task, std::size_t rows, MatrixView<const T> z, const Labelled& labels,
                    MatrixView<T> dz);
  double Value(const ModelTask& task, std::size_t rows, MatrixView<const T> z, const Labelled& labels,
               MatrixView<T> dz);
  double Poisson(const ModelTask& task, std::size_t rows, MatrixView<const T> z, const Labelled& labels,
                 MatrixView<T> dz);
  double Hazard(const ModelTask& task, std::size_t rows, MatrixView<const T> z, const Labelled& labels,
                MatrixView<T> dz);
  // Column k of z as an array.
  const T* Column(std::size_t rows, MatrixView<const T> z, std::size_t k, T* out) const;

  const KernelTable<T>& kernels_;
  AlignedArray<T> memory_;
  T* scratch_[8];
};

extern template class Losses<float>;
extern template class Losses<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_LOSSES_H_
