// The sharing structures: what stands between the input x of a slice and each task's raw outputs z_j.
//
//   single         z_j = output_j(tower_j(bottom_j(x))): a network per task, only the embeddings are shared
//   shared_bottom  z_j = output_j(tower_j(bottom(x)))                                   (Caruana 1997)
//   mmoe, ple      z_j = output_j(tower_j(h_j)), h_j the mixture of experts that the last level has for task j
//                  (expert_level.h)
//   esmm           as single; what makes it one is in its losses (chain_losses.h)
//   aitm           as single, but tasks of a chain hear from the one before them between tower and output (transfer.h)
//
// With a linear term (model.linear: the wide part of Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016,
// here on the embeddings instead of on crossed ids) z_j has x V_j added.
//
// bottom and experts are stacks of relu layers (expert_layers), towers too (tower_layers); outputs are
// linear. Layers that read the same input are one product: the first layers of all experts, of all networks
// of `single`, all gates.
#ifndef COHORT_WORKER_MODEL_STRUCTURE_H_
#define COHORT_WORKER_MODEL_STRUCTURE_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "worker/model/expert_level.h"
#include "worker/model/kernels.h"
#include "worker/model/layer_stack.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"
#include "worker/model/transfer.h"

namespace cohort {

// One thread at a time; memory for `capacity` rows is allocated at construction.
template <typename T>
class Structure {
 public:
  // `gradient_inputs`: the leading columns of x whose gradient is wanted (the embeddings').
  // `chain`: the spec's.
  Structure(const ModelLayout& layout, const std::vector<std::uint32_t>& chain, std::size_t capacity,
            std::size_t gradient_inputs);

  void SetWeights(const T* dense);
  void Forward(std::size_t rows, MatrixView<const T> x, const DropoutDraw& draw = {});
  // rows x outputs of task j: z_j after Forward; its gradient is to be filled in before Backward.
  MatrixView<T> logits(std::size_t task) const { return outputs_[task].output(); }
  MatrixView<T> logit_gradient(std::size_t task) const { return outputs_[task].output_gradient(); }
  // Replaces its layers' part of dense_gradient, and dx's gradient_inputs leading columns.
  void Backward(std::size_t rows, MatrixView<const T> x, T* dense_gradient, MatrixView<T> dx);

 private:
  // What the towers read, and where its gradient goes.
  MatrixView<const T> Hidden(MatrixView<const T> x) const;
  MatrixView<T> HiddenGradient(MatrixView<T> dx) const;

  const KernelTable<T>& kernels_;
  LayerStack<T> bottom_;
  std::vector<ExpertLevel<T>> levels_;
  LayerStack<T> towers_;
  std::optional<Transfer<T>> transfer_;
  std::vector<DenseLayer<T>> outputs_;
  std::optional<DenseLayer<T>> linear_;
  const std::vector<bool> transferred_;  // by task: its output reads the transfer's
  const bool one_hidden_;
};

extern template class Structure<float>;
extern template class Structure<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_STRUCTURE_H_
