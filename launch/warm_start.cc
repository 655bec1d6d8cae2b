#include "launch/warm_start.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/model_files.h"
#include "common/model_part.h"
#include "common/model_part_reader.h"
#include "server/optimizer.h"
#include "server/snapshot.h"
#include "worker/model/carried_weights.h"

namespace cohort {
namespace {

// Whether state of `before` means the same to `now`.
bool SameState(const OptimizerSpec& now, const OptimizerSpec& before) {
  if (now.kind != before.kind) return false;
  return now.kind != OptimizerKind::kFtrl ||
         (now.learning_rate == before.learning_rate && now.ftrl_l1 == before.ftrl_l1 &&
          now.ftrl_l2 == before.ftrl_l2 && now.ftrl_beta == before.ftrl_beta);
}

// Rows of the dense table: weights, then state.
struct DenseRows {
  std::uint32_t row_floats = 0;
  std::vector<float> values;
  float* Row(std::uint64_t row) { return values.data() + row * row_floats; }
  const float* Row(std::uint64_t row) const { return values.data() + row * row_floats; }
};

Result<std::unique_ptr<ModelPartReader>> OpenPart(const std::string& directory, const ModelManifest& manifest,
                                                  std::size_t part) {
  COHORT_RETURN_IF_ERROR(CheckModelPart(directory, manifest.parts[part]));
  return OpenModelPart(directory, manifest.parts[part], manifest.tables);
}

Result<DenseRows> ReadDense(const std::string& directory, const ModelManifest& manifest) {
  const TableSpec& table = manifest.tables[kDenseTable];
  DenseRows dense{RowFloats(table), {}};
  dense.values.resize(table.row_count * dense.row_floats);
  std::uint64_t found = 0;
  std::vector<Key> keys;
  std::vector<float> rows;
  for (std::size_t part = 0; part < manifest.parts.size(); ++part) {
    COHORT_ASSIGN_OR_RETURN(const auto reader, OpenPart(directory, manifest, part));
    if (reader->rows(table.id) == 0) continue;
    COHORT_RETURN_IF_ERROR(reader->Read(table.id, 0, reader->rows(table.id), &keys, &rows));
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] >= table.row_count || reader->row_floats(table.id) != dense.row_floats)
        return Error(ErrorCode::kCorrupt, directory + ": the dense rows are not as its manifest says");
      std::copy_n(rows.data() + i * dense.row_floats, dense.row_floats, dense.Row(keys[i]));
      ++found;
    }
  }
  if (found != table.row_count) {
    return Error(ErrorCode::kCorrupt, directory + ": " + std::to_string(found) + " dense rows, expected " +
                                          std::to_string(table.row_count));
  }
  return dense;
}

DenseRows ConvertDense(const DenseRows& before, const TableSpec& table_before, const TableSpec& table,
                       std::uint64_t seed, const std::vector<std::int64_t>& sources) {
  const Optimizer optimizer(table.optimizer, table.dim);
  const std::uint32_t dim = table.dim;
  const bool same_state = SameState(table.optimizer, table_before.optimizer);
  const std::uint32_t planes = optimizer.state_floats() / dim;  // state values of each weight
  const bool counts = optimizer.state_floats() % dim == 1;      // and one of the row: adam's t
  DenseRows now{optimizer.row_floats(), {}};
  now.values.resize(table.row_count * now.row_floats);
  for (std::uint64_t r = 0; r < table.row_count; ++r) {
    float* const row = now.Row(r);
    InitializeRow(table, seed, r, row);
    const auto source = [&](std::uint32_t i) {
      const std::uint64_t place = r * dim + i;
      return place < sources.size() ? sources[place] : -1;
    };
    for (std::uint32_t i = 0; i < dim; ++i) {
      if (const std::int64_t from = source(i); from >= 0)
        row[i] = before.Row(static_cast<std::uint64_t>(from) / dim)[static_cast<std::uint64_t>(from) % dim];
    }
    optimizer.InitState(row);
    for (std::uint32_t i = 0; same_state && i < dim; ++i) {
      const std::int64_t from = source(i);
      if (from < 0) continue;
      const float* const old = before.Row(static_cast<std::uint64_t>(from) / dim);
      for (std::uint32_t p = 1; p <= planes; ++p)
        row[p * dim + i] = old[p * dim + static_cast<std::uint64_t>(from) % dim];
      if (counts) row[now.row_floats - 1] = std::max(row[now.row_floats - 1], old[now.row_floats - 1]);
    }
  }
  return now;
}

