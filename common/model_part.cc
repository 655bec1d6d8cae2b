#include "common/model_part.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "common/fault_point.h"

namespace cohort {
namespace {

constexpr std::size_t kBlockBytes = 1u << 20;  // rows are written and read in blocks of about this size
constexpr std::size_t kFetchedBlocks = 32;

std::string GroupName(TableId table) { return "table_" + std::to_string(table); }

}  // namespace

Result<ModelPartWriter> ModelPartWriter::Create(const std::string& path, bool ascending) {
  COHORT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  COHORT_ASSIGN_OR_RETURN(auto writer, Hdf5Writer::Create(file.temporary_path()));
  COHORT_RETURN_IF_ERROR(writer->SetInteger("/", "format", kModelPartFormat));
  COHORT_RETURN_IF_ERROR(writer->SetInteger("/", "ascending", ascending ? 1 : 0));
  return ModelPartWriter(std::move(file), std::move(writer));
}

Status ModelPartWriter::BeginTable(const TableSpec& table, std::uint32_t row_floats, std::uint64_t rows,
                                   bool statistics) {
  Table& t = tables_[table.id];
  COHORT_CHECK(t.group.empty() && row_floats >= table.dim, "table %s", table.name.c_str());
  t.group = GroupName(table.id);
  t.dim = table.dim;
  t.row_floats = row_floats;
  t.has_statistics = statistics;
  // Blocks are chunks; a table smaller than a block takes no more than it needs.
  t.block = std::clamp<std::size_t>(kBlockBytes / (row_floats * sizeof(float)), 1,
                                    std::max<std::uint64_t>(rows, 1));
  COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<std::uint64_t>(t.group + "/keys", 0, t.block));
  COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<float>(t.group + "/weights", table.dim, t.block));
  if (row_floats != table.dim) {
    COHORT_RETURN_IF_ERROR(
        writer_->CreateExtendable<float>(t.group + "/state", row_floats - table.dim, t.block));
  }
  if (!statistics) return {};
  return writer_->CreateExtendable<std::uint64_t>(t.group + "/statistics", 0, t.block);
}

Status ModelPartWriter::Append(TableId table, std::span<const Key> keys, const float* values,
                               std::size_t stride, std::span<const std::uint64_t> statistics) {
  Table& t = tables_.at(table);
  if (stride == 0) stride = t.row_floats;
  COHORT_CHECK(statistics.size() == (t.has_statistics ? keys.size() : 0) && stride >= t.row_floats);
  for (std::size_t begin = 0; begin < keys.size();) {
    // As many as the block has room for.
    const std::size_t count = std::min(t.block - t.keys.size(), keys.size() - begin);
    const float* const rows = values + begin * stride;
    t.keys.insert(t.keys.end(), keys.begin() + static_cast<std::ptrdiff_t>(begin),
                  keys.begin() + static_cast<std::ptrdiff_t>(begin + count));
    if (stride == t.dim) {
      t.weights.insert(t.weights.end(), rows, rows + count * stride);
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        const float* const row = rows + i * stride;
        t.weights.insert(t.weights.end(), row, row + t.dim);
        t.state.insert(t.state.end(), row + t.dim, row + t.row_floats);
      }
    }
    if (t.has_statistics) {
      const auto part = statistics.subspan(begin, count);
      t.statistics.insert(t.statistics.end(), part.begin(), part.end());
    }
    for (std::size_t i = 0; i < count; ++i)
      summary_.hash += hasher_.Hash(table, keys[begin + i], {rows + i * stride, t.row_floats});
    if (t.keys.size() == t.block) COHORT_RETURN_IF_ERROR(Flush(t));
    begin += count;
  }
  summary_.rows += keys.size();
  return {};
}

Status ModelPartWriter::Flush(Table& t) {
  COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(t.group + "/keys", t.keys));
  FaultPoint("file: mid-write", file_.final_path());
  COHORT_RETURN_IF_ERROR(writer_->Append<float>(t.group + "/weights", t.weights));
  if (t.row_floats != t.dim) COHORT_RETURN_IF_ERROR(writer_->Append<float>(t.group + "/state", t.state));
  if (t.has_statistics)
    COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(t.group + "/statistics", t.statistics));
  t.keys.clear();
  t.weights.clear();
  t.state.clear();
  t.statistics.clear();
  return {};
}

Status ModelPartWriter::AppendTable(const TableSpec& table, std::uint32_t row_floats,
                                    std::span<const Key> keys, const RowFetch& fetch) {
  COHORT_RETURN_IF_ERROR(BeginTable(table, row_floats, keys.size()));
  // Fetched in larger pieces: the more rows at a time, the nearer to each other they lie on a disk.
  const std::size_t fetched = tables_.at(table.id).block * kFetchedBlocks;
  std::vector<float> rows;
  for (std::size_t begin = 0; begin < keys.size(); begin += fetched) {
    const std::span<const Key> piece = keys.subspan(begin, std::min(fetched, keys.size() - begin));
    rows.resize(piece.size() * row_floats);
    COHORT_RETURN_IF_ERROR(fetch(piece, rows.data()));
    COHORT_RETURN_IF_ERROR(Append(table.id, piece, rows.data()));
  }
  return {};
}

