#include "launch/bench/matrix_products.h"

#include <algorithm>

namespace cohort::bench {

MatrixProducts::MatrixProducts(const ModelSpec& spec, std::size_t rows, Passes passes)
    : kernels_(ActiveKernels<float>()), rows_(rows), passes_(passes) {
  const ModelLayout layout = LayoutOf(spec);
  const std::size_t embedded = spec.EmbeddedWidth();
  const bool on_input = layout.bottom.empty() && layout.levels.empty();
  if (!layout.bottom.empty()) AddStack(layout.bottom, embedded);
  for (const ExpertLevelShape& level : layout.levels) {
    for (const std::vector<LayerShape>& stack : level.stacks)
      AddStack(stack, level.first ? embedded : stack.front().inputs);
    AddLayer(level.task_gates, level.first ? embedded : level.task_gates.inputs);
    if (level.shared_gate) AddLayer(*level.shared_gate, level.first ? embedded : level.shared_gate->inputs);
  }
  if (!layout.towers.empty()) AddStack(layout.towers, on_input ? embedded : layout.towers[0].inputs);
  for (const TransferShape& step : layout.transfers) {
    AddLayer(step.told, step.told.inputs);
    for (int u = 0; u < 2; ++u) AddLayer(step.projections, step.projections.inputs);
  }
  for (const LayerShape& layer : layout.outputs) AddLayer(layer, layer.inputs);
  if (layout.linear) AddLayer(*layout.linear, embedded);
}

void MatrixProducts::Run() const {
  for (const GemmArguments<float>& product : products_) kernels_.gemm(product);
}

double MatrixProducts::FloatingPointOperations() const {
  double sum = 0;
  for (const auto& p : products_)
    sum += 2.0 * static_cast<double>(p.rows) * static_cast<double>(p.columns) * static_cast<double>(p.depth);
  return sum;
}

void MatrixProducts::AddStack(const std::vector<LayerShape>& stack, std::size_t gradient_inputs) {
  for (const LayerShape& layer : stack) {
    AddLayer(layer, gradient_inputs);
    gradient_inputs = layer.outputs;  // all of the layers above
  }
}

void MatrixProducts::AddLayer(const LayerShape& layer, std::size_t gradient_inputs) {
  const std::size_t count = layer.shared_input ? 1 : layer.groups;
  const std::size_t outputs = layer.shared_input ? layer.Width() : layer.outputs;
  for (std::size_t i = 0; i < count; ++i) {
    Add(rows_, outputs, layer.inputs, false);
    if (passes_ == Passes::kForward) continue;
    Add(layer.inputs, outputs, rows_, true);
    if (gradient_inputs > 0) Add(rows_, gradient_inputs, outputs, false);
  }
}

void MatrixProducts::Add(std::size_t rows, std::size_t columns, std::size_t depth, bool transposed) {
  const std::size_t a_rows = transposed ? depth : rows, a_columns = transposed ? rows : depth;
  const MatrixView<float> a = matrices_.emplace_back(a_rows, a_columns).view();
  const MatrixView<float> c = matrices_.emplace_back(rows, columns).view();
  std::fill_n(a.data, a_rows * static_cast<std::size_t>(a.row), 0.5f);
  const std::size_t panels = (columns + kPanelColumns - 1) / kPanelColumns;
  std::vector<float>& b = packed_.emplace_back(panels * kPanelColumns * depth, 0.25f);
  GemmArguments<float> product{};
  product.rows = rows;
  product.columns = columns;
  product.depth = depth;
  product.a = a.data;
  product.a_row = transposed ? 1 : a.row;
  product.a_column = transposed ? a.row : 1;
  product.b = b.data();
  product.b_row = kPanelColumns;
  product.b_panel = static_cast<std::ptrdiff_t>(kPanelColumns * depth);
  product.c = c.data;
  product.c_row = c.row;
  products_.push_back(product);
}

}  // namespace cohort::bench
