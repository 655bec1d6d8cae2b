// Dense layers: y = dropout(relu(x W + b)), either or both left out.
//
// Backward: dy is masked as dropout did and where y <= 0, db = column sums of dy, dW = x^T dy, dx = dy W^T. All products run on
// the kernels (kernels.h), in bfloat16 if the shape says so and the processor can, so each result has fixed bits; dW is written straight into the gradient, never
// added.
#ifndef COHORT_WORKER_MODEL_LAYERS_H_
#define COHORT_WORKER_MODEL_LAYERS_H_

#include <cstddef>
#include <cstdint>

#include "worker/model/dropout.h"
#include "worker/model/kernels.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"

namespace cohort {

// The groups of a LayerShape, their activations and the gradient of these. Memory for `capacity` rows is
// allocated at construction. One thread at a time.
template <typename T>
class DenseLayer {
 public:
  // `gradient_inputs`: how many of the leading input columns want a gradient (shared input only; else all or
  // none).
  DenseLayer(const LayerShape& shape, std::size_t capacity, std::size_t gradient_inputs);

  // Takes the weights from the dense vector, which must stay as it is until the next call.
  void SetWeights(const T* dense);

  // output = layer(x): rows x shape.Width().
  void Forward(std::size_t rows, MatrixView<const T> x, const DropoutDraw& draw = {});
  MatrixView<T> output() const { return output_.view(); }

  // To be filled with the loss's gradient by the output before Backward, which masks it in place.
  MatrixView<T> output_gradient() const { return output_gradient_.view(); }

  // Writes the layer's part of `dense_gradient`; dx (+)= gradient by the input, for x's leading
  // `gradient_inputs` columns, unless that is 0. x as in Forward; dx has x's columns.
  void Backward(std::size_t rows, MatrixView<const T> x, T* dense_gradient, MatrixView<T> dx,
                bool accumulate);

  const LayerShape& shape() const { return shape_; }

 private:
  void PackTransposedWeights();

  // A group's share of a product; with a shared input all groups are one.
  std::size_t Products() const { return shape_.shared_input ? 1 : shape_.groups; }
  std::size_t ProductOutputs() const { return shape_.shared_input ? shape_.Width() : shape_.outputs; }

  const KernelTable<T>& kernels_;
  const LayerShape shape_;
  const std::size_t gradient_inputs_;
  const ProductKernels<T>& products_;  // in bfloat16, or in T
  Matrix<T> output_, output_gradient_;
  const T* dense_ = nullptr;
  AlignedArray<T> packed_, packed_transposed_;  // W and W^T in panels, by product
  bool transposed_ready_ = false;
  DropoutDraw draw_;  // of the latest Forward
  AlignedArray<T> packed_gradient_;  // dy in panels, where that pays
};

extern template class DenseLayer<float>;
extern template class DenseLayer<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_LAYERS_H_
