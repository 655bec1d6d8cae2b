#include "server/changed_rows.h"

#include <bit>

#include "common/types.h"

namespace cohort {
namespace {

constexpr std::uint64_t kCellsPerRow = 8;
constexpr int kMostCellBits = 32;

}  // namespace

ChangedRows::ChangedRows(std::uint64_t rows, std::uint64_t slots) : slots_(kSlotCount) {
  static_assert(kSlotCount == 1 << (64 - kInSlotBits));
  const std::uint64_t cells =
      std::max<std::uint64_t>(rows * kCellsPerRow / std::max<std::uint64_t>(slots, 1), 64);
  cell_bits_ = std::min(static_cast<int>(std::bit_width(cells - 1)), kMostCellBits);
}

void ChangedRows::Add(std::span<const std::uint64_t> positions) {
  const std::size_t words = (std::size_t{1} << cell_bits_) / 64;
  for (const std::uint64_t position : positions) {
    std::vector<std::uint64_t>& cells = slots_[position >> kInSlotBits];
    if (cells.empty()) cells.resize(words);
    const std::uint64_t cell = Cell(position), bit = std::uint64_t{1} << cell % 64;
    cells_ += (cells[cell / 64] & bit) == 0;
    cells[cell / 64] |= bit;
  }
}

}  // namespace cohort
