// The AVX2 path: a vector of 16 floats is two registers. Compiled with -march=x86-64-v3
// (cmake/kernels.cmake).
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/model/kernels.h"

namespace cohort {
namespace {

#define COHORT_INLINE inline __attribute__((always_inline))

constexpr int kTileRows = 6;  // 12 accumulators, 2 registers for B, 1 for A
constexpr int kTileVectors = 1;

struct Vector {
  __m256 low, high;
};
struct Integers {
  __m256i low, high;
};
struct Mask {
  __m256i low, high;
};

COHORT_INLINE Mask FirstLanes(size_t n) {
  const __m256i count = _mm256_set1_epi32(static_cast<int>(n));
  return {_mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
          _mm256_cmpgt_epi32(count, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
}
COHORT_INLINE Vector Splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
COHORT_INLINE Vector Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
COHORT_INLINE Vector Load(const float* p, Mask m) {
  return {_mm256_maskload_ps(p, m.low), _mm256_maskload_ps(p + 8, m.high)};
}
COHORT_INLINE void Store(float* p, Vector x) {
  _mm256_storeu_ps(p, x.low);
  _mm256_storeu_ps(p + 8, x.high);
}
COHORT_INLINE void Store(float* p, Vector x, Mask m) {
  _mm256_maskstore_ps(p, m.low, x.low);
  _mm256_maskstore_ps(p + 8, m.high, x.high);
}
#define COHORT_BINARY(name, type, intrinsic) \
  COHORT_INLINE type name(type x, type y) { return {intrinsic(x.low, y.low), intrinsic(x.high, y.high)}; }
COHORT_BINARY(Add, Vector, _mm256_add_ps)
COHORT_BINARY(Subtract, Vector, _mm256_sub_ps)
COHORT_BINARY(Multiply, Vector, _mm256_mul_ps)
COHORT_BINARY(Divide, Vector, _mm256_div_ps)
// If either operand is NaN, the second one: so Max(constant, x) lets a NaN in x pass.
COHORT_BINARY(Max, Vector, _mm256_max_ps)
COHORT_BINARY(Min, Vector, _mm256_min_ps)
COHORT_BINARY(Add, Integers, _mm256_add_epi32)
COHORT_BINARY(Subtract, Integers, _mm256_sub_epi32)
COHORT_BINARY(And, Integers, _mm256_and_si256)
#undef COHORT_BINARY
COHORT_INLINE Vector MultiplyAdd(Vector x, Vector y, Vector z) {
  return {_mm256_fmadd_ps(x.low, y.low, z.low), _mm256_fmadd_ps(x.high, y.high, z.high)};
}
COHORT_INLINE Vector MultiplySubtractFrom(Vector x, Vector y, Vector z) {
  return {_mm256_fnmadd_ps(x.low, y.low, z.low), _mm256_fnmadd_ps(x.high, y.high, z.high)};
}
COHORT_INLINE Vector Round(Vector x) {
  return {_mm256_round_ps(x.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(x.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
COHORT_INLINE Mask Less(Vector x, Vector y) {
  return {_mm256_castps_si256(_mm256_cmp_ps(x.low, y.low, _CMP_LT_OQ)),
          _mm256_castps_si256(_mm256_cmp_ps(x.high, y.high, _CMP_LT_OQ))};
}
COHORT_INLINE Mask Equal(Vector x, Vector y) {
  return {_mm256_castps_si256(_mm256_cmp_ps(x.low, y.low, _CMP_EQ_OQ)),
          _mm256_castps_si256(_mm256_cmp_ps(x.high, y.high, _CMP_EQ_OQ))};
}
COHORT_INLINE Vector Select(Mask m, Vector yes, Vector no) {
  return {_mm256_blendv_ps(no.low, yes.low, _mm256_castsi256_ps(m.low)),
          _mm256_blendv_ps(no.high, yes.high, _mm256_castsi256_ps(m.high))};
}
COHORT_INLINE Integers ToIntegers(Vector x) {
  return {_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high)};
}
COHORT_INLINE Vector FromIntegers(Integers x) {
  return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)};
}
COHORT_INLINE Integers Bits(Vector x) { return {_mm256_castps_si256(x.low), _mm256_castps_si256(x.high)}; }
COHORT_INLINE Vector FromBits(Integers x) {
  return {_mm256_castsi256_ps(x.low), _mm256_castsi256_ps(x.high)};
}
COHORT_INLINE Integers SplatInteger(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
template <int kBits>
COHORT_INLINE Integers ShiftLeft(Integers x) {
  return {_mm256_slli_epi32(x.low, kBits), _mm256_slli_epi32(x.high, kBits)};
}
template <int kBits>
COHORT_INLINE Integers ShiftRight(Integers x) {  // arithmetic
  return {_mm256_srai_epi32(x.low, kBits), _mm256_srai_epi32(x.high, kBits)};
}
// Lanes 0-7 + lanes 8-15: the first level of the tree that closes a row-wise sum.
COHORT_INLINE __m256 AddHalves(Vector x) { return _mm256_add_ps(x.low, x.high); }

}  // namespace
}  // namespace cohort

#define COHORT_KERNEL_TABLE kAvx2Kernels
#define COHORT_KERNEL_NAME "avx2"
#include "worker/model/kernels_impl.inc"
