#include "common/model_part_reader.h"

#include <algorithm>
#include <bit>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

constexpr std::uint64_t kBlockRows = 4096;
constexpr std::uint64_t kKeysAtATime = 128u << 10;

// Keys to be looked up among.
class KeySet {
 public:
  void Add(std::span<const Key> keys) { keys_.insert(keys_.end(), keys.begin(), keys.end()); }
  // After the last Add, before Has.
  void Sort() {
    std::sort(keys_.begin(), keys_.end());
    maybe_.assign(std::bit_ceil(keys_.size() * 8 + 64), false);
    for (const Key key : keys_) maybe_[Cell(key)] = true;
  }
  bool Has(Key key) const { return maybe_[Cell(key)] && std::binary_search(keys_.begin(), keys_.end(), key); }

 private:
  std::size_t Cell(Key key) const { return Mix64(key) & (maybe_.size() - 1); }
  std::vector<Key> keys_;
  std::vector<bool> maybe_;  // most keys that are not there are not looked for
};

}  // namespace

Result<std::unique_ptr<ModelPartReader>> ModelPartReader::Open(std::span<const std::string> files,
                                                               std::span<const TableSpec> tables) {
  COHORT_CHECK(!files.empty());
  std::unique_ptr<ModelPartReader> part(new ModelPartReader());
  for (const std::string& path : files) {
    COHORT_ASSIGN_OR_RETURN(auto file, PartFileReader::Open(path, tables));
    part->files_.push_back(std::move(file));
  }
  if (files.size() == 1) return part;
  for (const TableSpec& table : tables) {
    for (std::size_t i = 0; i < files.size(); ++i) {
      const PartFileReader& file = *part->files_[i];
      if (!file.has_statistics(table.id) && file.row_floats(table.id) == part->row_floats(table.id)) continue;
      return Error(ErrorCode::kCorrupt, files[i] + ": table " + table.name + " does not fit to " +
                                            files.back() + ", which was written over it");
    }
    COHORT_RETURN_IF_ERROR(part->Overlay(table.id));
  }
  return part;
}

// Finds what is hidden.
Status ModelPartReader::Overlay(TableId table) {
  std::vector<Seen>& layers = seen_[table];
  layers.resize(files_.size());
  KeySet above;
  for (std::size_t i = files_.size(); i-- > 0;) {
    const PartFileReader& file = *files_[i];
    Seen& layer = layers[i];
    const std::uint64_t rows = layer.rows = file.rows(table);
    const bool covered = i + 1 != files_.size();
    if (covered) {
      above.Sort();
      layer.hidden.resize(rows);
    }
    for (std::uint64_t first = 0; first < rows; first += kKeysAtATime) {
      COHORT_RETURN_IF_ERROR(file.ReadKeys(table, first, std::min(kKeysAtATime, rows - first), &layer_keys_));
      if (covered) {
        for (std::size_t k = 0; k < layer_keys_.size(); ++k)
          layer.hidden[first + k] = above.Has(layer_keys_[k]);
      }
      if (i != 0) above.Add(layer_keys_);
    }
    if (!covered) continue;
    layer.rows = 0;
    for (std::uint64_t row = 0; row < rows; ++row) {
      if (row % kBlockRows == 0) layer.before.push_back(layer.rows);
      layer.rows += !layer.hidden[row];
    }
  }
  return {};
}

std::uint64_t ModelPartReader::rows(TableId table) const {
  if (files_.size() == 1) return top().rows(table);
  std::uint64_t rows = 0;
  for (const Seen& layer : seen_.at(table)) rows += layer.rows;
  return rows;
}

Status ModelPartReader::Read(TableId table, std::uint64_t first, std::uint64_t count, std::vector<Key>* keys,
                             std::vector<float>* rows) {
  if (files_.size() == 1) return files_.back()->Read(table, first, count, keys, rows);
  keys->clear();
  rows->clear();
  const std::vector<Seen>& layers = seen_.at(table);
  for (std::size_t i = 0; i < layers.size() && count > 0; ++i) {
    const std::uint64_t here = std::min(count, layers[i].rows - std::min(first, layers[i].rows));
    if (here > 0) COHORT_RETURN_IF_ERROR(ReadLayer(i, table, first, here, keys, rows));
    first -= std::min(first, layers[i].rows);
    count -= here;
  }
  COHORT_CHECK(count == 0);
  return {};
}

// Appends rows [first, first + count) of those seen of a layer.
Status ModelPartReader::ReadLayer(std::size_t layer, TableId table, std::uint64_t first, std::uint64_t count,
                                  std::vector<Key>* keys, std::vector<float>* rows) {
  PartFileReader& file = *files_[layer];
  const Seen& seen = seen_.at(table)[layer];
  const std::size_t floats = file.row_floats(table);
  const auto append = [&](std::size_t begin, std::size_t end) {
    const auto at = [](std::size_t i) { return static_cast<std::ptrdiff_t>(i); };
    keys->insert(keys->end(), layer_keys_.begin() + at(begin), layer_keys_.begin() + at(end));
    rows->insert(rows->end(), layer_rows_.begin() + at(begin * floats),
                 layer_rows_.begin() + at(end * floats));
  };
  if (seen.hidden.empty()) {
    COHORT_RETURN_IF_ERROR(file.Read(table, first, count, &layer_keys_, &layer_rows_));
    append(0, count);
    return {};
  }
  auto block = static_cast<std::uint64_t>(std::upper_bound(seen.before.begin(), seen.before.end(), first) -
                                          seen.before.begin() - 1);
  std::uint64_t skip = first - seen.before[block];
  for (; count > 0; ++block) {
    const std::uint64_t begin = block * kBlockRows;
    const std::uint64_t size = std::min(kBlockRows, seen.hidden.size() - begin);
    COHORT_RETURN_IF_ERROR(file.Read(table, begin, size, &layer_keys_, &layer_rows_));
    for (std::uint64_t i = 0; i < size && count > 0; ++i) {
      if (seen.hidden[begin + i]) continue;
      if (skip > 0) {
        --skip;
        continue;
      }
      append(i, i + 1);
      --count;
    }
  }
  return {};
}

}  // namespace cohort
