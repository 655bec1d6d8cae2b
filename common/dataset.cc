#include "common/dataset.h"

#include <algorithm>
#include <utility>

#include "common/atomic_file.h"
#include "common/check.h"
#include "common/hdf5_file.h"

namespace cohort {
namespace {

constexpr std::uint64_t kKeyChunk = 16384;
constexpr std::uint64_t kByteChunk = 65536;
constexpr const char *kNameKeys = "names/keys", *kNameOffsets = "names/offsets", *kNameBytes = "names/bytes";
constexpr std::uint64_t kMostNames = std::uint64_t{1} << 24;

std::string Name(Split split, const char* array) { return std::string(SplitName(split)) + "/" + array; }
std::string BagName(Split split, std::size_t bag, const char* part) {
  return Name(split, "bag_") + std::to_string(bag) + "_" + part;
}

std::string VectorName(Split split, std::size_t vector) {
  return Name(split, "vector_") + std::to_string(vector);
}

// A dataset is the user's input: what is wrong with it is theirs to mend (exit code 2).
Status AsInput(const std::string& path, const Status& status) {
  return {ErrorCode::kInvalidInput,
          (status.text().starts_with(path) ? "" : path + ": ") + status.text() +
              "; the file is not a whole dataset of this version: make it again with `cohort prepare`"};
}

class Hdf5DatasetReader final : public DatasetReader {
 public:
  Hdf5DatasetReader(std::unique_ptr<Hdf5Reader> file, DatasetInfo info)
      : file_(std::move(file)),
        info_(std::move(info)),
        numeric_(info_.CountOf(FeatureType::kNumeric)),
        categorical_(info_.CountOf(FeatureType::kCategorical)),
        bags_(info_.CountOf(FeatureType::kBag)),
        vector_lengths_(info_.VectorLengths()) {}

  const DatasetInfo& info() const override { return info_; }

  Status Read(Split split, std::uint64_t first, std::uint32_t count, bool with_ids,
              RowBlock* block) override {
    const std::uint64_t rows = info_.rows[static_cast<std::size_t>(split)];
    COHORT_CHECK(first <= rows && count <= rows - first, "rows %llu + %u of %llu",
                 static_cast<unsigned long long>(first), count, static_cast<unsigned long long>(rows));
    Status status = ReadChecked(split, first, count, with_ids, block);
    return status.ok() ? status : AsInput(file_->path(), status);
  }

  Result<DatasetNames> ReadNames() override {
    DatasetNames names;
    if (!file_->Has(kNameKeys)) return names;
    const Status status = ReadNames(&names);
    if (!status.ok()) return tl::unexpected<Status>(AsInput(file_->path(), status));
    return names;
  }

  // Whether every array is there with the type and rows that the description promises.
  Status Check() const {
    for (int i = 0; i < kSplitCount; ++i) {
      const Split split = static_cast<Split>(i);
      const std::uint64_t rows = info_.rows[static_cast<std::size_t>(i)];
      if (rows == 0) continue;
      if (rows > std::uint64_t{1} << 56) return {ErrorCode::kCorrupt, "claims an impossible number of rows"};
      if (numeric_ > 0)
        COHORT_RETURN_IF_ERROR(CheckArray(Name(split, "numeric"), Hdf5Type::kFloat32, rows, numeric_));
      if (categorical_ > 0) {
        COHORT_RETURN_IF_ERROR(CheckArray(Name(split, "categorical"), Hdf5Type::kUint64, rows, categorical_));
      }
      if (!info_.tasks.empty()) {
        COHORT_RETURN_IF_ERROR(
            CheckArray(Name(split, "label"), Hdf5Type::kFloat32, rows, info_.tasks.size()));
      }
      if (info_.has_weight)
        COHORT_RETURN_IF_ERROR(CheckArray(Name(split, "weight"), Hdf5Type::kFloat32, rows, 1));
      COHORT_RETURN_IF_ERROR(CheckArray(Name(split, "row"), Hdf5Type::kUint64, rows, 1));
      for (std::size_t bag = 0; bag < bags_; ++bag) {
        COHORT_RETURN_IF_ERROR(CheckArray(BagName(split, bag, "offsets"), Hdf5Type::kUint64, rows + 1, 1));
      }
      for (std::size_t v = 0; v < vector_lengths_.size(); ++v) {
        COHORT_RETURN_IF_ERROR(
            CheckArray(VectorName(split, v), Hdf5Type::kFloat32, rows, vector_lengths_[v]));
      }
      if (info_.has_id)
        COHORT_RETURN_IF_ERROR(CheckArray(Name(split, "id_offsets"), Hdf5Type::kUint64, rows + 1, 1));
      if (info_.HasGroups(split))
        COHORT_RETURN_IF_ERROR(CheckArray(Name(split, "group"), Hdf5Type::kUint64, rows, 1));
    }
    return {};
  }

