// Matrix products of the model's shapes on one core: ours (both instruction sets, plain and packed), Eigen,
// OpenBLAS.
//   ninja gemm_bench && OPENBLAS_NUM_THREADS=1 bin/gemm_bench --benchmark_repetitions=7
// OPENBLAS_CORETYPE=Haswell gives OpenBLAS's AVX2 kernels, to compare with our avx2.
#include <benchmark/benchmark.h>
#include <cblas.h>

#include <cstdint>
#include <eigen3/Eigen/Dense>
#include <random>
#include <string>
#include <vector>

#include "worker/model/kernels.h"

namespace cohort {
namespace {

struct Shape {
  std::size_t rows, depth, columns;
  bool transposed;  // A is stored depth x rows: the weight gradient X^T dY
};
constexpr Shape kShapes[] = {
    {128, 429, 1024, false},  // 8 experts' first layer, a slice of 128 rows
    {429, 128, 1024, true},   // its weight gradient
    {128, 1024, 416, false},  // its input gradient
    {128, 128, 64, false},    // an expert's second layer
    {512, 256, 128, false},  {1024, 429, 256, false},
};

enum class Library { kAvx512, kAvx512Plain, kAvx2, kOpenBlas, kEigen };
constexpr std::pair<Library, const char*> kLibraries[] = {{Library::kAvx512, "avx512"},
                                                          {Library::kAvx512Plain, "avx512_plain"},
                                                          {Library::kAvx2, "avx2"},
                                                          {Library::kOpenBlas, "openblas"},
                                                          {Library::kEigen, "eigen"}};

using Map = Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
using StridedMap = Eigen::Map<Map::PlainObject, 0, Eigen::OuterStride<>>;

void Product(benchmark::State& state, Library library, Shape s) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  // Activations and their gradients are laid out with a padded leading dimension, weights without.
  const std::size_t ldb = s.columns + (s.transposed ? 16 : 0);
  std::vector<float> a(s.rows * s.depth), b(s.depth * ldb), c(s.rows * s.columns);
  for (float& x : a) x = uniform(random);
  for (float& x : b) x = uniform(random);
  std::vector<float> packed(s.depth * (s.columns + kPanelColumns));
  const auto rows = static_cast<std::ptrdiff_t>(s.rows), depth = static_cast<std::ptrdiff_t>(s.depth),
             columns = static_cast<std::ptrdiff_t>(s.columns),
             panel = static_cast<std::ptrdiff_t>(kPanelColumns), b_row = static_cast<std::ptrdiff_t>(ldb);
  GemmArguments<float> g{.rows = s.rows,
                         .columns = s.columns,
                         .depth = s.depth,
                         .a = a.data(),
                         .a_row = s.transposed ? 1 : depth,
                         .a_column = s.transposed ? rows : 1,
                         .b = packed.data(),
                         .b_row = panel,
                         .b_panel = panel * depth,
                         .c = c.data(),
                         .c_row = columns,
                         .bias = nullptr,
                         .accumulate = false,
                         .relu = false};
  kAvx2Kernels.pack(s.depth, s.columns, b.data(), b_row, packed.data());
  // Weights are packed once per step; a gradient's B is used as it lies.
  if (library == Library::kAvx512Plain || s.transposed) g.b = b.data(), g.b_row = b_row, g.b_panel = panel;
  if ((library == Library::kAvx512 || library == Library::kAvx512Plain) && !HasKernelPath("avx512")) {
    state.SkipWithError("this processor has no AVX-512");
    return;
  }
  Map eigen_a(a.data(), s.transposed ? depth : rows, s.transposed ? rows : depth),
      eigen_c(c.data(), rows, columns);
  StridedMap eigen_b(b.data(), depth, columns, Eigen::OuterStride<>(b_row));
  for (auto _ : state) {
    switch (library) {
      case Library::kAvx512:
      case Library::kAvx512Plain:
        kAvx512Kernels.gemm(g);
        break;
      case Library::kAvx2:
        kAvx2Kernels.gemm(g);
        break;
      case Library::kOpenBlas:
        cblas_sgemm(CblasRowMajor, s.transposed ? CblasTrans : CblasNoTrans, CblasNoTrans,
                    static_cast<int>(rows), static_cast<int>(columns), static_cast<int>(depth), 1.0f,
                    a.data(), static_cast<int>(s.transposed ? rows : depth), b.data(),
                    static_cast<int>(columns), 0.0f, c.data(), static_cast<int>(columns));
        break;
      case Library::kEigen:
        if (s.transposed) {
          eigen_c.noalias() = eigen_a.transpose() * eigen_b;
        } else {
          eigen_c.noalias() = eigen_a * eigen_b;
        }
        break;
    }
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * static_cast<double>(s.rows * s.columns * s.depth),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) {
  openblas_set_num_threads(1);
  for (const cohort::Shape& shape : cohort::kShapes) {
    for (const auto& [library, name] : cohort::kLibraries) {
      const std::string label = std::to_string(shape.rows) + "x" + std::to_string(shape.depth) + "x" +
                                std::to_string(shape.columns) + (shape.transposed ? "_transposed/" : "/") +
                                name;
      benchmark::RegisterBenchmark(label.c_str(), cohort::Product, library, shape);
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
