// Stochastic rounding of a row, value by value: what an update leaves behind in a table of 16-bit weights.
#ifndef COHORT_TESTS_SUPPORT_PLAIN_ROUNDING_H_
#define COHORT_TESTS_SUPPORT_PLAIN_ROUNDING_H_

#include <cstdint>
#include <vector>

#include "common/float16.h"
#include "common/random.h"
#include "common/table_spec.h"

namespace cohort {

inline void RoundPlainly(const TableSpec& spec, std::uint64_t seed, Clock clock, Key key, float* weights) {
  if (spec.dtype == FloatType::kFloat32) return;
  const std::uint64_t of_clock =
      RandomBits(RandomBits(seed, spec.id, 0x726f756e64), static_cast<std::uint64_t>(clock));
  std::vector<std::uint16_t> halves(spec.dim);
  NarrowAtRandom(spec.dtype, weights, spec.dim, RandomBits(of_clock, key), halves.data());
  Widen(spec.dtype, halves.data(), spec.dim, weights);
}

}  // namespace cohort

#endif  // COHORT_TESTS_SUPPORT_PLAIN_ROUNDING_H_
