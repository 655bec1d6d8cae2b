#include "common/table_spec.h"

#include <algorithm>

namespace cohort {

const char* OptimizerName(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd: return "sgd";
    case OptimizerKind::kMomentum: return "momentum";
    case OptimizerKind::kAdagrad: return "adagrad";
    case OptimizerKind::kRowwiseAdagrad: return "rowwise_adagrad";
    case OptimizerKind::kAdam: return "adam";
    case OptimizerKind::kFtrl: return "ftrl";
  }
  return "unknown";
}

std::vector<StateSlot> StateSlots(OptimizerKind kind, std::uint32_t dim) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return {};
    case OptimizerKind::kMomentum:
      return {{"velocity", dim}};
    case OptimizerKind::kAdagrad:
      return {{"accumulator", dim}};
    case OptimizerKind::kRowwiseAdagrad:
      return {{"accumulator", 1}};
    case OptimizerKind::kAdam:
      return {{"m", dim}, {"v", dim}, {"t", 1}};
    case OptimizerKind::kFtrl:
      return {{"z", dim}, {"n", dim}};
  }
  return {};
}

std::uint32_t StateFloats(OptimizerKind kind, std::uint32_t dim) {
  std::uint32_t floats = 0;
  for (const StateSlot& slot : StateSlots(kind, dim)) floats += slot.floats;
  return floats;
}

std::uint64_t BytesPerRow(const TableSpec& table) {
  constexpr std::uint64_t kIndexBytes = 16, kStatisticsBytes = 10;
  const std::uint64_t floats = std::uint64_t{WeightWords(table)} + StateFloats(table.optimizer.kind, table.dim);
  return (floats + 3) / 4 * 16 + kIndexBytes + kStatisticsBytes;
}

void InitializeRow(const TableSpec& table, std::uint64_t seed, Key key, float* out) {
  const std::uint64_t first = table.kind == TableKind::kDense ? key * table.dim : 0;
  auto segment = table.init.begin();
  if (table.kind == TableKind::kDense) {
    segment = std::upper_bound(table.init.begin(), table.init.end(), first,
                               [](std::uint64_t value, const InitSegment& s) { return value < s.begin; });
    if (segment != table.init.begin()) --segment;
  }
  const std::uint64_t row_seed = RandomBits(seed, table.id, key);
  for (std::uint32_t i = 0; i < table.dim; ++i) {
    while (segment != table.init.end() && std::next(segment) != table.init.end() &&
           std::next(segment)->begin <= first + i) {
      ++segment;
    }
    if (segment == table.init.end() || segment->begin > first + i) {
      out[i] = 0.0f;
      continue;
    }
    const float u = 2.0f * UniformFloat(RandomBits(row_seed, i)) - 1.0f;
    out[i] = segment->mean + segment->scale * u;
  }
  if (table.dtype != FloatType::kFloat32) {
    for (std::uint32_t i = 0; i < table.dim; ++i) {
      std::uint16_t half = 0;
      NarrowToNearest(table.dtype, out + i, 1, &half);
      Widen(table.dtype, &half, 1, out + i);
    }
  }
}

}  // namespace cohort
