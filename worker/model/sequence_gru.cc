#include "worker/model/sequence_gru.h"

#include <algorithm>
#include <numeric>

namespace cohort {
namespace {

}  // namespace

template <typename T>
SequenceGru<T>::SequenceGru(const SequenceShape& shape, std::size_t dim, std::size_t rows)
    : kernels_(ActiveKernels<T>()),
      shape_(shape),
      dim_(dim),
      width_(shape.layers[0].outputs),
      state_gradient_(rows, width_),
      reset_gradient_(rows, width_),
      gate_weights_(PackedSize(width_, 2 * width_)),
      gate_weights_transposed_(PackedSize(2 * width_, width_)),
      candidate_weights_(PackedSize(width_, width_)),
      candidate_weights_transposed_(PackedSize(width_, width_)) {
  order_.reserve(rows);
}

template <typename T>
void SequenceGru<T>::Reserve(std::size_t steps) {
  steps_.reserve(steps);
  time_.reserve(steps + 1);  // the longest sequence cannot have more
  x_ = Matrix<T>(steps, dim_);
  x_gradient_ = Matrix<T>(steps, dim_);
  gates_.emplace(shape_.layers[0], steps, dim_);
  before_ = Matrix<T>(steps, width_);
  reset_ = Matrix<T>(steps, width_);
}

template <typename T>
void SequenceGru<T>::SetWeights(const T* dense) {
  gates_->SetWeights(dense);
  const T* gates = dense + shape_.recurrent;
  const T* candidate = gates + 2 * width_ * width_;
  const auto columns = static_cast<std::ptrdiff_t>(width_);
  kernels_.pack(width_, 2 * width_, gates, 2 * columns, gate_weights_.data());
  kernels_.pack_transposed(2 * width_, width_, gates, 2 * columns, gate_weights_transposed_.data());
  kernels_.pack(width_, width_, candidate, columns, candidate_weights_.data());
  kernels_.pack_transposed(width_, width_, candidate, columns, candidate_weights_transposed_.data());
}

template <typename T>
void SequenceGru<T>::Arrange(const Steps<T>& steps) {
  order_.resize(steps.rows);
  std::iota(order_.begin(), order_.end(), 0u);
  const auto length = [&](std::uint32_t row) { return steps.begin[row + 1] - steps.begin[row]; };
  // Of equal length by number: std::sort takes no memory, std::stable_sort does.
  std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return length(a) != length(b) ? length(a) > length(b) : a < b;
  });
  time_.assign(1, 0);
  steps_.clear();
  for (std::uint32_t t = 0; steps_.size() < steps.count(); ++t) {
    for (std::size_t r = 0; r < steps.rows && length(order_[r]) > t; ++r)
      steps_.push_back(steps.begin[order_[r]] + t);
    time_.push_back(steps_.size());
  }
}

template <typename T>
void SequenceGru<T>::Multiply(std::size_t rows, std::size_t columns, MatrixView<const T> a, std::size_t depth,
                              const AlignedArray<T>& b, bool accumulate, MatrixView<T> c) const {
  GemmArguments<T> product{};
  product.rows = rows;
  product.columns = columns;
  product.depth = depth;
  product.a = a.data;
  product.a_row = a.row;
  product.a_column = 1;
  product.b = b.data();
  product.b_row = kPanelColumns;
  product.b_panel = static_cast<std::ptrdiff_t>(kPanelColumns * depth);
  product.c = c.data;
  product.c_row = c.row;
  product.accumulate = accumulate;
  kernels_.gemm(product);
}

template <typename T>
void SequenceGru<T>::MultiplyTransposed(std::size_t columns, MatrixView<const T> a, MatrixView<const T> b,
                                        T* gradient) const {
  GemmArguments<T> product{};
  product.rows = width_;
  product.columns = columns;
  product.depth = steps_.size();
  product.a = a.data;
  product.a_row = 1;
  product.a_column = a.row;
  product.b = b.data;
  product.b_row = b.row;
  product.b_panel = kPanelColumns;
  product.c = gradient;
  product.c_row = static_cast<std::ptrdiff_t>(columns);
  kernels_.gemm(product);
}