 private:
  Status CheckArray(const std::string& name, Hdf5Type type, std::uint64_t rows, std::uint64_t columns) const {
    COHORT_ASSIGN_OR_RETURN(const Hdf5Shape shape, file_->CheckedShape(name, type));
    if (shape.rows() == rows && shape.columns() == columns) return {};
    return {ErrorCode::kCorrupt, name + ": does not have the " + std::to_string(rows) + " x " +
                                     std::to_string(columns) + " values of type " + Hdf5TypeName(type) +
                                     " that the description promises"};
  }

  Status ReadChecked(Split split, std::uint64_t first, std::uint32_t count, bool with_ids, RowBlock* block) {
    block->first_row = first;
    block->rows = count;
    block->numeric.resize(std::size_t{count} * numeric_);
    block->categorical.resize(std::size_t{count} * categorical_);
    block->labels.resize(std::size_t{count} * info_.tasks.size());
    block->weights.resize(info_.has_weight ? count : 0);
    block->input_rows.resize(count);
    block->groups.resize(info_.HasGroups(split) ? count : 0);
    block->bag_offsets.resize(bags_);
    block->bag_keys.resize(bags_);
    block->vectors.resize(vector_lengths_.size());
    for (std::size_t v = 0; v < vector_lengths_.size(); ++v)
      block->vectors[v].resize(std::size_t{count} * vector_lengths_[v]);
    block->ids.clear();
    if (count == 0) {
      for (auto& offsets : block->bag_offsets) offsets.assign(1, 0);
      for (auto& keys : block->bag_keys) keys.clear();
      return {};
    }
    if (numeric_ > 0) {
      COHORT_RETURN_IF_ERROR(file_->ReadRows<float>(Name(split, "numeric"), first, count, block->numeric));
    }
    if (categorical_ > 0) {
      COHORT_RETURN_IF_ERROR(
          file_->ReadRows<Key>(Name(split, "categorical"), first, count, block->categorical));
    }
    if (!info_.tasks.empty()) {
      COHORT_RETURN_IF_ERROR(file_->ReadRows<float>(Name(split, "label"), first, count, block->labels));
    }
    if (info_.has_weight) {
      COHORT_RETURN_IF_ERROR(file_->ReadRows<float>(Name(split, "weight"), first, count, block->weights));
    }
    COHORT_RETURN_IF_ERROR(
        file_->ReadRows<std::uint64_t>(Name(split, "row"), first, count, block->input_rows));
    if (info_.HasGroups(split)) {
      COHORT_RETURN_IF_ERROR(
          file_->ReadRows<std::uint64_t>(Name(split, "group"), first, count, block->groups));
    }
    for (std::size_t bag = 0; bag < bags_; ++bag) {
      COHORT_RETURN_IF_ERROR(ReadList<Key>(BagName(split, bag, "offsets"), BagName(split, bag, "keys"), first,
                                           count, &block->bag_offsets[bag], &block->bag_keys[bag]));
    }
    for (std::size_t v = 0; v < vector_lengths_.size(); ++v) {
      COHORT_RETURN_IF_ERROR(file_->ReadRows<float>(VectorName(split, v), first, count, block->vectors[v]));
    }
    if (!info_.has_id || !with_ids) return {};
    COHORT_RETURN_IF_ERROR(ReadList<std::uint8_t>(Name(split, "id_offsets"), Name(split, "id_bytes"), first,
                                                  count, &id_offsets_, &id_bytes_));
    for (std::uint32_t row = 0; row < count; ++row) {
      block->ids.emplace_back(reinterpret_cast<const char*>(id_bytes_.data()) + id_offsets_[row],
                              id_offsets_[row + 1] - id_offsets_[row]);
    }
    return {};
  }

