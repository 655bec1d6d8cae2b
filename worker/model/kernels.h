// The numerical kernels below the layers: matrix products and the few elementwise and row-wise operations of
// the model.
//
// Same bits. A float kernel gives every output element by one fixed chain of IEEE operations with explicit
// fused multiply-adds: a product's element starts from its bias (or 0, or the old C) and takes its terms in
// ascending k; a row-wise sum runs in 16 interleaved chains (element i into chain i mod 16) closed by one
// fixed tree. So the bits of an element depend neither on the number of rows or columns around it, nor on
// blocking, alignment or leading dimensions, nor on the instruction set: the AVX2 and the AVX-512 path are
// the same source (kernels_impl.inc), compiled twice with a vector of 16 lanes in two registers or in one.
// This is why the kernels are ours: Eigen and OpenBLAS change their order of summation with shape, cache size
// and core type (tests/bench/gemm_bench.cc compares the speeds).
//
// The files that are compiled for AVX-512 must leave no function behind that the linker could pick for
// others: they include only this header (declarations, no inline function) and the intrinsics; a test reads
// their symbols.
//
// Kernels allocate nothing, keep no state and may run in any number of threads. Matrices are row-major with a
// leading dimension ("_row": elements from one row to the next). Outputs may not overlap inputs unless a
// comment allows it.
#ifndef COHORT_WORKER_MODEL_KERNELS_H_
#define COHORT_WORKER_MODEL_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

namespace cohort {

// Columns of B that lie together in a packed matrix.
inline constexpr size_t kPanelColumns = 32;
// Numbers that a packed matrix of depth x columns takes.
inline size_t PackedSize(size_t depth, size_t columns) {
  return (columns + kPanelColumns - 1) / kPanelColumns * kPanelColumns * depth;
}

// C = start + A * B, then relu if asked. Element (i, j) starts from C(i, j) if `accumulate`, else from
// bias[j], else 0.
template <typename T>
struct GemmArguments {
  size_t rows, columns, depth;
  const T* a;  // A(i, k) = a[i * a_row + k * a_column]; one of the two strides must be 1
  ptrdiff_t a_row, a_column;
  const T* b;                // B(k, j) = b[j / kPanelColumns * b_panel + k * b_row + j % kPanelColumns]
  ptrdiff_t b_row, b_panel;  // plain row-major: b_panel = kPanelColumns; packed: b_row = kPanelColumns
  T* c;                      // C(i, j) = c[i * c_row + j]
  ptrdiff_t c_row;
  const T* bias;  // `columns` values, or null
  bool accumulate;
  bool relu;
};

// What a lookup makes of a field's rows: their sum, their mean, or of two of them (1 - s) first + s second, by a share s. A field
// without rows gives 0, one of kPoolShares with one row gives it.
inline constexpr uint8_t kPoolSum = 0, kPoolMean = 1, kPoolShares = 2;

// Embedding lookups of a slice: see SliceInput (model.h).
template <typename T>
struct LookupArguments {
  size_t rows, fields, dim;
  size_t offset_row;  // of `offsets`, from one row to the next: `fields`, or more where only the first fields are read
  const uint32_t* offsets;
  const uint32_t* positions;
  const uint8_t* pooling;  // by field, see below
  const T* shares = nullptr;  // of kPoolShares: rows x those fields, in order
  size_t share_row = 0;       // from one row to the next
};

// Matrix products; B is packed by the functions of the same table.
template <typename T>
struct ProductKernels {
  void (*gemm)(const GemmArguments<T>& arguments);
  // Packs B (depth x columns) into panels: (columns + 31) / 32 * 32 * depth values; the missing columns
  // become 0.
  void (*pack)(size_t depth, size_t columns, const T* b, ptrdiff_t b_row, T* packed);
  // The same from a matrix that holds B transposed (columns x depth).
  void (*pack_transposed)(size_t depth, size_t columns, const T* bt, ptrdiff_t bt_row, T* packed);
};

template <typename T>
struct KernelTable : ProductKernels<T> {
  const char* name;  // "avx2", "avx512", "avx512_bf16"; "double" for the reference
  // Products whose operands are rounded to bfloat16 (nearest even, subnormals to 0) and whose sums are in float32: by blocks of
  // 512 terms in ascending k, two at a time. B must be packed. Null: the processor of this path has none.
  const ProductKernels<T>* bfloat16;

