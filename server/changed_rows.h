// ChangedRows: which rows of a table have been made or changed since an instant, as the table tells it (embedding_table.h).
//
// A bit for each of some eight times as many cells of the ring of keys as there are rows: a row is taken for changed when its cell
// has been. So some are that were not (with a tenth of the rows changed, one in eighty of the others), and none is missed.
// Bits of a slot are made when one is first set there. One thread adds; nobody reads meanwhile.
#ifndef COHORT_SERVER_CHANGED_ROWS_H_
#define COHORT_SERVER_CHANGED_ROWS_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace cohort {

class ChangedRows {
 public:
  // `rows`: of the table, about, in `slots` slots of the ring.
  ChangedRows(std::uint64_t rows, std::uint64_t slots);

  // Ring positions; ascending ones are the fastest.
  void Add(std::span<const std::uint64_t> positions);
  bool Has(std::uint64_t position) const {
    const std::vector<std::uint64_t>& cells = slots_[position >> kInSlotBits];
    const std::uint64_t cell = Cell(position);
    return !cells.empty() && (cells[cell / 64] >> cell % 64 & 1) != 0;
  }
  // Cells that have changed: about as many as rows, when these are few.
  std::uint64_t cells() const { return cells_; }

 private:
  static constexpr int kInSlotBits = 50;  // of a position, below its slot
  std::uint64_t Cell(std::uint64_t position) const {
    return (position & ((std::uint64_t{1} << kInSlotBits) - 1)) >> (kInSlotBits - cell_bits_);
  }

  int cell_bits_;                                  // a slot has 2^cell_bits_ cells
  std::vector<std::vector<std::uint64_t>> slots_;  // words of bits; empty: none is set
  std::uint64_t cells_ = 0;
};

// What has changed since an instant, in pieces of time.
using ChangesSince = std::vector<std::shared_ptr<const ChangedRows>>;
inline bool HasChanged(const ChangesSince& changes, std::uint64_t position) {
  return std::any_of(changes.begin(), changes.end(),
                     [position](const auto& piece) { return piece->Has(position); });
}
inline std::uint64_t ChangedCells(const ChangesSince& changes) {
  std::uint64_t cells = 0;
  for (const auto& piece : changes) cells += piece->cells();
  return cells;
}

}  // namespace cohort

#endif  // COHORT_SERVER_CHANGED_ROWS_H_