  Status ReadNames(DatasetNames* names) {
    COHORT_ASSIGN_OR_RETURN(const Hdf5Shape shape, file_->CheckedShape(kNameKeys, Hdf5Type::kUint64));
    const std::uint64_t count = shape.rows();
    if (count > kMostNames || shape.dims.size() != 1)
      return {ErrorCode::kCorrupt, std::string(kNameKeys) + ": more names than there can be"};
    COHORT_RETURN_IF_ERROR(CheckArray(kNameOffsets, Hdf5Type::kUint64, count + 1, 1));
    std::vector<Key> keys(count);
    std::vector<std::uint64_t> offsets;
    std::vector<std::uint8_t> bytes;
    COHORT_RETURN_IF_ERROR(file_->ReadRows<Key>(kNameKeys, 0, count, keys));
    COHORT_RETURN_IF_ERROR(ReadList<std::uint8_t>(kNameOffsets, kNameBytes, 0,
                                                  static_cast<std::uint32_t>(count), &offsets, &bytes));
    for (std::size_t i = 0; i < keys.size(); ++i)
      names->emplace(keys[i], std::string(reinterpret_cast<const char*>(bytes.data()) + offsets[i],
                                          offsets[i + 1] - offsets[i]));
    return {};
  }

  // Reads the lists of `count` rows; `offsets` then counts from 0.
  template <typename T>
  Status ReadList(const std::string& offsets_name, const std::string& values_name, std::uint64_t first,
                  std::uint32_t count, std::vector<std::uint64_t>* offsets, std::vector<T>* values) {
    offsets->resize(std::size_t{count} + 1);
    COHORT_RETURN_IF_ERROR(
        file_->ReadRows<std::uint64_t>(offsets_name, first, std::uint64_t{count} + 1, *offsets));
    COHORT_ASSIGN_OR_RETURN(const Hdf5Shape shape, file_->CheckedShape(values_name, Hdf5TypeOf<T>()));
    if (!std::is_sorted(offsets->begin(), offsets->end()) || offsets->back() > shape.rows() ||
        shape.dims.size() != 1) {
      return {ErrorCode::kCorrupt, offsets_name + ": does not ascend within the values"};
    }
    const std::uint64_t base = offsets->front();
    values->resize(offsets->back() - base);
    COHORT_RETURN_IF_ERROR(file_->ReadRows<T>(values_name, base, values->size(), *values));
    for (std::uint64_t& offset : *offsets) offset -= base;
    return {};
  }

  std::unique_ptr<Hdf5Reader> file_;
  DatasetInfo info_;
  std::size_t numeric_, categorical_, bags_;
  std::vector<std::uint32_t> vector_lengths_;
  std::vector<std::uint64_t> id_offsets_;
  std::vector<std::uint8_t> id_bytes_;
};

class Hdf5DatasetWriter final : public DatasetWriter {
 public:
  Hdf5DatasetWriter(AtomicFile file, std::unique_ptr<Hdf5Writer> writer, const DatasetInfo& info)
      : file_(std::move(file)),
        writer_(std::move(writer)),
        numeric_(info.CountOf(FeatureType::kNumeric)),
        categorical_(info.CountOf(FeatureType::kCategorical)),
        bags_(info.CountOf(FeatureType::kBag)),
        vector_lengths_(info.VectorLengths()),
        tasks_(info.tasks.size()),
        has_weight_(info.has_weight),
        has_id_(info.has_id),
        has_group_(info.has_group) {}

