// What the simulated workers compute, as pure functions, and what must come out of it: plain code, written for being
// obviously right, that shares nothing with the system but the tables' specification and the optimizer's arithmetic.
#ifndef COHORT_TESTS_SUPPORT_WORKLOAD_H_
#define COHORT_TESTS_SUPPORT_WORKLOAD_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "common/float16.h"
#include "common/random.h"
#include "common/table_spec.h"
#include "common/types.h"
#include "server/optimizer.h"
#include "tests/support/plain_policy.h"
#include "tests/support/plain_rounding.h"

namespace cohort {

// Rows by ring position: the order of requests.
struct PlainRow {
  Key key = 0;
  std::vector<float> values;
  std::uint32_t count = 0;  // gradients: how often the key occurred
};
using PlainRows = std::map<std::uint64_t, PlainRow>;
// By table.
using PlainTables = std::map<TableId, PlainRows>;
using Lookup = std::function<const float*(TableId, Key)>;

// Rows of the test split are numbered from here, so that they are not those of the training split.
inline constexpr std::uint64_t kTestRows = 1ull << 40;

struct Workload {
  std::uint64_t seed = 1;
  // Gradients are small whole numbers and do not depend on weights: sums are exact, whatever their order. Otherwise
  // they are fractions that depend on the pulled weights: every bit tells the order.
  bool whole = true;
  std::uint32_t keys_per_row = 2;
  std::uint64_t key_pool = 50;
  std::vector<TableSpec> tables;  // dense, sparse

  const TableSpec& Table(TableId id) const { return tables[id]; }

  Key KeyOf(std::uint64_t row, std::uint32_t j) const {
    // The test split knows some keys that training never sees.
    const std::uint64_t pool = row >= kTestRows ? key_pool + key_pool / 4 + 1 : key_pool;
    const std::uint64_t index = RandomBits(seed, row, j) % pool;
    if (index == 0) return 0;
    if (index == 1) return ~Key{0};
    return RandomBits(seed, index, 0x6b6579);
  }
  std::uint64_t DenseRowOf(std::uint64_t row) const {
    return Mix64(seed ^ row) % tables[kDenseTable].row_count;
  }

  // The distinct keys of rows [begin, end) and `extra`, in ring order.
  std::vector<Key> KeysOf(std::uint64_t begin, std::uint64_t end, std::span<const Key> extra) const {
    std::vector<std::pair<std::uint64_t, Key>> keys;
    const auto add = [&](Key key) { keys.emplace_back(RingPosition(tables[kEmbeddingTable], key), key); };
    for (std::uint64_t row = begin; row < end; ++row) {
      for (std::uint32_t j = 0; j < keys_per_row; ++j) add(KeyOf(row, j));
    }
    for (Key key : extra) add(key);
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    std::vector<Key> out;
    for (const auto& [position, key] : keys) out.push_back(key);
    return out;
  }
  std::vector<Key> DenseKeys() const {
    std::vector<Key> keys(tables[kDenseTable].row_count);
    for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = i;
    return keys;
  }

  float GradientOf(std::uint32_t epoch, std::uint64_t row, std::uint32_t j, std::uint32_t i,
                   float weight) const {
    const std::uint64_t bits = RandomBits(seed + epoch, row, (std::uint64_t{j} << 32) + i);
    if (whole) return static_cast<float>(static_cast<int>(bits % 9) - 4);
    const float u = UniformFloat(bits) - 0.5f;
    return u + 0.3f * weight * UniformFloat(Mix64(bits));
  }

  // The gradients of rows [begin, end), summed in the order of the rows. The dense gradient has every row of the dense
  // table. Each of `markers` gets -1 everywhere.
  PlainTables Gradients(std::uint32_t epoch, std::uint64_t begin, std::uint64_t end,
                        std::span<const Key> markers, const Lookup& weights) const {
    PlainTables out;
    const auto row_of = [&](TableId table, Key key) -> std::vector<float>& {
      PlainRow& row = out[table][RingPosition(tables[table], key)];
      row.key = key;
      if (row.values.empty()) row.values.assign(tables[table].dim, 0.0f);
      return row.values;
    };
    for (std::uint64_t d = 0; d < tables[kDenseTable].row_count; ++d) row_of(kDenseTable, d);
    const auto add = [&](TableId table, Key key, std::uint64_t row, std::uint32_t j) {
      std::vector<float>& values = row_of(table, key);
      ++out[table][RingPosition(tables[table], key)].count;
      const float* w = whole ? nullptr : weights(table, key);
      for (std::uint32_t i = 0; i < values.size(); ++i)
        values[i] += GradientOf(epoch, row, j, i, w ? w[i] : 0.0f);
    };
    for (std::uint64_t row = begin; row < end; ++row) {
      for (std::uint32_t j = 0; j < keys_per_row; ++j) add(kEmbeddingTable, KeyOf(row, j), row, j);
      add(kDenseTable, DenseRowOf(row), row, 0x64656e);
    }
    for (Key key : markers) {
      for (float& value : row_of(kEmbeddingTable, key)) value -= 1.0f;
      ++out[kEmbeddingTable][RingPosition(tables[kEmbeddingTable], key)].count;
    }
    return out;
  }

