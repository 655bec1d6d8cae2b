// A gated recurrent unit over the steps; the output is the state after the last one.
//
//   r = sigmoid(x Wr + h Ur + br)              reset gate
//   z = sigmoid(x Wz + h Uz + bz)              update gate
//   c = tanh(x Wc + (r * h) Uc + bc)           candidate
//   h' = z * h + (1 - z) * c,   h = 0 before the first step;   * element by element
//
// Cho, van Merrienboer, Gulcehre, Bahdanau, Bougares, Schwenk, Bengio: "Learning Phrase Representations using RNN
// Encoder-Decoder for Statistical Machine Translation", EMNLP 2014, equations 5-8 (with biases).
#ifndef COHORT_WORKER_MODEL_SEQUENCE_GRU_H_
#define COHORT_WORKER_MODEL_SEQUENCE_GRU_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/layers.h"
#include "worker/model/sequence.h"

namespace cohort {

// Inside, rows stand by descending length and steps by time: at every time the rows that still have a step are the
// first ones, so that a time is one product, and all times of a step's own part are one.
template <typename T>
class SequenceGru final : public SequenceEncoder<T> {
 public:
  SequenceGru(const SequenceShape& shape, std::size_t dim, std::size_t rows);
  void Reserve(std::size_t steps) override;
  void SetWeights(const T* dense) override;
  void Forward(const Steps<T>& steps, MatrixView<T> output) override;
  void Backward(const Steps<T>& steps, MatrixView<const T> output_gradient, T* dense_gradient,
                MatrixView<T> step_gradient, MatrixView<T> target_gradient) override;

 private:
  // Fills order_, time_ and steps_.
  void Arrange(const Steps<T>& steps);
  std::size_t Active(std::size_t time) const { return time_[time + 1] - time_[time]; }
  // c (+)= a b, rows x columns, with b packed.
  void Multiply(std::size_t rows, std::size_t columns, MatrixView<const T> a, std::size_t depth,
                const AlignedArray<T>& b, bool accumulate, MatrixView<T> c) const;
  // gradient = a^T b over all steps: width x columns.
  void MultiplyTransposed(std::size_t columns, MatrixView<const T> a, MatrixView<const T> b,
                          T* gradient) const;

  const KernelTable<T>& kernels_;
  const SequenceShape shape_;
  const std::size_t dim_, width_;
  std::vector<std::uint32_t> order_;  // rows by descending length
  std::vector<std::size_t> time_;     // times + 1: the first step of each time
  std::vector<std::uint32_t> steps_;  // by time: the step's place among the slice's
  Matrix<T> x_, x_gradient_;          // steps x dim
  // steps x (r, z, c): first what the step tells, then the gates' values; the gradient by what was told.
  std::optional<DenseLayer<T>> gates_;
  Matrix<T> before_, reset_;  // steps x width: h, r * h
  Matrix<T> state_gradient_;  // rows x width
  Matrix<T> reset_gradient_;  // rows x width
  AlignedArray<T> gate_weights_, gate_weights_transposed_, candidate_weights_, candidate_weights_transposed_;
};

extern template class SequenceGru<float>;
extern template class SequenceGru<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_SEQUENCE_GRU_H_
