// Adaptive information transfer along an ordered chain of tasks (aitm): each task but the first mixes what its own tower
// says with what the task before it has to tell.
//
// With q_t the output of task t's tower (width d), z_0 = q_0, and for t > 0
//
//   p_t = relu(z_(t-1) Wg_t + bg_t)                                          what task t - 1 tells
//   z_t = sum over u in {p_t, q_t} of w_u V_t(u),   w = softmax over u of <Q_t(u), K_t(u)> / sqrt(d)
//
// V_t, Q_t, K_t linear with bias, d to d. Xi, Chen, Yan, Zhang, Zhu, Zhuang, Chen: "Modeling the Sequential Dependence among
// Audience Multi-step Conversions with Multi-task Learning in Targeted Display Advertising", KDD 2021, equations 4-7.
#ifndef COHORT_WORKER_MODEL_TRANSFER_H_
#define COHORT_WORKER_MODEL_TRANSFER_H_

#include <cstddef>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"

namespace cohort {

// One thread at a time; memory for `capacity` rows is allocated at construction.
template <typename T>
class Transfer {
 public:
  // `chain`: the tasks in their order; task k's q stands in columns k * width .. of `towers`.
  Transfer(const std::vector<TransferShape>& steps, const std::vector<std::uint32_t>& chain,
           std::size_t capacity);

  void SetWeights(const T* dense);
  void Forward(std::size_t rows, MatrixView<const T> towers);
  // rows x (z_1, z_2, …); its gradient is to be filled in before Backward.
  MatrixView<T> output() const { return z_.view(); }
  MatrixView<T> output_gradient() const { return z_gradient_.view(); }
  // Writes the steps' part of dense_gradient, and the q gradients of the tasks from the second on into towers_gradient;
  // adds to that of the first. Changes output_gradient().
  void Backward(std::size_t rows, MatrixView<const T> towers, T* dense_gradient,
                MatrixView<T> towers_gradient);

 private:
  struct Step {
    DenseLayer<T> told;         // p
    DenseLayer<T> projections;  // V, Q, K of 2 x rows: p's, then q's
    Matrix<T> inputs, inputs_gradient;
    Matrix<T> weights, weights_gradient;  // rows x 2
  };
  // Of row u * rows of the projections' output (or its gradient) on: V 0, Q 1, K 2.
  MatrixView<T> Part(MatrixView<T> projections, std::size_t rows, std::size_t u, std::size_t part) const {
    return {projections.Row(u * rows) + part * width_, projections.row};
  }

  const KernelTable<T>& kernels_;
  const std::vector<std::uint32_t> chain_;
  const std::size_t width_;
  std::vector<Step> steps_;
  Matrix<T> z_, z_gradient_;
};

extern template class Transfer<float>;
extern template class Transfer<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_TRANSFER_H_
