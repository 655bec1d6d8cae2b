// Layers one behind the other: each reads what the one before it gives.
#ifndef COHORT_WORKER_MODEL_LAYER_STACK_H_
#define COHORT_WORKER_MODEL_LAYER_STACK_H_

#include <cstddef>
#include <vector>

#include "worker/model/layers.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"

namespace cohort {

// Memory for `capacity` rows is allocated at construction. One thread at a time.
template <typename T>
class LayerStack {
 public:
  LayerStack() = default;
  // `gradient_inputs`: of the first layer's input, the leading columns whose gradient is wanted (DenseLayer).
  LayerStack(const std::vector<LayerShape>& shapes, std::size_t capacity, std::size_t gradient_inputs) {
    layers_.reserve(shapes.size());
    for (const LayerShape& shape : shapes)
      layers_.emplace_back(shape, capacity, layers_.empty() ? gradient_inputs : shape.inputs);
  }

  bool empty() const { return layers_.empty(); }
  void SetWeights(const T* dense) {
    for (DenseLayer<T>& layer : layers_) layer.SetWeights(dense);
  }
  void Forward(std::size_t rows, MatrixView<const T> x, const DropoutDraw& draw = {}) {
    for (DenseLayer<T>& layer : layers_) {
      layer.Forward(rows, x, draw);
      x = Const(layer.output());
    }
  }
  // REQUIRES (these two): not empty.
  MatrixView<T> output() const { return layers_.back().output(); }
  MatrixView<T> output_gradient() const { return layers_.back().output_gradient(); }
  // As DenseLayer::Backward, from the output's gradient down to dx. Nothing to do for an empty stack.
  void Backward(std::size_t rows, MatrixView<const T> x, T* dense_gradient, MatrixView<T> dx) {
    for (std::size_t i = layers_.size(); i-- > 0;) {
      layers_[i].Backward(rows, i == 0 ? x : Const(layers_[i - 1].output()), dense_gradient,
                          i == 0 ? dx : layers_[i - 1].output_gradient(), false);
    }
  }

 private:
  std::vector<DenseLayer<T>> layers_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_LAYER_STACK_H_
