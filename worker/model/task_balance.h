// How the tasks of a model share its weights (train.balance). With L_j the mean loss of task j over the global batch and
// a_j its weight ([task.NAME] weight), the objective is sum_j a_j f_j L_j + ..., where
//
//   fixed        f_j = 1.
//   uncertainty  f_j = exp(-2 s_j), and the objective has sum_j a_j s_j added: s_j = log sigma_j is learned, sigma_j the
//                noise of task j's labels. Kendall, Gal, Cipolla: "Multi-Task Learning Using Uncertainty to Weigh Losses for
//                Scene Geometry and Semantics", CVPR 2018. There regression has 1 / (2 sigma^2) times the squared error, and
//                classification 1 / sigma^2 times the cross-entropy; squared error has its 1/2 in losses.h, so the factor
//                is one. Value tasks keep f_j = 1: their likelihood has a deviation of its own (and may fall below 0, where
//                a factor of the loss would grow without bound).
//   gradnorm     f = n softmax(v), n the number of tasks: v is learned so that the norms G_j of the gradients of
//                a_j f_j L_j by the last layer that the tasks share move towards mean(G) r_j^alpha, with
//                r_j = (L_j / L_j(0)) / mean(L / L(0)). Chen, Badrinarayanan, Lee, Rabinovich: "GradNorm: Gradient
//                Normalization for Adaptive Loss Balancing in Deep Multitask Networks", ICML 2018. L_j(0) is the loss of the
//                best constant prediction (base_rates.h), where training starts; a loss below a thousandth of it counts as
//                that. The gradient by v is that of sum_j |G_j - target_j| / mean(G), targets and mean held fixed; softmax
//                takes the place of their renormalisation after each step.
//   pcgrad       f_j = 1; of the weights that tasks share, the gradient is sum_j p_j instead of sum_j g_j, where p_j starts
//                as g_j and loses, for every other task k in random order, its part against it:
//                p_j -= min(<p_j, g_k>, 0) / |g_k|^2 g_k.
//                Yu, Kumar, Gupta, Levine, Hausman, Finn: "Gradient Surgery for Multi-Task Learning", NeurIPS 2020.
//
// gradnorm and pcgrad see a slice at a time, as if it were the batch, so that nothing depends on how a batch is divided among
// workers: norms and conflicts are those of a slice's gradients, and what the slices ask for is summed as gradients are. The
// learned weights (s, v) are the last ones of the dense vector and move by its optimizer. Both cost a backward pass for each
// task instead of one for all.
//
// Shared are: the shared bottom; the experts of mmoe; the shared experts and their gates of ple; and the embeddings. pcgrad
// projects all of these, gradnorm looks at the last layer of the bottom or of the (last level's) experts, and at the
// embeddings where no layer is shared.
#ifndef COHORT_WORKER_MODEL_TASK_BALANCE_H_
#define COHORT_WORKER_MODEL_TASK_BALANCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"
#include "worker/model/model.h"

namespace cohort {

// What a slice has of each task; both arrays are by task.
struct SliceLosses {
  const double* loss_sum = nullptr;         // sum of weight * loss over the slice's labelled rows
  const double* labelled_weight = nullptr;  // of these rows
  const double* total_weight = nullptr;     // of the labelled rows of the global batch
  bool first_slice = false;                 // carries what counts once per global batch
};

// Memory for the dense weights of each task is allocated at construction, if gradients are wanted by task, and grows with the
// slice's distinct ids. One thread at a time.
template <typename T>
class TaskBalance {
 public:
  TaskBalance(const ModelSpec& spec, const ModelLayout& layout);

  // Reads the learned weights. `dense`: as of Model::SetDense.
  void SetWeights(const T* dense);
  // a_j f_j.
  double Factor(std::size_t task) const { return factors_[task]; }

  // Whether Combine wants the gradients of each task alone.
  bool ByTask() const { return balance_ == Balance::kGradNorm || balance_ == Balance::kPcGrad; }
  // Of ByTask: begins a slice, whose embedding gradient has so many values by table.
  void Start(const std::vector<std::size_t>& embedding_sizes);
  // Where the gradient of a_j f_j L_j is to be written: dense_count values, and those of the embeddings by table.
  T* dense() { return dense_.data(); }
  T* const* embedding(std::size_t task);
  // The gradient of a task is there; tasks come in ascending order. Adds it to the slice's dense gradient.
  void Add(std::size_t task, T* dense_gradient);
  // All tasks have been added: writes the slice's embedding gradient, and pcgrad's of the shared dense weights. `key` names
  // the slice: the order of projections is drawn for it.
  void Combine(std::uint64_t key, T* dense_gradient, T* const* embedding_gradient);

  // Writes the gradient of the learned weights to dense_gradient. After Combine.
  void LearnedGradient(const SliceLosses& slice, T* dense_gradient);

 private:
  struct Range {
    std::uint64_t begin = 0, count = 0;
  };
  // The weights and biases of `count` groups of a layer.
  static void AddGroups(const LayerShape& layer, std::uint32_t first, std::uint32_t count,
                        std::vector<Range>* ranges);
  void FindShared(const ModelLayout& layout);
  void SumProjections(std::uint64_t key, T* dense_gradient, T* const* embedding_gradient);
  // From one table after the other to each by itself.
  void CopyEmbeddings(const T* from, T* const* to) const;
  const T* EmbeddingsOf(std::size_t task) const { return shared_[task].data() + shared_count_; }
  double Dot(std::size_t count, const T* x, const T* y) const;
  bool Learns(std::size_t task) const;

  const KernelTable<T>& kernels_;
  const Balance balance_;
  const T alpha_;
  const std::vector<ModelTask> tasks_;
  const std::uint64_t learned_;       // place of s or v in the dense vector
  std::vector<double> first_losses_;  // gradnorm: L_j(0)
  std::vector<T> learned_factors_;    // f_j
  std::vector<double> factors_;       // a_j f_j
  std::vector<Range> ranges_;         // pcgrad: the shared dense weights
  std::vector<Range> last_ranges_;    // gradnorm: those of the last shared layer
  std::uint64_t shared_count_ = 0;    // values in ranges_
  std::vector<std::size_t> embedding_sizes_;  // by table
  std::size_t embedding_size_ = 0;            // of all
  std::vector<T*> embeddings_;                // what embedding() gave last
  std::vector<T> dense_;
  std::vector<std::vector<T>>
      shared_;  // by task: the gradient of the shared dense weights, then of the embeddings
  std::vector<T> projected_, sum_;  // as those
  std::vector<double> norms_;       // by task: pcgrad |g_j|^2, gradnorm |gradient by the last shared layer|
  std::vector<T> ratios_;
  std::vector<std::uint32_t> order_;
};

extern template class TaskBalance<float>;
extern template class TaskBalance<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_TASK_BALANCE_H_
