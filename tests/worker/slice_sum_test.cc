#include "worker/slice_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "common/float16.h"
#include "common/random.h"

namespace cohort::slice_sum_test {
namespace {

// Of two tables; the second one has ids in some slices only.
const std::vector<std::uint32_t> kDims = {3, 5};
constexpr std::uint64_t kDense = 300;

float Noise(std::uint64_t a, std::uint64_t b) { return UniformFloat(RandomBits(5, a, b)) - 0.5f; }

// Sums the slices [own.begin, min(own.end, end)) of a made-up batch: those from `end` on are absent.
std::vector<SliceSum::Part> SumOf(SliceSum& sum, std::uint32_t slices, SliceRange own, std::uint32_t end) {
  sum.Start(slices, own);
  for (std::uint32_t s = own.begin; s < std::min(own.end, end); ++s) {
    Slice slice;
    slice.index = s;
    slice.ids.resize(kDims.size());
    for (std::uint32_t i = 0; i < 40; ++i) {
      if (RandomBits(6, s, i) % 2 == 0) slice.ids[0].distinct.push_back(i);
      if (s % 3 == 1 && RandomBits(7, s, i) % 4 == 0) slice.ids[1].distinct.push_back(i);
    }
    sum.Prepare(slice);
    for (std::uint64_t i = 0; i < kDense; ++i) sum.dense()[i] = Noise(s, i);
    for (std::size_t t = 0; t < kDims.size(); ++t) {
      for (std::size_t i = 0; i < slice.ids[t].distinct.size() * kDims[t]; ++i)
        sum.embeddings()[t][i] = Noise(s + 100 * (t + 1), i);
    }
    sum.Add(slice);
  }
  sum.Finish();
  return sum.parts();
}

TEST(SliceSum, PartsAreTheMaximalSubTrees) {
  SliceSum sum(kDense, kDims);
  for (std::uint32_t begin = 0; begin < 8; ++begin) {
    for (std::uint32_t end = begin; end <= 8; ++end) {
      std::vector<std::uint16_t> nodes;
      for (const auto& part : SumOf(sum, 8, {begin, end}, 8)) nodes.push_back(part.node);
      EXPECT_EQ(nodes, MaximalNodes(8, begin, end)) << begin << ".." << end;
    }
  }
}

// A worker's sub-trees bear the same names when the batch is short: a part's name depends on who pushes it alone.
TEST(SliceSum, AShortBatchKeepsTheNames) {
  SliceSum sum(kDense, kDims);
  for (std::uint32_t present = 1; present <= 8; ++present) {
    for (const SliceRange own : {SliceRange{0, 8}, SliceRange{2, 5}, SliceRange{5, 8}}) {
      std::vector<std::uint16_t> expected, nodes;
      for (const std::uint16_t node : MaximalNodes(8, own.begin, own.end)) {
        if (SlicesOfNode(8, node).begin < present) expected.push_back(node);
      }
      for (const auto& part : SumOf(sum, 8, own, present)) nodes.push_back(part.node);
      EXPECT_EQ(nodes, expected) << present << " of 8, own " << own.begin << ".." << own.end;
    }
  }
}

// What a shard makes of the parts has the same bits wherever the batch was cut.
TEST(SliceSum, AnyCutGivesTheSameBits) {
  for (const std::uint32_t present : {8u, 5u, 1u}) {  // a short batch: the last slices are absent
    for (const FloatType type : {FloatType::kFloat32, FloatType::kBfloat16, FloatType::kFloat16}) {
      std::vector<GradientRows> whole(kDims.size());
      for (std::uint32_t workers = 1; workers <= 8; ++workers) {
        std::vector<SliceSum::Part> parts;
        for (std::uint32_t worker = 0; worker < workers; ++worker) {
          const SliceRange own = SlicesOfWorker(8, workers, worker);
          SliceSum mine(kDense, kDims, type);
          for (auto& part : SumOf(mine, 8, own, present)) parts.push_back(part);
        }
        std::vector<std::uint16_t> nodes;
        for (const auto& part : parts) nodes.push_back(part.node);
        for (std::size_t t = 0; t < kDims.size(); ++t) {
          std::vector<const GradientRows*> rows;
          for (const auto& part : parts) rows.push_back(part.embeddings[t].gradient.get());
          GradientRows total;
          TreeSum().Sum(kDims[t], nodes, rows, &total, type);
          if (workers == 1) whole[t] = total;
          EXPECT_EQ(total.positions, whole[t].positions);
          ASSERT_EQ(total.values.size(), whole[t].values.size());
          if (total.values.empty()) continue;
          EXPECT_EQ(0, std::memcmp(total.values.data(), whole[t].values.data(),
                                   whole[t].values.size() * sizeof(float)))
              << workers;
        }
      }
      for (const GradientRows& sum : whole) {
        std::vector<float> rounded = sum.values;
        RoundValues(type, rounded.data(), rounded.size());
        EXPECT_EQ(rounded, sum.values) << "a sum that is not of its type";
      }
    }
  }
}

TEST(SliceSum, WhatIsTooLargeIsClippedAndCounted) {
  SliceSum sum(kDense, {3}, FloatType::kFloat16);
  sum.Start(2, {0, 2});
  for (std::uint32_t s = 0; s < 2; ++s) {
    Slice slice;
    slice.index = s;
    slice.ids.resize(1);
    slice.ids[0].distinct = {3};
    sum.Prepare(slice);
    std::fill(sum.dense(), sum.dense() + kDense, 0.0f);
    const float values[3] = {40000.0f, -1e9f, 1.0f};
    std::copy(values, values + 3, sum.embeddings()[0]);
    sum.Add(slice);
  }
  sum.Finish();
  EXPECT_EQ(sum.parts()[0].embeddings[0].gradient->values, (std::vector<float>{65504.0f, -65504.0f, 2.0f}));
  EXPECT_EQ(*sum.parts()[0].embeddings[0].places, std::vector<std::uint32_t>{3});
  EXPECT_EQ(sum.clipped(), 4u);  // each leaf's second value, and both of the sum's
}

TEST(SliceSum, DensePaddingIsZero) {
  SliceSum sum(kDense, kDims);
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto parts = SumOf(sum, 4, {0, 4}, 4);
    ASSERT_EQ(parts.size(), 1u);
    ASSERT_EQ(parts[0].dense->size(), 2u * kDenseRowWidth);
    for (std::size_t i = kDense; i < parts[0].dense->size(); ++i) EXPECT_EQ((*parts[0].dense)[i], 0.0f);
    const float expected = (Noise(0, 7) + Noise(1, 7)) + (Noise(2, 7) + Noise(3, 7));
    EXPECT_EQ((*parts[0].dense)[7], expected);
  }
}

}  // namespace
}  // namespace cohort::slice_sum_test
