#include "common/model_part_reader.h"

#include <algorithm>
#include <bit>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

constexpr std::uint64_t kRowsScanned = 4096;
constexpr std::uint64_t kKeysAtATime = 128u << 10;
constexpr std::uint64_t kPieceFloats = 256u << 10;

}  // namespace

// Keys to be looked up among.
class ModelPartReader::KeySet {
 public:
  explicit KeySet(std::uint64_t most_keys) {
    keys_.reserve(most_keys);
    maybe_.resize(std::bit_ceil(most_keys * 8 + 64));
  }
  // Sort must follow, before Has.
  void Add(std::span<const Key> keys) {
    keys_.insert(keys_.end(), keys.begin(), keys.end());
    for (const Key key : keys) maybe_[Cell(key)] = true;
  }
  void Sort() { std::sort(keys_.begin(), keys_.end()); }
  bool Has(Key key) const { return maybe_[Cell(key)] && std::binary_search(keys_.begin(), keys_.end(), key); }

 private:
  std::size_t Cell(Key key) const { return Mix64(key) & (maybe_.size() - 1); }
  std::vector<Key> keys_;
  std::vector<bool> maybe_;  // most keys that are not there are not looked for
};

Result<std::unique_ptr<ModelPartReader>> ModelPartReader::Open(std::span<const std::string> files,
                                                               std::span<const TableSpec> tables,
                                                               std::uint64_t rows) {
  COHORT_CHECK(!files.empty() && files.size() <= kMostFiles);
  std::unique_ptr<ModelPartReader> part(new ModelPartReader());
  for (const std::string& path : files) {
    COHORT_ASSIGN_OR_RETURN(auto file, PartFileReader::Open(path, tables));
    part->files_.push_back(std::move(file));
  }
  if (files.size() == 1) return part;
  for (const TableSpec& table : tables) {
    for (std::size_t i = 0; i < files.size(); ++i) {
      const PartFileReader& file = *part->files_[i];
      if (!file.has_statistics(table.id) && file.row_floats(table.id) == part->row_floats(table.id) &&
          file.rows(table.id) <= rows)
        continue;
      return Error(ErrorCode::kCorrupt, files[i] + ": table " + table.name + " does not fit to " +
                                            files.back() + ", which was written over it");
    }
    COHORT_RETURN_IF_ERROR(part->Overlay(table.id));
  }
  return part;
}

// Finds what is hidden, from the newest layer down.
Status ModelPartReader::Overlay(TableId table) {
  std::vector<Seen>& layers = seen_[table];
  layers.resize(files_.size());
  std::uint64_t most = 0;
  for (std::size_t i = 1; i < files_.size(); ++i) most += files_[i]->rows(table);
  KeySet above(most);
  for (std::size_t i = files_.size() - 1;; --i) {
    if (i + 1 != files_.size()) COHORT_RETURN_IF_ERROR(Hide(table, i, above));
    layers[i].rows = files_[i]->rows(table) - static_cast<std::uint64_t>(std::count(
                                                  layers[i].hidden.begin(), layers[i].hidden.end(), true));
    if (i == 0) return {};
    COHORT_RETURN_IF_ERROR(
        VisitKeys(table, i, [&](std::uint64_t, std::span<const Key> keys) { above.Add(keys); }));
    above.Sort();
  }
}

Status ModelPartReader::Hide(TableId table, std::size_t layer, const KeySet& above) {
  Seen& here = seen_.at(table)[layer];
  here.hidden.resize(files_[layer]->rows(table));
  COHORT_RETURN_IF_ERROR(VisitKeys(table, layer, [&](std::uint64_t first, std::span<const Key> keys) {
    for (std::size_t k = 0; k < keys.size(); ++k) here.hidden[first + k] = above.Has(keys[k]);
  }));
  std::uint64_t seen = 0;
  for (std::uint64_t row = 0; row < here.hidden.size(); ++row) {
    if (row % kRowsScanned == 0) here.before.push_back(seen);
    seen += !here.hidden[row];
  }
  return {};
}

Status ModelPartReader::VisitKeys(TableId table, std::size_t layer,
                                  const std::function<void(std::uint64_t, std::span<const Key>)>& visit) {
  const std::uint64_t rows = files_[layer]->rows(table);
  for (std::uint64_t first = 0; first < rows; first += kKeysAtATime) {
    COHORT_RETURN_IF_ERROR(
        files_[layer]->ReadKeys(table, first, std::min(kKeysAtATime, rows - first), &layer_keys_));
    visit(first, layer_keys_);
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
  // The first of them, and from there on in pieces as they lie in the file.
  const auto block = static_cast<std::uint64_t>(
      std::upper_bound(seen.before.begin(), seen.before.end(), first) - seen.before.begin() - 1);
  std::uint64_t row = block * kRowsScanned;
  for (std::uint64_t left = first - seen.before[block]; left > 0 || seen.hidden[row]; ++row)
    left -= !seen.hidden[row];
  const std::uint64_t most = std::max<std::uint64_t>(1, kPieceFloats / floats);
  while (count > 0) {
    std::uint64_t end = row, found = 0;
    for (; found < count && end < row + most && end < seen.hidden.size(); ++end) found += !seen.hidden[end];
    COHORT_RETURN_IF_ERROR(file.Read(table, row, end - row, &layer_keys_, &layer_rows_));
    for (std::uint64_t i = row; i < end; ++i) {
      if (!seen.hidden[i]) append(i - row, i - row + 1);
    }
    count -= found;
    row = end;
  }
  return {};
}

}  // namespace cohort
