// A part of a model: the rows of one shard, in one HDF5 file. A model is a manifest and any number of parts
// (model_files.h).
//
// Rows are written as floats, whatever the dtype of the table: 16-bit weights are floats, exactly.
//
// Format 2, object times off. Root attributes: format, ascending (0 or 1). Per table a group "table_<id>" with
//   keys (n) u64, distinct; ascending if the file says so | weights (n, dim) f32
//   state (n, s) f32: the optimizer's state; missing when s = 0
//   statistics (n) u64: in a checkpoint of a table whose policy keeps them (server/row_index.h)
// A checkpoint's part also has a group "shard": what a shard is beside its rows (server/part_state.h). Format 1 is the same
// without attribute ascending: keys ascend.
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

inline constexpr int kModelPartFormat = 2;

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
  // `ascending`: the keys of each table will come in that order.
  static Result<ModelPartWriter> Create(const std::string& path, bool ascending = true);
  // A table whose rows come later, in any number of Append. `rows`: how many, about. REQUIRES: a row has `row_floats` >= dim
  // floats; a table once.
  Status BeginTable(const TableSpec& table, std::uint32_t row_floats, std::uint64_t rows,
                    bool statistics = false);
  // values: each row's weights, then its state, `stride` floats from row to row (0: row_floats). statistics: as many as
  // keys, or none, as BeginTable was told.
  Status Append(TableId table, std::span<const Key> keys, const float* values, std::size_t stride = 0,
                std::span<const std::uint64_t> statistics = {});
  // A whole table.
  Status AppendTable(const TableSpec& table, std::uint32_t row_floats, std::span<const Key> keys,
                     const RowFetch& fetch);
  // Something else: one array under a name of its own ("shard/closed").
  template <typename T>
  Status WriteArray(const std::string& name, std::span<const T> values) {
    return writer_->WriteAll<T>(name, values);
  }
  // What has been written starts its way to the disk, so that Finish has less to wait for.
  void StartWriteback() { file_.StartWriteback(); }
  Result<ModelPartSummary> Finish();

 private:
  // Rows of a table that wait for their block to be full.
  struct Table {
    std::string group;
    std::uint32_t dim = 0, row_floats = 0;
    std::size_t block = 1;  // rows
    bool has_statistics = false;
    std::vector<Key> keys;
    std::vector<float> weights, state;
    std::vector<std::uint64_t> statistics;
  };
  ModelPartWriter(AtomicFile file, std::unique_ptr<Hdf5Writer> writer)
      : file_(std::move(file)), writer_(std::move(writer)) {}
  Status Flush(Table& table);

  AtomicFile file_;
  std::unique_ptr<Hdf5Writer> writer_;
  std::map<TableId, Table> tables_;
  ModelPartSummary summary_;
  RowHasher hasher_;
};

// Reads one such file, whose checksum has been found right. What its arrays claim is checked all the same. Parts of checkpoints
// may lie in several files, of which model_part_reader.h makes one.
class PartFileReader {
 public:
  // Errors (kCorrupt): a table of `tables` is missing or of another shape.
  static Result<std::unique_ptr<PartFileReader>> Open(const std::string& path,
                                                      std::span<const TableSpec> tables);

  // Whether the keys of each table ascend.
  bool ascending() const { return ascending_; }
  std::uint64_t rows(TableId table) const { return shapes_.at(table).rows; }
  bool has_statistics(TableId table) const { return shapes_.at(table).statistics; }
  std::uint32_t row_floats(TableId table) const {
    return shapes_.at(table).dim + shapes_.at(table).state_floats;
  }
  // Reads rows [first, first + count) of a table: keys, and weights and state of each row side by side.
  // REQUIRES: the rows exist.
  Status Read(TableId table, std::uint64_t first, std::uint64_t count, std::vector<Key>* keys,
              std::vector<float>* rows);
  // The keys alone.
  Status ReadKeys(TableId table, std::uint64_t first, std::uint64_t count, std::vector<Key>* keys) const;
  // REQUIRES: has_statistics(table).
  Status ReadStatistics(TableId table, std::uint64_t first, std::vector<std::uint64_t>* statistics) const;
  bool Has(const std::string& name) const { return reader_->Has(name); }
  template <typename T>
  Result<std::vector<T>> ReadArray(const std::string& name) const {
    return reader_->ReadAll<T>(name);
  }

 private:
  struct Shape {
    std::uint64_t rows = 0;
    std::uint32_t dim = 0;
    std::uint32_t state_floats = 0;
    bool statistics = false;
  };
  explicit PartFileReader(std::unique_ptr<Hdf5Reader> reader) : reader_(std::move(reader)) {}

  std::unique_ptr<Hdf5Reader> reader_;
  bool ascending_ = true;
  std::map<TableId, Shape> shapes_;
  std::vector<float> weights_, state_;  // reused
};

}  // namespace cohort

#endif  // COHORT_COMMON_MODEL_PART_H_
