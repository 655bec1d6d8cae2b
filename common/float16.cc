#include "common/float16.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

constexpr std::uint32_t kMagnitude = 0x7fffffffu;
constexpr std::uint32_t kInfinity32 = 0x7f800000u;

// Narrow8: the nearest 16-bit values of 8 floats, given by their bits, none of which would round to an infinity or is NaN.
struct Bfloat16 {
  static constexpr std::uint16_t kLargest = 0x7f7f, kInfinity = 0x7f80, kNan = 0x7fc0;
  static constexpr std::uint32_t kLargest32 = 0x7f7f0000u;
  static constexpr std::uint32_t kOverflow32 = 0x7f7f8000u;  // the first that rounds beyond the largest
  static __m128i Narrow8(__m256i bits) {
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    return Leading(rounded);
  }
  // NaN keeps its sign and leading bits and becomes quiet.
  static __m128i Narrow8WithNan(__m256i bits) {
    const __m256i nan = _mm256_cmpgt_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(kMagnitude)),
                                           _mm256_set1_epi32(kInfinity32));
    const __m128i quiet = Leading(_mm256_or_si256(bits, _mm256_set1_epi32(0x00400000)));
    const __m128i is_nan = _mm_packs_epi32(_mm256_castsi256_si128(nan), _mm256_extracti128_si256(nan, 1));
    return _mm_blendv_epi8(Narrow8(bits), quiet, is_nan);
  }
  static __m256 Widen8(__m128i halves) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  // `magnitude`: the bits of a finite float without its sign, at most kLargest32; random: 16 bits.
  static std::uint32_t AtRandom(std::uint32_t magnitude, std::uint32_t random) {
    return (magnitude + random) >> 16;
  }

 private:
  static __m128i Leading(__m256i bits) {
    const __m256i high = _mm256_srli_epi32(bits, 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  }
};

struct Float16 {
  static constexpr std::uint16_t kLargest = 0x7bff, kInfinity = 0x7c00, kNan = 0x7e00;
  static constexpr std::uint32_t kLargest32 = 0x477fe000u;      // 65,504
  static constexpr std::uint32_t kOverflow32 = 0x477ff000u;     // 65,520
  static constexpr std::uint32_t kLeastNormal32 = 0x38800000u;  // 2^-14
  static constexpr std::uint32_t kRebias = 112u << 10;          // of the exponent, after the shift
  // The processor's conversion is exact to the bit, subnormals and NaN included.
  static __m128i Narrow8(__m256i bits) {
    return _mm256_cvtps_ph(_mm256_castsi256_ps(bits), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static __m128i Narrow8WithNan(__m256i bits) { return Narrow8(bits); }
  static __m256 Widen8(__m128i halves) { return _mm256_cvtph_ps(halves); }
  static std::uint32_t AtRandom(std::uint32_t magnitude, std::uint32_t random) {
    if (magnitude >= kLeastNormal32) return ((magnitude + (random & 0x1fff)) >> 13) - kRebias;
    // Subnormal: multiples of 2^-24. The one above the last is the least normal value, in its own encoding.
    const float units = std::bit_cast<float>(magnitude) * 0x1p24f;
    const auto below = static_cast<std::uint32_t>(units);
    const float rest = units - static_cast<float>(below);
    return below + (rest > static_cast<float>(random) * 0x1p-16f);
  }
};

// A loop over vectors of 8, and the last values through a vector filled up with zeros.
template <typename In, typename Out, typename Eight>
void ByEights(const In* in, std::size_t n, Out* out, Eight eight) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) eight(in + i, out + i);
  if (i == n) return;
  In last[8] = {};
  Out made[8];
  std::memcpy(last, in + i, (n - i) * sizeof(In));
  eight(last, made);
  std::memcpy(out + i, made, (n - i) * sizeof(Out));
}

template <typename Type>
void WidenAll(const std::uint16_t* in, std::size_t n, float* out) {
  ByEights(in, n, out, [](const std::uint16_t* halves, float* floats) {
    _mm256_storeu_ps(floats, Type::Widen8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves))));
  });
}

// Of 8 floats, any there are.
template <typename Type>
std::size_t Nearest8(const float* in, std::uint16_t* out) {
  __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
  const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(kMagnitude));
  const __m256i clip =
      _mm256_and_si256(_mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(Type::kOverflow32 - 1)),
                       _mm256_cmpgt_epi32(_mm256_set1_epi32(kInfinity32), magnitude));
  const __m256i largest = _mm256_or_si256(_mm256_andnot_si256(_mm256_set1_epi32(kMagnitude), bits),
                                          _mm256_set1_epi32(Type::kLargest32));
  bits = _mm256_blendv_epi8(bits, largest, clip);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), Type::Narrow8WithNan(bits));
  return static_cast<std::size_t>(
      std::popcount(static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(clip)))));
}

