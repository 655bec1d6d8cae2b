// What a model or a checkpoint holds, for `cohort inspect`: rows by part and table, whether each part's file is as it was
// written, and single rows. Memory does not grow with the model.
#ifndef COHORT_COMMON_MODEL_CONTENTS_H_
#define COHORT_COMMON_MODEL_CONTENTS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/model_files.h"
#include "common/status.h"
#include "common/types.h"

namespace cohort {

struct PartContents {
  Status status;                    // what is wrong with the file; then nothing is known of its rows
  std::vector<std::uint64_t> rows;  // by table, as ModelManifest::tables
};

struct ModelContents {
  std::string directory;
  ModelManifest manifest;
  std::vector<PartContents> parts;  // as ModelManifest::parts

  // Of the parts that can be read.
  std::uint64_t RowsOf(std::size_t table) const;
  // What these rows take: key, weights and optimizer state. As files keep them, weights are float32 in every table.
  std::uint64_t BytesOf(std::size_t table) const;
  // Of the first part that is not as it was written.
  Status status() const;
};

// Reads every file once, for its checksum, and of the rows no more than how many there are: `cohort verify` looks at them
// too. `progress` hears of the bytes read so far, and of how many there are. Errors: kInvalidInput, there is no model; kCorrupt,
// its manifest is damaged. Parts that are damaged are told in PartContents.
Result<ModelContents> ReadModelContents(
    const std::string& path, const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

struct FoundRow {
  std::string file;           // the part that has it
  std::vector<float> values;  // weights, then optimizer state (StateSlots)
  std::optional<std::uint64_t> statistics;
};
// The row of a key; nothing: there is none. Reads the parts that may have it, which are checked whole. `table` is one of the
// manifest's.
Result<std::optional<FoundRow>> FindRow(const ModelContents& contents, const TableSpec& table, Key key);

}  // namespace cohort

#endif  // COHORT_COMMON_MODEL_CONTENTS_H_
