#include "worker/model/sequence_attention.h"

#include <algorithm>

namespace cohort {

template <typename T>
SequenceAttention<T>::SequenceAttention(const SequenceShape& shape, std::size_t dim)
    : kernels_(ActiveKernels<T>()), shape_(shape), dim_(dim) {}

template <typename T>
void SequenceAttention<T>::Reserve(std::size_t steps) {
  compared_ = Matrix<T>(steps, 4 * dim_);
  compared_gradient_ = Matrix<T>(steps, 4 * dim_);
  weights_ = LayerStack<T>(shape_.layers, steps, 4 * dim_);
}

template <typename T>
void SequenceAttention<T>::SetWeights(const T* dense) {
  weights_.SetWeights(dense);
}

template <typename T>
void SequenceAttention<T>::Forward(const Steps<T>& steps, MatrixView<T> output) {
  for (std::size_t i = 0; i < steps.rows; ++i) {
    const T* t = steps.target.Row(i);
    for (std::size_t s = steps.begin[i]; s < steps.begin[i + 1]; ++s) {
      const T* e = steps.embeddings.Row(s);
      T* compared = compared_.view().Row(s);
      for (std::size_t d = 0; d < dim_; ++d) {
        compared[d] = e[d];
        compared[dim_ + d] = t[d];
        compared[2 * dim_ + d] = e[d] - t[d];
        compared[3 * dim_ + d] = e[d] * t[d];
      }
    }
  }
  weights_.Forward(steps.count(), Const(compared_.view()));
  for (std::size_t i = 0; i < steps.rows; ++i) {
    std::fill_n(output.Row(i), dim_, T{0});
    for (std::size_t s = steps.begin[i]; s < steps.begin[i + 1]; ++s)
      kernels_.axpy(dim_, *weights_.output().Row(s), steps.embeddings.Row(s), output.Row(i));
  }
}

template <typename T>
void SequenceAttention<T>::Backward(const Steps<T>& steps, MatrixView<const T> output_gradient,
                                    T* dense_gradient, MatrixView<T> step_gradient,
                                    MatrixView<T> target_gradient) {
  for (std::size_t i = 0; i < steps.rows; ++i) {
    for (std::size_t s = steps.begin[i]; s < steps.begin[i + 1]; ++s) {
      kernels_.row_dots(1, dim_, output_gradient.Row(i), 0, steps.embeddings.Row(s), 0,
                        weights_.output_gradient().Row(s), 0);
    }
  }
  weights_.Backward(steps.count(), Const(compared_.view()), dense_gradient, compared_gradient_.view());
  for (std::size_t i = 0; i < steps.rows; ++i) {
    const T* dy = output_gradient.Row(i);
    T* dt = target_gradient.Row(i);
    for (std::size_t s = steps.begin[i]; s < steps.begin[i + 1]; ++s) {
      const T* e = steps.embeddings.Row(s);
      const T* t = compared_.view().Row(s) + dim_;
      const T* dc = compared_gradient_.view().Row(s);
      const T a = *weights_.output().Row(s);
      T* de = step_gradient.Row(s);
      for (std::size_t d = 0; d < dim_; ++d) {
        de[d] = a * dy[d] + dc[d] + dc[2 * dim_ + d] + dc[3 * dim_ + d] * t[d];
        dt[d] += dc[dim_ + d] - dc[2 * dim_ + d] + dc[3 * dim_ + d] * e[d];
      }
    }
  }
}

template class SequenceAttention<float>;
template class SequenceAttention<double>;

}  // namespace cohort
