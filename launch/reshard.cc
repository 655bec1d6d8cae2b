#include "launch/reshard.h"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "common/atomic_file.h"
#include "common/checkpoint_files.h"
#include "common/model_part.h"
#include "common/model_part_reader.h"
#include "common/row_hash.h"
#include "common/slot_map.h"
#include "server/part_state.h"
#include "server/shard_state.h"

namespace cohort {
namespace {

namespace fs = std::filesystem;

// Some rows of one table on their way to one part.
struct Rows {
  std::vector<Key> keys;
  std::vector<float> values;
  std::vector<std::uint64_t> statistics;
};

class Resharding {
 public:
  // `gone`, where it is given: of which keys no row is written.
  Resharding(std::string directory, ModelManifest manifest, std::uint32_t shards, std::string out,
             std::function<bool(Key)> gone = {})
      : directory_(std::move(directory)),
        manifest_(std::move(manifest)),
        out_(std::move(out)),
        gone_(std::move(gone)),
        slots_(SlotMap::Even(shards)),
        rows_(shards) {}

  Result<ModelManifest> Run(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    for (std::uint32_t shard = 0; shard < rows_.size(); ++shard) {
      COHORT_ASSIGN_OR_RETURN(
          ModelPartWriter writer,
          ModelPartWriter::Create(out_ + "/" + CheckpointPartName(shard), /*ascending=*/false));
      writers_.push_back(std::move(writer));
    }
    COHORT_RETURN_IF_ERROR(ReadParts(progress));
    COHORT_RETURN_IF_ERROR(WriteStates());
    return Finish();
  }
  std::uint64_t rows_gone() const { return rows_gone_; }

 private:
  Status ReadParts(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    std::vector<TableId> ids;
    for (const TableSpec& table : manifest_.tables) ids.push_back(table.id);
    DenseRowsSeen seen;
    Hash128 hash;
    std::uint64_t done = 0;
    for (const ModelPart& part : manifest_.parts) {
      std::unique_ptr<ModelPartReader> reader;
      const auto take = [&](const ModelRows& block) -> Status {
        COHORT_RETURN_IF_ERROR(Begin(*block.table, reader->has_statistics(block.table->id)));
        COHORT_RETURN_IF_ERROR(Distribute(part, block));
        done += block.keys.size();
        if (progress) progress(done, manifest_.rows());
        return {};
      };
      COHORT_RETURN_IF_ERROR(VisitModelPart(directory_, manifest_, part, take, &seen, &hash, &reader));
      // Tables without rows are tables as well.
      for (const TableSpec& table : manifest_.tables) {
        if (part.file == manifest_.parts.back().file || reader->rows(table.id) != 0)
          COHORT_RETURN_IF_ERROR(Begin(table, reader->has_statistics(table.id)));
      }
      if (manifest_.checkpoint.empty()) continue;
      COHORT_ASSIGN_OR_RETURN(ShardState state, ReadShardState(*reader, directory_ + "/" + part.file, ids));
      states_.push_back(std::move(state));
    }
    hash_ = hash;
    if (!manifest_.hash || hash == *manifest_.hash) return {};
    return {ErrorCode::kCorrupt, directory_ + ": the hash over all rows is " + ToHex(hash) +
                                     ", the manifest says " + ToHex(*manifest_.hash) +
                                     ": parts of different snapshots"};
  }

  Status Begin(const TableSpec& table, bool statistics) {
    if (const auto begun = statistics_.find(table.id); begun != statistics_.end()) {
      if (begun->second == statistics) return {};
      return {ErrorCode::kCorrupt, directory_ + ": some parts have statistics of table " + table.name +
                                       "'s rows, and some have none"};
    }
    statistics_[table.id] = statistics;
    for (ModelPartWriter& writer : writers_) {
      COHORT_RETURN_IF_ERROR(writer.BeginTable(table, RowFloats(table), manifest_.rows(), statistics));
    }
    return {};
  }

  Status Distribute(const ModelPart& part, const ModelRows& block) {
    const TableSpec& table = *block.table;
    if (block.row_floats != RowFloats(table)) {
      return {ErrorCode::kCorrupt, directory_ + "/" + part.file + ": table " + table.name + " has rows of " +
                                       std::to_string(block.row_floats) + " floats, expected " +
                                       std::to_string(RowFloats(table))};
    }
    for (std::size_t i = 0; i < block.keys.size(); ++i) {
      const float* const row = block.rows + i * block.row_floats;
      if (gone_ && table.kind == TableKind::kSparse && gone_(block.keys[i])) {
        hash_gone_ += hasher_.Hash(table.id, block.keys[i], std::span(row, block.row_floats));
        ++rows_gone_;
        continue;
      }
      Rows& rows = rows_[slots_.ShardOfGroup(GroupOf(RingPosition(table, block.keys[i])))];
      rows.keys.push_back(block.keys[i]);
      rows.values.insert(rows.values.end(), row, row + block.row_floats);
      if (!block.statistics.empty()) rows.statistics.push_back(block.statistics[i]);
    }
    for (std::size_t shard = 0; shard < rows_.size(); ++shard) {
      Rows& rows = rows_[shard];
      if (rows.keys.empty()) continue;
      COHORT_RETURN_IF_ERROR(
          writers_[shard].Append(table.id, rows.keys, rows.values.data(), block.row_floats, rows.statistics));
      rows.keys.clear(), rows.values.clear(), rows.statistics.clear();
    }
    return {};
  }

