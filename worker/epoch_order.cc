#include "worker/epoch_order.h"

#include <algorithm>
#include <numeric>

#include "common/check.h"
#include "common/dataset.h"
#include "common/random.h"

namespace cohort {
namespace {

// Fisher-Yates with our own draws: std::shuffle is not the same on every standard library.
template <typename T>
void Shuffle(RandomStream random, std::vector<T>* values) {
  for (std::size_t i = values->size(); i > 1; --i) std::swap((*values)[i - 1], (*values)[random.Below(i)]);
}

}  // namespace

EpochOrder::EpochOrder(std::uint64_t seed, std::uint64_t rows, std::uint32_t epoch)
    : seed_(seed), rows_(rows), epoch_(epoch), blocks_((rows + kBlockRows - 1) / kBlockRows) {
  std::iota(blocks_.begin(), blocks_.end(), 0);
  Shuffle(RandomStream(seed, RandomBits(0x626c6f636b, epoch)), &blocks_);
}

std::uint32_t EpochOrder::RowsOfBlock(std::uint64_t block) const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows_ - block * kBlockRows));
}

std::uint64_t EpochOrder::RowsOfWindow(std::uint64_t first, std::uint64_t count) const {
  COHORT_CHECK(first + count <= blocks_.size());
  std::uint64_t rows = 0;
  for (std::uint64_t i = first; i < first + count; ++i) rows += RowsOfBlock(blocks_[i]);
  return rows;
}

void EpochOrder::ShuffleWindow(std::uint64_t first, std::uint64_t count, std::vector<Place>* out) const {
  COHORT_CHECK(first + count <= blocks_.size());
  out->clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t rows = RowsOfBlock(blocks_[first + i]);
    for (std::uint32_t row = 0; row < rows; ++row) out->push_back({i, row});
  }
  Shuffle(RandomStream(seed_, RandomBits(0x77696e646f77, epoch_, first)), out);
}

}  // namespace cohort
