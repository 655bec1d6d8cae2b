// A one-dimensional convolution over the steps, and the greatest answer of each filter.
//
//   c_w = relu([e_w, e_(w+1), …, e_(w+k-1)] W + b),   output = max over w of c_w, filter by filter
//
// A sequence of n steps has the windows w = 0 .. n - k; one shorter than a window has zeros behind its last step.
// Kim: "Convolutional Neural Networks for Sentence Classification", EMNLP 2014, equations 2-4 (max over time: Collobert et
// al. 2011). Of equal answers the earliest window gets the gradient.
#ifndef COHORT_WORKER_MODEL_SEQUENCE_CONVOLUTION_H_
#define COHORT_WORKER_MODEL_SEQUENCE_CONVOLUTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "worker/model/layers.h"
#include "worker/model/sequence.h"

namespace cohort {

template <typename T>
class SequenceConvolution final : public SequenceEncoder<T> {
 public:
  // `kernel`: steps of a window.
  SequenceConvolution(const SequenceShape& shape, std::size_t dim, std::size_t kernel, std::size_t rows);
  void Reserve(std::size_t steps) override;
  void SetWeights(const T* dense) override;
  void Forward(const Steps<T>& steps, MatrixView<T> output) override;
  void Backward(const Steps<T>& steps, MatrixView<const T> output_gradient, T* dense_gradient,
                MatrixView<T> step_gradient, MatrixView<T> target_gradient) override;

 private:
  const LayerShape shape_;
  const std::size_t dim_, kernel_;
  std::size_t window_count_ = 0;
  std::vector<std::uint32_t> first_window_;  // rows + 1
  Matrix<T> windows_, windows_gradient_;     // windows x (kernel dim)
  std::optional<DenseLayer<T>> filters_;     // windows x width
  std::vector<std::uint32_t> strongest_;     // rows x width: the window
};

extern template class SequenceConvolution<float>;
extern template class SequenceConvolution<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_SEQUENCE_CONVOLUTION_H_
