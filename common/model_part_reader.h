// ModelPartReader: the rows of a part of a model, in one file (model_part.h) or, of an incremental checkpoint, in several: layers,
// the oldest first. A row of a layer hides those of the same key in the layers below it; what is hidden nobody sees.
#ifndef COHORT_COMMON_MODEL_PART_READER_H_
#define COHORT_COMMON_MODEL_PART_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/model_part.h"
#include "common/status.h"
#include "common/table_spec.h"
#include "common/types.h"

namespace cohort {

class ModelPartReader {
 public:
  static constexpr std::size_t kMostFiles = 32;

  // `files`: the oldest layer first, the part's own file last; their checksums have been found right. `rows`: of the part; a layer has
  // no more. With layers it reads the keys of all of them at once, and takes some 10 bytes for each row above the lowest layer
  // while it opens, and a bit for each row of all files then. Errors (kCorrupt): as PartFileReader's; layers that do not fit
  // together. REQUIRES: 1 to kMostFiles files.
  static Result<std::unique_ptr<ModelPartReader>> Open(std::span<const std::string> files,
                                                       std::span<const TableSpec> tables, std::uint64_t rows);
  static Result<std::unique_ptr<ModelPartReader>> Open(const std::string& file,
                                                       std::span<const TableSpec> tables) {
    return Open(std::span(&file, 1), tables, 0);
  }

  // Whether the keys of each table ascend.
  bool ascending() const { return files_.size() == 1 && top().ascending(); }
  std::uint64_t rows(TableId table) const;
  bool has_statistics(TableId table) const { return top().has_statistics(table); }
  std::uint32_t row_floats(TableId table) const { return top().row_floats(table); }
  // Reads rows [first, first + count) of a table, in the order of its layers: keys, and weights and state of each row side by
  // side. REQUIRES: the rows exist.
  Status Read(TableId table, std::uint64_t first, std::uint64_t count, std::vector<Key>* keys,
              std::vector<float>* rows);
  // REQUIRES: has_statistics(table); then there is one layer.
  Status ReadStatistics(TableId table, std::uint64_t first, std::vector<std::uint64_t>* statistics) const {
    return top().ReadStatistics(table, first, statistics);
  }
  // What is beside the rows is that of the newest layer.
  bool Has(const std::string& name) const { return top().Has(name); }
  template <typename T>
  Result<std::vector<T>> ReadArray(const std::string& name) const {
    return top().ReadArray<T>(name);
  }

 private:
  // What of one table is seen of a layer.
  struct Seen {
    std::vector<bool> hidden;           // by row; empty: none is
    std::vector<std::uint64_t> before;  // rows seen before each block of kRowsScanned; with `hidden` only
    std::uint64_t rows = 0;             // seen
  };
  const PartFileReader& top() const { return *files_.back(); }
  class KeySet;
  Status Overlay(TableId table);
  Status Hide(TableId table, std::size_t layer, const KeySet& above);
  // Calls visit(first, keys) for the rows of a layer, piece by piece.
  Status VisitKeys(TableId table, std::size_t layer,
                   const std::function<void(std::uint64_t first, std::span<const Key> keys)>& visit);
  Status ReadLayer(std::size_t layer, TableId table, std::uint64_t first, std::uint64_t count,
                   std::vector<Key>* keys, std::vector<float>* rows);

  std::vector<std::unique_ptr<PartFileReader>> files_;  // the oldest first
  std::map<TableId, std::vector<Seen>> seen_;           // by layer; with several only
  std::vector<Key> layer_keys_;                         // reused
  std::vector<float> layer_rows_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_MODEL_PART_READER_H_
