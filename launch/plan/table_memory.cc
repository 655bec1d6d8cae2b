#include "launch/plan/table_memory.h"

#include <algorithm>
#include <cmath>

#include "common/random.h"
#include "server/row_index.h"
#include "server/row_layout.h"
#include "server/slab_source.h"

namespace cohort {
namespace {

// As in embedding_table.cc and prefaulted_slabs.h: the first slabs are of small pages, touched row by row; further ones are whole at
// once, and two more are ready.
constexpr double kSlabsOfSmallPages = 4, kReadySlabs = 2;
// As in model_part.cc: rows are written in blocks of 1 MB, and fetched 32 of them at a time.
constexpr double kBlockBytes = 1 << 20, kFetchedBlocks = 32;

// Bytes of an index with so many rows in each slot, for a slot: some slots are filled, with their different steps of growth.
double IndexBytesOfSlot(double rows, bool statistics) {
  constexpr int kSlots = 40, kFirst = 64;  // one group's, so that its array is not counted twice
  RowIndex index(statistics);
  index.Insert(static_cast<std::uint64_t>(kFirst) << 50 | 1, 0);
  const double group = static_cast<double>(index.bytes());
  std::uint32_t row = 1;
  // So many rows fall into a slot as chance has it.
  for (int slot = kFirst + 1; slot <= kFirst + kSlots; ++slot) {
    const double spread =
        std::sqrt(rows) * (2 * UniformDouble(RandomBits(1, static_cast<std::uint64_t>(slot))) - 1) * 1.7;
    const auto count = static_cast<std::uint64_t>(std::max(0.0, std::round(rows + spread)));
    for (std::uint64_t i = 0; i < count; ++i)
      index.Insert(
          static_cast<std::uint64_t>(slot) << 50 | RandomBits(2, static_cast<std::uint64_t>(slot), i) >> 14,
          row++);
  }
  return (static_cast<double>(index.bytes()) - group) / kSlots;
}

}  // namespace

TableMemory PlanTable(const TableSpec& table, double rows, int groups) {
  TableMemory memory;
  const RowLayout layout(table);
  const double row_bytes = 4.0 * ((layout.weight_words + layout.state_floats + 3u) / 4 * 4);
  const double rows_per_slab = std::floor(static_cast<double>(kSlabBytes) / row_bytes);
  const double slabs = std::ceil(rows / rows_per_slab);
  if (slabs <= kSlabsOfSmallPages) {
    memory.rows = rows * row_bytes;
  } else {
    memory.rows = slabs * static_cast<double>(kSlabBytes);
    memory.spare = kReadySlabs * static_cast<double>(kSlabBytes);
  }
  const double slots = groups * kSlotsPerGroup;
  // Filling a slot of millions of rows would take long, and its steps are small: bytes grow with the rows.
  const double in_slot = rows / slots, filled = std::min(in_slot, 20000.0);
  if (in_slot > 0)
    memory.index = slots * IndexBytesOfSlot(filled, table.policy.NeedsStatistics()) * in_slot / filled;
  return memory;
}

double FileBytes(const TableSpec& table, double rows) {
  return rows * (sizeof(Key) + 4.0 * RowFloats(table) + (table.policy.NeedsStatistics() ? 8 : 0));
}

double WritingBytes(const TableSpec& table, double rows) {
  const double row_bytes = 4.0 * RowFloats(table), bytes = rows * row_bytes;
  const double fetched = std::min(bytes, kFetchedBlocks * kBlockBytes);
  const double places = fetched / row_bytes * (sizeof(std::uint32_t) + sizeof(float*));
  // A block is filled beside the file library's chunks: the one being filled and its successor.
  const double block = std::min(bytes, kBlockBytes), chunks = std::min(bytes, 2 * kBlockBytes);
  return rows * sizeof(Key) + fetched + places + block + chunks;
}

}  // namespace cohort
