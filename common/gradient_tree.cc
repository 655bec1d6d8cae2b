#include "common/gradient_tree.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/check.h"
#include "common/float16.h"

namespace cohort {
namespace {

// How many rows the merged result has.
std::size_t CountUnion(const GradientView& left, const GradientView& right) {
  std::size_t l = 0, r = 0, both = 0;
  while (l < left.count && r < right.count) {
    const std::uint64_t a = left.positions[l], b = right.positions[r];
    both += a == b;
    l += a <= b;
    r += b <= a;
  }
  return left.count + right.count - both;
}

// Writes rows one after the other.
struct RowWriter {
  static constexpr std::size_t kAtOnce = 1024;
  std::uint32_t dim;
  FloatType type;
  std::size_t clipped = 0;
  Key* keys;  // null: none are wanted
  std::uint64_t* positions;
  float* values;

  RowWriter(std::uint32_t d, FloatType t, bool with_keys, std::size_t rows, GradientRows* out)
      : dim(d), type(t) {
    out->keys.resize(with_keys ? rows : 0);
    out->positions.resize(rows);
    out->values.resize(rows * d);
    keys = with_keys ? out->keys.data() : nullptr;
    positions = out->positions.data();
    values = out->values.data();
  }
  void Copy(const GradientView& from, std::size_t begin, std::size_t n) {
    if (n == 0) return;
    Name(from, begin, n);
    std::memcpy(values, from.values + begin * dim, n * dim * sizeof(float));
    values += n * dim;
  }

  void Add(const GradientView& left, std::size_t l, const GradientView& right, std::size_t r, std::size_t n) {
    Name(left, l, n);
    const float* __restrict a = left.values + l * dim;
    const float* __restrict b = right.values + r * dim;
    float* __restrict c = values;
    const std::size_t count = n * dim;
    values += count;
    if (type == FloatType::kFloat32) {
      for (std::size_t i = 0; i < count; ++i) c[i] = a[i] + b[i];
      return;
    }
    // In pieces that are still in the nearest cache when they are rounded.
    for (std::size_t begin = 0; begin < count; begin += kAtOnce) {
      const std::size_t end = std::min(begin + kAtOnce, count);
      for (std::size_t i = begin; i < end; ++i) c[i] = a[i] + b[i];
      clipped += RoundValues(type, c + begin, end - begin);
    }
  }

