// All sequences of a model on a slice: ids to steps, steps through their encoders into the model's input, and back.
#ifndef COHORT_WORKER_MODEL_SEQUENCE_INPUTS_H_
#define COHORT_WORKER_MODEL_SEQUENCE_INPUTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"
#include "worker/model/model.h"
#include "worker/model/sequence.h"

namespace cohort {

// One thread at a time. Memory grows with the most steps that a slice has had.
template <typename T>
class SequenceInputs {
 public:
  // `spec` must outlive this.
  SequenceInputs(const ModelSpec& spec, const ModelLayout& layout, std::size_t rows);

  void SetWeights(const T* dense);
  // Writes the sequences' columns of x. REQUIRES: its pooled fields (the targets) are there.
  void Forward(const SliceInput<T>& input, MatrixView<T> x);
  // After Forward of the same slice: from the sequences' columns of dx writes their part of dense_gradient, adds to the
  // targets' columns of dx, and adds the steps' gradients to embedding_gradient (by table).
  void Backward(const SliceInput<T>& input, MatrixView<const T> x, MatrixView<T> dx, T* dense_gradient,
                T* const* embedding_gradient);

 private:
  struct Sequence {
    const SequenceField& field;
    const EmbeddedField& steps;
    std::size_t dim;     // of the steps
    std::size_t column;  // of x
    std::unique_ptr<SequenceEncoder<T>> encoder;
    std::size_t capacity = 0;          // steps
    std::vector<std::uint32_t> begin;  // rows + 1
    Matrix<T> embeddings, gradient;    // steps x dim
  };
  // The steps of the slice that was given to Forward last.
  Steps<T> StepsOf(const Sequence& sequence, std::size_t rows, MatrixView<const T> x) const;
  // Of the row's steps: two of them, where its first begins and where the last ends.
  const std::uint32_t* Offsets(const Sequence& sequence, const SliceInput<T>& input, std::size_t row) const {
    const EmbeddedField& field = sequence.steps;
    return input.ids[field.table].offsets.data() + row * spec_.tables[field.table].fields + field.place;
  }
  const std::uint32_t* Ids(const Sequence& sequence, const SliceInput<T>& input, std::size_t row) const {
    return input.ids[sequence.steps.table].positions.data() + *Offsets(sequence, input, row);
  }

  const ModelSpec& spec_;
  const KernelTable<T>& kernels_;
  std::vector<Sequence> sequences_;
  const T* dense_ = nullptr;
};

extern template class SequenceInputs<float>;
extern template class SequenceInputs<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_SEQUENCE_INPUTS_H_
