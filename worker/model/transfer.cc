#include "worker/model/transfer.h"

#include <algorithm>
#include <cmath>

namespace cohort {
namespace {

template <typename T, typename U>
void CopyRows(std::size_t rows, std::size_t columns, MatrixView<T> from, MatrixView<U> to) {
  for (std::size_t i = 0; i < rows; ++i) std::copy_n(from.Row(i), columns, to.Row(i));
}

}  // namespace

template <typename T>
Transfer<T>::Transfer(const std::vector<TransferShape>& steps, const std::vector<std::uint32_t>& chain,
                      std::size_t capacity)
    : kernels_(ActiveKernels<T>()),
      chain_(chain),
      width_(steps.front().told.outputs),
      z_(capacity, steps.size() * width_),
      z_gradient_(capacity, steps.size() * width_) {
  steps_.reserve(steps.size());
  for (const TransferShape& shape : steps) {
    steps_.push_back({DenseLayer<T>(shape.told, capacity, width_),
                      DenseLayer<T>(shape.projections, 2 * capacity, width_), Matrix<T>(2 * capacity, width_),
                      Matrix<T>(2 * capacity, width_), Matrix<T>(capacity, 2), Matrix<T>(capacity, 2)});
  }
}

template <typename T>
void Transfer<T>::SetWeights(const T* dense) {
  for (Step& step : steps_) {
    step.told.SetWeights(dense);
    step.projections.SetWeights(dense);
  }
}

template <typename T>
void Transfer<T>::Forward(std::size_t rows, MatrixView<const T> towers) {
  const T scale = T{1} / std::sqrt(static_cast<T>(width_));
  MatrixView<const T> before = towers.From(chain_[0] * width_);
  for (std::size_t t = 0; t < steps_.size(); ++t) {
    Step& step = steps_[t];
    const MatrixView<T> inputs = step.inputs.view(), weights = step.weights.view(),
                        z = z_.view().From(t * width_);
    step.told.Forward(rows, before);
    CopyRows(rows, width_, step.told.output(), inputs);
    CopyRows(rows, width_, towers.From(chain_[t + 1] * width_), MatrixView<T>{inputs.Row(rows), inputs.row});
    step.projections.Forward(2 * rows, Const(inputs));
    const MatrixView<T> all = step.projections.output();
    for (std::size_t u = 0; u < 2; ++u) {
      const MatrixView<T> q = Part(all, rows, u, 1), k = Part(all, rows, u, 2), score = weights.From(u);
      kernels_.row_dots(rows, width_, q.data, q.row, k.data, k.row, score.data, score.row);
    }
    for (std::size_t i = 0; i < rows; ++i) weights.Row(i)[0] *= scale, weights.Row(i)[1] *= scale;
    kernels_.softmax(rows, 2, weights.data, weights.row, weights.data, weights.row, nullptr);
    for (std::size_t u = 0; u < 2; ++u) {
      const MatrixView<T> v = Part(all, rows, u, 0);
      kernels_.mix(rows, 1, width_, weights.data + u, weights.row, v.data, v.row, u > 0, z.data, z.row);
    }
    before = Const(z);
  }
}

template <typename T>
void Transfer<T>::Backward(std::size_t rows, MatrixView<const T> towers, T* dense_gradient,
                           MatrixView<T> towers_gradient) {
  const T scale = T{1} / std::sqrt(static_cast<T>(width_));
  for (std::size_t t = steps_.size(); t-- > 0;) {
    Step& step = steps_[t];
    const MatrixView<T> dz = z_gradient_.view().From(t * width_), weights = step.weights.view(),
                        dweights = step.weights_gradient.view(), all = step.projections.output(),
                        dall = step.projections.output_gradient(), dinputs = step.inputs_gradient.view();
    for (std::size_t u = 0; u < 2; ++u) {
      const MatrixView<T> v = Part(all, rows, u, 0), dv = Part(dall, rows, u, 0);
      kernels_.mix_backward(rows, 1, width_, weights.data + u, weights.row, v.data, v.row, dz.data, dz.row,
                            dv.data, dv.row, false, dweights.data + u, dweights.row);
    }
    kernels_.softmax_backward(rows, 2, weights.data, weights.row, dweights.data, dweights.row, dweights.data,
                              dweights.row);
    for (std::size_t i = 0; i < rows; ++i) dweights.Row(i)[0] *= scale, dweights.Row(i)[1] *= scale;
    for (std::size_t u = 0; u < 2; ++u) {
      for (const std::size_t part : {1u, 2u}) {  // dQ = ds K, dK = ds Q
        const MatrixView<T> other = Part(all, rows, u, 3 - part), to = Part(dall, rows, u, part);
        kernels_.mix(rows, 1, width_, dweights.data + u, dweights.row, other.data, other.row, false, to.data,
                     to.row);
      }
    }
    step.projections.Backward(2 * rows, Const(step.inputs.view()), dense_gradient, dinputs, false);
    CopyRows(rows, width_, MatrixView<T>{dinputs.Row(rows), dinputs.row},
             towers_gradient.From(chain_[t + 1] * width_));
    CopyRows(rows, width_, dinputs, step.told.output_gradient());
    const std::size_t first = chain_[0] * width_;
    step.told.Backward(
        rows, t == 0 ? towers.From(first) : Const(z_.view().From((t - 1) * width_)), dense_gradient,
        t == 0 ? towers_gradient.From(first) : z_gradient_.view().From((t - 1) * width_), true);
  }
}

template class Transfer<float>;
template class Transfer<double>;

}  // namespace cohort
