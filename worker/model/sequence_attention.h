// Target attention: the steps that are like the target count for more.
//
//   a_s = MLP([e_s, e_t, e_s - e_t, e_s * e_t]),   output = sum over s of a_s e_s
//
// e_s the step's embedding, e_t the target's, * element by element; the MLP has one relu layer and a linear output. The
// weights are not normalised: their sum says how much of the sequence has to do with the target.
// Zhou, Zhu, Song, Fan, Zhu, Ma, Yan, Jin, Li, Gai: "Deep Interest Network for Click-Through Rate Prediction", KDD 2018,
// equation 3 and section 4.3 (there with Dice in place of relu).
#ifndef COHORT_WORKER_MODEL_SEQUENCE_ATTENTION_H_
#define COHORT_WORKER_MODEL_SEQUENCE_ATTENTION_H_

#include <cstddef>

#include "worker/model/kernels.h"
#include "worker/model/layer_stack.h"
#include "worker/model/sequence.h"

namespace cohort {

template <typename T>
class SequenceAttention final : public SequenceEncoder<T> {
 public:
  SequenceAttention(const SequenceShape& shape, std::size_t dim);
  void Reserve(std::size_t steps) override;
  void SetWeights(const T* dense) override;
  void Forward(const Steps<T>& steps, MatrixView<T> output) override;
  void Backward(const Steps<T>& steps, MatrixView<const T> output_gradient, T* dense_gradient,
                MatrixView<T> step_gradient, MatrixView<T> target_gradient) override;

 private:
  const KernelTable<T>& kernels_;
  const SequenceShape shape_;
  const std::size_t dim_;
  Matrix<T> compared_, compared_gradient_;  // steps x 4 dim
  LayerStack<T> weights_;                   // a: steps x 1
};

extern template class SequenceAttention<float>;
extern template class SequenceAttention<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_SEQUENCE_ATTENTION_H_
