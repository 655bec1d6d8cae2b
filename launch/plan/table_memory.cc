#include "launch/plan/table_memory.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "common/random.h"
#include "launch/bench/child_processes.h"
#include "launch/plan/memory_growth.h"
#include "launch/prefaulted_slabs.h"
#include "launch/role.h"
#include "server/part_writer.h"
#include "server/row_index.h"
#include "server/row_layout.h"
#include "server/slab_source.h"

namespace cohort {
namespace {

// As in embedding_table.cc: the first slabs are of small pages, touched row by row; further ones are whole at
// once, and two more are ready.
constexpr double kSlabsOfSmallPages = 4, kReadySlabs = PrefaultedSlabs::kReady;
// As in model_part.cc: rows are written in blocks of 1 MB, and fetched 32 of them at a time.
constexpr double kBlockBytes = 1 << 20, kFetchedBlocks = 32;
// As in part_writer.h: rows of a checkpoint that wait to be written.
constexpr double kWaitingBytes = static_cast<double>(PartWriter::kRoomBytes);

constexpr double kMostInserted = 1 << 20;  // rows
constexpr Duration kLongestIndex = std::chrono::minutes(5);

}  // namespace

Result<double> RehearseIndex(double rows, bool statistics) {
  // Whole groups, each as full as all are.
  const double groups = std::clamp(std::floor(kSlotGroupCount * kMostInserted / std::max(rows, 1.0)), 1.0,
                                   1.0 * kSlotGroupCount);
  const double share = groups / kSlotGroupCount;
  const auto inserted = static_cast<std::uint32_t>(std::min(rows * share, 8 * kMostInserted));
  if (inserted == 0) return 0.0;
  bench::ChildProcesses children;
  COHORT_ASSIGN_OR_RETURN(
      bench::ChildProcesses::Child* const child,
      children.Start("rehearsal of an index", [&](bench::Channel& channel) -> Status {
        KeepFreedMemory();
        const MemoryGrowth growth;
        RowIndex index(statistics);
        for (std::uint32_t row = 0; row < inserted; ++row)
          index.Insert(static_cast<std::uint64_t>(std::ldexp(share * UniformDouble(RandomBits(1, row)), 64)) |
                           (row & 1023u),
                       row);
        return channel.SendText(std::to_string(growth.Bytes()));
      }));
  const auto bytes = child->channel->ReceiveText(kLongestIndex);
  if (!bytes) return tl::unexpected(children.Explain(*child, bytes.error()));
  COHORT_RETURN_IF_ERROR(children.Join(std::chrono::seconds(10)));
  return std::stod(*bytes) * rows / inserted;
}

TableMemory PlanTable(const TableSpec& table, double rows, double index) {
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
  memory.index = index;
  return memory;
}

double FileBytes(const TableSpec& table, double rows) {
  return rows * (sizeof(Key) + 4.0 * RowFloats(table) + (table.policy.NeedsStatistics() ? 8 : 0));
}

double PartBytes(const TableSpec& table, double rows) {
  const double bytes = rows * 4.0 * RowFloats(table);
  return std::min(bytes, kWaitingBytes) + 2 * std::min(bytes, kBlockBytes) + std::min(bytes, 2 * kBlockBytes);
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
