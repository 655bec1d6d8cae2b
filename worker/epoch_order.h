// In which order an epoch visits the rows of a split: a pure function of (seed, rows, epoch), never of the
// number of workers (DESIGN 2.3).
//
// The blocks of the split (kBlockRows rows each, the last one short) are put into an order drawn per epoch. A
// *window* is a run of blocks of that order; its rows are visited in an order drawn per (epoch, window). Only
// one window must be in memory at a time: shuffle_rows rows. Rows of one block stay within a window of each
// other; blocks are spread over the whole epoch.
#ifndef COHORT_WORKER_EPOCH_ORDER_H_
#define COHORT_WORKER_EPOCH_ORDER_H_

#include <cstdint>
#include <vector>

namespace cohort {

class EpochOrder {
 public:
  EpochOrder(std::uint64_t seed, std::uint64_t rows, std::uint32_t epoch);

  std::uint64_t block_count() const { return blocks_.size(); }
  // The block at a place of the order.
  std::uint64_t BlockAt(std::uint64_t place) const { return blocks_[place]; }
  std::uint32_t RowsOfBlock(std::uint64_t block) const;
  // Rows of the blocks at places [first, first + count).
  std::uint64_t RowsOfWindow(std::uint64_t first, std::uint64_t count) const;

  // A row of a window: the place of its block, relative to the window's first, and the row within the block.
  struct Place {
    std::uint32_t block;
    std::uint32_t row;
  };
  // The rows of the window of blocks [first, first + count), in visiting order, into `out` (replaced).
  void ShuffleWindow(std::uint64_t first, std::uint64_t count, std::vector<Place>* out) const;

 private:
  std::uint64_t seed_;
  std::uint64_t rows_;
  std::uint32_t epoch_;
  std::vector<std::uint64_t> blocks_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_EPOCH_ORDER_H_
