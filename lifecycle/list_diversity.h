// Diversity of a list: how different its items are, and a choice of items that gives up some relevance for it.
#ifndef COHORT_LIFECYCLE_LIST_DIVERSITY_H_
#define COHORT_LIFECYCLE_LIST_DIVERSITY_H_

#include <cstdint>
#include <span>
#include <vector>

#include "lifecycle/shop_history.h"

namespace cohort {

// The labels of items: their tags, or their category where there are none.
class ItemLabels {
 public:
  explicit ItemLabels(const ShopHistory& history);
  // The Jaccard distance of two items' sets of labels, 1 - |A and B| / |A or B|; of an item without labels: 1, to itself too.
  float Distance(std::uint32_t a, std::uint32_t b) const;
  // Mean over the pairs of a list; 0 for lists of less than two items.
  double MeanDistance(std::span<const std::uint32_t> list) const;

 private:
  std::vector<std::uint64_t> first_;
  std::vector<std::uint32_t> labels_;  // by item, ascending
};

struct Candidate {
  std::uint32_t item;
  float utility;  // a logarithm of odds, in units of how far those lie apart (Recommender::Spread)
};

// `n` of the candidates, chosen one after the other, each the one with the largest
//
//   (1 - diversity) utility - diversity sum over items chosen before of (1 - distance)
//
// (equal: the one that comes first): maximal marginal relevance (Carbonell and Goldstein: "The Use of MMR, Diversity-Based Reranking for
// Reordering Documents and Producing Summaries", SIGIR 1998) with the likeness to all of them in place of that to the nearest, which is the
// greedy algorithm of max-sum diversification (Borodin, Lee, Ye: "Max-Sum Diversification, Monotone Submodular Functions and Dynamic
// Updates", PODS 2012). Then in the order of utility: the set decides the distances, the order only who is seen first.
// REQUIRES: 0 <= diversity <= 1.
std::vector<Candidate> DiverseList(std::span<const Candidate> candidates, const ItemLabels& labels,
                                   double diversity, std::size_t n);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_LIST_DIVERSITY_H_
