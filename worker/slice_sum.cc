#include "worker/slice_sum.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/float16.h"
#include "common/table_spec.h"

namespace cohort {

SliceSum::SliceSum(std::uint64_t dense_count, std::uint32_t embedding_dim, FloatType type)
    : dense_count_(dense_count), dim_(embedding_dim), type_(type) {}

void SliceSum::Start(std::uint32_t slices, SliceRange own) {
  slices_ = slices;
  own_nodes_ = MaximalNodes(slices, own.begin, own.end);
  parts_.clear();
}

void SliceSum::Prepare(std::size_t rows) {
  next_.dense = dense_pool_.Take();
  next_.dense->resize((dense_count_ + kDenseRowWidth - 1) / kDenseRowWidth * kDenseRowWidth);
  std::fill(next_.dense->begin() + static_cast<std::ptrdiff_t>(dense_count_), next_.dense->end(), 0.0f);
  next_.embedding = rows_pool_.Take();
  next_.embedding->positions.resize(rows);
  next_.embedding->values.resize(rows * dim_);
}

void SliceSum::Add(const Slice& slice) {
  COHORT_CHECK(slice.distinct.size() == next_.embedding->positions.size());
  std::copy(slice.distinct.begin(), slice.distinct.end(), next_.embedding->positions.begin());
  // A batch of one slice is rounded when it is pushed.
  std::vector<float>& values = next_.embedding->values;
  if (slices_ > 1) clipped_ += RoundValues(type_, values.data(), values.size());
  next_.node = static_cast<std::uint16_t>(slices_ + slice.index);
  parts_.push_back(std::exchange(next_, {}));
  // The right child has just come: its sibling on the left is complete.
  while (parts_.size() >= 2 && parts_.back().node % 2 == 1 &&
         parts_[parts_.size() - 2].node + 1 == parts_.back().node) {
    AddLastTwo(parts_.back().node / 2);
  }
}

void SliceSum::Finish() {
  if (parts_.empty()) return;
  // Absent slices are the batch's last ones, so only the last sub-tree that has any rows can lack some. What it has is a
  // run of slices from its first on: ever smaller complete sub-trees, each the left child beside all that follow it.
  const std::uint32_t last = SlicesOfNode(slices_, parts_.back().node).begin;
  const auto holder = std::find_if(own_nodes_.begin(), own_nodes_.end(), [&](std::uint16_t node) {
    return SlicesOfNode(slices_, node).end > last;
  });
  COHORT_CHECK(holder != own_nodes_.end());
  const std::uint32_t first = SlicesOfNode(slices_, *holder).begin;
  while (parts_.size() >= 2 && SlicesOfNode(slices_, parts_[parts_.size() - 2].node).begin >= first)
    AddLastTwo(*holder);
  parts_.back().node = *holder;
  for (Part& part : parts_) {
    part.rows = places_pool_.Take();
    part.rows->assign(part.embedding->positions.begin(), part.embedding->positions.end());
  }
}

void SliceSum::AddLastTwo(std::uint16_t node) {
  Part right = std::move(parts_.back());
  parts_.pop_back();
  Part& left = parts_.back();
  float* a = left.dense->data();
  const float* b = right.dense->data();
  for (std::size_t i = 0; i < left.dense->size(); ++i) a[i] += b[i];
  std::shared_ptr<GradientRows> sum = rows_pool_.Take();
  clipped_ += AddRows(dim_, *left.embedding, *right.embedding, sum.get(), type_);
  left.embedding = std::move(sum);
  left.node = node;
}

}  // namespace cohort
