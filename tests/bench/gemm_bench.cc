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

#include "common/random.h"
#include "worker/model/kernels.h"
#include "worker/model/matrix.h"
#include "worker/model/model.h"

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
  const AlignedArray<float> a(s.rows * s.depth), b(s.depth * ldb), c(s.rows * s.columns);
  for (std::size_t i = 0; i < s.rows * s.depth; ++i) a.data()[i] = uniform(random);
  for (std::size_t i = 0; i < s.depth * ldb; ++i) b.data()[i] = uniform(random);
  const AlignedArray<float> packed(s.depth * (s.columns + kPanelColumns));
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
  if (library == Library::kAvx512Plain) g.b = b.data(), g.b_row = b_row, g.b_panel = panel;
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

// SetDense, Step of one slice and nothing else. Products: forward, weight gradients, and input gradients but for the
// numeric inputs.
void TrainingStep(benchmark::State& state, const char* path, std::uint32_t rows) {
  if (!UseKernels(path)) {
    state.SkipWithError("this processor lacks the path");
    return;
  }
  constexpr std::uint32_t kCategorical = 26, kNumeric = 13, kDim = 16;
  RunConfig config;
  config.model.kind = "mmoe";
  config.model.embedding_dim = kDim;
  config.model.experts = 8;
  config.model.expert_layers = {128, 64};
  config.model.tower_layers = {64, 32};
  DatasetInfo data;
  for (std::uint32_t i = 0; i < kCategorical + kNumeric; ++i) {
    FeatureInfo feature;
    feature.name = std::to_string(i);
    feature.type = i < kCategorical ? FeatureType::kCategorical : FeatureType::kNumeric;
    data.features.push_back(feature);
  }
  for (const char* name : {"income", "married"}) {
    TaskInfo task;
    task.name = name;
    task.mean = 0.2, task.labelled = 1;
    data.tasks.push_back(task);
  }
  const ModelSpec spec = *BuildModelSpec(config, data);
  Model<float> model(spec, rows);

  RandomStream random(1);
  const std::uint32_t distinct_count = rows * kCategorical / 4;
  std::vector<float> dense(spec.dense_count), numeric(rows * kNumeric, 0.5f),
      labels(rows * 2), weights(rows, 1.0f), gradient(spec.dense_count),
      embedding_gradient(distinct_count * kDim);
  const std::vector<float> embeddings(distinct_count * kDim, 0.1f);
  float* const embedding_gradients[] = {embedding_gradient.data()};
  for (float& w : dense) w = static_cast<float>(random.Uniform() * 0.2 - 0.1);
  for (float& y : labels) y = static_cast<float>(random.Below(2));
  SliceIds ids;
  ids.offsets = {0};
  for (std::uint32_t i = 0; i < distinct_count; ++i) ids.distinct.push_back(i);
  for (std::uint32_t i = 0; i < rows * kCategorical; ++i) {
    ids.positions.push_back(static_cast<std::uint32_t>(random.Below(distinct_count)));
    ids.offsets.push_back(i + 1);
  }
  const SliceInput<float> input{.rows = rows,
                                .padded_rows = rows,
                                .numeric = numeric.data(),
                                .ids = &ids,
                                .embeddings = &embeddings,
                                .labels = labels.data(),
                                .weights = weights.data()};
  const double total_weight[2] = {static_cast<double>(rows), static_cast<double>(rows)};
  double loss[2];
  for (auto _ : state) {
    model.SetDense(dense.data());
    model.Step(input, total_weight, false, {gradient.data(), embedding_gradients, loss});
    benchmark::ClobberMemory();
  }
  constexpr double kInputs = kCategorical * kDim + kNumeric, kTower = 2.0 * (64 * 64 + 64 * 32 + 32);
  constexpr double kRest = 8.0 * 128 * 64 + kTower;
  const double products =
      2 * (kInputs * (8 * 128 + 16) + kRest) + kCategorical * kDim * (8.0 * 128 + 16) + kRest;
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * products * rows, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["samples/s"] = benchmark::Counter(rows, benchmark::Counter::kIsIterationInvariantRate);
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
  for (const char* path : {"avx512", "avx2"}) {
    for (std::uint32_t rows : {128u, 512u}) {
      const std::string label = "step/" + std::to_string(rows) + "/" + path;
      benchmark::RegisterBenchmark(label.c_str(), cohort::TrainingStep, path, rows);
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
