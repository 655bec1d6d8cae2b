// Sequences: fields whose ids are steps in time, oldest first. Each is read by an encoder that gives one row of the
// model's input for all steps of a row; a row without steps gives zeros.
//
//   attention    sum of the steps, weighed by their likeness to a target      (sequence_attention.h)
//   gru          a recurrent network's last state                            (sequence_gru.h)
//   convolution  the strongest answer of each filter to any window of steps  (sequence_convolution.h)
//
// "mean" and "sum" are no encoders: such fields are pooled like bags.
#ifndef COHORT_WORKER_MODEL_SEQUENCE_H_
#define COHORT_WORKER_MODEL_SEQUENCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "worker/model/layout.h"
#include "worker/model/matrix.h"
#include "worker/model/model.h"

namespace cohort {

// The steps of one field in a slice, row after row. Does not own.
template <typename T>
struct Steps {
  std::size_t rows = 0;
  const std::uint32_t* begin = nullptr;  // rows + 1: row i has the steps [begin[i], begin[i + 1])
  MatrixView<const T> embeddings;        // count() x dim
  MatrixView<const T> target;            // rows x dim; attention only

  std::size_t count() const { return begin[rows]; }
};

// One thread at a time. A slice's output and gradients are functions of its rows in their order alone.
template <typename T>
class SequenceEncoder {
 public:
  virtual ~SequenceEncoder() = default;
  // Makes room for `steps` steps in a slice; weights must be set anew.
  virtual void Reserve(std::size_t steps) = 0;
  // Takes the weights from the dense vector, which must stay as it is until the next call.
  virtual void SetWeights(const T* dense) = 0;
  // output: rows x width.
  virtual void Forward(const Steps<T>& steps, MatrixView<T> output) = 0;
  // After Forward of the same steps (the target may have been changed since). Writes the encoder's part of dense_gradient and step_gradient (count() x dim); adds
  // to target_gradient (rows x dim; attention only).
  virtual void Backward(const Steps<T>& steps, MatrixView<const T> output_gradient, T* dense_gradient,
                        MatrixView<T> step_gradient, MatrixView<T> target_gradient) = 0;
};

// The encoder of a spec's sequence, for slices of `rows` rows at most.
template <typename T>
std::unique_ptr<SequenceEncoder<T>> MakeSequenceEncoder(const SequenceField& sequence,
                                                        const SequenceShape& shape, std::uint32_t dim,
                                                        std::size_t rows);

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_SEQUENCE_H_
