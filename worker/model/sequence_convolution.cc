#include "worker/model/sequence_convolution.h"

#include <algorithm>

namespace cohort {

template <typename T>
SequenceConvolution<T>::SequenceConvolution(const SequenceShape& shape, std::size_t dim, std::size_t kernel,
                                            std::size_t rows)
    : shape_(shape.layers[0]),
      dim_(dim),
      kernel_(kernel),
      first_window_(rows + 1),
      strongest_(rows * shape_.outputs) {}

template <typename T>
void SequenceConvolution<T>::Reserve(std::size_t steps) {
  windows_ = Matrix<T>(steps, kernel_ * dim_);  // no more windows than steps
  windows_gradient_ = Matrix<T>(steps, kernel_ * dim_);
  filters_.emplace(shape_, steps, kernel_ * dim_);
}

template <typename T>
void SequenceConvolution<T>::SetWeights(const T* dense) {
  filters_->SetWeights(dense);
}

template <typename T>
void SequenceConvolution<T>::Forward(const Steps<T>& steps, MatrixView<T> output) {
  std::uint32_t window = 0;
  for (std::size_t i = 0; i < steps.rows; ++i) {
    first_window_[i] = window;
    const std::size_t end = steps.begin[i + 1];
    for (std::size_t first = steps.begin[i]; first < end; ++first) {
      if (first > steps.begin[i] && first + kernel_ > end) break;
      T* out = windows_.view().Row(window++);
      for (std::size_t s = first; s < first + kernel_; ++s, out += dim_) {
        if (s < end) {
          std::copy_n(steps.embeddings.Row(s), dim_, out);
        } else {
          std::fill_n(out, dim_, T{0});
        }
      }
    }
  }
  first_window_[steps.rows] = window;
  window_count_ = window;
  filters_->Forward(window_count_, Const(windows_.view()));
  const std::size_t width = shape_.outputs;
  for (std::size_t i = 0; i < steps.rows; ++i) {
    T* y = output.Row(i);
    std::uint32_t* strongest = strongest_.data() + i * width;
    std::fill_n(y, width, T{0});
    std::fill_n(strongest, width, first_window_[i]);
    for (std::uint32_t w = first_window_[i]; w < first_window_[i + 1]; ++w) {
      const T* c = filters_->output().Row(w);
      for (std::size_t j = 0; j < width; ++j) {
        if (c[j] > y[j]) y[j] = c[j], strongest[j] = w;
      }
    }
  }
}

template <typename T>
void SequenceConvolution<T>::Backward(const Steps<T>& steps, MatrixView<const T> output_gradient,
                                      T* dense_gradient, MatrixView<T> step_gradient,
                                      MatrixView<T> /*target_gradient*/) {
  const std::size_t width = shape_.outputs;
  const MatrixView<T> dc = filters_->output_gradient();
  for (std::size_t w = 0; w < window_count_; ++w) std::fill_n(dc.Row(w), width, T{0});
  for (std::size_t i = 0; i < steps.rows; ++i) {
    if (first_window_[i] == first_window_[i + 1]) continue;
    for (std::size_t j = 0; j < width; ++j) dc.Row(strongest_[i * width + j])[j] = output_gradient.Row(i)[j];
  }
  filters_->Backward(window_count_, Const(windows_.view()), dense_gradient, windows_gradient_.view(), false);
  for (std::size_t s = 0; s < steps.count(); ++s) std::fill_n(step_gradient.Row(s), dim_, T{0});
  for (std::size_t i = 0; i < steps.rows; ++i) {
    for (std::uint32_t w = first_window_[i]; w < first_window_[i + 1]; ++w) {
      const std::size_t first = steps.begin[i] + (w - first_window_[i]);
      const std::size_t end = std::min<std::size_t>(first + kernel_, steps.begin[i + 1]);
      const T* in = windows_gradient_.view().Row(w);
      for (std::size_t s = first; s < end; ++s, in += dim_) {
        T* out = step_gradient.Row(s);
        for (std::size_t d = 0; d < dim_; ++d) out[d] += in[d];
      }
    }
  }
}

template class SequenceConvolution<float>;
template class SequenceConvolution<double>;

}  // namespace cohort
