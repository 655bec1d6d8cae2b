#include "server/embedding_table.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "server/changed_rows.h"
#include "server/table_copy.h"

namespace cohort {
namespace {

constexpr std::size_t kSlabsOfSmallPages = 4;  // small tables stay small

}  // namespace

Key KeyAt(const TableSpec& table, std::uint64_t position) {
  if (table.kind == TableKind::kSparse) return UnMix64(position);
  // position = floor(key 2^64 / n), so key = ceil(position n / 2^64).
  const auto product = static_cast<unsigned __int128>(position) * table.row_count;
  return static_cast<Key>((product + ~0ULL) >> 64);
}

EmbeddingTable::EmbeddingTable(const TableSpec& spec, std::uint64_t seed, SlabSource* slabs)
    : spec_(spec),
      seed_(seed),
      optimizer_(spec.optimizer, spec.dim),
      layout_(spec),
      stride_((layout_.weight_words + layout_.state_floats + 3u) / 4 * 4),
      rows_per_slab_(static_cast<std::uint32_t>(kSlabBytes / (stride_ * sizeof(float)))),
      inverse_rows_per_slab_(~std::uint64_t{0} / rows_per_slab_ + 1),
      row_lines_(std::min(kLinesAhead, (stride_ + kLineFloats - 1) / kLineFloats)),
      index_(spec.policy.NeedsStatistics()),
      source_(slabs),
      fresh_(spec.dim) {
  COHORT_CHECK(spec.dim > 0 && rows_per_slab_ > 1);
}

EmbeddingTable::~EmbeddingTable() = default;

std::uint64_t EmbeddingTable::memory_bytes() const {
  return index_.bytes() + slabs_.size() * kSlabBytes + hot_.capacity() * sizeof(Hot);
}

void EmbeddingTable::Find(std::span<const std::uint64_t> positions, std::span<float*> rows) const {
  COHORT_CHECK(positions.size() == rows.size());
  ForEach(positions, {}, [&](std::size_t i, float* row) { rows[i] = row; });
}

float* EmbeddingTable::FindOrCreate(Key key, std::uint64_t position) {
  if (float* found = RowOrNull(index_.Find(position))) return found;
  float* const row = NewRow(position);
  InitialWeights(key, fresh_.data());
  layout_.StoreWeights(fresh_.data(), row);
  optimizer_.InitState(fresh_.data(), layout_.State(row));
  return row;
}

void EmbeddingTable::CreateDenseRows(const OwnedGroups& groups) {
  if (spec_.kind != TableKind::kDense) return;
  for (Key key = 0; key < spec_.row_count; ++key) {
    const std::uint64_t position = RingPosition(spec_, key);
    if (!groups[static_cast<std::size_t>(GroupOf(position))]) continue;
    FindOrCreate(key, position);
  }
}

void EmbeddingTable::Put(Key key, const float* row) {
  const std::uint64_t position = RingPosition(spec_, key);
  BeforeChange({&position, 1});
  float* place = RowOrNull(index_.Find(position));
  if (place == nullptr) place = NewRow(position);
  layout_.Store(row, place);
  if (cold_ != nullptr) Trim(kFreeRow);
}

std::uint32_t EmbeddingTable::TakeRow() {
  ++rows_in_memory_;
  if (free_row_ != RowIndex::kNoRow) {
    const std::uint32_t number = free_row_;
    std::memcpy(&free_row_, Row(number), sizeof(free_row_));
    return number;
  }
  const std::uint32_t most = cold_ == nullptr ? RowIndex::kMostRows : kCold;
  COHORT_CHECK(used_rows_ < most, "table %s: %u rows in one shard; use more shards", spec_.name.c_str(),
               most);
  if (used_rows_ == slabs_.size() * rows_per_slab_) {
    const bool small = slabs_.size() < kSlabsOfSmallPages;
    slabs_.push_back(small || source_ == nullptr ? NewSlab(!small) : source_->Take());
  }
  if (cold_ != nullptr) hot_.emplace_back();
  return used_rows_++;
}

void EmbeddingTable::FreeRow(std::uint32_t number) {
  std::memcpy(Row(number), &free_row_, sizeof(free_row_));
  free_row_ = number;
  --rows_in_memory_;
  if (cold_ != nullptr) hot_[number].use = kFreeRow;
}

float* EmbeddingTable::NewRow(std::uint64_t position) {
  const std::uint32_t number = TakeRow();
  if (cold_ != nullptr) hot_[number] = {position, last_use_};
  index_.Insert(position, number);
  if (changed_ != nullptr) changed_->Add({&position, 1});
  return Row(number);
}

void EmbeddingTable::TellOfChange(std::span<const std::uint64_t> positions) {
  if (copy_ != nullptr) copy_->BeforeChange(positions);
  if (changed_ != nullptr) changed_->Add(positions);
}
void EmbeddingTable::TellCopyOfStatistics(int slot) { copy_->BeforeStatistics(slot); }

void EmbeddingTable::Erase(std::uint64_t position) {
  COHORT_CHECK(changed_ == nullptr);
  RowIndex::Entry entry;
  entry.position = position;
  if (copy_ != nullptr && spec_.policy.NeedsStatistics()) entry.statistics = index_.Statistics(position);
  bool marked = true;
  const std::uint32_t number = entry.row = index_.Erase(position, &marked);
  const bool place_needed = copy_ != nullptr && !marked && copy_->BeforeErase(entry);
  if (IsCold(number)) {
    if (!place_needed) cold_->Free(number - kCold);
  } else {
    FreeRow(number);
  }
}

void EmbeddingTable::NoteUpdate(std::uint64_t position, std::uint32_t sightings, Clock clock) {
  constexpr std::uint64_t kMostCount = (1ull << 24) - 1, kMostClock = (1ull << 40) - 1;
  RowStatistics& row = index_.Statistics(position);
  row.count = std::min(std::uint64_t{row.count} + sightings, kMostCount);
  row.last = std::max<std::uint64_t>(row.last, std::min(static_cast<std::uint64_t>(clock), kMostClock));
}

std::vector<Key> EmbeddingTable::SortedKeys() const {
  std::vector<Key> keys;
  keys.reserve(size());
  for (int slot = 0; slot < kSlotCount; ++slot)
    index_.VisitPositions(slot, [&](std::uint64_t position) { keys.push_back(KeyAt(spec_, position)); });
  std::sort(keys.begin(), keys.end());
  return keys;
}

Status EmbeddingTable::CopyRows(std::span<const Key> keys, float* out) const {
  const std::size_t floats = optimizer_.row_floats();
  std::vector<std::uint32_t> places;
  std::vector<float*> wanted;  // where the rows of `places` go
  for (const Key key : keys) {
    const std::uint32_t number = index_.Find(RingPosition(spec_, key));
    COHORT_CHECK(number != RowIndex::kNoRow);
    if (IsCold(number)) {
      places.push_back(number - kCold);
      wanted.push_back(out);
    } else {
      layout_.Load(Row(number), out);
    }
    out += floats;
  }
  if (places.empty()) return {};
  std::vector<float> rows(places.size() * stride_);
  COHORT_RETURN_IF_ERROR(cold_->Read(places, rows.data()));
  for (std::size_t i = 0; i < wanted.size(); ++i) layout_.Load(rows.data() + i * stride_, wanted[i]);
  return {};
}

}  // namespace cohort