template <typename T>
void SequenceGru<T>::Forward(const Steps<T>& steps, MatrixView<T> output) {
  Arrange(steps);
  const MatrixView<T> x = x_.view(), before = before_.view(), reset = reset_.view();
  for (std::size_t s = 0; s < steps_.size(); ++s)
    std::copy_n(steps.embeddings.Row(steps_[s]), dim_, x.Row(s));
  gates_->Forward(steps_.size(), Const(x));
  const MatrixView<T> gates = gates_->output();
  for (std::size_t i = 0; i < steps.rows; ++i) {
    if (steps.begin[i] == steps.begin[i + 1]) std::fill_n(output.Row(i), width_, T{0});
  }
  const std::size_t times = time_.size() - 1;
  for (std::size_t t = 0; t < times; ++t) {
    const std::size_t first = time_[t], active = Active(t), next = t + 1 < times ? Active(t + 1) : 0;
    const auto at = [&](MatrixView<T> m, std::size_t column = 0) {
      return MatrixView<T>{m.Row(first) + column, m.row};
    };
    if (t == 0) {
      for (std::size_t r = 0; r < active; ++r) std::fill_n(before.Row(r), width_, T{0});
    } else {
      Multiply(active, 2 * width_, Const(at(before)), width_, gate_weights_, true, at(gates));
    }
    for (std::size_t s = first; s < first + active; ++s) {
      kernels_.sigmoid(2 * width_, gates.Row(s), gates.Row(s), nullptr);
      for (std::size_t j = 0; j < width_; ++j) reset.Row(s)[j] = gates.Row(s)[j] * before.Row(s)[j];
    }
    if (t > 0) {
      Multiply(active, width_, Const(at(reset)), width_, candidate_weights_, true, at(gates, 2 * width_));
    }
    for (std::size_t r = 0; r < active; ++r) {
      const T* z = gates.Row(first + r) + width_;
      T* c = gates.Row(first + r) + 2 * width_;
      for (std::size_t j = 0; j < width_; ++j) c[j] *= T{2};
      kernels_.sigmoid(width_, c, c, nullptr);
      for (std::size_t j = 0; j < width_; ++j) c[j] = T{2} * c[j] - T{1};  // tanh(a) = 2 sigmoid(2 a) - 1
      const T* h = before.Row(first + r);
      T* after = r < next ? before.Row(first + active + r) : output.Row(order_[r]);
      for (std::size_t j = 0; j < width_; ++j) after[j] = z[j] * h[j] + (T{1} - z[j]) * c[j];
    }
  }
}

template <typename T>
void SequenceGru<T>::Backward(const Steps<T>& /*steps*/, MatrixView<const T> output_gradient,
                              T* dense_gradient, MatrixView<T> step_gradient,
                              MatrixView<T> /*target_gradient*/) {
  const MatrixView<T> before = before_.view(), gates = gates_->output(), dgates = gates_->output_gradient(),
                      dstate = state_gradient_.view(), dreset = reset_gradient_.view();
  for (std::size_t t = time_.size() - 1, next = 0; t-- > 0;) {
    const std::size_t first = time_[t], active = Active(t);
    for (std::size_t r = next; r < active; ++r)  // rows whose last step this is
      std::copy_n(output_gradient.Row(order_[r]), width_, dstate.Row(r));
    next = active;
    for (std::size_t r = 0; r < active; ++r) {
      const T *h = before.Row(first + r), *z = gates.Row(first + r) + width_, *c = z + width_;
      T *dh = dstate.Row(r), *dz = dgates.Row(first + r) + width_, *dc = dz + width_;
      for (std::size_t j = 0; j < width_; ++j) {
        dz[j] = dh[j] * (h[j] - c[j]) * z[j] * (T{1} - z[j]);
        dc[j] = dh[j] * (T{1} - z[j]) * (T{1} - c[j] * c[j]);
        dh[j] *= z[j];
      }
    }
    const MatrixView<T> told{dgates.Row(first), dgates.row};
    if (t == 0) {  // h is 0, and so is what the reset gate does
      for (std::size_t r = 0; r < active; ++r) std::fill_n(told.Row(r), width_, T{0});
      continue;
    }
    Multiply(active, width_, Const(told.From(2 * width_)), width_, candidate_weights_transposed_, false,
             dreset);
    for (std::size_t r = 0; r < active; ++r) {
      const T *h = before.Row(first + r), *reset = gates.Row(first + r), *d = dreset.Row(r);
      T *dh = dstate.Row(r), *dr = told.Row(r);
      for (std::size_t j = 0; j < width_; ++j) {
        dr[j] = d[j] * h[j] * reset[j] * (T{1} - reset[j]);
        dh[j] += d[j] * reset[j];
      }
    }
    Multiply(active, width_, Const(told), 2 * width_, gate_weights_transposed_, true, dstate);
  }
  T* gate_gradient = dense_gradient + shape_.recurrent;
  MultiplyTransposed(2 * width_, Const(before), Const(dgates), gate_gradient);
  MultiplyTransposed(width_, Const(reset_.view()), Const(dgates.From(2 * width_)),
                     gate_gradient + 2 * width_ * width_);
  const MatrixView<T> dx = x_gradient_.view();
  gates_->Backward(steps_.size(), Const(x_.view()), dense_gradient, dx, false);
  for (std::size_t s = 0; s < steps_.size(); ++s) std::copy_n(dx.Row(s), dim_, step_gradient.Row(steps_[s]));
}

template class SequenceGru<float>;
template class SequenceGru<double>;

}  // namespace cohort
