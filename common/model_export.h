// `cohort export`: a model's weights for other programs, without optimizer state. What is written depends on the model
// alone, not on how many shards wrote it.
//
// HDF5: a group per table, named by it. A sparse table: keys (n) u64, ascending | weights (n, dim) f32. The dense table:
// weights (count) f32, all dense weights as one vector, padded with zeros to whole rows.
// CSV, one table: "key,w0,w1,…" with keys of 16 hexadecimal digits; the dense table: "index,value".
// Numbers in CSV are the shortest that read back as the same float.
//
// The key of an embedding is the hash of (feature, raw value), so it cannot be turned back; but who has the raw values can
// name them. With values given, a sparse table's rows are those of the values, in their order: "feature,value,key,w0,…",
// with empty cells for a value that the model has never seen; in HDF5 feature and value (n) text, keys, weights (NaN where
// not seen).
#ifndef COHORT_COMMON_MODEL_EXPORT_H_
#define COHORT_COMMON_MODEL_EXPORT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/types.h"

namespace cohort {

enum class ExportFormat : std::uint8_t { kHdf5 = 0, kCsv };

struct NamedValue {
  std::string feature;
  std::string value;
  Key key = 0;  // CategoryKey(feature, value)
};

struct ExportOptions {
  std::string out;
  ExportFormat format = ExportFormat::kHdf5;
  std::vector<std::string> tables;                // by name; empty: all (CSV: there must be only one)
  std::optional<std::vector<NamedValue>> values;  // then at least one sparse table
};

struct ExportSummary {
  std::vector<std::string> tables;
  std::uint64_t rows = 0;
  std::uint64_t values_not_found = 0;
};

// Parts are checked against the manifest first. Memory does not grow with the model, but with the number of values; of a
// checkpoint, whose rows lie in no order, the table being exported is in memory twice.
// `progress` hears of the rows read so far. OUT appears complete or not at all.
Result<ExportSummary> ExportModel(const std::string& path, const ExportOptions& options,
                                  const std::function<void(std::uint64_t)>& progress);

}  // namespace cohort

#endif  // COHORT_COMMON_MODEL_EXPORT_H_
