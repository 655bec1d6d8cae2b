#include "worker/model/expert_level.h"

#include <algorithm>

namespace cohort {

template <typename T>
ExpertLevel<T>::ExpertLevel(const ExpertLevelShape& shape, std::size_t capacity, std::size_t gradient_inputs)
    : kernels_(ActiveKernels<T>()),
      shape_(shape),
      task_gates_(shape.task_gates, capacity, shape.first ? gradient_inputs : shape.task_gates.inputs),
      mixture_(capacity, shape.OutputWidth()),
      mixture_gradient_(capacity, shape.OutputWidth()) {
  for (const std::vector<LayerShape>& stack : shape.stacks)
    stacks_.emplace_back(stack, capacity, shape.first ? gradient_inputs : stack.front().inputs);
  if (shape.shared_gate)
    shared_gate_.emplace(*shape.shared_gate, capacity,
                         shape.first ? gradient_inputs : shape.shared_gate->inputs);
  for (std::uint32_t k = 0; k <= shape.tasks; ++k) {
    const std::size_t count = k < shape.tasks ? shape.task_experts : shape.shared_experts;
    if (count == 0) continue;
    blocks_.push_back(
        {shape.first ? 0 : blocks_.size(), shape.first ? std::size_t{k} * shape.task_experts : 0, count});
  }
  written_.assign(blocks_.size(), 0);
  const std::size_t last = blocks_.size() - 1, experts = shape.task_gates.outputs;
  for (std::size_t k = 0; k < shape.tasks; ++k) {
    gates_.push_back({false, k * experts, experts, k, {last}});
    if (shape.task_experts > 0) gates_.back().blocks = {k, last};
  }
  if (shape.shared_gate) {
    gates_.push_back({true, 0, shape.shared_gate->outputs, shape.tasks, {}});
    for (std::size_t block = 0; block <= last; ++block) gates_.back().blocks.push_back(block);
  }
}

template <typename T>
void ExpertLevel<T>::SetWeights(const T* dense) {
  for (LayerStack<T>& stack : stacks_) stack.SetWeights(dense);
  task_gates_.SetWeights(dense);
  if (shared_gate_) shared_gate_->SetWeights(dense);
}

template <typename T>
void ExpertLevel<T>::Forward(std::size_t rows, MatrixView<const T> x, const DropoutDraw& draw) {
  for (LayerStack<T>& stack : stacks_) stack.Forward(rows, x, draw);
  task_gates_.Forward(rows, x);
  if (shared_gate_) shared_gate_->Forward(rows, x);
  for (const Gate& gate : gates_) {
    MatrixView<T> weights = LayerOf(gate).output().From(gate.column);
    kernels_.softmax(rows, gate.experts, weights.data, weights.row, weights.data, weights.row, nullptr);
    const MatrixView<T> h = output().From(gate.target * shape_.width);
    bool accumulate = false;
    for (const std::size_t b : gate.blocks) {
      const Block& block = blocks_[b];
      const MatrixView<T> f = Experts(block);
      kernels_.mix(rows, block.count, shape_.width, weights.data, weights.row, f.data, f.row, accumulate,
                   h.data, h.row);
      weights = weights.From(block.count);
      accumulate = true;
    }
  }
}

template <typename T>
void ExpertLevel<T>::Backward(std::size_t rows, MatrixView<const T> x, T* dense_gradient, MatrixView<T> dx) {
  std::fill(written_.begin(), written_.end(), 0);
  for (const Gate& gate : gates_) {
    const MatrixView<T> all = LayerOf(gate).output().From(gate.column),
                        all_gradients = LayerOf(gate).output_gradient().From(gate.column),
                        dh = output_gradient().From(gate.target * shape_.width);
    std::size_t expert = 0;
    for (const std::size_t b : gate.blocks) {
      const Block& block = blocks_[b];
      const MatrixView<T> f = Experts(block), df = ExpertGradients(block), weights = all.From(expert),
                          gradients = all_gradients.From(expert);
      kernels_.mix_backward(rows, block.count, shape_.width, weights.data, weights.row, f.data, f.row,
                            dh.data, dh.row, df.data, df.row, written_[b] != 0, gradients.data,
                            gradients.row);
      written_[b] = 1;
      expert += block.count;
    }
    kernels_.softmax_backward(rows, gate.experts, all.data, all.row, all_gradients.data, all_gradients.row,
                              all_gradients.data, all_gradients.row);
  }
  // Together the stacks write all of dx.
  for (LayerStack<T>& stack : stacks_) stack.Backward(rows, x, dense_gradient, dx);
  task_gates_.Backward(rows, x, dense_gradient, dx, true);
  if (shared_gate_) shared_gate_->Backward(rows, x, dense_gradient, dx, true);
}

template class ExpertLevel<float>;
template class ExpertLevel<double>;

}  // namespace cohort