// Appends the embedding rows of a part of the former model.
Status AppendEmbeddings(ModelPartReader& reader, const TableSpec& before, const TableSpec& table,
                        ModelPartWriter* writer) {
  const Optimizer optimizer(table.optimizer, table.dim);
  const bool same_state = SameState(table.optimizer, before.optimizer);
  constexpr std::uint64_t kBlock = 1u << 16;
  const std::uint64_t total = reader.rows(before.id);
  std::vector<Key> keys, block;
  std::vector<float> rows;
  for (std::uint64_t first = 0; first < total; first += kBlock) {
    COHORT_RETURN_IF_ERROR(reader.Read(before.id, first, std::min(kBlock, total - first), &block, &rows));
    keys.insert(keys.end(), block.begin(), block.end());
  }
  std::uint64_t next = 0;  // the writer asks for its keys in order
  const std::uint32_t floats = reader.row_floats(before.id);
  if (floats != RowFloats(before))
    return {ErrorCode::kCorrupt, "the embedding rows of a part are not as the manifest says"};
  const auto fetch = [&](std::span<const Key> wanted, float* out) -> Status {
    COHORT_RETURN_IF_ERROR(reader.Read(before.id, next, wanted.size(), &block, &rows));
    next += wanted.size();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      float* const row = out + i * optimizer.row_floats();
      std::copy_n(rows.data() + i * floats, same_state ? floats : table.dim, row);
      if (!same_state) optimizer.InitState(row);
    }
    return {};
  };
  return writer->AppendTable(table, optimizer.row_floats(), keys, fetch);
}

bool HasTablesOf(const ModelManifest& manifest, const std::vector<TableSpec>& tables) {
  return std::equal(manifest.tables.begin(), manifest.tables.end(), tables.begin(), tables.end(),
                    [](const TableSpec& a, const TableSpec& b) {
                      return a.id == b.id && a.kind == b.kind && a.dim == b.dim && a.row_count == b.row_count;
                    });
}

// Names of `a` that are not among those of `b`.
std::vector<std::string> Missing(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::string> missing;
  for (const std::string& name : a) {
    if (std::find(b.begin(), b.end(), name) == b.end()) missing.push_back(name);
  }
  return missing;
}

std::vector<std::string> FeaturesOf(const ModelSpec& spec) {
  std::vector<std::string> names;
  for (const FeatureInfo& feature : spec.data.features) names.push_back(feature.name);
  return names;
}
std::vector<std::string> TasksOf(const ModelSpec& spec) {
  std::vector<std::string> names;
  for (const ModelTask& task : spec.tasks) names.push_back(task.info.name);
  return names;
}

}  // namespace

std::string Describe(const WarmStart& warm, const std::string& from) {
  std::string text = "starts from " + from +
                     (warm.model_hash.empty() ? std::string(": ") : " (model " + warm.model_hash + "): ") +
                     std::to_string(warm.carried) + " of " + std::to_string(warm.carried + warm.fresh) +
                     " dense weights are its";
  const std::pair<const char*, const std::vector<std::string>*> lists[] = {
      {"features added", &warm.added_features},
      {"features removed", &warm.removed_features},
      {"tasks added", &warm.added_tasks},
      {"tasks removed", &warm.removed_tasks}};
  for (const auto& [what, names] : lists) {
    for (const std::string& name : *names)
      text += (&name == names->data() ? std::string("; ") + what + ": " : ", ") + name;
  }
  return text;
}

