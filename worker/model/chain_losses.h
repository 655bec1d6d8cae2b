// What ties the predictions of an ordered chain of binary tasks together.
//
//   esmm  A task happens only if all before it do (impression, click, purchase), and every row is labelled for all of them:
//         prediction of task j  P_j = product over i <= j of sigmoid(z_i),   l_j = cross-entropy of P_j.
//         So each tower learns its conditional rate on the whole space, not on the rows that got so far.
//         Ma, Zhao, Huang, Wang, Hu, Zhu, Gai: "Entire Space Multi-Task Model: An Effective Approach for Estimating
//         Post-Click Conversion Rate", SIGIR 2018.
//   aitm  A later step should not be likelier than the one before it:
//         l_t is the task's own loss + calibration * max(P_t - P_(t-1), 0),   P = sigmoid(z), where both are binary.
//         Xi et al., KDD 2021 (transfer.h), equation 10.
//
// 1 - P_j is summed from positive terms (1 - P_j = (1 - P_(j-1)) + P_(j-1) sigmoid(-z_j)), so nothing cancels. Rows without a
// label of a task count for nothing in its loss.
#ifndef COHORT_WORKER_MODEL_CHAIN_LOSSES_H_
#define COHORT_WORKER_MODEL_CHAIN_LOSSES_H_

#include <cstddef>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/matrix.h"
#include "worker/model/model.h"
#include "worker/model/structure.h"

namespace cohort {

// Scratch memory for `capacity` rows; one thread at a time.
template <typename T>
class ChainLosses {
 public:
  ChainLosses(const ModelSpec& spec, std::size_t capacity);

  // Whether the task's loss and predictions come from here alone (esmm).
  bool Owns(std::size_t task) const { return task < owned_.size() && owned_[task]; }
  // After every other loss has been written to the gradients of `structure` and to loss_sum: writes those of the tasks that
  // it owns, or adds the calibration's. Arguments as of Losses::Gradient, by task.
  void Gradient(std::size_t rows, const float* labels, std::size_t label_stride, const float* weights,
                const double* coefficient, const Structure<T>& structure, double* loss_sum);
  // The predictions of the tasks that it owns: predictions[i * stride + the task's column].
  void Predict(std::size_t rows, const Structure<T>& structure, T* predictions, std::size_t stride);

 private:
  void Products(std::size_t rows, const Structure<T>& structure);
  void EntireSpace(std::size_t rows, const float* labels, std::size_t label_stride, const float* weights,
                   const double* coefficient, const Structure<T>& structure, double* loss_sum);
  void Calibration(std::size_t rows, const float* labels, std::size_t label_stride, const float* weights,
                   const double* coefficient, const Structure<T>& structure, double* loss_sum);
  // Array `which` of the chain's task at position j.
  T* Array(std::size_t which, std::size_t j) const {
    return memory_.data() + (which * chain_.size() + j) * stride_;
  }

  const KernelTable<T>& kernels_;
  const std::vector<std::uint32_t> chain_;
  const std::vector<ModelTask> tasks_;
  const T calibration_;
  std::vector<bool> owned_;
  const std::size_t stride_;
  AlignedArray<T> memory_;
};

extern template class ChainLosses<float>;
extern template class ChainLosses<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_CHAIN_LOSSES_H_