// Whether any value is too large or NaN is asked once for 16 of them.
template <typename Type>
std::size_t Nearest(const float* in, std::size_t n, std::uint16_t* out) {
  std::size_t clipped = 0, i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i + 8));
    const __m256i magnitude = _mm256_set1_epi32(kMagnitude);
    const __m256i limit = _mm256_set1_epi32(Type::kOverflow32 - 1);
    const __m256i special = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_and_si256(low, magnitude), limit),
                                            _mm256_cmpgt_epi32(_mm256_and_si256(high, magnitude), limit));
    if (_mm256_testz_si256(special, special)) [[likely]] {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), Type::Narrow8(low));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i + 8), Type::Narrow8(high));
    } else {
      clipped += Nearest8<Type>(in + i, out + i) + Nearest8<Type>(in + i + 8, out + i + 8);
    }
  }
  ByEights(in + i, n - i, out + i, [&clipped](const float* floats, std::uint16_t* halves) {
    clipped += Nearest8<Type>(floats, halves);
  });
  return clipped;
}

template <typename Type>
std::size_t AtRandom(const float* in, std::size_t n, std::uint64_t seed, std::uint16_t* out) {
  std::size_t clipped = 0;
  std::uint64_t random = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(in[i]);
    const std::uint32_t magnitude = bits & kMagnitude;
    std::uint32_t narrow;
    if (magnitude >= kInfinity32) {
      narrow = magnitude == kInfinity32 ? Type::kInfinity : Type::kNan;
    } else if (magnitude > Type::kLargest32) {
      narrow = Type::kLargest;
      ++clipped;
    } else {
      // One draw serves four values.
      if (i / 4 >= next) {
        random = RandomBits(seed, i / 4);
        next = i / 4 + 1;
      }
      narrow = Type::AtRandom(magnitude, static_cast<std::uint32_t>(random >> (16 * (i % 4))) & 0xffffu);
    }
    out[i] = static_cast<std::uint16_t>(narrow | ((bits >> 16) & 0x8000u));
  }
  return clipped;
}

// Values at a time: few enough to stay in the nearest cache, a multiple of what a vector holds.
constexpr std::size_t kBlock = 256;

template <typename Word>
std::size_t CountExponent(const void* values, std::size_t n, Word exponent) {
  const auto* bytes = static_cast<const std::byte*>(values);
  std::size_t total = 0;
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    const std::size_t count = std::min(kBlock, n - begin);
    Word found =
        0;  // as wide as the values, so that one vector compares and adds; a block never overflows it
    for (std::size_t i = 0; i < count; ++i) {
      Word bits;
      std::memcpy(&bits, bytes + (begin + i) * sizeof(bits), sizeof(bits));
      found = static_cast<Word>(found + ((bits & exponent) == exponent));
    }
    total += found;
  }
  return total;
}

}  // namespace

const char* FloatTypeName(FloatType type) {
  switch (type) {
    case FloatType::kFloat32:
      return "float32";
    case FloatType::kBfloat16:
      return "bfloat16";
    case FloatType::kFloat16:
      return "float16";
  }
  return "unknown";
}

void Widen(FloatType type, const std::uint16_t* in, std::size_t n, float* out) {
  if (type == FloatType::kBfloat16) return WidenAll<Bfloat16>(in, n, out);
  COHORT_CHECK(type == FloatType::kFloat16);
  WidenAll<Float16>(in, n, out);
}

std::size_t NarrowToNearest(FloatType type, const float* in, std::size_t n, std::uint16_t* out) {
  if (type == FloatType::kBfloat16) return Nearest<Bfloat16>(in, n, out);
  COHORT_CHECK(type == FloatType::kFloat16);
  return Nearest<Float16>(in, n, out);
}

std::size_t NarrowAtRandom(FloatType type, const float* in, std::size_t n, std::uint64_t seed,
                           std::uint16_t* out) {
  if (type == FloatType::kBfloat16) return AtRandom<Bfloat16>(in, n, seed, out);
  COHORT_CHECK(type == FloatType::kFloat16);
  return AtRandom<Float16>(in, n, seed, out);
}

std::size_t EncodeValues(FloatType type, const float* in, std::size_t n, void* out) {
  if (n == 0) return 0;
  if (type != FloatType::kFloat32) return NarrowToNearest(type, in, n, static_cast<std::uint16_t*>(out));
  std::memcpy(out, in, n * sizeof(float));
  return 0;
}

void DecodeValues(FloatType type, const void* in, std::size_t n, float* out) {
  if (n == 0) return;
  if (type != FloatType::kFloat32) return Widen(type, static_cast<const std::uint16_t*>(in), n, out);
  std::memcpy(out, in, n * sizeof(float));
}

std::size_t RoundValues(FloatType type, float* values, std::size_t n) {
  if (type == FloatType::kFloat32) return 0;
  std::size_t clipped = 0;
  std::uint16_t halves[kBlock];
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    const std::size_t count = std::min(kBlock, n - begin);
    clipped += NarrowToNearest(type, values + begin, count, halves);
    Widen(type, halves, count, values + begin);
  }
  return clipped;
}

std::size_t CountNonFinite(FloatType type, const void* values, std::size_t n) {
  // An exponent of all ones is NaN or infinity.
  switch (type) {
    case FloatType::kFloat32:
      return CountExponent<std::uint32_t>(values, n, kInfinity32);
    case FloatType::kBfloat16:
      return CountExponent<std::uint16_t>(values, n, Bfloat16::kInfinity);
    case FloatType::kFloat16:
      return CountExponent<std::uint16_t>(values, n, Float16::kInfinity);
  }
  return n;
}

}  // namespace cohort
