#include "common/score_sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "common/check.h"

namespace cohort {
namespace {

constexpr std::size_t kLeastWaiting = 4096;
constexpr std::uint32_t kMostLevel = 31;

// Integers that ascend with the floats; both zeros are one.
std::uint32_t Ordered(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value == 0 ? 0.0f : value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

std::uint64_t KeyOf(float prediction, float label) {
  return std::uint64_t{Ordered(prediction)} << 32 | Ordered(label);
}

void AddTo(const ScoreSketch::Cell& from, ScoreSketch::Cell* into) {
  into->rows += from.rows;
  into->weight.Add(from.weight);
  into->prediction.Add(from.prediction);
  into->label.Add(from.label);
  into->lowest = std::min(into->lowest, from.lowest);
  into->highest = std::max(into->highest, from.highest);
  into->lowest_label = std::min(into->lowest_label, from.lowest_label);
  into->highest_label = std::max(into->highest_label, from.highest_label);
}

// Neighbours of one key become one.
void Join(std::vector<ScoreSketch::Cell>* cells) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < cells->size(); ++i) {
    ScoreSketch::Cell& cell = (*cells)[i];
    if (kept > 0 && (*cells)[kept - 1].key == cell.key) {
      AddTo(cell, &(*cells)[kept - 1]);
    } else {
      (*cells)[kept++] = cell;
    }
  }
  cells->resize(kept);
}

bool ByKey(const ScoreSketch::Cell& a, const ScoreSketch::Cell& b) { return a.key < b.key; }

}  // namespace

std::uint64_t ScoreSketch::Mask() const {
  const std::uint64_t half = ~std::uint32_t{0} << level_ & ~std::uint32_t{0};
  return half << 32 | half;
}

std::uint64_t ScoreSketch::rows() const {
  std::uint64_t sum = 0;
  for (const Cell& cell : cells_) sum += cell.rows;
  return sum;
}

void ScoreSketch::Add(float prediction, float label, float weight) {
  rows_.push_back({KeyOf(prediction, label), prediction, label, weight});
  if (rows_.size() >= std::max(kLeastWaiting, cells_.size() / 4)) Fold();
}

void ScoreSketch::Fold() {
  if (rows_.empty()) return;
  const std::uint64_t mask = Mask();
  for (Row& row : rows_) row.key &= mask;
  std::sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) { return a.key < b.key; });
  std::vector<Cell> fresh;
  for (const Row& row : rows_) {
    const double weight = row.weight;
    Cell one{row.key, 1, {}, {}, {}, row.prediction, row.prediction, row.label, row.label};
    one.weight.Add(weight);
    one.prediction.Add(weight * unit_.To(row.prediction));
    one.label.Add(weight * unit_.To(row.label));
    if (fresh.empty() || fresh.back().key != row.key) {
      fresh.push_back(one);
    } else {
      AddTo(one, &fresh.back());
    }
  }
  rows_.clear();
  Take(std::move(fresh));
}

void ScoreSketch::Merge(const ScoreSketch& other) {
  COHORT_CHECK(rows_.empty() && other.rows_.empty() && capacity_ == other.capacity_);
  std::vector<Cell> theirs = other.cells_;
  if (level_ < other.level_) {
    level_ = other.level_;
    const std::uint64_t mask = Mask();
    for (Cell& cell : cells_) cell.key &= mask;
    std::sort(cells_.begin(), cells_.end(), ByKey);
    Join(&cells_);
  } else if (level_ > other.level_) {
    const std::uint64_t mask = Mask();
    for (Cell& cell : theirs) cell.key &= mask;
    std::sort(theirs.begin(), theirs.end(), ByKey);
  }
  Take(std::move(theirs));
}

void ScoreSketch::Take(std::vector<Cell> cells) {
  std::vector<Cell> merged;
  merged.reserve(cells_.size() + cells.size());
  std::merge(cells_.begin(), cells_.end(), cells.begin(), cells.end(), std::back_inserter(merged), ByKey);
  Join(&merged);
  while (merged.size() > capacity_ && level_ < kMostLevel) {
    ++level_;
    const std::uint64_t mask = Mask();
    for (Cell& cell : merged) cell.key &= mask;
    std::sort(merged.begin(), merged.end(), ByKey);
    Join(&merged);
  }
  cells_ = std::move(merged);
}

void ScoreSketch::Write(ByteWriter* out) const {
  COHORT_CHECK(rows_.empty());
  out->Put(level_);
  out->PutList(cells_);
}

bool ScoreSketch::Read(ByteReader* in, std::uint64_t most_rows) {
  rows_.clear();
  if (!in->Get(&level_) || !in->GetList(&cells_) || level_ > kMostLevel) return false;
  const std::uint64_t mask = Mask();
  std::uint64_t left = most_rows;
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    const Cell& cell = cells_[i];
    if (cell.rows == 0 || cell.rows > left || (i > 0 && cell.key <= cells_[i - 1].key)) return false;
    left -= cell.rows;
    for (const auto& [prediction, label] :
         {std::pair(cell.lowest, cell.lowest_label), std::pair(cell.highest, cell.highest_label)}) {
      if (!std::isfinite(prediction) || !std::isfinite(label) ||
          (KeyOf(prediction, label) & mask) != cell.key)
        return false;
    }
    if (cell.lowest > cell.highest || cell.lowest_label > cell.highest_label || cell.weight.value() < 0)
      return false;
  }
  return cells_.size() <= std::max<std::size_t>(capacity_, 4);
}

}  // namespace cohort
