#include "server/snapshot.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "common/checkpoint_files.h"
#include "common/model_files.h"
#include "common/model_part.h"
#include "common/model_part_reader.h"
#include "server/part_state.h"
#include "server/part_writer.h"

namespace cohort {
namespace {

Status WritePart(const std::string& path, std::span<const EmbeddingTable* const> tables, SnapshotDone* done) {
  COHORT_ASSIGN_OR_RETURN(ModelPartWriter writer, ModelPartWriter::Create(path));
  for (const EmbeddingTable* table : tables) {
    const auto fetch = [table](std::span<const Key> keys, float* rows) {
      return table->CopyRows(keys, rows);
    };
    COHORT_RETURN_IF_ERROR(
        writer.AppendTable(table->spec(), table->optimizer().row_floats(), table->SortedKeys(), fetch));
  }
  COHORT_ASSIGN_OR_RETURN(const ModelPartSummary summary, writer.Finish());
  done->bytes = summary.bytes;
  done->checksum = summary.checksum;
  done->rows = summary.rows;
  done->hash_low = summary.hash.low;
  done->hash_high = summary.hash.high;
  return {};
}

}  // namespace

std::string PartFileName(std::uint32_t shard, std::uint32_t number) {
  char name[40];
  if (number == 0) {
    std::snprintf(name, sizeof(name), "part-%05u.h5", shard);
  } else {
    std::snprintf(name, sizeof(name), "part-%05u-%u.h5", shard, number);
  }
  return name;
}

SnapshotDone Hdf5SnapshotStore::Write(const std::string& directory, std::uint32_t shard,
                                      std::span<const EmbeddingTable* const> tables) {
  SnapshotDone done;
  std::uint32_t number = 0;
  std::error_code ignored;
  while (std::filesystem::exists(directory + "/" + PartFileName(shard, number), ignored)) ++number;
  done.file = PartFileName(shard, number);
  const Status status = WritePart(directory + "/" + done.file, tables, &done);
  if (!status.ok()) done.error = status.text();
  return done;
}

namespace {

// Puts rows of a model into the tables of a shard.
class RowLoader {
 public:
  RowLoader(std::string directory, const OwnedGroups& owned, std::span<EmbeddingTable* const> tables)
      : directory_(std::move(directory)), owned_(owned), tables_(tables) {}

  // Whether the model's tables are the run's.
  Status Check(const ModelManifest& manifest) {
    for (EmbeddingTable* table : tables_) {
      const TableSpec& spec = table->spec();
      const auto same = [&spec](const TableSpec& other) {
        return other.id == spec.id && other.kind == spec.kind && other.dim == spec.dim &&
               other.row_count == spec.row_count && other.optimizer.kind == spec.optimizer.kind &&
               other.dtype == spec.dtype;
      };
      if (std::none_of(manifest.tables.begin(), manifest.tables.end(), same)) {
        return {ErrorCode::kInvalidInput,
                directory_ + ": its table " + spec.name + " is not the run's (dim " +
                    std::to_string(spec.dim) + ", " + std::to_string(spec.row_count) + " dense rows, " +
                    FloatTypeName(spec.dtype) + ", optimizer " + OptimizerName(spec.optimizer.kind) +
                    "): use the configuration and the features that the model was trained with"};
      }
      by_id_[spec.id] = table;
    }
    return {};
  }
  Status Put(const ModelRows& block) {
    const auto it = by_id_.find(block.table->id);
    if (it == by_id_.end()) return {};
    EmbeddingTable& table = *it->second;
    if (block.row_floats != table.optimizer().row_floats()) {
      return {ErrorCode::kCorrupt, directory_ + ": table " + table.spec().name + " has rows of " +
                                       std::to_string(block.row_floats) + " floats, expected " +
                                       std::to_string(table.optimizer().row_floats())};
    }
    const bool watched = table.spec().policy.NeedsStatistics() && !block.statistics.empty();
    for (std::size_t i = 0; i < block.keys.size(); ++i) {
      const std::uint64_t position = RingPosition(table.spec(), block.keys[i]);
      if (!owned_[static_cast<std::size_t>(GroupOf(position))]) continue;
      table.Put(block.keys[i], block.rows + i * block.row_floats);
      if (watched) table.PutStatistics(block.keys[i], UnpackedStatistics(block.statistics[i]));
      ++loaded_[block.table->id];
    }
    if (!table.tier_full().ok()) return table.tier_full();
    return table.tier_failure();
  }
  // All rows have come: none twice, no dense one not at all.
  Status Finish() {
    for (const EmbeddingTable* table : tables_) {
      // Dense rows were all there, with initial values, before; a sparse table was empty.
      if (loaded_[table->spec().id] == table->size()) continue;
      return {ErrorCode::kCorrupt, directory_ + ": " + std::to_string(loaded_[table->spec().id]) +
                                       " rows of table " + table->spec().name + ", expected " +
                                       std::to_string(table->size())};
    }
    return {};
  }

