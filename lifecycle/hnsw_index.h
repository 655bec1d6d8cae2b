// HnswIndex: the vectors of largest inner product with another, found approximately without a look at all of them.
//
// A hierarchical navigable small world graph (Malkov and Yashunin: "Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical
// Navigable Small World Graphs", TPAMI 2020; hnswlib) over inner products as they are (Morozov and Babenko: "Non-metric Similarity Graphs for
// Maximum Inner Product Search", NeurIPS 2018). One thread, which adds in the order of its calls: the same vectors make the same graph.
#ifndef COHORT_LIFECYCLE_HNSW_INDEX_H_
#define COHORT_LIFECYCLE_HNSW_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace cohort {

class HnswIndex {
 public:
  // At most `count` vectors. Memory: about 4 dimensions + 380 bytes for each.
  HnswIndex(std::size_t dimensions, std::size_t count);
  ~HnswIndex();

  // `number`: a new one.
  void Add(std::span<const float> vector, std::uint32_t number);
  // The numbers of about the `n` best, in any order.
  std::vector<std::uint32_t> Nearest(std::span<const float> query, std::size_t n) const;

 private:
  class Graph;
  std::unique_ptr<Graph> graph_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_HNSW_INDEX_H_
