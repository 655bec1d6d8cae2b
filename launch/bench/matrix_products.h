// The arithmetic floor of a training step, or of a prediction: its matrix products alone, in the shapes of worker/model/layers.cc.
#ifndef COHORT_LAUNCH_BENCH_MATRIX_PRODUCTS_H_
#define COHORT_LAUNCH_BENCH_MATRIX_PRODUCTS_H_

#include <cstddef>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"
#include "worker/model/model.h"

namespace cohort::bench {

// Of one slice of `rows` samples, with operands of their own. One thread at a time.
class MatrixProducts {
 public:
  enum class Passes {
    kForward,
    kAll,  // gradient by the weights, gradient by the inputs (of the first layers: by the embeddings only), too
  };
  MatrixProducts(const ModelSpec& spec, std::size_t rows, Passes passes = Passes::kAll);

  void Run() const;
  // Of one Run: two for each multiplication and addition.
  double FloatingPointOperations() const;

 private:
  void AddStack(const std::vector<LayerShape>& stack, std::size_t gradient_inputs);
  void AddLayer(const LayerShape& layer, std::size_t gradient_inputs);
  void Add(std::size_t rows, std::size_t columns, std::size_t depth, bool transposed);

  const KernelTable<float>& kernels_;
  const std::size_t rows_;
  const Passes passes_;
  std::vector<Matrix<float>> matrices_;  // moved when it grows, but not their memory
  std::vector<std::vector<float>> packed_;
  std::vector<GemmArguments<float>> products_;
};

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_MATRIX_PRODUCTS_H_