  Status Append(Split split, const RowBlock& block) override {
    const std::size_t rows = block.rows;
    COHORT_CHECK(block.numeric.size() == rows * numeric_ && block.categorical.size() == rows * categorical_ &&
                 block.labels.size() == rows * tasks_ && block.weights.size() == (has_weight_ ? rows : 0) &&
                 block.ids.size() == (has_id_ ? rows : 0) &&
                 block.groups.size() == (HasGroups(split) ? rows : 0) && block.input_rows.size() == rows &&
                 block.bag_offsets.size() == bags_ && block.bag_keys.size() == bags_ &&
                 block.vectors.size() == vector_lengths_.size());
    if (rows == 0) return {};
    SplitState& state = splits_[static_cast<std::size_t>(split)];
    if (state.rows == 0) COHORT_RETURN_IF_ERROR(CreateArrays(split, &state));
    if (numeric_ > 0) COHORT_RETURN_IF_ERROR(writer_->Append<float>(Name(split, "numeric"), block.numeric));
    if (categorical_ > 0)
      COHORT_RETURN_IF_ERROR(writer_->Append<Key>(Name(split, "categorical"), block.categorical));
    if (tasks_ > 0) COHORT_RETURN_IF_ERROR(writer_->Append<float>(Name(split, "label"), block.labels));
    if (has_weight_) COHORT_RETURN_IF_ERROR(writer_->Append<float>(Name(split, "weight"), block.weights));
    COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(Name(split, "row"), block.input_rows));
    if (HasGroups(split))
      COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(Name(split, "group"), block.groups));
    for (std::size_t bag = 0; bag < bags_; ++bag) {
      const auto& offsets = block.bag_offsets[bag];
      COHORT_CHECK(offsets.size() == rows + 1 && offsets.front() == 0 &&
                   offsets.back() == block.bag_keys[bag].size());
      offsets_.clear();
      for (std::size_t row = 1; row <= rows; ++row) offsets_.push_back(state.bag_sizes[bag] + offsets[row]);
      state.bag_sizes[bag] = offsets_.back();
      COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(BagName(split, bag, "offsets"), offsets_));
      COHORT_RETURN_IF_ERROR(writer_->Append<Key>(BagName(split, bag, "keys"), block.bag_keys[bag]));
    }
    for (std::size_t v = 0; v < vector_lengths_.size(); ++v) {
      COHORT_CHECK(block.vectors[v].size() == rows * vector_lengths_[v]);
      COHORT_RETURN_IF_ERROR(writer_->Append<float>(VectorName(split, v), block.vectors[v]));
    }
    if (has_id_) {
      offsets_.clear();
      bytes_.clear();
      for (const std::string& id : block.ids) {
        bytes_.insert(bytes_.end(), id.begin(), id.end());
        offsets_.push_back(state.id_size + bytes_.size());
      }
      state.id_size = offsets_.back();
      COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(Name(split, "id_offsets"), offsets_));
      COHORT_RETURN_IF_ERROR(writer_->Append<std::uint8_t>(Name(split, "id_bytes"), bytes_));
    }
    state.rows += rows;
    return {};
  }

  Status AddNames(const DatasetNames& names) override {
    if (names.empty()) return {};
    std::vector<Key> keys;
    std::vector<std::uint64_t> offsets = {0};
    std::vector<std::uint8_t> bytes;
    for (const auto& [key, text] : names) {
      keys.push_back(key);
      bytes.insert(bytes.end(), text.begin(), text.end());
      offsets.push_back(bytes.size());
    }
    COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<Key>(kNameKeys, 0, kBlockRows));
    COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<std::uint64_t>(kNameOffsets, 0, kBlockRows));
    COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<std::uint8_t>(kNameBytes, 0, kByteChunk));
    COHORT_RETURN_IF_ERROR(writer_->Append<Key>(kNameKeys, keys));
    COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(kNameOffsets, offsets));
    return writer_->Append<std::uint8_t>(kNameBytes, bytes);
  }

  Status Finish(const DatasetInfo& info) override {
    DatasetInfo complete = info;
    for (std::size_t split = 0; split < splits_.size(); ++split) complete.rows[split] = splits_[split].rows;
    COHORT_RETURN_IF_ERROR(writer_->SetInteger("/", "format", kDatasetFormat));
    COHORT_RETURN_IF_ERROR(writer_->SetText("/", "description", ToJson(complete)));
    COHORT_RETURN_IF_ERROR(writer_->Close());
    return file_.Commit();
  }

 private:
  struct SplitState {
    std::uint64_t rows = 0;
    std::uint64_t id_size = 0;
    std::vector<std::uint64_t> bag_sizes;
  };

  bool HasGroups(Split split) const { return has_group_ && split != Split::kTrain; }

  Status CreateArrays(Split split, SplitState* state) {
    state->bag_sizes.assign(bags_, 0);
    const std::vector<std::uint64_t> zero(1, 0);
    if (numeric_ > 0) {
      COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<float>(Name(split, "numeric"), numeric_, kBlockRows));
    }
    if (categorical_ > 0) {
      COHORT_RETURN_IF_ERROR(
          writer_->CreateExtendable<Key>(Name(split, "categorical"), categorical_, kBlockRows));
    }
    if (tasks_ > 0) {
      COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<float>(Name(split, "label"), tasks_, kBlockRows));
    }
    if (has_weight_) {
      COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<float>(Name(split, "weight"), 0, kBlockRows));
    }
    COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<std::uint64_t>(Name(split, "row"), 0, kBlockRows));
    if (HasGroups(split))
      COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<std::uint64_t>(Name(split, "group"), 0, kBlockRows));
    for (std::size_t bag = 0; bag < bags_; ++bag) {
      const std::string offsets = BagName(split, bag, "offsets");
      COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<std::uint64_t>(offsets, 0, kBlockRows));
      COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(offsets, zero));
      COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<Key>(BagName(split, bag, "keys"), 0, kKeyChunk));
    }
    for (std::size_t v = 0; v < vector_lengths_.size(); ++v) {
      COHORT_RETURN_IF_ERROR(
          writer_->CreateExtendable<float>(VectorName(split, v), vector_lengths_[v], kBlockRows));
    }
    if (has_id_) {
      COHORT_RETURN_IF_ERROR(
          writer_->CreateExtendable<std::uint64_t>(Name(split, "id_offsets"), 0, kBlockRows));
      COHORT_RETURN_IF_ERROR(writer_->Append<std::uint64_t>(Name(split, "id_offsets"), zero));
      COHORT_RETURN_IF_ERROR(writer_->CreateExtendable<std::uint8_t>(Name(split, "id_bytes"), 0, kByteChunk));
    }
    return {};
  }

  AtomicFile file_;  // outlives the writer: it removes what was not committed
  std::unique_ptr<Hdf5Writer> writer_;
  std::size_t numeric_, categorical_, bags_;
  std::vector<std::uint32_t> vector_lengths_;
  std::size_t tasks_;
  bool has_weight_, has_id_, has_group_;
  std::array<SplitState, kSplitCount> splits_;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

