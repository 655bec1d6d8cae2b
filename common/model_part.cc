#include "common/model_part.h"

#include <algorithm>
#include <cstring>

namespace cohort {
namespace {

constexpr std::size_t kBlockBytes = 1u << 20;  // rows are written and read in blocks of about this size
constexpr std::size_t kFetchedBlocks = 32;

std::string GroupName(TableId table) { return "table_" + std::to_string(table); }

}  // namespace

Result<ModelPartWriter> ModelPartWriter::Create(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  COHORT_ASSIGN_OR_RETURN(auto writer, Hdf5Writer::Create(file.temporary_path()));
  COHORT_RETURN_IF_ERROR(writer->SetInteger("/", "format", kModelPartFormat));
  return ModelPartWriter(std::move(file), std::move(writer));
}

Status ModelPartWriter::AppendTable(const TableSpec& table, std::uint32_t row_floats,
                                    std::span<const Key> keys, const RowFetch& fetch) {
  const std::uint32_t dim = table.dim;
  const std::uint32_t state_floats = row_floats - dim;
  const std::string group = GroupName(table.id);
  const std::string keys_name = group + "/keys", weights_name = group + "/weights",
                    state_name = group + "/state";
  // Blocks are chunks; a table smaller than a block takes no more than it needs.
  const std::size_t block = std::clamp<std::size_t>(kBlockBytes / (row_floats * sizeof(float)), 1,
                                                    std::max<std::size_t>(keys.size(), 1));
  COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<std::uint64_t>(keys_name, 0, block));
  COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<float>(weights_name, dim, block));
  if (state_floats != 0)
    COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<float>(state_name, state_floats, block));
  // Fetched in larger pieces: the more rows at a time, the nearer to each other they lie on a disk.
  const std::size_t fetched = block * kFetchedBlocks;
  std::vector<float> rows, weights, state;
  for (std::size_t begin = 0; begin < keys.size(); begin += block) {
    const std::span<const Key> part = keys.subspan(begin, std::min(block, keys.size() - begin));
    const std::size_t at = begin % fetched;
    if (at == 0) {
      const std::span<const Key> ahead = keys.subspan(begin, std::min(fetched, keys.size() - begin));
      rows.resize(ahead.size() * row_floats);
      COHORT_RETURN_IF_ERROR(fetch(ahead, rows.data()));
    }
    weights.clear();
    state.clear();
    for (std::size_t i = 0; i < part.size(); ++i) {
      const float* row = rows.data() + (at + i) * row_floats;
      weights.insert(weights.end(), row, row + dim);
      state.insert(state.end(), row + dim, row + row_floats);
      summary_.hash += hasher_.Hash(table.id, part[i], {row, row_floats});
    }
    COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(keys_name, part));
    COHORT_RETURN_IF_ERROR(writer_->Append<float>(weights_name, weights));
    if (state_floats != 0) COHORT_RETURN_IF_ERROR(writer_->Append<float>(state_name, state));
  }
  summary_.rows += keys.size();
  return {};
}

Result<ModelPartSummary> ModelPartWriter::Finish() {
  COHORT_RETURN_IF_ERROR(writer_->Close());
  COHORT_ASSIGN_OR_RETURN(const FileChecksum checksum, ChecksumOfFile(file_.temporary_path()));
  COHORT_RETURN_IF_ERROR(file_.Commit());
  summary_.bytes = checksum.bytes;
  summary_.checksum = checksum.checksum;
  return summary_;
}

Result<std::unique_ptr<ModelPartReader>> ModelPartReader::Open(const std::string& path,
                                                               std::span<const TableSpec> tables) {
  COHORT_ASSIGN_OR_RETURN(auto file, Hdf5Reader::Open(path));
  COHORT_ASSIGN_OR_RETURN(const std::int64_t format, file->GetInteger("/", "format"));
  if (format != kModelPartFormat) {
    return Error(ErrorCode::kCorrupt, path + ": format " + std::to_string(format) + ", expected " +
                                          std::to_string(kModelPartFormat) +
                                          "; written by another version of cohort");
  }
  std::unique_ptr<ModelPartReader> part(new ModelPartReader(std::move(file)));
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
    Shape shape{keys.rows(), table.dim, 0};
    bool agree = weights.rows() == shape.rows && weights.columns() == table.dim;
    if (part->reader_->Has(group + "/state")) {
      COHORT_ASSIGN_OR_RETURN(const Hdf5Shape state, shape_of(group + "/state", Hdf5Type::kFloat32, 2));
      agree = agree && state.rows() == shape.rows && state.columns() <= 1024 + 4ull * table.dim;
      shape.state_floats = static_cast<std::uint32_t>(state.columns());
    }
    if (!agree) {
      return Error(ErrorCode::kCorrupt,
                   path + ": the arrays of table " + table.name + " do not fit together");
    }
    part->shapes_[table.id] = shape;
  }
  return part;
}

Status ModelPartReader::Read(TableId table, std::uint64_t first, std::uint64_t count, std::vector<Key>* keys,
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

}  // namespace cohort
