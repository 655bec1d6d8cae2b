// ScoreSketch: how predictions and labels are distributed together, in bounded memory, whoever saw which row. All
// metrics that order rows (AUC, Gini, Spearman, calibration, deciles) are computed from it.
//
// It is a list of cells. While there are at most `capacity` different (prediction, label) pairs, each has a cell of its
// own: everything computed from it is exact. Beyond that the lowest `level` bits of the floats (as integers that ascend
// with them) are dropped, for the smallest level at which the cells fit: a cell then spans predictions that differ by
// less than 2^(level - 23) of their size, and what is computed from it has an error that can be bounded from the cells
// (docs/metrics.md). The level depends on the set of pairs alone and sums are FixedSum, so parts of a split merge to the
// same cells in whatever way the rows were divided.
#ifndef COHORT_COMMON_SCORE_SKETCH_H_
#define COHORT_COMMON_SCORE_SKETCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_stream.h"
#include "common/fixed_sum.h"

namespace cohort {

class ScoreSketch {
 public:
  // Sums are of (value - origin) / scale; the scale is a power of two, so that no bit is lost.
  struct Unit {
    double origin = 0, scale = 1;
    double To(double value) const { return (value - origin) / scale; }
    double SumFrom(const FixedSum& sum, double weight) const { return origin * weight + scale * sum.value(); }
  };
  // The pairs whose floats, without the low `level` bits, are those of `key`: the prediction's in the upper half, the
  // label's in the lower.
  struct Cell {
    std::uint64_t key = 0;
    std::uint64_t rows = 0;
    FixedSum weight;
    FixedSum prediction, label;     // sums of weight * value, in units
    float lowest = 0, highest = 0;  // predictions
    float lowest_label = 0, highest_label = 0;
  };

  explicit ScoreSketch(std::size_t capacity) : ScoreSketch(capacity, Unit()) {}
  ScoreSketch(std::size_t capacity, Unit unit) : capacity_(capacity), unit_(unit) {}

  // REQUIRES: finite values, weight > 0.
  void Add(float prediction, float label, float weight);
  // REQUIRES: of the same capacity and unit; both folded.
  void Merge(const ScoreSketch& other);

  // Takes the rows that still wait into cells. What follows REQUIRES it.
  void Fold();
  // Ascending by key.
  const std::vector<Cell>& cells() const { return cells_; }
  std::uint64_t rows() const;
  std::uint32_t level() const { return level_; }
  const Unit& unit() const { return unit_; }

  static std::uint32_t PredictionKey(const Cell& cell) { return static_cast<std::uint32_t>(cell.key >> 32); }
  static std::uint32_t LabelKey(const Cell& cell) { return static_cast<std::uint32_t>(cell.key); }

  void Write(ByteWriter* out) const;
  // False: the bytes are not a sketch of this capacity with at most so many rows.
  bool Read(ByteReader* in, std::uint64_t most_rows);

 private:
  struct Row {
    std::uint64_t key;
    float prediction, label, weight;
  };
  std::uint64_t Mask() const;
  // Adds cells of this level, ascending by key, to cells_.
  void Take(std::vector<Cell> cells);

  std::size_t capacity_;
  Unit unit_;
  std::uint32_t level_ = 0;
  std::vector<Cell> cells_;
  std::vector<Row> rows_;  // not in cells_ yet
};

}  // namespace cohort

#endif  // COHORT_COMMON_SCORE_SKETCH_H_
