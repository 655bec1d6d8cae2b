// A part of a model: the rows of one shard, in one HDF5 file. A model is a manifest and any number of parts
// (model_files.h).
//
// Rows are written as floats, whatever the dtype of the table: 16-bit weights are floats, exactly.
//
// Format 1, object times off. Root attribute: format. Per table a group "table_<id>" with
//   keys (n) u64, ascending | weights (n, dim) f32 | state (n, s) f32: the optimizer's state; missing when s
//   = 0
#ifndef COHORT_COMMON_MODEL_PART_H_
#define COHORT_COMMON_MODEL_PART_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/atomic_file.h"
#include "common/hdf5_file.h"
#include "common/row_hash.h"
#include "common/status.h"
#include "common/table_spec.h"

namespace cohort {

inline constexpr int kModelPartFormat = 1;

// Fetches the rows of some keys, all of which exist: weights, then optimizer state, one row after the other. Its failure
// ends the writing.
using RowFetch = std::function<Status(std::span<const Key> keys, float* rows)>;

struct ModelPartSummary {
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;  // XXH3-64 of the file
  std::uint64_t rows = 0;
  Hash128 hash;  // sum over the part's rows
};

// Writes PATH.tmp; PATH appears when Finish succeeds. Without Finish nothing stays.
class ModelPartWriter {
 public:
  static Result<ModelPartWriter> Create(const std::string& path);
  // REQUIRES: keys ascend; a row has `row_floats` >= dim floats; a table once.
  Status AppendTable(const TableSpec& table, std::uint32_t row_floats, std::span<const Key> keys,
                     const RowFetch& fetch);
  Result<ModelPartSummary> Finish();

 private:
  ModelPartWriter(AtomicFile file, std::unique_ptr<Hdf5Writer> writer)
      : file_(std::move(file)), writer_(std::move(writer)) {}

  AtomicFile file_;
  std::unique_ptr<Hdf5Writer> writer_;
  ModelPartSummary summary_;
  RowHasher hasher_;
};

// Reads a part whose checksum has been found right. What its arrays claim is checked all the same.
class ModelPartReader {
 public:
  // Errors (kCorrupt): a table of `tables` is missing or of another shape.
  static Result<std::unique_ptr<ModelPartReader>> Open(const std::string& path,
                                                       std::span<const TableSpec> tables);

  std::uint64_t rows(TableId table) const { return shapes_.at(table).rows; }
  std::uint32_t row_floats(TableId table) const {
    return shapes_.at(table).dim + shapes_.at(table).state_floats;
  }
  // Reads rows [first, first + count) of a table: keys, and weights and state of each row side by side.
  // REQUIRES: the rows exist.
  Status Read(TableId table, std::uint64_t first, std::uint64_t count, std::vector<Key>* keys,
              std::vector<float>* rows);

 private:
  struct Shape {
    std::uint64_t rows = 0;
    std::uint32_t dim = 0;
    std::uint32_t state_floats = 0;
  };
  explicit ModelPartReader(std::unique_ptr<Hdf5Reader> reader) : reader_(std::move(reader)) {}

  std::unique_ptr<Hdf5Reader> reader_;
  std::map<TableId, Shape> shapes_;
  std::vector<float> weights_, state_;  // reused
};

}  // namespace cohort

#endif  // COHORT_COMMON_MODEL_PART_H_
