#include "common/gradient_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "common/random.h"

namespace cohort::gradient_tree_test {
namespace {

// Random values of very different sizes, so that the order of additions shows in the bits.
GradientRows RandomRows(RandomStream& random, std::uint32_t dim, int key_space) {
  std::map<std::uint64_t, Key> by_position;
  const std::uint64_t count = random.Below(static_cast<std::uint64_t>(key_space) + 1);
  for (std::uint64_t i = 0; i < count; ++i) {
    const Key key = random.Below(static_cast<std::uint64_t>(key_space));
    by_position[Mix64(key)] = key;
  }
  GradientRows rows;
  for (const auto& [position, key] : by_position) {
    rows.keys.push_back(key);
    rows.positions.push_back(position);
    for (std::uint32_t d = 0; d < dim; ++d) {
      const auto magnitude = static_cast<int>(random.Below(40)) - 20;
      const double sign = random.Below(2) ? 1 : -1;
      rows.values.push_back(random.Below(8) == 0
                                ? -0.0f
                                : static_cast<float>(sign * random.Uniform() * std::ldexp(1.0, magnitude)));
    }
  }
  return rows;
}

bool SameBits(const GradientRows& a, const GradientRows& b) {
  return a.keys == b.keys && a.positions == b.positions && a.values.size() == b.values.size() &&
         (a.values.empty() ||
          std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0);
}

// The definition, row by row: the sum of a node is left + right where both have the row, else the one that
// has it.
bool ReferenceNode(const std::vector<GradientRows>& leaves, std::uint32_t dim, Key key, std::uint32_t slices,
                   std::uint32_t node, std::vector<float>* out) {
  if (node >= slices) {
    const GradientRows& leaf = leaves[node - slices];
    const auto it = std::find(leaf.keys.begin(), leaf.keys.end(), key);
    if (it == leaf.keys.end()) return false;
    const auto row = static_cast<std::size_t>(it - leaf.keys.begin());
    out->assign(leaf.values.begin() + static_cast<long>(row * dim),
                leaf.values.begin() + static_cast<long>((row + 1) * dim));
    return true;
  }
  std::vector<float> left, right;
  const bool has_left = ReferenceNode(leaves, dim, key, slices, 2 * node, &left);
  const bool has_right = ReferenceNode(leaves, dim, key, slices, 2 * node + 1, &right);
  if (has_left && has_right) {
    for (std::uint32_t d = 0; d < dim; ++d) left[d] += right[d];
  }
  if (has_left || has_right) *out = has_left ? left : right;
  return has_left || has_right;
}

TEST(GradientTree, WorkersShareAllSlicesInOrder) {
  for (std::uint32_t slices : {1u, 2u, 8u, 64u, 4096u}) {
    for (std::uint32_t workers = 1; workers <= 70; ++workers) {
      std::uint32_t next = 0;
      for (std::uint32_t worker = 0; worker < workers; ++worker) {
        const SliceRange range = SlicesOfWorker(slices, workers, worker);
        EXPECT_EQ(range.begin, next);
        EXPECT_LE(range.end - range.begin, (slices + workers - 1) / workers);
        next = range.end;
      }
      EXPECT_EQ(next, slices);
    }
  }
}

TEST(GradientTree, MaximalNodesCoverExactlyAndCannotBeJoined) {
  EXPECT_EQ(MaximalNodes(8, 0, 8), (std::vector<std::uint16_t>{1}));
  EXPECT_EQ(MaximalNodes(8, 1, 7), (std::vector<std::uint16_t>{9, 5, 6, 14}));
  EXPECT_EQ(MaximalNodes(8, 3, 3), (std::vector<std::uint16_t>{}));
  const std::uint32_t slices = 32;
  for (std::uint32_t begin = 0; begin <= slices; ++begin) {
    for (std::uint32_t end = begin; end <= slices; ++end) {
      std::uint32_t next = begin;
      const auto nodes = MaximalNodes(slices, begin, end);
      for (const std::uint16_t node : nodes) {
        const SliceRange range = SlicesOfNode(slices, node);
        EXPECT_EQ(range.begin, next);
        next = range.end;
        EXPECT_EQ(std::count(nodes.begin(), nodes.end(), node ^ 1), 0) << "siblings must be their parent";
      }
      EXPECT_EQ(next, end);
    }
  }
}

TEST(GradientTree, AbsentChildrenAreSkippedNotAddedAsZero) {
  GradientRows rows;
  rows.keys = {5};
  rows.positions = {Mix64(5)};
  rows.values = {-0.0f};
  const GradientRows empty;
  GradientRows out;
  AddRows(1, rows, empty, &out);
  EXPECT_TRUE(std::signbit(out.values.at(0)));
  TreeSum sum;
  const std::uint16_t node = 13;
  const GradientRows* one = &rows;
  sum.Sum(1, std::span(&node, 1), std::span(&one, 1), &out);
  EXPECT_TRUE(SameBits(out, rows));
  sum.Sum(1, std::span<const std::uint16_t>{}, std::span<const GradientRows* const>{}, &out);
  EXPECT_TRUE(out.keys.empty());
}

// The property that bsp rests on: however slices are spread over workers and in whatever order parts arrive,
// the bits are those of the definition.
TEST(GradientTree, AnySplitOverWorkersGivesTheSameBits) {
  TreeSum sum;  // one for all: its memory must not leak from one sum into the next
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    RandomStream random(seed);
    const std::uint32_t slices = 1u << random.Below(5);
    const std::uint32_t dim = 1 + static_cast<std::uint32_t>(random.Below(19));
    std::vector<GradientRows> leaves;
    for (std::uint32_t s = 0; s < slices; ++s) {
      leaves.push_back(random.Below(4) == 0 ? GradientRows{} : RandomRows(random, dim, 40));
    }
    std::map<std::uint64_t, Key> all;
    for (const auto& leaf : leaves) {
      for (const Key key : leaf.keys) all[Mix64(key)] = key;
    }
    GradientRows expected;
    for (const auto& [position, key] : all) {
      std::vector<float> row;
      ASSERT_TRUE(ReferenceNode(leaves, dim, key, slices, 1, &row));
      expected.keys.push_back(key);
      expected.positions.push_back(position);
      expected.values.insert(expected.values.end(), row.begin(), row.end());
    }
    for (std::uint32_t workers = 1; workers <= 16; ++workers) {
      std::vector<std::uint16_t> nodes;
      std::vector<GradientRows> parts;
      for (std::uint32_t worker = 0; worker < workers; ++worker) {
        const SliceRange mine = SlicesOfWorker(slices, workers, worker);
        for (const std::uint16_t node : MaximalNodes(slices, mine.begin, mine.end)) {
          std::vector<std::uint16_t> leaf_nodes;
          std::vector<const GradientRows*> leaf_rows;
          const SliceRange below = SlicesOfNode(slices, node);
          for (std::uint32_t s = below.begin; s < below.end; ++s) {
            if (leaves[s].keys.empty()) continue;
            leaf_nodes.push_back(static_cast<std::uint16_t>(slices + s));
            leaf_rows.push_back(&leaves[s]);
          }
          GradientRows part;
          sum.Sum(dim, leaf_nodes, leaf_rows, &part);
          if (part.keys.empty()) continue;
          nodes.push_back(node);
          parts.push_back(std::move(part));
        }
      }
      std::vector<std::size_t> order(parts.size());
      for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::shuffle(order.begin(), order.end(), random);
      std::vector<std::uint16_t> shuffled_nodes;
      std::vector<const GradientRows*> shuffled_rows;
      for (const std::size_t i : order) {
        shuffled_nodes.push_back(nodes[i]);
        shuffled_rows.push_back(&parts[i]);
      }
      GradientRows total;
      sum.Sum(dim, shuffled_nodes, shuffled_rows, &total);
      EXPECT_TRUE(SameBits(total, expected)) << "seed " << seed << ", " << workers << " workers";
    }
  }
}

}  // namespace
}  // namespace cohort::gradient_tree_test
