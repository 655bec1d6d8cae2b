// ItemSimilarity: items like those that the user took: item-based collaborative filtering.
//
//   sim(i, j) = sum_u s_ui s_uj / (|s_i| |s_j|) * n_ij / (n_ij + shrink)
//
// with s the strengths (taste_matrix.h) and n_ij the users who took both (Sarwar, Karypis, Konstan, Riedl: "Item-Based Collaborative
// Filtering Recommendation Algorithms", WWW 2001; the shrinkage: Bell and Koren, "Scalable Collaborative Filtering with Jointly Derived
// Neighborhood Interpolation Weights", ICDM 2007). Exact: row by row over the users of an item, without the matrix of all pairs.
// An item's `neighbours` most similar ones are kept (equal: least number first).
//
//   similar(u, j) = log(floor + sum_i s_ui sim(i, j) / sum_i s_ui)     over all items i that u took
//   recent(u, j)  = the same with s_ui 2^(-k / half_life), k = 0 of the item that was taken last, 1 of the one before, ...
#ifndef COHORT_LIFECYCLE_ITEM_SIMILARITY_H_
#define COHORT_LIFECYCLE_ITEM_SIMILARITY_H_

#include <functional>
#include <string>
#include <vector>

#include "lifecycle/score_source.h"
#include "lifecycle/taste_matrix.h"

namespace cohort {

struct SimilarityOptions {
  double shrink = 20;
  std::size_t neighbours = 200;
  std::size_t most_items = 1000;  // of a user: so many of the latest ones count, for the sake of time
  double half_life = 5;           // of `recent`, in items
  double floor = 1e-3;
};

struct Neighbour {
  std::uint32_t item;
  float similarity;
};

class ItemSimilarity : public ScoreSource {
 public:
  // `tastes` and `names` outlive this. `progress` hears of the items done. Time: sum over users of the square of their items; memory: 8
  // bytes a neighbour.
  ItemSimilarity(const TasteMatrix& tastes, const std::vector<std::string>& names,
                 const SimilarityOptions& options,
                 const std::function<void(std::size_t)>& progress = nullptr);

  std::span<const Neighbour> Neighbours(std::size_t item) const {  // most similar first
    return std::span(neighbours_).subspan(first_[item], first_[item + 1] - first_[item]);
  }
  std::string name() const override { return "similar items"; }
  std::vector<std::string> features() const override { return {"similar", "recent"}; }
  void Score(std::uint32_t user, std::span<const std::uint32_t> items,
             std::span<float> scores) const override;
  // All that is similar to anything the user took: the others score `floor`.
  std::vector<std::uint32_t> Retrieve(std::uint32_t user, std::size_t n) const override;
  std::string Reason(std::uint32_t user, std::uint32_t item, std::size_t feature) const override;

 private:
  // Weight of the k-th latest item of a user, by feature.
  double Fading(std::size_t feature, std::size_t k) const;
  // Adds up what a user's items say of others, in sums_; returns the sum of the weights. Clear undoes it.
  double Accumulate(std::uint32_t user, std::size_t feature) const;
  void Clear() const;

  const TasteMatrix& tastes_;
  const std::vector<std::string>& names_;
  const SimilarityOptions options_;
  std::vector<std::uint64_t> first_;
  std::vector<Neighbour> neighbours_;
  mutable std::vector<float> sums_;            // by item: 0 between calls
  mutable std::vector<std::uint32_t> summed_;  // the items whose sum is not 0
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_ITEM_SIMILARITY_H_