  // dy(i, j) = 0 where y(i, j) <= 0 (unless y is null), then sums[j] = sum of dy(i, j) over ascending i.
  void (*bias_gradient)(size_t rows, size_t columns, const T* y, ptrdiff_t y_row, T* dy, ptrdiff_t dy_row,
                        T* sums);
  void (*axpy)(size_t n, T alpha, const T* x, T* y);  // y += alpha * x (fused)

  // x(i, f * dim ..) = embeddings[distinct[position]], pooled over the ids of row i and field f.
  void (*gather)(const LookupArguments<T>& lookup, const uint32_t* distinct, const T* embeddings, T* x,
                 ptrdiff_t x_row);
  // Its transpose: adds dx to gradient[position], in ascending (row, field, id). The caller has zeroed
  // `gradient`.
  void (*scatter)(const LookupArguments<T>& lookup, const T* dx, ptrdiff_t dx_row, T* gradient);

  // Elementwise, in place allowed. Extremes: exp overflows to inf and underflows through the subnormals to 0;
  // NaN stays NaN. log(0) = -inf, log(< 0) = NaN. Errors: below 2 ulp for exp and log
  // (tests/model/kernels_test.cc).
  void (*exp)(size_t n, const T* x, T* y);
  void (*log)(size_t n, const T* x, T* y);
  // sigmoid[i] = 1 / (1 + exp(-x)), softplus[i] = log(1 + exp(x)), neither overflowing; either may be null.
  void (*sigmoid)(size_t n, const T* x, T* sigmoid, T* softplus);
  // Softmax of each row, in place allowed; log_sum[i] = log sum_j exp(x(i, j)) unless null.
  void (*softmax)(size_t rows, size_t columns, const T* x, ptrdiff_t x_row, T* y, ptrdiff_t y_row,
                  T* log_sum);
  // From p = softmax and dp, both rows x columns: dx(i, j) = p(i, j) * (dp(i, j) - sum_k p(i, k) dp(i, k));
  // dx may be dp.
  void (*softmax_backward)(size_t rows, size_t columns, const T* p, ptrdiff_t p_row, const T* dp,
                           ptrdiff_t dp_row, T* dx, ptrdiff_t dx_row);

  // out(i) = <x(i, :), y(i, :)>, one value a row.
  void (*row_dots)(size_t rows, size_t columns, const T* x, ptrdiff_t x_row, const T* y, ptrdiff_t y_row,
                   T* out, ptrdiff_t out_row);
  // Mixture of experts: h(i, :) (+)= sum over ascending e of gate(i, e) * experts(i, e * dim ..).
  void (*mix)(size_t rows, size_t experts, size_t dim, const T* gate, ptrdiff_t gate_row, const T* f,
              ptrdiff_t f_row, bool accumulate, T* h, ptrdiff_t h_row);
  // df(i, e * dim ..) (+)= gate(i, e) * dh(i, :); dgate(i, e) = <dh(i, :), f(i, e * dim ..)>.
  void (*mix_backward)(size_t rows, size_t experts, size_t dim, const T* gate, ptrdiff_t gate_row, const T* f,
                       ptrdiff_t f_row, const T* dh, ptrdiff_t dh_row, T* df, ptrdiff_t df_row,
                       bool accumulate, T* dgate, ptrdiff_t dgate_row);
};

// The float kernels of each instruction set. Calling into a path the processor lacks is an illegal
// instruction.
extern const KernelTable<float> kAvx2Kernels;
extern const KernelTable<float> kAvx512Kernels;
extern const ProductKernels<float> kAvx512Bfloat16Products;
// Plain loops in double: the reference, and what the finite-difference checks run on.
extern const KernelTable<double> kDoubleKernels;

// The fastest path of this processor: "avx512_bf16" (float kernels as avx512, and products of bfloat16), "avx512" (F, BW, CD,
// DQ, VL) or "avx2".
const char* BestKernelPath();
// Whether this processor can run the path; false for an unknown name.
bool HasKernelPath(const char* path);
// The kernels of a path by name; null for an unknown name.
const KernelTable<float>* KernelsFor(const char* path);
// Fixes the path of the process ("" or no call: the best one). Bits do not depend on it; speed does. Call it
// at start, before any Model is made. Returns false, changing nothing, if the processor cannot run it.
bool UseKernels(const char* path);

// What layers of scalar T call: the path in use, or the double reference.
template <typename T>
const KernelTable<T>& ActiveKernels();
template <>
const KernelTable<float>& ActiveKernels<float>();
template <>
const KernelTable<double>& ActiveKernels<double>();

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_KERNELS_H_
