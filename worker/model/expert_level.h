// Experts that tasks share or own, and the gates that mix them: one level of mmoe or of ple.
//
// Block k holds the experts of task k, the last block the shared ones. With x_k what block k reads (all the same x at
// the first level, the level below's h_k at the others), gate k over the experts of its own block and the shared one,
//
//   h_k = sum_e g_k,e f_e,   g_k = softmax(x_k Wg_k + bg_k)
//
// and, at every level but the last, the shared block's own gate over all experts,
//
//   h_s = sum_e g_s,e f_e,   g_s = softmax(x_s Wg_s + bg_s).
//
//   mmoe: no task owns an expert, one level. Ma, Zhao, Yi, Chen, Hong, Chi: "Modeling Task Relationships in Multi-task
//         Learning with Multi-gate Mixture-of-Experts", KDD 2018; there the gates have no bias.
//   ple:  Tang, Liu, Zhao, Gong: "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for
//         Personalized Recommendations", RecSys 2020, equations 1-5 (one level is its CGC).
#ifndef COHORT_WORKER_MODEL_EXPERT_LEVEL_H_
#define COHORT_WORKER_MODEL_EXPERT_LEVEL_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/layer_stack.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"

namespace cohort {

// One thread at a time; memory for `capacity` rows is allocated at construction.
template <typename T>
class ExpertLevel {
 public:
  // `gradient_inputs`: of the first level, the leading columns of x whose gradient is wanted; a level above wants all.
  ExpertLevel(const ExpertLevelShape& shape, std::size_t capacity, std::size_t gradient_inputs);

  void SetWeights(const T* dense);
  void Forward(std::size_t rows, MatrixView<const T> x, const DropoutDraw& draw = {});
  // rows x (h of each task, then h_s where there is one); its gradient is to be filled in before Backward.
  MatrixView<T> output() const { return mixture_.view(); }
  MatrixView<T> output_gradient() const { return mixture_gradient_.view(); }
  // Writes the level's part of dense_gradient, and dx (gradient_inputs columns, or all).
  void Backward(std::size_t rows, MatrixView<const T> x, T* dense_gradient, MatrixView<T> dx);

 private:
  // Experts of one block: `count` of them from column `first` on of the experts of `stack`.
  struct Block {
    std::size_t stack = 0, first = 0, count = 0;
  };
  // Weighs the experts of `blocks`, one after the other, by its layer's columns from `column` on; the mixture is block
  // `target` of the output.
  struct Gate {
    bool shared = false;
    std::size_t column = 0, experts = 0, target = 0;
    std::vector<std::size_t> blocks;
  };
  const DenseLayer<T>& LayerOf(const Gate& gate) const { return gate.shared ? *shared_gate_ : task_gates_; }
  MatrixView<T> Experts(const Block& block) const {
    return stacks_[block.stack].output().From(block.first * shape_.width);
  }
  MatrixView<T> ExpertGradients(const Block& block) const {
    return stacks_[block.stack].output_gradient().From(block.first * shape_.width);
  }

  const KernelTable<T>& kernels_;
  const ExpertLevelShape shape_;
  std::vector<LayerStack<T>> stacks_;
  DenseLayer<T> task_gates_;
  std::optional<DenseLayer<T>> shared_gate_;
  std::vector<Block> blocks_;  // those that have experts: by task, then the shared one
  std::vector<Gate> gates_;
  std::vector<char> written_;  // by block: its gradient has been begun; reused
  Matrix<T> mixture_, mixture_gradient_;
};

extern template class ExpertLevel<float>;
extern template class ExpertLevel<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_EXPERT_LEVEL_H_
