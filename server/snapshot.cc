#include "server/snapshot.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <vector>

#include "common/model_files.h"
#include "common/model_part.h"

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

Status Hdf5SnapshotStore::Load(const std::string& model_path, const OwnedGroups& owned,
                               std::span<EmbeddingTable* const> tables) {
  COHORT_ASSIGN_OR_RETURN(const std::string directory, FindModel(model_path));
  COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(directory));
  std::map<TableId, EmbeddingTable*> by_id;
  for (EmbeddingTable* table : tables) {
    const TableSpec& spec = table->spec();
    const auto same = [&spec](const TableSpec& other) {
      return other.id == spec.id && other.kind == spec.kind && other.dim == spec.dim &&
             other.row_count == spec.row_count && other.optimizer.kind == spec.optimizer.kind &&
             other.dtype == spec.dtype;
    };
    if (std::none_of(manifest.tables.begin(), manifest.tables.end(), same)) {
      return {ErrorCode::kInvalidInput,
              directory + ": its table " + spec.name + " is not the run's (dim " + std::to_string(spec.dim) +
                  ", " + std::to_string(spec.row_count) + " dense rows, " + FloatTypeName(spec.dtype) +
                  ", optimizer " + OptimizerName(spec.optimizer.kind) +
                  "): use the configuration and the features that the model was trained with"};
    }
    by_id[spec.id] = table;
  }
  std::map<TableId, std::uint64_t> loaded;
  COHORT_RETURN_IF_ERROR(VisitModel(directory, manifest, [&](const ModelRows& block) -> Status {
    const auto it = by_id.find(block.table->id);
    if (it == by_id.end()) return {};
    EmbeddingTable& table = *it->second;
    if (block.row_floats != table.optimizer().row_floats()) {
      return {ErrorCode::kCorrupt, directory + ": table " + table.spec().name + " has rows of " +
                                       std::to_string(block.row_floats) + " floats, expected " +
                                       std::to_string(table.optimizer().row_floats())};
    }
    for (std::size_t i = 0; i < block.keys.size(); ++i) {
      const std::uint64_t position = RingPosition(table.spec(), block.keys[i]);
      if (!owned[static_cast<std::size_t>(GroupOf(position))]) continue;
      table.Put(block.keys[i], block.rows + i * block.row_floats);
      ++loaded[block.table->id];
    }
    if (!table.tier_full().ok()) return table.tier_full();
    return table.tier_failure();
  }));
  for (const EmbeddingTable* table : tables) {
    // Dense rows were all there, with initial values, before; a sparse table was empty.
    if (loaded[table->spec().id] == table->size()) continue;
    return {ErrorCode::kCorrupt, directory + ": " + std::to_string(loaded[table->spec().id]) +
                                     " rows of table " + table->spec().name + ", expected " +
                                     std::to_string(table->size())};
  }
  return {};
}

}  // namespace cohort
