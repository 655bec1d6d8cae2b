#include "worker/slice_sum.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/float16.h"
#include "common/table_spec.h"

namespace cohort {

namespace {

std::vector<std::uint32_t> DimsOf(const ModelSpec& spec) {
  std::vector<std::uint32_t> dims;
  for (const FieldTable& table : spec.tables) dims.push_back(table.rows.embedding_dim);
  return dims;
}

}  // namespace

SliceSum::SliceSum(std::uint64_t dense_count, std::vector<std::uint32_t> dims, FloatType type)
    : dense_count_(dense_count),
      dims_(std::move(dims)),
      type_(type),
      rows_pools_(dims_.size()),
      places_pools_(dims_.size()) {}

SliceSum::SliceSum(const ModelSpec& spec, FloatType type) : SliceSum(spec.dense_count, DimsOf(spec), type) {}

void SliceSum::Start(std::uint32_t slices, SliceRange own) {
  slices_ = slices;
  own_nodes_ = MaximalNodes(slices, own.begin, own.end);
  parts_.clear();
}

void SliceSum::Prepare(const Slice& slice) {
  next_.dense = dense_pool_.Take();
  next_.dense->resize((dense_count_ + kDenseRowWidth - 1) / kDenseRowWidth * kDenseRowWidth);
  std::fill(next_.dense->begin() + static_cast<std::ptrdiff_t>(dense_count_), next_.dense->end(), 0.0f);
  next_.embeddings.resize(dims_.size());
  gradients_.clear();
  for (std::size_t t = 0; t < dims_.size(); ++t) {
    const std::size_t rows = slice.ids[t].distinct.size();
    std::shared_ptr<GradientRows>& gradient = next_.embeddings[t].gradient;
    gradient = rows_pools_[t].Take();
    gradient->positions.resize(rows);
    gradient->values.resize(rows * dims_[t]);
    gradients_.push_back(gradient->values.data());
  }
}

void SliceSum::Add(const Slice& slice) {
  for (std::size_t t = 0; t < dims_.size(); ++t) {
    const std::vector<std::uint32_t>& distinct = slice.ids[t].distinct;
    GradientRows& gradient = *next_.embeddings[t].gradient;
    COHORT_CHECK(distinct.size() == gradient.positions.size());
    std::copy(distinct.begin(), distinct.end(), gradient.positions.begin());
    // A batch of one slice is rounded when it is pushed.
    if (slices_ > 1) clipped_ += RoundValues(type_, gradient.values.data(), gradient.values.size());
  }
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
    for (std::size_t t = 0; t < dims_.size(); ++t) {
      Rows& rows = part.embeddings[t];
      rows.places = places_pools_[t].Take();
      rows.places->assign(rows.gradient->positions.begin(), rows.gradient->positions.end());
    }
  }
}

void SliceSum::AddLastTwo(std::uint16_t node) {
  Part right = std::move(parts_.back());
  parts_.pop_back();
  Part& left = parts_.back();
  float* a = left.dense->data();
  const float* b = right.dense->data();
  for (std::size_t i = 0; i < left.dense->size(); ++i) a[i] += b[i];
  for (std::size_t t = 0; t < dims_.size(); ++t) {
    std::shared_ptr<GradientRows>& gradient = left.embeddings[t].gradient;
    std::shared_ptr<GradientRows> sum = rows_pools_[t].Take();
    clipped_ += AddRows(dims_[t], *gradient, *right.embeddings[t].gradient, sum.get(), type_);
    gradient = std::move(sum);
  }
  left.node = node;
}

}  // namespace cohort
