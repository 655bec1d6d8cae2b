// The fixed binary tree in which the slices of a global batch are summed, so that the sum has the same bits
// however the slices are spread over workers (DESIGN 2.2).
//
// `slices` is a power of two. Nodes are numbered as in a heap: 1 is the root, 2n and 2n+1 are the children of
// n, and the leaf of slice s is node slices + s. A worker that owns slices [begin, end) sums and pushes its
// maximal aligned sub-trees; the shard adds the rest. An absent child is skipped, never added as 0 (-0.0f +
// 0.0f has other bits).
#ifndef COHORT_COMMON_GRADIENT_TREE_H_
#define COHORT_COMMON_GRADIENT_TREE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "common/table_spec.h"
#include "common/types.h"

namespace cohort {

// The slices of worker `worker` of `workers`: [begin, end), possibly empty.
struct SliceRange {
  std::uint32_t begin = 0, end = 0;
};
SliceRange SlicesOfWorker(std::uint32_t slices, std::uint32_t workers, std::uint32_t worker);

// The maximal aligned sub-trees that cover exactly the slices [begin, end), by ascending first slice.
std::vector<std::uint16_t> MaximalNodes(std::uint32_t slices, std::uint32_t begin, std::uint32_t end);
// The slices below a node.
SliceRange SlicesOfNode(std::uint32_t slices, std::uint16_t node);

// Rows of gradients, ascending by position and distinct, values row-major (positions.size() x dim). A row is known by its
// position: on the ring, with its key beside it; or, at a worker, in the batch's list of keys, and then `keys` is empty.
struct GradientRows {
  std::vector<Key> keys;
  std::vector<std::uint64_t> positions;
  std::vector<float> values;
  void Clear() { keys.clear(), positions.clear(), values.clear(); }
};

// The same rows in somebody else's memory, e.g. in the frames of a push.
struct GradientView {
  GradientView() = default;
  GradientView(const GradientRows& rows)  // NOLINT: a view is what functions take
      : count(rows.positions.size()),
        keys(rows.keys.empty() ? nullptr : rows.keys.data()),
        positions(rows.positions.data()),
        values(rows.values.data()) {}
  GradientView(std::size_t n, const Key* k, const std::uint64_t* p, const float* v)
      : count(n), keys(k), positions(p), values(v) {}

  std::size_t count = 0;
  const Key* keys = nullptr;  // null: rows are known by position alone
  const std::uint64_t* positions = nullptr;
  const float* values = nullptr;  // count x dim
};

// out = left + right by position; a row on one side only is copied. Both sides have keys, or neither. `out` is
// replaced; its memory is reused. It must not be what a view looks at. Sums are rounded to `type`, in which the sides
// are already; returns how many were clipped (float16.h).
std::size_t AddRows(std::uint32_t dim, const GradientView& left, const GradientView& right, GradientRows* out,
                    FloatType type = FloatType::kFloat32);

// Sums a set of sub-trees to the root in tree order. `nodes[i]` is the node of `rows[i]`; no node lies below
// another. Any order of the arguments gives the same bits. `out` is replaced; no view may look at it. Summing
// the leaves below one node gives that node's sum: what a worker pushes. With a 16-bit `type` every node's sum is
// rounded to it, as the leaves are: the bits then do not depend on which nodes have travelled. Returns how many values
// were clipped. Reuses its memory between calls; one
// thread at a time.
class TreeSum {
 public:
  std::size_t Sum(std::uint32_t dim, std::span<const std::uint16_t> nodes, std::span<const GradientView> rows,
                  GradientRows* out, FloatType type = FloatType::kFloat32);
  std::size_t Sum(std::uint32_t dim, std::span<const std::uint16_t> nodes,
                  std::span<const GradientRows* const> rows, GradientRows* out,
                  FloatType type = FloatType::kFloat32);

 private:
  struct Item {
    std::uint16_t node = 0;
    GradientView rows;
    int scratch = -1;  // in scratch_; -1: the caller's memory
  };
  int TakeScratch();

  std::vector<GradientRows> scratch_;
  std::vector<int> free_scratch_;
  std::vector<Item> items_;
  std::vector<GradientView> views_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_GRADIENT_TREE_H_
