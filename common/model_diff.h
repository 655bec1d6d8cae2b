// What differs between two models or checkpoints, row by row, for `cohort diff`. They may be cut into parts in any way.
//
// Both are checked whole first. If their hashes are the same, so are their rows. Else the ring of keys (table_spec.h) is walked
// along in so many pieces that a piece of A fits into memory; parts that have nothing of a piece are not read for it.
#ifndef COHORT_COMMON_MODEL_DIFF_H_
#define COHORT_COMMON_MODEL_DIFF_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/model_files.h"
#include "common/status.h"
#include "common/types.h"

namespace cohort {

// Of a table, by name.
struct TableDiff {
  std::string name;
  std::uint64_t rows_a = 0, rows_b = 0;  // a table that one does not have has no rows
  // Why rows of the same key cannot be compared ("dim 8 in A, 16 in B"); empty: they can. Then they count as different.
  std::string incomparable;
  // Why optimizer states are not compared; empty: they are.
  std::string other_optimizer;
  std::uint64_t only_a = 0, only_b = 0;
  std::uint64_t differ = 0;  // rows of both, of which a bit differs: of these,
  std::uint64_t weights_differ = 0, states_differ = 0;
  // The largest absolute difference of a weight, and of a value of the state, and whose it is; infinite if one of the two is
  // not a number.
  double largest_weight = 0, largest_state = 0;
  std::optional<Key> largest_weight_key, largest_state_key;

  bool same() const {
    return only_a == 0 && only_b == 0 && differ == 0 && incomparable.empty() && other_optimizer.empty();
  }
};

struct ModelDiff {
  ModelManifest a, b;
  std::vector<TableDiff> tables;  // A's in their order, then those of B alone
  bool same() const;
};

struct DiffOptions {
  std::uint64_t memory_bytes = std::uint64_t{256} << 20;  // of A's rows at a time, about
  // Hears what is being done, and how far it is: rows of so many.
  std::function<void(const char* what, std::uint64_t, std::uint64_t)> progress;
};

// Errors: kInvalidInput, there is no model; kCorrupt, one is damaged.
Result<ModelDiff> DiffModels(const std::string& a, const std::string& b, const DiffOptions& options = {});

}  // namespace cohort

#endif  // COHORT_COMMON_MODEL_DIFF_H_
