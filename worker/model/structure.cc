#include "worker/model/structure.h"

namespace cohort {
namespace {

template <typename T>
MatrixView<const T> Const(MatrixView<T> m) {
  return {m.data, m.row};
}

template <typename T>
void AddLayers(const std::vector<LayerShape>& shapes, std::size_t capacity, std::size_t first_gradient_inputs,
               std::vector<DenseLayer<T>>* layers) {
  for (const LayerShape& shape : shapes) {
    layers->emplace_back(shape, capacity, layers->empty() ? first_gradient_inputs : shape.inputs);
  }
}

}  // namespace

template <typename T>
Structure<T>::Structure(const ModelLayout& layout, std::size_t capacity, std::size_t gradient_inputs)
    : kernels_(ActiveKernels<T>()), tasks_(layout.outputs.size()) {
  bottom_.reserve(layout.bottom.size());
  towers_.reserve(layout.towers.size());
  outputs_.reserve(layout.outputs.size());
  // The input x lacks a gradient but for its leading columns; every other activation has one.
  AddLayers(layout.bottom, capacity, gradient_inputs, &bottom_);
  const bool on_input = layout.bottom.empty();
  AddLayers(layout.towers, capacity,
            on_input                ? gradient_inputs
            : layout.towers.empty() ? 0
                                    : layout.towers[0].inputs,
            &towers_);
  for (const LayerShape& shape : layout.outputs) {
    outputs_.emplace_back(shape, capacity, on_input && towers_.empty() ? gradient_inputs : shape.inputs);
  }
  if (layout.gates) {
    gates_.emplace(*layout.gates, capacity, gradient_inputs);
    expert_width_ = layout.bottom.back().outputs;
    mixture_ = Matrix<T>(capacity, tasks_ * expert_width_);
    mixture_gradient_ = Matrix<T>(capacity, tasks_ * expert_width_);
  }
}

template <typename T>
void Structure<T>::SetWeights(const T* dense) {
  for (auto* stack : {&bottom_, &towers_, &outputs_}) {
    for (DenseLayer<T>& layer : *stack) layer.SetWeights(dense);
  }
  if (gates_) gates_->SetWeights(dense);
}

template <typename T>
MatrixView<const T> Structure<T>::Hidden(MatrixView<const T> x) const {
  if (gates_) return Const(mixture_.view());
  return bottom_.empty() ? x : Const(bottom_.back().output());
}

template <typename T>
void Structure<T>::Forward(std::size_t rows, MatrixView<const T> x) {
  MatrixView<const T> input = x;
  for (DenseLayer<T>& layer : bottom_) {
    layer.Forward(rows, input);
    input = Const(layer.output());
  }
  if (gates_) {
    gates_->Forward(rows, x);
    const std::size_t experts = gates_->shape().outputs;
    for (std::size_t j = 0; j < tasks_; ++j) {
      const MatrixView<T> gate = gates_->output().From(j * experts),
                          h = mixture_.view().From(j * expert_width_);
      kernels_.softmax(rows, experts, gate.data, gate.row, gate.data, gate.row, nullptr);
      kernels_.mix(rows, experts, expert_width_, gate.data, gate.row, input.data, input.row, h.data, h.row);
    }
  }
  input = Hidden(x);
  for (DenseLayer<T>& layer : towers_) {
    layer.Forward(rows, input);
    input = Const(layer.output());
  }
  for (DenseLayer<T>& layer : outputs_) layer.Forward(rows, input);
}

template <typename T>
void Structure<T>::BackwardStack(std::size_t rows, std::vector<DenseLayer<T>>& stack,
                                 MatrixView<const T> input, T* dense_gradient, MatrixView<T> input_gradient) {
  for (std::size_t i = stack.size(); i-- > 0;) {
    const bool first = i == 0;
    stack[i].Backward(rows, first ? input : Const(stack[i - 1].output()), dense_gradient,
                      first ? input_gradient : stack[i - 1].output_gradient(), false);
  }
}

template <typename T>
void Structure<T>::Backward(std::size_t rows, MatrixView<const T> x, T* dense_gradient, MatrixView<T> dx) {
  const MatrixView<const T> hidden = Hidden(x);
  const MatrixView<T> hidden_gradient = gates_            ? mixture_gradient_.view()
                                        : bottom_.empty() ? dx
                                                          : bottom_.back().output_gradient();
  for (std::size_t j = 0; j < tasks_; ++j) {
    DenseLayer<T>& layer = outputs_[j];
    // Outputs that read one shared block add up their gradients; those with a block each write it.
    const bool accumulate = j > 0 && layer.shape().input_column == outputs_[0].shape().input_column;
    layer.Backward(rows, towers_.empty() ? hidden : Const(towers_.back().output()), dense_gradient,
                   towers_.empty() ? hidden_gradient : towers_.back().output_gradient(), accumulate);
  }
  BackwardStack(rows, towers_, hidden, dense_gradient, hidden_gradient);
  if (gates_) {
    const std::size_t experts = gates_->shape().outputs;
    const MatrixView<T> f = bottom_.back().output(), df = bottom_.back().output_gradient();
    for (std::size_t j = 0; j < tasks_; ++j) {
      const MatrixView<T> gate = gates_->output().From(j * experts),
                          dgate = gates_->output_gradient().From(j * experts),
                          dh = mixture_gradient_.view().From(j * expert_width_);
      kernels_.mix_backward(rows, experts, expert_width_, gate.data, gate.row, f.data, f.row, dh.data, dh.row,
                            df.data, df.row, j > 0, dgate.data, dgate.row);
      kernels_.softmax_backward(rows, experts, gate.data, gate.row, dgate.data, dgate.row, dgate.data,
                                dgate.row);
    }
  }
  BackwardStack(rows, bottom_, x, dense_gradient, dx);
  if (gates_) gates_->Backward(rows, x, dense_gradient, dx, true);
}

template class Structure<float>;
template class Structure<double>;

}  // namespace cohort
