#include "worker/model/layers.h"

#include "common/check.h"

namespace cohort {
namespace {

// From this many inputs on, dy is read so often for dW that packing it first pays (measured: 162 instead of
// 149 GFLOP/s at 429 inputs, nothing at 128).
constexpr std::size_t kPackGradientInputs = 192;

}  // namespace

template <typename T>
DenseLayer<T>::DenseLayer(const LayerShape& shape, std::size_t capacity, std::size_t gradient_inputs)
    : kernels_(ActiveKernels<T>()),
      shape_(shape),
      gradient_inputs_(gradient_inputs),
      products_(shape.bfloat16 && kernels_.bfloat16 != nullptr ? *kernels_.bfloat16 : kernels_),
      output_(capacity, shape.Width()),
      output_gradient_(capacity, shape.Width()),
      packed_(Products() * PackedSize(shape.inputs, ProductOutputs())) {
  COHORT_CHECK(gradient_inputs == 0 || gradient_inputs == shape.inputs || Products() == 1);
  if (gradient_inputs_ > 0) {
    packed_transposed_ = AlignedArray<T>(Products() * PackedSize(ProductOutputs(), gradient_inputs_));
  }
  if (shape.inputs >= kPackGradientInputs || &products_ == kernels_.bfloat16) {
    packed_gradient_ = AlignedArray<T>(PackedSize(capacity, ProductOutputs()));
  }
}

template <typename T>
void DenseLayer<T>::SetWeights(const T* dense) {
  dense_ = dense;
  transposed_ready_ = false;
  const std::size_t size = std::size_t{shape_.inputs} * ProductOutputs();
  for (std::size_t p = 0; p < Products(); ++p) {
    products_.pack(shape_.inputs, ProductOutputs(), dense + shape_.weights + p * size,
                   static_cast<std::ptrdiff_t>(ProductOutputs()),
                   packed_.data() + p * PackedSize(shape_.inputs, ProductOutputs()));
  }
}

template <typename T>
void DenseLayer<T>::PackTransposedWeights() {
  if (transposed_ready_ || gradient_inputs_ == 0) return;
  const std::size_t size = std::size_t{shape_.inputs} * ProductOutputs();
  for (std::size_t p = 0; p < Products(); ++p) {
    products_.pack_transposed(ProductOutputs(), gradient_inputs_, dense_ + shape_.weights + p * size,
                              static_cast<std::ptrdiff_t>(ProductOutputs()),
                              packed_transposed_.data() + p * PackedSize(ProductOutputs(), gradient_inputs_));
  }
  transposed_ready_ = true;
}

template <typename T>
void DenseLayer<T>::Forward(std::size_t rows, MatrixView<const T> x, const DropoutDraw& draw) {
  const MatrixView<T> y = output();
  for (std::size_t p = 0; p < Products(); ++p) {
    GemmArguments<T> product{};
    product.rows = rows;
    product.columns = ProductOutputs();
    product.depth = shape_.inputs;
    product.a = x.data + shape_.input_column + p * shape_.inputs;
    product.a_row = x.row;
    product.a_column = 1;
    product.b = packed_.data() + p * PackedSize(shape_.inputs, ProductOutputs());
    product.b_row = kPanelColumns;
    product.b_panel = static_cast<std::ptrdiff_t>(kPanelColumns * shape_.inputs);
    product.c = y.data + p * ProductOutputs();
    product.c_row = y.row;
    product.bias = dense_ + shape_.biases + p * ProductOutputs();
    product.relu = shape_.relu;
    products_.gemm(product);
  }
  draw_ = draw;
  DropOut(rows, shape_.Width(), shape_.dropout, draw_, shape_.weights, y);
}

template <typename T>
void DenseLayer<T>::Backward(std::size_t rows, MatrixView<const T> x, T* dense_gradient, MatrixView<T> dx,
                             bool accumulate) {
  PackTransposedWeights();
  const MatrixView<T> y = output(), dy = output_gradient();
  DropOut(rows, shape_.Width(), shape_.dropout, draw_, shape_.weights, dy);
  kernels_.bias_gradient(rows, shape_.Width(), shape_.relu ? y.data : nullptr, y.row, dy.data, dy.row,
                         dense_gradient + shape_.biases);
  for (std::size_t p = 0; p < Products(); ++p) {
    const std::size_t input = shape_.input_column + p * shape_.inputs;
    const MatrixView<T> dy_p = dy.From(p * ProductOutputs());

    GemmArguments<T> product{};  // dW = x^T dy
    product.rows = shape_.inputs;
    product.columns = ProductOutputs();
    product.depth = rows;
    product.a = x.data + input;
    product.a_row = 1;
    product.a_column = x.row;
    if (packed_gradient_.data()) {
      products_.pack(rows, ProductOutputs(), dy_p.data, dy_p.row, packed_gradient_.data());
      product.b = packed_gradient_.data();
      product.b_row = kPanelColumns;
      product.b_panel = static_cast<std::ptrdiff_t>(kPanelColumns * rows);
    } else {
      product.b = dy_p.data;
      product.b_row = dy_p.row;
      product.b_panel = kPanelColumns;
    }
    product.c = dense_gradient + shape_.weights + p * shape_.inputs * ProductOutputs();
    product.c_row = static_cast<std::ptrdiff_t>(ProductOutputs());
    products_.gemm(product);

    if (gradient_inputs_ == 0) continue;
    product = {};  // dx = dy W^T
    product.rows = rows;
    product.columns = gradient_inputs_;
    product.depth = ProductOutputs();
    product.a = dy_p.data;
    product.a_row = dy_p.row;
    product.a_column = 1;
    product.b = packed_transposed_.data() + p * PackedSize(ProductOutputs(), gradient_inputs_);
    product.b_row = kPanelColumns;
    product.b_panel = static_cast<std::ptrdiff_t>(kPanelColumns * ProductOutputs());
    product.c = dx.data + input;
    product.c_row = dx.row;
    product.accumulate = accumulate;
    products_.gemm(product);
  }
}

template class DenseLayer<float>;
template class DenseLayer<double>;

}  // namespace cohort