 private:
  void Name(const GradientView& from, std::size_t begin, std::size_t n) {
    if (keys != nullptr) {
      std::memcpy(keys, from.keys + begin, n * sizeof(Key));
      keys += n;
    }
    std::memcpy(positions, from.positions + begin, n * sizeof(std::uint64_t));
    positions += n;
  }
};

void CopyRows(std::uint32_t dim, const GradientView& from, GradientRows* out) {
  RowWriter(dim, FloatType::kFloat32, from.keys != nullptr, from.count, out).Copy(from, 0, from.count);
}

}  // namespace

SliceRange SlicesOfWorker(std::uint32_t slices, std::uint32_t workers, std::uint32_t worker) {
  COHORT_CHECK(worker < workers, "worker %u of %u", worker, workers);
  const auto edge = [&](std::uint64_t w) { return static_cast<std::uint32_t>(w * slices / workers); };
  return {edge(worker), edge(worker + 1ull)};
}

std::vector<std::uint16_t> MaximalNodes(std::uint32_t slices, std::uint32_t begin, std::uint32_t end) {
  COHORT_CHECK(std::has_single_bit(slices) && slices <= 32768 && begin <= end && end <= slices,
               "slices [%u, %u) of %u", begin, end, slices);
  std::vector<std::uint16_t> nodes;
  while (begin < end) {
    // The largest aligned block that starts here and does not go beyond the end.
    std::uint32_t block = begin == 0 ? slices : begin & (0u - begin);
    while (block > end - begin) block /= 2;
    nodes.push_back(static_cast<std::uint16_t>((slices + begin) / block));
    begin += block;
  }
  return nodes;
}

SliceRange SlicesOfNode(std::uint32_t slices, std::uint16_t node) {
  COHORT_CHECK(node >= 1 && node < 2 * slices, "node %u of %u slices", node, slices);
  const std::uint32_t level = std::bit_floor(static_cast<std::uint32_t>(node));  // nodes of this level
  const std::uint32_t width = slices / level;
  return {(node - level) * width, (node - level + 1) * width};
}

std::size_t AddRows(std::uint32_t dim, const GradientView& left, const GradientView& right, GradientRows* out,
                    FloatType type) {
  RowWriter writer(dim, type, left.keys != nullptr || right.keys != nullptr, CountUnion(left, right), out);
  // Runs of rows, not single rows: dense blocks share all keys, and one loop then adds them all.
  std::size_t l = 0, r = 0;
  while (l < left.count && r < right.count) {
    const std::size_t l0 = l, r0 = r;
    if (left.positions[l] == right.positions[r]) {
      while (l < left.count && r < right.count && left.positions[l] == right.positions[r]) ++l, ++r;
      writer.Add(left, l0, right, r0, l - l0);
    } else if (left.positions[l] < right.positions[r]) {
      while (l < left.count && left.positions[l] < right.positions[r]) ++l;
      writer.Copy(left, l0, l - l0);
    } else {
      while (r < right.count && right.positions[r] < left.positions[l]) ++r;
      writer.Copy(right, r0, r - r0);
    }
  }
  writer.Copy(left, l, left.count - l);
  writer.Copy(right, r, right.count - r);
  return writer.clipped;
}

int TreeSum::TakeScratch() {
  if (free_scratch_.empty()) {
    scratch_.emplace_back();
    return static_cast<int>(scratch_.size()) - 1;
  }
  const int index = free_scratch_.back();
  free_scratch_.pop_back();
  return index;
}

std::size_t TreeSum::Sum(std::uint32_t dim, std::span<const std::uint16_t> nodes,
                         std::span<const GradientRows* const> rows, GradientRows* out, FloatType type) {
  views_.clear();
  for (const GradientRows* one : rows) views_.push_back(*one);
  return Sum(dim, nodes, views_, out, type);
}

std::size_t TreeSum::Sum(std::uint32_t dim, std::span<const std::uint16_t> nodes,
                         std::span<const GradientView> rows, GradientRows* out, FloatType type) {
  COHORT_CHECK(nodes.size() == rows.size(), "%zu nodes, %zu row sets", nodes.size(), rows.size());
  out->Clear();
  items_.clear();
  for (std::size_t i = 0; i < nodes.size(); ++i) items_.push_back({nodes[i], rows[i], -1});
  std::size_t clipped = 0;
  if (items_.empty()) return clipped;
  free_scratch_.clear();
  for (std::size_t i = scratch_.size(); i-- > 0;) free_scratch_.push_back(static_cast<int>(i));

  // items_ is kept ascending by node: the last one is the deepest and rightmost, and everything below its
  // sibling has been summed already. A node without sibling stands for its parent.
  std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) { return a.node < b.node; });
  const auto insert = [&](Item item) {
    auto place = std::upper_bound(items_.begin(), items_.end(), item.node,
                                  [](std::uint16_t node, const Item& other) { return node < other.node; });
    COHORT_CHECK(place == items_.begin() || std::prev(place)->node != item.node, "node %u lies above another",
                 item.node);
    items_.insert(place, item);
  };
  while (items_.size() > 1) {
    Item right = items_.back();
    items_.pop_back();
    COHORT_CHECK(right.node > 1, "the root lies above another node");
    const auto parent = static_cast<std::uint16_t>(right.node / 2);
    if (items_.back().node != (right.node ^ 1)) {
      right.node = parent;
      insert(right);
      continue;
    }
    COHORT_CHECK(right.node % 2 == 1, "node %u is given twice", right.node);
    const Item left = items_.back();
    items_.pop_back();
    if (items_.empty()) {
      clipped += AddRows(dim, left.rows, right.rows, out, type);
      return clipped;
    }
    const int target = TakeScratch();  // may move scratch_, not what its vectors hold
    clipped += AddRows(dim, left.rows, right.rows, &scratch_[static_cast<std::size_t>(target)], type);
    if (left.scratch >= 0) free_scratch_.push_back(left.scratch);
    if (right.scratch >= 0) free_scratch_.push_back(right.scratch);
    insert({parent, scratch_[static_cast<std::size_t>(target)], target});
  }
  CopyRows(dim, items_.front().rows, out);
  return clipped;
}

}  // namespace cohort
