// The AVX-512 path: a vector of 16 floats is one register. Compiled with -march=x86-64-v4
// (cmake/kernels.cmake).
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/model/kernels.h"

namespace cohort {
namespace {

#define COHORT_INLINE inline __attribute__((always_inline))

constexpr int kTileRows = 14;  // 28 accumulators, 2 registers for B, 1 for A
constexpr int kTileVectors = 2;

using Vector = __m512;
using Integers = __m512i;
using Mask = __mmask16;

COHORT_INLINE Mask FirstLanes(size_t n) { return static_cast<Mask>((1u << n) - 1); }
COHORT_INLINE Vector Splat(float x) { return _mm512_set1_ps(x); }
COHORT_INLINE Vector Load(const float* p) { return _mm512_loadu_ps(p); }
COHORT_INLINE Vector Load(const float* p, Mask m) { return _mm512_maskz_loadu_ps(m, p); }
COHORT_INLINE void Store(float* p, Vector x) { _mm512_storeu_ps(p, x); }
COHORT_INLINE void Store(float* p, Vector x, Mask m) { _mm512_mask_storeu_ps(p, m, x); }
COHORT_INLINE Vector Add(Vector x, Vector y) { return _mm512_add_ps(x, y); }
COHORT_INLINE Vector Subtract(Vector x, Vector y) { return _mm512_sub_ps(x, y); }
COHORT_INLINE Vector Multiply(Vector x, Vector y) { return _mm512_mul_ps(x, y); }
COHORT_INLINE Vector Divide(Vector x, Vector y) { return _mm512_div_ps(x, y); }
COHORT_INLINE Vector MultiplyAdd(Vector x, Vector y, Vector z) { return _mm512_fmadd_ps(x, y, z); }
COHORT_INLINE Vector MultiplySubtractFrom(Vector x, Vector y, Vector z) { return _mm512_fnmadd_ps(x, y, z); }
// If either operand is NaN, the second one: so Max(constant, x) lets a NaN in x pass.
COHORT_INLINE Vector Max(Vector x, Vector y) { return _mm512_max_ps(x, y); }
COHORT_INLINE Vector Min(Vector x, Vector y) { return _mm512_min_ps(x, y); }
COHORT_INLINE Vector Round(Vector x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
COHORT_INLINE Mask Less(Vector x, Vector y) { return _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ); }
COHORT_INLINE Mask Equal(Vector x, Vector y) { return _mm512_cmp_ps_mask(x, y, _CMP_EQ_OQ); }
COHORT_INLINE Vector Select(Mask m, Vector yes, Vector no) { return _mm512_mask_blend_ps(m, no, yes); }
COHORT_INLINE Integers ToIntegers(Vector x) { return _mm512_cvtps_epi32(x); }
COHORT_INLINE Vector FromIntegers(Integers x) { return _mm512_cvtepi32_ps(x); }
COHORT_INLINE Integers Bits(Vector x) { return _mm512_castps_si512(x); }
COHORT_INLINE Vector FromBits(Integers x) { return _mm512_castsi512_ps(x); }
COHORT_INLINE Integers SplatInteger(int32_t x) { return _mm512_set1_epi32(x); }
COHORT_INLINE Integers Add(Integers x, Integers y) { return _mm512_add_epi32(x, y); }
COHORT_INLINE Integers Subtract(Integers x, Integers y) { return _mm512_sub_epi32(x, y); }
COHORT_INLINE Integers And(Integers x, Integers y) { return _mm512_and_si512(x, y); }
template <int kBits>
COHORT_INLINE Integers ShiftLeft(Integers x) {
  return _mm512_slli_epi32(x, kBits);
}
template <int kBits>
COHORT_INLINE Integers ShiftRight(Integers x) {  // arithmetic
  return _mm512_srai_epi32(x, kBits);
}
// Lanes 0-7 + lanes 8-15: the first level of the tree that closes a row-wise sum.
COHORT_INLINE __m256 AddHalves(Vector x) {
  return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
}

}  // namespace
}  // namespace cohort

#define COHORT_KERNEL_TABLE kAvx512Kernels
#define COHORT_KERNEL_NAME "avx512"
#include "worker/model/kernels_impl.inc"
