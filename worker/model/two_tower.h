// Embedding-only recommenders: a vector for the user's side of a row, one for the item's, and their product.
//
//   u = tower_u(embeddings of the user's features, their numbers)      v = tower_v(embeddings of the item's features)
//   s(u, v) = sum over c < H - 1 of u_c v_c + v_(H-1) + b
//
// The last value of v is the item's bias; that of u counts as 1. A tower is relu layers and a linear one at its end
// (two_tower.user_layers, item_layers); without layers a vector is the sum of the pooled embeddings, and the model is a
// factorisation with biases (Koren, Bell, Volinsky: "Matrix Factorization Techniques for Recommender Systems", Computer 42,
// 2009). Towers: Covington, Adams, Sargin: "Deep Neural Networks for YouTube Recommendations", RecSys 2016; Yi et al. (below).
//
// A row of label 1 is held against K items drawn by the reader (item_catalogue.h). With s_0 the score of its own item, s_1 ..
// s_K those of the drawn ones, and z_j = s_j - log(N q_j), where q_j is the probability of drawing item j out of N:
//
//   logistic  l = softplus(-z_0) + sum_j softplus(z_j)               a row of label 0: l = softplus(z_0), none drawn
//   softmax   l = log sum over j = 0 .. K of exp(z_j) - z_0          a row of label 0 counts for nothing
//
// Uniform draws have N q = 1, and frequency ones without log_q are not corrected. log(N q) is log(K q) but for a constant, which
// b takes up (logistic) or which falls out (softmax): Bengio & Senecal: "Adaptive Importance Sampling to Accelerate Training of
// a Neural Probabilistic Language Model", IEEE Transactions on Neural Networks 19, 2008; Yi et al.:
// "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019. The correction is for training
// only. Corrected scores tend to log p(item | user), others to how much likelier the item is than among those drawn.
// Rendle, Krichene, Zhang, Anderson: "Neural Collaborative Filtering vs. Matrix Factorization Revisited", RecSys 2020, is why
// the product is a plain one.
//
// Prediction: sigmoid(s), which orders items as s does while it is below 1 in float (s up to 16). With the gradient as in losses.h: averaged over the labelled rows of the
// global batch, a row's loss by its weight. b has no gradient with softmax, which does not depend on it.
#ifndef COHORT_WORKER_MODEL_TWO_TOWER_H_
#define COHORT_WORKER_MODEL_TWO_TOWER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/model/field_tables.h"
#include "worker/model/kernels.h"
#include "worker/model/layer_stack.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"
#include "worker/model/model.h"

namespace cohort {

// One thread at a time. Memory for the rows' own items is allocated at construction, that for drawn ones with the first slice
// that has some.
template <typename T>
class TwoTower {
 public:
  // `pooling`: by field of the spec (kernels.h, LookupArguments).
  TwoTower(const ModelSpec& spec, const ModelLayout& layout, std::size_t capacity,
           const std::vector<std::uint8_t>& pooling);

  void SetWeights(const T* dense);
  // The scores of the rows' own items and of those drawn for them.
  void Forward(const SliceInput<T>& input, const DropoutDraw& draw = {});
  // Sum over the latest Forward's rows of w l. Keeps its gradient by the scores, times `coefficient`, for Backward.
  double Loss(const SliceInput<T>& input, double coefficient);
  // Replaces both gradients.
  void Backward(const SliceInput<T>& input, T* dense_gradient, T* const* embedding_gradient);
  // After a Forward without drawn items: row i's prediction is predictions[i].
  void Predict(std::size_t rows, T* predictions);

 private:
  // The user's side of the rows, or the item's: a block for each vector of a row, so 1 or 1 + negatives.
  struct Side {
    std::uint32_t first_field = 0, fields = 0;
    std::vector<FieldRun> runs;
    std::uint32_t numbers = 0;  // behind the embeddings of a block
    std::uint64_t place = 0;    // for dropout
    std::uint32_t blocks = 0;   // of a row of the latest Forward
    std::vector<std::uint8_t> pooling;  // of a row's fields, block after block
    LayerStack<T> tower;
    AlignedArray<T> input, input_gradient;  // by block: the fields' embeddings, the numbers; not if the vector is one embedding
    AlignedArray<T> vectors, gradient;      // by block: H
    bool IsOneEmbedding() const { return tower.empty() && fields == 1; }
  };
  // Memory for so many blocks a row.
  void Reserve(const std::vector<LayerShape>& layers, std::uint32_t blocks, Side* side);
  void ReserveItems(std::uint32_t blocks);
  void Embed(const SliceInput<T>& input, const DropoutDraw& draw, Side* side);
  void EmbedBackward(const SliceInput<T>& input, T* dense_gradient, T* const* embedding_gradient, Side* side);
  // Calls look(arguments, table, column of the first block) for the lookups that the side's embeddings take: one, if all
  // are of one table, else one for each run of fields in each block.
  template <typename Look>
  void EachLookup(const SliceInput<T>& input, const Side& side, const Look& look) const;
  std::size_t BlockWidth(const Side& side) const { return side.fields * dim_ + side.numbers; }

  const ModelSpec spec_;
  const ModelLayout layout_;
  const KernelTable<T>& kernels_;
  const std::size_t capacity_;
  const std::vector<std::uint8_t> pooling_;
  const std::size_t dim_;     // of an embedding
  const std::size_t vector_;  // H
  Side user_, item_;
  std::uint32_t reserved_ = 0;  // blocks of an item's side
  const T* dense_ = nullptr;
  DropoutDraw draw_;  // of the latest Forward
  // A value for each item of a row.
  AlignedArray<T> scores_, score_gradient_, scratch_;
  AlignedArray<T> log_sums_;  // by row
};

extern template class TwoTower<float>;
extern template class TwoTower<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_TWO_TOWER_H_