Result<WarmStart> WriteWarmModel(const std::string& from, const RunInputs& inputs,
                                 const std::string& directory) {
  COHORT_ASSIGN_OR_RETURN(const std::string source, FindModel(from));
  COHORT_ASSIGN_OR_RETURN(const ModelManifest before, ReadModelManifest(source));
  COHORT_ASSIGN_OR_RETURN(const RunConfig config,
                          ParseRunConfig(before.run_config, source + " (its run file)", ""));
  COHORT_ASSIGN_OR_RETURN(const DatasetInfo data, DatasetInfoFromJson(before.dataset_info));
  COHORT_ASSIGN_OR_RETURN(const ModelSpec spec, BuildModelSpec(config, data));
  COHORT_RETURN_IF_ERROR(CheckMatchingLayers(inputs.spec, spec).Within("--from " + from));
  const auto tables_before = CarriedTables(inputs.spec, spec);
  if (!tables_before) return tl::unexpected(tables_before.error().Within("--from " + from));
  if (!HasTablesOf(before, TablesOf(spec, config)))
    return Error(ErrorCode::kCorrupt, source + ": its tables are not those of its run file");
  ModelManifest now;
  now.tables = TablesOf(inputs.spec, inputs.config);
  const TableSpec& dense_table = now.tables[kDenseTable];
  const std::vector<std::int64_t> sources = CarriedWeights(inputs.spec, spec);
  COHORT_ASSIGN_OR_RETURN(const DenseRows dense_before, ReadDense(source, before));
  const DenseRows dense =
      ConvertDense(dense_before, before.tables[kDenseTable], dense_table, inputs.config.seed, sources);

  Hash128 hash;
  for (std::size_t part = 0; part < before.parts.size(); ++part) {
    COHORT_ASSIGN_OR_RETURN(const auto reader, OpenPart(source, before, part));
    const std::string file = PartFileName(static_cast<std::uint32_t>(part));
    COHORT_ASSIGN_OR_RETURN(ModelPartWriter writer,
                            ModelPartWriter::Create(directory + "/" + file, reader->ascending()));
    std::vector<Key> dense_keys(part == 0 ? dense_table.row_count : 0);  // all in the first
    std::iota(dense_keys.begin(), dense_keys.end(), Key{0});
    const auto fetch = [&](std::span<const Key> keys, float* rows) -> Status {
      for (const Key key : keys) rows = std::copy_n(dense.Row(key), dense.row_floats, rows);
      return {};
    };
    COHORT_RETURN_IF_ERROR(writer.AppendTable(dense_table, dense.row_floats, dense_keys, fetch));
    for (std::size_t t = 0; t < tables_before->size(); ++t) {
      const TableSpec& table = now.tables[EmbeddingTableAt(t)];
      const std::int64_t from_table = (*tables_before)[t];
      COHORT_RETURN_IF_ERROR(
          from_table < 0
              ? writer.AppendTable(table, RowFloats(table), {}, [](auto, float*) { return Status(); })
              : AppendEmbeddings(*reader,
                                 before.tables[EmbeddingTableAt(static_cast<std::size_t>(from_table))], table,
                                 &writer));
    }
    COHORT_ASSIGN_OR_RETURN(const ModelPartSummary summary, writer.Finish());
    now.parts.push_back({file, summary.bytes, summary.checksum, summary.rows});
    hash += summary.hash;
  }
  now.hash = hash;
  now.kernels = before.kernels;
  now.seed = inputs.config.seed;
  now.run_config = ToToml(inputs.config);
  now.dataset_info = ToJson(inputs.data);
  COHORT_RETURN_IF_ERROR(WriteModelManifest(directory, now));

  WarmStart warm;
  if (before.hash) warm.model_hash = ToHex(*before.hash);
  warm.added_features = Missing(FeaturesOf(inputs.spec), FeaturesOf(spec));
  warm.removed_features = Missing(FeaturesOf(spec), FeaturesOf(inputs.spec));
  warm.added_tasks = Missing(TasksOf(inputs.spec), TasksOf(spec));
  warm.removed_tasks = Missing(TasksOf(spec), TasksOf(inputs.spec));
  warm.carried = static_cast<std::uint64_t>(
      std::count_if(sources.begin(), sources.end(), [](std::int64_t place) { return place >= 0; }));
  warm.fresh = sources.size() - warm.carried;
  return warm;
}

}  // namespace cohort
