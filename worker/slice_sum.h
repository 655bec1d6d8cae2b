// Sums the gradients of a worker's slices into its maximal aligned sub-trees (gradient_tree.h), as the slices
// are computed, with at most log2(slices) + 1 partial sums in memory.
#ifndef COHORT_WORKER_SLICE_SUM_H_
#define COHORT_WORKER_SLICE_SUM_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/gradient_tree.h"
#include "worker/batch.h"
#include "worker/object_pool.h"

namespace cohort {

class SliceSum {
 public:
  // Of a table of embeddings.
  struct Rows {
    std::shared_ptr<GradientRows> gradient;              // by place in the batch's keys
    std::shared_ptr<std::vector<std::uint32_t>> places;  // these places, after Finish
  };
  // One sub-tree's sum, ready to push. The memory may be kept as Buffers until the push is acknowledged.
  struct Part {
    std::uint16_t node = 0;
    std::shared_ptr<std::vector<float>> dense;  // dense_rows * kDenseRowWidth; zero beyond dense_count
    std::vector<Rows> embeddings;               // by table
  };

  // `dims`: of the rows of each table. `type`: how embedding gradients will travel; every sum is rounded to it
  // (gradient_tree.h).
  SliceSum(std::uint64_t dense_count, std::vector<std::uint32_t> dims, FloatType type = FloatType::kFloat32);
  SliceSum(const ModelSpec& spec, FloatType type = FloatType::kFloat32);

  // Begins a batch of `slices` slices, of which `own` are this worker's.
  void Start(std::uint32_t slices, SliceRange own);
  // Memory for a slice's gradients: dense_count floats, and for each table a row for each of the slice's distinct keys.
  void Prepare(const Slice& slice);
  float* dense() { return next_.dense->data(); }
  float* const* embeddings() { return gradients_.data(); }  // by table
  // Adds the prepared gradients. Slices come in ascending order, without gaps.
  void Add(const Slice& slice);
  // No more slices: those that did not come hold no rows. Leaves one part for each maximal sub-tree of the own slices that
  // has any.
  void Finish();
  // After Finish: the sums by ascending first slice. Valid until Start.
  const std::vector<Part>& parts() const { return parts_; }
  // Values clipped by rounding so far.
  std::uint64_t clipped() const { return clipped_; }

 private:
  // Replaces the last two parts by their sum, which becomes the part of `node`.
  void AddLastTwo(std::uint16_t node);

  const std::uint64_t dense_count_;
  const std::vector<std::uint32_t> dims_;  // by table
  const FloatType type_;
  std::uint64_t clipped_ = 0;
  std::uint32_t slices_ = 1;
  std::vector<std::uint16_t> own_nodes_;
  Part next_;
  std::vector<float*> gradients_;  // of next_, by table
  std::vector<Part> parts_;  // a stack: neighbours that are siblings are added at once
  ObjectPool<std::vector<float>> dense_pool_;
  std::vector<ObjectPool<GradientRows>> rows_pools_;  // by table
  std::vector<ObjectPool<std::vector<std::uint32_t>>> places_pools_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_SLICE_SUM_H_