Result<ModelPartSummary> ModelPartWriter::Finish() {
  for (auto& [id, table] : tables_) COHORT_RETURN_IF_ERROR(Flush(table));
  COHORT_RETURN_IF_ERROR(writer_->Close());
  COHORT_ASSIGN_OR_RETURN(const FileChecksum checksum, ChecksumOfFile(file_.temporary_path()));
  COHORT_RETURN_IF_ERROR(file_.Commit());
  summary_.bytes = checksum.bytes;
  summary_.checksum = checksum.checksum;
  return summary_;
}

Result<std::unique_ptr<PartFileReader>> PartFileReader::Open(const std::string& path,
                                                             std::span<const TableSpec> tables) {
  COHORT_ASSIGN_OR_RETURN(auto file, Hdf5Reader::Open(path));
  COHORT_ASSIGN_OR_RETURN(const std::int64_t format, file->GetInteger("/", "format"));
  if (format < 1 || format > kModelPartFormat) {
    return Error(ErrorCode::kCorrupt, path + ": format " + std::to_string(format) + ", expected 1 to " +
                                          std::to_string(kModelPartFormat) +
                                          "; written by another version of cohort");
  }
  std::unique_ptr<PartFileReader> part(new PartFileReader(std::move(file)));
  if (format > 1) {
    COHORT_ASSIGN_OR_RETURN(const std::int64_t ascending, part->reader_->GetInteger("/", "ascending"));
    part->ascending_ = ascending != 0;
  }
  for (const TableSpec& table : tables) {
    const std::string group = GroupName(table.id);
    const auto shape_of = [&](const std::string& name, Hdf5Type type, std::size_t rank) -> Result<Hdf5Shape> {
      // Memory for rows is taken before they are read, so they must be there.
      COHORT_ASSIGN_OR_RETURN(Hdf5Shape shape, part->reader_->CheckedShape(name, type));
      if (shape.dims.size() != rank) {
        return Error(ErrorCode::kCorrupt, path + ": " + name + " has another type or shape than a model's");
      }
      return shape;
    };
    COHORT_ASSIGN_OR_RETURN(const Hdf5Shape keys, shape_of(group + "/keys", Hdf5Type::kUint64, 1));
    COHORT_ASSIGN_OR_RETURN(const Hdf5Shape weights, shape_of(group + "/weights", Hdf5Type::kFloat32, 2));
    Shape shape{keys.rows(), table.dim, 0, part->reader_->Has(group + "/statistics")};
    bool agree = weights.rows() == shape.rows && weights.columns() == table.dim;
    if (part->reader_->Has(group + "/state")) {
      COHORT_ASSIGN_OR_RETURN(const Hdf5Shape state, shape_of(group + "/state", Hdf5Type::kFloat32, 2));
      agree = agree && state.rows() == shape.rows && state.columns() <= 1024 + 4ull * table.dim;
      shape.state_floats = static_cast<std::uint32_t>(state.columns());
    }
    if (shape.statistics) {
      COHORT_ASSIGN_OR_RETURN(const Hdf5Shape statistics,
                              shape_of(group + "/statistics", Hdf5Type::kUint64, 1));
      agree = agree && statistics.rows() == shape.rows;
    }
    if (!agree) {
      return Error(ErrorCode::kCorrupt,
                   path + ": the arrays of table " + table.name + " do not fit together");
    }
    part->shapes_[table.id] = shape;
  }
  return part;
}

Status PartFileReader::Read(TableId table, std::uint64_t first, std::uint64_t count, std::vector<Key>* keys,
                            std::vector<float>* rows) {
  const Shape& shape = shapes_.at(table);
  const std::string group = GroupName(table);
  keys->resize(count);
  weights_.resize(count * shape.dim);
  state_.resize(count * shape.state_floats);
  rows->resize(weights_.size() + state_.size());
  COHORT_RETURN_IF_ERROR(reader_->ReadRows<std::uint64_t>(group + "/keys", first, count, *keys));
  COHORT_RETURN_IF_ERROR(reader_->ReadRows<float>(group + "/weights", first, count, weights_));
  if (shape.state_floats != 0) {
    COHORT_RETURN_IF_ERROR(reader_->ReadRows<float>(group + "/state", first, count, state_));
  }
  float* out = rows->data();
  for (std::uint64_t i = 0; i < count; ++i) {
    out = std::copy_n(weights_.data() + i * shape.dim, shape.dim, out);
    out = std::copy_n(state_.data() + i * shape.state_floats, shape.state_floats, out);
  }
  return {};
}

Status PartFileReader::ReadKeys(TableId table, std::uint64_t first, std::uint64_t count,
                                std::vector<Key>* keys) const {
  keys->resize(count);
  return reader_->ReadRows<std::uint64_t>(GroupName(table) + "/keys", first, count, *keys);
}

Status PartFileReader::ReadStatistics(TableId table, std::uint64_t first,
                                      std::vector<std::uint64_t>* statistics) const {
  return reader_->ReadRows<std::uint64_t>(GroupName(table) + "/statistics", first, statistics->size(),
                                          *statistics);
}

}  // namespace cohort
