#include "worker/model/structure.h"

#include <algorithm>

namespace cohort {

template <typename T>
Structure<T>::Structure(const ModelLayout& layout, const std::vector<std::uint32_t>& chain,
                        std::size_t capacity, std::size_t gradient_inputs)
    : kernels_(ActiveKernels<T>()),
      bottom_(layout.bottom, capacity, gradient_inputs),
      transferred_(layout.transferred),
      one_hidden_(layout.one_hidden) {
  levels_.reserve(layout.levels.size());
  for (const ExpertLevelShape& level : layout.levels) levels_.emplace_back(level, capacity, gradient_inputs);
  // The input x lacks a gradient but for its leading columns; every other activation has one.
  const bool on_input = layout.bottom.empty() && layout.levels.empty();
  if (!layout.towers.empty())
    towers_ = LayerStack<T>(layout.towers, capacity, on_input ? gradient_inputs : layout.towers[0].inputs);
  if (!layout.transfers.empty()) transfer_.emplace(layout.transfers, chain, capacity);
  outputs_.reserve(layout.outputs.size());
  for (const LayerShape& shape : layout.outputs)
    outputs_.emplace_back(shape, capacity, on_input && towers_.empty() ? gradient_inputs : shape.inputs);
  if (layout.linear) linear_.emplace(*layout.linear, capacity, gradient_inputs);
}

template <typename T>
void Structure<T>::SetWeights(const T* dense) {
  bottom_.SetWeights(dense);
  for (ExpertLevel<T>& level : levels_) level.SetWeights(dense);
  towers_.SetWeights(dense);
  if (transfer_) transfer_->SetWeights(dense);
  for (DenseLayer<T>& output : outputs_) output.SetWeights(dense);
  if (linear_) linear_->SetWeights(dense);
}

template <typename T>
MatrixView<const T> Structure<T>::Hidden(MatrixView<const T> x) const {
  if (!levels_.empty()) return Const(levels_.back().output());
  return bottom_.empty() ? x : Const(bottom_.output());
}

template <typename T>
MatrixView<T> Structure<T>::HiddenGradient(MatrixView<T> dx) const {
  if (!levels_.empty()) return levels_.back().output_gradient();
  return bottom_.empty() ? dx : bottom_.output_gradient();
}

template <typename T>
void Structure<T>::Forward(std::size_t rows, MatrixView<const T> x, const DropoutDraw& draw) {
  bottom_.Forward(rows, x, draw);
  for (std::size_t l = 0; l < levels_.size(); ++l)
    levels_[l].Forward(rows, l == 0 ? x : Const(levels_[l - 1].output()), draw);
  const MatrixView<const T> hidden = Hidden(x);
  towers_.Forward(rows, hidden, draw);
  const MatrixView<const T> told = towers_.empty() ? hidden : Const(towers_.output());
  if (transfer_) transfer_->Forward(rows, told);
  for (std::size_t j = 0; j < outputs_.size(); ++j)
    outputs_[j].Forward(rows, transferred_[j] ? Const(transfer_->output()) : told);
  if (!linear_) return;
  linear_->Forward(rows, x);
  MatrixView<const T> term = Const(linear_->output());
  for (const DenseLayer<T>& output : outputs_) {
    const std::size_t columns = output.shape().outputs;
    for (std::size_t i = 0; i < rows; ++i) kernels_.axpy(columns, T{1}, term.Row(i), output.output().Row(i));
    term = term.From(columns);
  }
}

template <typename T>
void Structure<T>::Backward(std::size_t rows, MatrixView<const T> x, T* dense_gradient, MatrixView<T> dx) {
  if (linear_) {
    MatrixView<T> term = linear_->output_gradient();
    for (const DenseLayer<T>& output : outputs_) {
      const std::size_t columns = output.shape().outputs;
      for (std::size_t i = 0; i < rows; ++i)
        std::copy_n(output.output_gradient().Row(i), columns, term.Row(i));
      term = term.From(columns);
    }
  }
  const MatrixView<const T> hidden = Hidden(x);
  const MatrixView<T> hidden_gradient = HiddenGradient(dx);
  const MatrixView<const T> told = towers_.empty() ? hidden : Const(towers_.output());
  const MatrixView<T> told_gradient = towers_.empty() ? hidden_gradient : towers_.output_gradient();
  for (std::size_t j = 0; j < outputs_.size(); ++j) {
    // Outputs that read one shared block add up their gradients; those with a block each write it.
    outputs_[j].Backward(rows, transferred_[j] ? Const(transfer_->output()) : told, dense_gradient,
                         transferred_[j] ? transfer_->output_gradient() : told_gradient,
                         j > 0 && one_hidden_);
  }
  if (transfer_) transfer_->Backward(rows, told, dense_gradient, told_gradient);
  towers_.Backward(rows, hidden, dense_gradient, hidden_gradient);
  for (std::size_t l = levels_.size(); l-- > 0;) {
    levels_[l].Backward(rows, l == 0 ? x : Const(levels_[l - 1].output()), dense_gradient,
                        l == 0 ? dx : levels_[l - 1].output_gradient());
  }
  bottom_.Backward(rows, x, dense_gradient, dx);
  if (linear_) linear_->Backward(rows, x, dense_gradient, dx, /*accumulate=*/true);
}

template class Structure<float>;
template class Structure<double>;

}  // namespace cohort
