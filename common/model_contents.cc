#include "common/model_contents.h"

#include <memory>

#include "common/model_part_reader.h"

namespace cohort {
namespace {

Result<std::vector<std::uint64_t>> RowsOfPart(const std::string& directory, const ModelManifest& manifest,
                                              const ModelPart& part) {
  COHORT_RETURN_IF_ERROR(CheckModelPart(directory, part));
  COHORT_ASSIGN_OR_RETURN(const auto reader, OpenModelPart(directory, part, manifest.tables));
  std::vector<std::uint64_t> rows;
  for (const TableSpec& table : manifest.tables) rows.push_back(reader->rows(table.id));
  return rows;
}

}  // namespace

std::uint64_t ModelContents::RowsOf(std::size_t table) const {
  std::uint64_t rows = 0;
  for (const PartContents& part : parts) rows += part.status.ok() ? part.rows[table] : 0;
  return rows;
}

std::uint64_t ModelContents::BytesOf(std::size_t table) const {
  const TableSpec& spec = manifest.tables[table];
  const std::uint64_t floats = std::uint64_t{spec.dim} + StateFloats(spec.optimizer.kind, spec.dim);
  return RowsOf(table) * (sizeof(Key) + floats * sizeof(float));
}

Status ModelContents::status() const {
  for (const PartContents& part : parts) COHORT_RETURN_IF_ERROR(Status(part.status));
  return {};
}

Result<ModelContents> ReadModelContents(const std::string& path,
                                        const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  ModelContents contents;
  COHORT_ASSIGN_OR_RETURN(contents.directory, FindModel(path));
  COHORT_ASSIGN_OR_RETURN(contents.manifest, ReadModelManifest(contents.directory));
  std::uint64_t read = 0, total = 0;
  const auto bytes = [](const ModelPart& part) {
    std::uint64_t sum = part.bytes;
    for (const ModelLayer& layer : part.layers) sum += layer.bytes;
    return sum;
  };
  for (const ModelPart& part : contents.manifest.parts) total += bytes(part);
  for (const ModelPart& part : contents.manifest.parts) {
    if (progress) progress(read, total);
    PartContents& here = contents.parts.emplace_back();
    auto rows = RowsOfPart(contents.directory, contents.manifest, part);
    if (rows) here.rows = std::move(*rows);
    if (!rows) here.status = rows.error();
    read += bytes(part);
  }
  return contents;
}

Result<std::optional<FoundRow>> FindRow(const ModelContents& contents, const TableSpec& table, Key key) {
  if (table.kind == TableKind::kDense && key >= table.row_count) return std::optional<FoundRow>();
  const auto group = static_cast<std::size_t>(GroupOf(RingPosition(table, key)));
  std::optional<FoundRow> found;
  for (const ModelPart& part : contents.manifest.parts) {
    if (found) break;
    if (part.groups && !(*part.groups)[group]) continue;
    const auto look = [&](const ModelRows& block) -> Status {
      if (block.table->id != table.id) return {};
      for (std::size_t i = 0; i < block.keys.size(); ++i) {
        if (block.keys[i] != key) continue;
        const float* const row = block.rows + i * block.row_floats;
        found = FoundRow{part.file, {row, row + block.row_floats}, std::nullopt};
        if (!block.statistics.empty()) found->statistics = block.statistics[i];
      }
      return {};
    };
    DenseRowsSeen seen;
    Hash128 hash;
    std::unique_ptr<ModelPartReader> reader;
    COHORT_RETURN_IF_ERROR(
        VisitModelPart(contents.directory, contents.manifest, part, look, &seen, &hash, &reader));
  }
  return found;
}

}  // namespace cohort