  // Gradients as they travel: each table's rounded to its push_values.
  PlainTables Rounded(PlainTables gradients) const {
    for (auto& [table, rows] : gradients) {
      for (auto& [position, row] : rows)
        RoundValues(tables[table].push_values, row.values.data(), row.values.size());
    }
    return gradients;
  }

  float PredictionOf(std::uint64_t row, const Lookup& weights) const {
    float sum = weights(kDenseTable, DenseRowOf(row))[0];
    for (std::uint32_t j = 0; j < keys_per_row; ++j) sum += weights(kEmbeddingTable, KeyOf(row, j))[0];
    return sum;
  }
};

// The model on one process: rows with their optimizer state.
class PlainModel {
 public:
  explicit PlainModel(const Workload& workload) : workload_(workload) {
    for (const TableSpec& table : workload.tables) {
      optimizers_.emplace_back(table.optimizer, table.dim);
      policies_.emplace_back(table, workload.seed);
    }
    for (std::uint64_t d = 0; d < workload.tables[kDenseTable].row_count; ++d) RowOf(kDenseTable, d);
  }

  // Weights, or what an absent row counts as.
  const float* Weights(TableId table, Key key, bool zero_if_absent) {
    const TableSpec& spec = workload_.tables[table];
    auto& rows = tables_[table];
    auto found = rows.find(RingPosition(spec, key));
    if (found != rows.end()) return found->second.values.data();
    scratch_.assign(spec.dim, 0.0f);
    if (!zero_if_absent) InitializeRow(spec, workload_.seed, key, scratch_.data());
    return scratch_.data();
  }
  void Apply(const PlainTables& gradients, Clock clock) {
    for (const auto& [table, rows] : gradients) {
      const bool policy = workload_.tables[table].policy.Any();
      for (const auto& [position, row] : rows) {
        if (policy && !policies_[table].Update(row.key, row.count, clock)) continue;
        std::vector<float>& weights = RowOf(table, row.key);
        optimizers_[table].Step(row.values.data(), weights.data());
        RoundPlainly(workload_.tables[table], workload_.seed, clock, row.key, weights.data());
      }
      if (!policy) continue;
      for (Key key : policies_[table].EndClock(clock))
        tables_[table].erase(RingPosition(workload_.tables[table], key));
    }
  }
  const PlainTables& tables() const { return tables_; }
  const PlainPolicy& policy(TableId table) const { return policies_[table]; }

 private:
  std::vector<float>& RowOf(TableId table, Key key) {
    const TableSpec& spec = workload_.tables[table];
    PlainRow& row = tables_[table][RingPosition(spec, key)];
    if (row.values.empty()) {
      row.key = key;
      row.values.resize(optimizers_[table].row_floats());
      InitializeRow(spec, workload_.seed, key, row.values.data());
      optimizers_[table].InitState(row.values.data());
    }
    return row.values;
  }

  const Workload& workload_;
  std::vector<Optimizer> optimizers_;
  std::vector<PlainPolicy> policies_;
  PlainTables tables_;
  std::vector<float> scratch_;
};

// left + right, row by row; nothing is added to what one side lacks.
inline PlainTables PlainSum(const PlainTables& left, const PlainTables& right) {
  PlainTables out = left;
  for (const auto& [table, rows] : right) {
    for (const auto& [position, row] : rows) {
      auto [at, absent] = out[table].emplace(position, row);
      if (absent) continue;
      at->second.count += row.count;
      for (std::size_t i = 0; i < row.values.size(); ++i) at->second.values[i] += row.values[i];
    }
  }
  return out;
}

// The sum of slices [begin, end) of a binary tree, every node rounded as it would travel; a slice that is not there is
// skipped.
inline std::optional<PlainTables> PlainTreeSum(const Workload& workload,
                                               const std::vector<std::optional<PlainTables>>& slices,
                                               std::size_t begin, std::size_t end) {
  if (end - begin == 1) return slices[begin];
  const std::size_t middle = begin + (end - begin) / 2;
  auto left = PlainTreeSum(workload, slices, begin, middle),
       right = PlainTreeSum(workload, slices, middle, end);
  if (!left) return right;
  if (!right) return left;
  return workload.Rounded(PlainSum(*left, *right));
}

// The rows of slice `slice` of the global batch at `batch` (0, 1, …) of an epoch over `rows` rows; perhaps none.
struct RowRange {
  std::uint64_t begin = 0, end = 0;
};
inline RowRange RowsOfSlice(std::uint64_t rows, std::uint32_t batch_size, std::uint32_t slices,
                            std::uint64_t batch, std::uint32_t slice) {
  // Row r of a batch belongs to slice floor(r * slices / batch_size): the first of slice s is ceil(s * batch / slices).
  const auto first = [&](std::uint64_t s) {
    return batch * batch_size + (s * batch_size + slices - 1) / slices;
  };
  return {std::min(rows, first(slice)), std::min(rows, first(slice + 1))};
}

}  // namespace cohort

#endif  // COHORT_TESTS_SUPPORT_WORKLOAD_H_
