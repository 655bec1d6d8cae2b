#include "worker/model/sequence_inputs.h"

#include <algorithm>

#include "common/check.h"
#include "worker/model/sequence_attention.h"
#include "worker/model/sequence_convolution.h"
#include "worker/model/sequence_gru.h"

namespace cohort {

template <typename T>
std::unique_ptr<SequenceEncoder<T>> MakeSequenceEncoder(const SequenceField& sequence,
                                                        const SequenceShape& shape, std::uint32_t dim,
                                                        std::size_t rows) {
  switch (sequence.config.encoder) {
    case SequenceEncoderKind::kAttention:
      return std::make_unique<SequenceAttention<T>>(shape, dim);
    case SequenceEncoderKind::kGru:
      return std::make_unique<SequenceGru<T>>(shape, dim, rows);
    case SequenceEncoderKind::kConvolution:
      return std::make_unique<SequenceConvolution<T>>(shape, dim, sequence.config.kernel, rows);
    case SequenceEncoderKind::kMean:
    case SequenceEncoderKind::kSum:
      break;
  }
  COHORT_CHECK(false, "a pooled field has no encoder");
  return nullptr;
}

template <typename T>
SequenceInputs<T>::SequenceInputs(const ModelSpec& spec, const ModelLayout& layout, std::size_t rows)
    : spec_(spec), kernels_(ActiveKernels<T>()) {
  std::size_t column = spec.PooledWidth();
  for (std::size_t i = 0; i < spec.sequences.size(); ++i) {
    const SequenceField& field = spec.sequences[i];
    const EmbeddedField& steps = spec.fields[field.field];
    sequences_.push_back({field, steps, steps.dim, column,
                          MakeSequenceEncoder<T>(field, layout.sequences[i], steps.dim, rows), 0,
                          std::vector<std::uint32_t>(rows + 1), Matrix<T>(), Matrix<T>()});
    column += field.width;
  }
}

template <typename T>
void SequenceInputs<T>::SetWeights(const T* dense) {
  dense_ = dense;
  for (Sequence& sequence : sequences_) {
    if (sequence.capacity > 0) sequence.encoder->SetWeights(dense);
  }
}

template <typename T>
Steps<T> SequenceInputs<T>::StepsOf(const Sequence& sequence, std::size_t rows, MatrixView<const T> x) const {
  Steps<T> steps{rows, sequence.begin.data(), Const(sequence.embeddings.view()), {}};
  if (sequence.field.config.encoder == SequenceEncoderKind::kAttention)
    steps.target = x.From(spec_.fields[sequence.field.target].column);
  return steps;
}

template <typename T>
void SequenceInputs<T>::Forward(const SliceInput<T>& input, MatrixView<T> x) {
  for (Sequence& sequence : sequences_) {
    for (std::size_t i = 0; i < input.rows; ++i) {
      const std::uint32_t* offsets = Offsets(sequence, input, i);
      sequence.begin[i + 1] = sequence.begin[i] + (offsets[1] - offsets[0]);
    }
    const std::size_t count = sequence.begin[input.rows];
    if (count > sequence.capacity || sequence.capacity == 0) {
      sequence.capacity = std::max({count, 2 * sequence.capacity, std::size_t{1}});
      sequence.embeddings = Matrix<T>(sequence.capacity, sequence.dim);
      sequence.gradient = Matrix<T>(sequence.capacity, sequence.dim);
      sequence.encoder->Reserve(sequence.capacity);
      sequence.encoder->SetWeights(dense_);
    }
    const std::size_t dim = sequence.dim;
    const std::vector<std::uint32_t>& distinct = input.ids[sequence.steps.table].distinct;
    const T* embeddings = input.embeddings[sequence.steps.table].data();
    for (std::size_t i = 0; i < input.rows; ++i) {
      const std::uint32_t* ids = Ids(sequence, input, i);
      for (std::uint32_t s = sequence.begin[i]; s < sequence.begin[i + 1]; ++s, ++ids)
        std::copy_n(embeddings + distinct[*ids] * dim, dim, sequence.embeddings.view().Row(s));
    }
    sequence.encoder->Forward(StepsOf(sequence, input.rows, Const(x)), x.From(sequence.column));
  }
}

template <typename T>
void SequenceInputs<T>::Backward(const SliceInput<T>& input, MatrixView<const T> x, MatrixView<T> dx,
                                 T* dense_gradient, T* const* embedding_gradient) {
  for (Sequence& sequence : sequences_) {
    const MatrixView<T> gradient = sequence.gradient.view();
    sequence.encoder->Backward(StepsOf(sequence, input.rows, x), Const(dx.From(sequence.column)),
                               dense_gradient, gradient, dx.From(spec_.fields[sequence.field.target].column));
    const std::size_t dim = sequence.dim;
    T* const rows = embedding_gradient[sequence.steps.table];
    for (std::size_t i = 0; i < input.rows; ++i) {
      const std::uint32_t* ids = Ids(sequence, input, i);
      for (std::uint32_t s = sequence.begin[i]; s < sequence.begin[i + 1]; ++s, ++ids)
        kernels_.axpy(dim, T{1}, gradient.Row(s), rows + *ids * dim);
    }
  }
}

template class SequenceInputs<float>;
template class SequenceInputs<double>;

}  // namespace cohort