  OwnedGroups GroupsOf(std::size_t shard) const {
    OwnedGroups groups;
    for (int group = 0; group < kSlotGroupCount; ++group)
      groups[static_cast<std::size_t>(group)] = slots_.ShardOfGroup(group) == shard;
    return groups;
  }

  Status WriteStates() {
    if (states_.empty()) return {};
    for (std::size_t shard = 0; shard < writers_.size(); ++shard) {
      const auto state = StateOfGroups(states_, GroupsOf(shard));
      if (!state) return state.error().Within(directory_);
      COHORT_RETURN_IF_ERROR(WriteShardState(*state, &writers_[shard]));
    }
    return {};
  }

  Result<ModelManifest> Finish() {
    ModelManifest manifest = manifest_;
    manifest.parts.clear();
    Hash128 hash;
    for (std::size_t shard = 0; shard < writers_.size(); ++shard) {
      COHORT_ASSIGN_OR_RETURN(const ModelPartSummary summary, writers_[shard].Finish());
      manifest.parts.push_back({CheckpointPartName(static_cast<std::uint32_t>(shard)),
                                summary.bytes,
                                summary.checksum,
                                summary.rows,
                                summary.hash,
                                GroupsOf(shard),
                                {}});
      hash += summary.hash;
    }
    manifest.hash = hash;
    if (hash + hash_gone_ != hash_)
      return Error(ErrorCode::kInternal, out_ + ": the rows written are not those that were read");
    COHORT_RETURN_IF_ERROR(WriteModelManifest(out_, manifest));
    return manifest;
  }

  const std::string directory_;
  const ModelManifest manifest_;
  const std::string out_;
  const std::function<bool(Key)> gone_;
  const SlotMap slots_;
  std::vector<ModelPartWriter> writers_;
  std::vector<Rows> rows_;              // by shard
  std::map<TableId, bool> statistics_;  // of the tables that have begun
  std::vector<ShardState> states_;
  Hash128 hash_;  // over the rows that were read
  Hash128 hash_gone_;
  std::uint64_t rows_gone_ = 0;
  RowHasher hasher_;
};

// Has `write` fill the folder `out`, which is made. Without success nothing stays.
template <typename Write>
Result<ModelManifest> InNewFolder(const std::string& out, const Write& write) {
  std::error_code error;
  if (!fs::create_directory(out, error)) {
    if (!error || error == std::errc::file_exists)
      return InvalidInput(out + " exists; choose another folder, it will be made");
    return InvalidInput(out + ": cannot be made: " + error.message() +
                        "; its parent folder must exist and be writable");
  }
  Result<ModelManifest> written = write();
  if (written) {
    COHORT_RETURN_IF_ERROR(SyncDirectory(DirectoryOf(out)));
  } else {
    fs::remove_all(out, error);
  }
  return written;
}

}  // namespace

Result<ModelManifest> Reshard(const std::string& path, std::uint32_t shards, const std::string& out,
                              const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  if (shards < 1 || shards > kSlotGroupCount) {
    return InvalidInput(std::to_string(shards) + " parts: expected 1 to " + std::to_string(kSlotGroupCount) +
                        ", as many as there are groups of slots");
  }
  COHORT_ASSIGN_OR_RETURN(const std::string directory, FindModel(path));
  COHORT_ASSIGN_OR_RETURN(ModelManifest manifest, ReadModelManifest(directory));
  return InNewFolder(out,
                     [&] { return Resharding(directory, std::move(manifest), shards, out).Run(progress); });
}

Result<ModelManifest> WriteWithoutKeys(const std::string& path, const std::function<bool(Key)>& gone,
                                       const std::string& out, std::uint64_t* rows_gone,
                                       const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  COHORT_ASSIGN_OR_RETURN(const std::string directory, FindModel(path));
  COHORT_ASSIGN_OR_RETURN(ModelManifest manifest, ReadModelManifest(directory));
  return InNewFolder(out, [&] {
    const auto parts = static_cast<std::uint32_t>(manifest.parts.size());
    Resharding writing(directory, std::move(manifest), parts, out, gone);
    Result<ModelManifest> written = writing.Run(progress);
    *rows_gone = writing.rows_gone();
    return written;
  });
}

}  // namespace cohort