Result<std::unique_ptr<DatasetReader>> DatasetReader::Open(const std::string& path) {
  COHORT_RETURN_IF_ERROR(CheckIsHdf5(path, "a dataset, which `cohort prepare` writes"));
  auto file = Hdf5Reader::Open(path);
  if (!file) {
    if (file.error().code() == ErrorCode::kInvalidInput) return tl::unexpected<Status>(file.error());
    return tl::unexpected<Status>(AsInput(path, file.error()));
  }
  auto format = (*file)->GetInteger("/", "format");
  if (!format) return tl::unexpected<Status>(AsInput(path, format.error()));
  if (*format != kDatasetFormat) {
    return InvalidInput(path + ": is a dataset of format " + std::to_string(*format) +
                        ", this version reads format " + std::to_string(kDatasetFormat) +
                        "; make it again with `cohort prepare`");
  }
  auto description = (*file)->GetText("/", "description");
  if (!description) return tl::unexpected<Status>(AsInput(path, description.error()));
  auto info = DatasetInfoFromJson(*description);
  if (!info) return tl::unexpected<Status>(AsInput(path, info.error()));
  auto reader = std::make_unique<Hdf5DatasetReader>(std::move(*file), std::move(*info));
  if (Status status = reader->Check(); !status.ok()) return tl::unexpected<Status>(AsInput(path, status));
  return reader;
}

Result<std::unique_ptr<DatasetWriter>> DatasetWriter::Create(const std::string& path,
                                                             const DatasetInfo& info) {
  COHORT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  COHORT_ASSIGN_OR_RETURN(std::unique_ptr<Hdf5Writer> writer, Hdf5Writer::Create(file.temporary_path()));
  return std::make_unique<Hdf5DatasetWriter>(std::move(file), std::move(writer), info);
}

}  // namespace cohort
