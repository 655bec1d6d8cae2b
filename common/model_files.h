// RUN_DIR/model/: what training leaves and everything else starts from: manifest.json and one part per shard
// (model_part.h). It restores onto any number of shards.
//
// The manifest is the only thing that makes parts a model: it is written last, atomically, and holds each
// part's size and checksum and the hash over all rows. It carries a checksum of itself, so that a flipped bit
// anywhere is found.
#ifndef COHORT_COMMON_MODEL_FILES_H_
#define COHORT_COMMON_MODEL_FILES_H_

#include <bitset>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/row_hash.h"
#include "common/status.h"
#include "common/table_spec.h"
#include "common/types.h"

namespace cohort {

// 2: has an incremental checkpoint's layers; what has none is written as 1.
inline constexpr int kModelFormat = 2;
inline constexpr const char* kManifestFile = "manifest.json";  // in a model's directory

// A file below a part's own: rows of a former checkpoint, as far as nothing newer hides them (model_part_reader.h).
struct ModelLayer {
  std::string file;  // within the model's directory
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;  // XXH3-64
};

struct ModelPart {
  std::string file;  // within the model's directory
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;  // XXH3-64
  std::uint64_t rows = 0;      // of all its layers, as far as they are not hidden
  // Of checkpoints, where each shard needs some parts only: over the part's rows, and the slot groups that these belong to.
  std::optional<Hash128> hash;
  std::optional<std::bitset<kSlotGroupCount>> groups;
  // Of incremental checkpoints: the files below, the oldest first. The hash over the part's rows is not known then.
  std::vector<ModelLayer> layers;
};

struct ModelManifest {
  std::vector<TableSpec> tables;
  std::vector<ModelPart> parts;  // by shard
  // row_hash.h, over all parts. Of an incremental checkpoint, whoever has read all rows knows it: VerifyModel puts it in.
  std::optional<Hash128> hash;
  // Of binary tasks, by name: where a prediction counts as positive, chosen on the valid split (docs/metrics.md).
  std::map<std::string, double> thresholds;
  std::string kernels;           // the numerical path that the hash belongs to: "avx2" | "avx512" | "avx512_bf16"
  std::uint64_t seed = 0;
  std::string run_config;  // TOML, resolved (config.h)
  std::string
      dataset_info;  // JSON: features and tasks with the statistics the model was trained on (dataset.h)
  // Of a checkpoint: JSON that says where in the run it was made, as the scheduler needs to know. Empty: a model.
  std::string checkpoint;
  std::uint64_t rows() const {
    std::uint64_t sum = 0;
    for (const ModelPart& part : parts) sum += part.rows;
    return sum;
  }
};

// The directory with the manifest: PATH itself, or PATH/model when PATH is a run's directory. kInvalidInput
// if neither.
Result<std::string> FindModel(const std::string& path);

// Writes `directory`/manifest.json. The parts are there already.
Status WriteModelManifest(const std::string& directory, const ModelManifest& manifest);
// Errors: kInvalidInput, there is none; kCorrupt, it is not as it was written.
Result<ModelManifest> ReadModelManifest(const std::string& directory);

// Some rows of a table: row i is rows[i * row_floats ..): weights, then optimizer state.
struct ModelRows {
  const TableSpec* table = nullptr;
  std::uint32_t row_floats = 0;
  std::span<const Key> keys;
  const float* rows = nullptr;
  std::span<const std::uint64_t> statistics;  // one a row, or none (model_part.h)
};
class ModelPartReader;
using VisitRows = std::function<Status(const ModelRows&)>;

// Visits all rows of a model, block by block. Everything that can be checked is: size and checksum of a part
// before it is opened, then the order of its keys (where they ascend), that no dense row comes twice, the number of rows, and
// the hashes. Errors name the file; the visitor has seen rows by then. That no key of a sparse table comes twice is
// left to the visitor where keys do not ascend. `*hash`, if wanted, is that over all rows.
Status VisitModel(const std::string& directory, const ModelManifest& manifest, const VisitRows& visit,
                  Hash128* hash = nullptr);

// Dense rows that have been seen, by table: none may come twice.
using DenseRowsSeen = std::map<TableId, std::vector<bool>>;
// The same for one part: opens it, leaves it open in `*reader` and adds what its rows come to to `*hash`.
Status VisitModelPart(const std::string& directory, const ModelManifest& manifest, const ModelPart& part,
                      const VisitRows& visit, DenseRowsSeen* seen, Hash128* hash,
                      std::unique_ptr<ModelPartReader>* reader);

// Sizes and checksums of a part's files against the manifest.
Status CheckModelPart(const std::string& directory, const ModelPart& part);
// Opens a part that has been checked, for some of the model's tables.
Result<std::unique_ptr<ModelPartReader>> OpenModelPart(const std::string& directory, const ModelPart& part,
                                                       std::span<const TableSpec> tables);

// `cohort verify`: reads the whole model, finds it as its manifest says, and returns that with the hash. `progress` hears of the rows read so far, and
// of how many there are.
Result<ModelManifest> VerifyModel(const std::string& path,
                                  const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

}  // namespace cohort

#endif  // COHORT_COMMON_MODEL_FILES_H_
