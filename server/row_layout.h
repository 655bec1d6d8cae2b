// RowLayout: what the words of a row mean: `dim` weights in the table's dtype, filled up to whole words, then the
// optimizer's state in float32. Outside the table a row is always floats: weights, then state.
#ifndef COHORT_SERVER_ROW_LAYOUT_H_
#define COHORT_SERVER_ROW_LAYOUT_H_

#include <cstdint>
#include <cstring>

#include "common/float16.h"
#include "common/table_spec.h"

namespace cohort {

struct RowLayout {
  explicit RowLayout(const TableSpec& spec)
      : dtype(spec.dtype),
        dim(spec.dim),
        weight_words(WeightWords(spec)),
        state_floats(StateFloats(spec.optimizer.kind, spec.dim)) {}

  // The row's weights as floats, exactly.
  void LoadWeights(const float* row, float* out) const {
    if (dtype == FloatType::kFloat32) {
      std::memcpy(out, row, dim * sizeof(float));
    } else {
      Widen(dtype, Halves(row), dim, out);
    }
  }
  void Load(const float* row, float* out) const {
    LoadWeights(row, out);
    std::memcpy(out + dim, State(row), state_floats * sizeof(float));
  }
  // Rounds weights to the nearest that the row can hold.
  void StoreWeights(const float* weights, float* row) const {
    if (dtype == FloatType::kFloat32) {
      std::memcpy(row, weights, dim * sizeof(float));
    } else {
      NarrowToNearest(dtype, weights, dim, Halves(row));
    }
  }
  void Store(const float* values, float* row) const {
    StoreWeights(values, row);
    std::memcpy(State(row), values + dim, state_floats * sizeof(float));
  }
  float* State(float* row) const { return row + weight_words; }
  const float* State(const float* row) const { return row + weight_words; }
  // The weights of a row of 16-bit values.
  static std::uint16_t* Halves(float* row) { return reinterpret_cast<std::uint16_t*>(row); }
  static const std::uint16_t* Halves(const float* row) { return reinterpret_cast<const std::uint16_t*>(row); }

  const FloatType dtype;
  const std::uint32_t dim;
  const std::uint32_t weight_words;
  const std::uint32_t state_floats;
};

}  // namespace cohort

#endif  // COHORT_SERVER_ROW_LAYOUT_H_