 private:
  const std::string directory_;
  const OwnedGroups owned_;
  const std::span<EmbeddingTable* const> tables_;
  std::map<TableId, EmbeddingTable*> by_id_;
  std::map<TableId, std::uint64_t> loaded_;
};

}  // namespace

Status Hdf5SnapshotStore::Load(const std::string& model_path, const OwnedGroups& owned,
                               std::span<EmbeddingTable* const> tables) {
  COHORT_ASSIGN_OR_RETURN(const std::string directory, FindModel(model_path));
  COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(directory));
  RowLoader loader(directory, owned, tables);
  COHORT_RETURN_IF_ERROR(loader.Check(manifest));
  COHORT_RETURN_IF_ERROR(
      VisitModel(directory, manifest, [&loader](const ModelRows& block) { return loader.Put(block); }));
  return loader.Finish();
}

Result<std::vector<ShardState>> Hdf5SnapshotStore::Resume(const std::string& model_path,
                                                          const OwnedGroups& owned,
                                                          std::span<EmbeddingTable* const> tables) {
  COHORT_ASSIGN_OR_RETURN(const std::string directory, FindModel(model_path));
  COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(directory));
  RowLoader loader(directory, owned, tables);
  COHORT_RETURN_IF_ERROR(loader.Check(manifest));
  std::vector<TableId> ids;
  for (const EmbeddingTable* table : tables) ids.push_back(table->spec().id);
  std::vector<ShardState> states;
  OwnedGroups found;
  DenseRowsSeen seen;
  Hash128 hash;
  bool all = true;
  for (const ModelPart& part : manifest.parts) {
    if (part.groups && (*part.groups & owned).none()) {
      all = false;
      continue;
    }
    std::unique_ptr<ModelPartReader> reader;
    COHORT_RETURN_IF_ERROR(VisitModelPart(
        directory, manifest, part, [&loader](const ModelRows& block) { return loader.Put(block); }, &seen,
        &hash, &reader));
    COHORT_ASSIGN_OR_RETURN(ShardState state, ReadShardState(*reader, directory + "/" + part.file, ids));
    if ((found & state.groups).any()) {
      return Error(ErrorCode::kCorrupt, directory + "/" + part.file + ": has slot groups of another part");
    }
    found |= state.groups;
    if ((state.groups & owned).any()) states.push_back(std::move(state));
  }
  if ((owned & ~found).any())
    return Error(ErrorCode::kCorrupt, directory + ": some slot groups are in no part of the checkpoint");
  if (all && manifest.hash && hash != *manifest.hash)
    return Error(ErrorCode::kCorrupt, directory + ": the hash over all rows is " + ToHex(hash) +
                                          ", the manifest says " + ToHex(*manifest.hash));
  COHORT_RETURN_IF_ERROR(loader.Finish());
  return states;
}

bool Hdf5SnapshotStore::HasCheckpoint(const std::string& checkpoint_path, std::uint64_t number) {
  std::error_code ignored;
  return std::filesystem::exists(CheckpointFolder(checkpoint_path, number) + "/" + kManifestFile, ignored);
}

std::unique_ptr<CheckpointWriter> Hdf5SnapshotStore::WriteCheckpoint(const CheckpointPart& part) {
  return std::make_unique<PartWriter>(part, options_.wake, options_.core_share);
}

}  // namespace cohort
