// Values of 16 bits: bfloat16 (float's range, 8 bits of precision) and IEEE 754 binary16 (11 bits, up to 65,504).
//
// Widening is exact. Narrowing rounds to the nearest value (ties to even) or at random: to either neighbour with the
// probability that makes the expected value the given one [1], from bits that the caller names by a seed, so that a
// result depends on nothing else. What lies beyond the largest finite value becomes that value and is counted; NaN
// stays NaN.
//
// [1] Gupta et al. 2015 (arXiv:1502.02551), section 3. Subnormal binary16 values are exact in expectation to 2^-16 of
// their spacing.
#ifndef COHORT_COMMON_FLOAT16_H_
#define COHORT_COMMON_FLOAT16_H_

#include <cstddef>
#include <cstdint>

namespace cohort {

enum class FloatType : std::uint8_t { kFloat32 = 0, kBfloat16, kFloat16 };
const char* FloatTypeName(FloatType type);  // as in the run file: "bfloat16"
inline std::size_t SizeOf(FloatType type) { return type == FloatType::kFloat32 ? 4 : 2; }

// REQUIRES (all): `type` is one of 16 bits; `in` and `out` hold n values.
void Widen(FloatType type, const std::uint16_t* in, std::size_t n, float* out);
// How many values were clipped.
std::size_t NarrowToNearest(FloatType type, const float* in, std::size_t n, std::uint16_t* out);
std::size_t NarrowAtRandom(FloatType type, const float* in, std::size_t n, std::uint64_t seed,
                           std::uint16_t* out);

}  // namespace cohort

#endif  // COHORT_COMMON_FLOAT16_H_
