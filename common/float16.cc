#include "common/float16.h"

#include <immintrin.h>

#include <bit>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

constexpr std::uint32_t kInfinity32 = 0x7f800000u;

struct Bfloat16 {
  static constexpr std::uint16_t kLargest = 0x7f7f, kNan = 0x7fc0;
  static constexpr std::uint32_t kLargest32 = 0x7f7f0000u;
  // `magnitude`: the bits of a finite float without its sign, at most kLargest32; random: 16 bits.
  static std::uint32_t Nearest(std::uint32_t magnitude) {
    return (magnitude + 0x7fffu + ((magnitude >> 16) & 1)) >> 16;
  }
  static std::uint32_t AtRandom(std::uint32_t magnitude, std::uint32_t random) {
    return (magnitude + random) >> 16;
  }
};

struct Float16 {
  static constexpr std::uint16_t kLargest = 0x7bff, kNan = 0x7e00;
  static constexpr std::uint32_t kLargest32 = 0x477fe000u;      // 65,504
  static constexpr std::uint32_t kLeastNormal32 = 0x38800000u;  // 2^-14
  static constexpr std::uint32_t kRebias = 112u << 10;          // of the exponent, after the shift
  static std::uint32_t Nearest(std::uint32_t magnitude) {
    return static_cast<std::uint16_t>(_cvtss_sh(std::bit_cast<float>(magnitude), _MM_FROUND_TO_NEAREST_INT));
  }
  static std::uint32_t AtRandom(std::uint32_t magnitude, std::uint32_t random) {
    if (magnitude >= kLeastNormal32) return ((magnitude + (random & 0x1fff)) >> 13) - kRebias;
    // Subnormal: multiples of 2^-24. The one above the last is the least normal value, in its own encoding.
    const float units = std::bit_cast<float>(magnitude) * 0x1p24f;
    const auto below = static_cast<std::uint32_t>(units);
    const float rest = units - static_cast<float>(below);
    return below + (rest > static_cast<float>(random) * 0x1p-16f);
  }
};

// round(magnitude, i) is the 16-bit magnitude of value i.
template <typename Type, typename Round>
std::size_t Narrow(const float* in, std::size_t n, std::uint16_t* out, Round round) {
  std::size_t clipped = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(in[i]);
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    std::uint32_t narrow;
    if (magnitude > kInfinity32) {
      narrow = Type::kNan;
    } else if (magnitude > Type::kLargest32) {
      narrow = Type::kLargest;
      ++clipped;
    } else {
      narrow = round(magnitude, i);
    }
    out[i] = static_cast<std::uint16_t>(narrow | ((bits >> 16) & 0x8000u));
  }
  return clipped;
}

template <typename Type>
std::size_t AtRandom(const float* in, std::size_t n, std::uint64_t seed, std::uint16_t* out) {
  std::uint64_t bits = 0;
  return Narrow<Type>(
      in, n, out, [&bits, seed, next = std::size_t{0}](std::uint32_t magnitude, std::size_t i) mutable {
        // One draw serves four values.
        if (i / 4 >= next) {
          bits = RandomBits(seed, i / 4);
          next = i / 4 + 1;
        }
        return Type::AtRandom(magnitude, static_cast<std::uint32_t>(bits >> (16 * (i % 4))) & 0xffffu);
      });
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
  if (type == FloatType::kBfloat16) {
    for (std::size_t i = 0; i < n; ++i) out[i] = std::bit_cast<float>(std::uint32_t{in[i]} << 16);
    return;
  }
  COHORT_CHECK(type == FloatType::kFloat16);
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  for (; i < n; ++i) out[i] = _cvtsh_ss(in[i]);
}

std::size_t NarrowToNearest(FloatType type, const float* in, std::size_t n, std::uint16_t* out) {
  if (type == FloatType::kBfloat16)
    return Narrow<Bfloat16>(in, n, out, [](std::uint32_t m, std::size_t) { return Bfloat16::Nearest(m); });
  COHORT_CHECK(type == FloatType::kFloat16);
  return Narrow<Float16>(in, n, out, [](std::uint32_t m, std::size_t) { return Float16::Nearest(m); });
}

std::size_t NarrowAtRandom(FloatType type, const float* in, std::size_t n, std::uint64_t seed,
                           std::uint16_t* out) {
  if (type == FloatType::kBfloat16) return AtRandom<Bfloat16>(in, n, seed, out);
  COHORT_CHECK(type == FloatType::kFloat16);
  return AtRandom<Float16>(in, n, seed, out);
}

}  // namespace cohort
