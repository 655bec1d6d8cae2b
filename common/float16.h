// Values of 16 bits, in a table's rows or on the wire: bfloat16 (float's range, 8 bits of precision) and IEEE 754
// binary16 (11 bits, up to 65,504).
//
// Widening is exact. Narrowing rounds to the nearest value (ties to even) or at random: to either neighbour with the
// probability that makes the expected value the given one [1], from bits that the caller names by a seed, so that a
// result depends on nothing else. A finite value beyond the largest finite one becomes that value, with its sign, and
// is counted: never an infinity. Infinities stay infinite and NaN stays NaN, so that whoever refuses these still sees
// them. Every function is pure: the same bits on every machine. Any thread.
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

// REQUIRES (these three): `type` is one of 16 bits; `in` and `out` hold n values.
void Widen(FloatType type, const std::uint16_t* in, std::size_t n, float* out);
// How many values were clipped.
std::size_t NarrowToNearest(FloatType type, const float* in, std::size_t n, std::uint16_t* out);
std::size_t NarrowAtRandom(FloatType type, const float* in, std::size_t n, std::uint64_t seed,
                           std::uint16_t* out);

// Of any type. Writes n floats as values of `type`, the nearest, to `out` (n * SizeOf(type) bytes, aligned to a value).
// How many were clipped.
std::size_t EncodeValues(FloatType type, const float* in, std::size_t n, void* out);
// The inverse; exact.
void DecodeValues(FloatType type, const void* in, std::size_t n, float* out);
// What EncodeValues and DecodeValues would make of the values, in place. How many were clipped.
std::size_t RoundValues(FloatType type, float* values, std::size_t n);
// How many of the values are NaN or infinite.
std::size_t CountNonFinite(FloatType type, const void* values, std::size_t n);

}  // namespace cohort

#endif  // COHORT_COMMON_FLOAT16_H_
