// The sharing structures: what stands between the input x of a slice and each task's raw outputs z_j.
//
//   single         z_j = output_j(tower_j(bottom_j(x))): a network per task, only the embeddings are shared
//   shared_bottom  z_j = output_j(tower_j(bottom(x)))                                   (Caruana 1997)
//   mmoe           z_j = output_j(tower_j(h_j)), h_j = sum_e g_je(x) f_e(x), g_j = softmax(x Wg_j + bg_j),
//   experts f_e
//                  (Ma, Zhao, Yi, Chen, Hong, Chi: "Modeling Task Relationships in Multi-task Learning with
//                  Multi-gate Mixture-of-Experts", KDD 2018; there the gates have no bias)
//
// bottom and experts are stacks of relu layers (expert_layers), towers too (tower_layers); outputs are
// linear. Layers that read the same input are one product: the first layers of all experts, of all networks
// of `single`, all gates.
#ifndef COHORT_WORKER_MODEL_STRUCTURE_H_
#define COHORT_WORKER_MODEL_STRUCTURE_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"

namespace cohort {

// One thread at a time; memory for `capacity` rows is allocated at construction.
template <typename T>
class Structure {
 public:
  // `gradient_inputs`: the leading columns of x whose gradient is wanted (the embeddings').
  Structure(const ModelLayout& layout, std::size_t capacity, std::size_t gradient_inputs);

  void SetWeights(const T* dense);
  void Forward(std::size_t rows, MatrixView<const T> x);
  // rows x outputs of task j: z_j after Forward; its gradient is to be filled in before Backward.
  MatrixView<T> logits(std::size_t task) const { return outputs_[task].output(); }
  MatrixView<T> logit_gradient(std::size_t task) const { return outputs_[task].output_gradient(); }
  // Replaces all of dense_gradient, and dx's gradient_inputs leading columns.
  void Backward(std::size_t rows, MatrixView<const T> x, T* dense_gradient, MatrixView<T> dx);

 private:
  void BackwardStack(std::size_t rows, std::vector<DenseLayer<T>>& stack, MatrixView<const T> input,
                     T* dense_gradient, MatrixView<T> input_gradient);
  // What towers and outputs read when there is nothing below them but this: activations and where their
  // gradient goes.
  MatrixView<const T> Hidden(MatrixView<const T> x) const;

  const KernelTable<T>& kernels_;
  std::vector<DenseLayer<T>> bottom_, towers_, outputs_;
  std::optional<DenseLayer<T>> gates_;
  Matrix<T> mixture_, mixture_gradient_;  // mmoe: h_j by task
  std::size_t tasks_;
  std::size_t expert_width_ = 0;
};

extern template class Structure<float>;
extern template class Structure<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_STRUCTURE_H_
