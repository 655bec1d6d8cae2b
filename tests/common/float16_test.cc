#include "common/float16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "common/random.h"

namespace cohort::float16_test {
namespace {

constexpr FloatType kTypes[] = {FloatType::kBfloat16, FloatType::kFloat16};

float WidenOne(FloatType type, std::uint16_t half) {
  float out = 0;
  Widen(type, &half, 1, &out);
  return out;
}
std::uint16_t NearestOne(FloatType type, float value) {
  std::uint16_t out = 0;
  NarrowToNearest(type, &value, 1, &out);
  return out;
}

struct Format {
  int exponent_bits, fraction_bits;
};
Format FormatOf(FloatType type) { return type == FloatType::kBfloat16 ? Format{8, 7} : Format{5, 10}; }

// The definition, in double: sign, exponent and fraction of IEEE 754.
double Meaning(FloatType type, std::uint16_t bits) {
  const auto [e, f] = FormatOf(type);
  const int bias = (1 << (e - 1)) - 1;
  const int exponent = (bits >> f) & ((1 << e) - 1), fraction = bits & ((1 << f) - 1);
  const double sign = bits >> 15 ? -1.0 : 1.0;
  if (exponent == (1 << e) - 1) return fraction == 0 ? sign * HUGE_VAL : std::nan("");
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - f);
  return sign * std::ldexp((1 << f) + fraction, exponent - bias - f);
}
std::uint16_t LargestFinite(FloatType type) { return type == FloatType::kBfloat16 ? 0x7f7f : 0x7bff; }

std::uint16_t EncodeOne(FloatType type, float value, std::size_t* clipped = nullptr) {
  std::uint16_t bits = 0;
  const std::size_t n = EncodeValues(type, &value, 1, &bits);
  if (clipped != nullptr) *clipped = n;
  return bits;
}

// The definition of rounding, from the two neighbours in double.
std::uint16_t Nearest(FloatType type, float value) {
  if (std::isinf(value))
    return static_cast<std::uint16_t>((LargestFinite(type) + 1) | (value < 0 ? 0x8000 : 0));
  const double x = std::abs(static_cast<double>(value));
  // The last magnitude that is not above x: values ascend with their bits.
  std::uint16_t low = 0, high = LargestFinite(type);
  while (low < high) {
    const auto middle = static_cast<std::uint16_t>((low + high + 1) / 2);
    if (Meaning(type, middle) <= x) {
      low = middle;
    } else {
      high = static_cast<std::uint16_t>(middle - 1);
    }
  }
  std::uint16_t best = low;
  if (low < LargestFinite(type)) {
    const double below = x - Meaning(type, low),
                 above = Meaning(type, static_cast<std::uint16_t>(low + 1)) - x;
    if (above < below || (above == below && low % 2 == 1)) best = static_cast<std::uint16_t>(low + 1);
  }
  return static_cast<std::uint16_t>(best | (std::signbit(value) ? 0x8000 : 0));
}

TEST(Float16, KnownValues) {
  EXPECT_EQ(WidenOne(FloatType::kBfloat16, 0x3f80), 1.0f);
  EXPECT_EQ(WidenOne(FloatType::kBfloat16, 0xc049), -3.140625f);
  EXPECT_EQ(WidenOne(FloatType::kFloat16, 0x3c00), 1.0f);
  EXPECT_EQ(WidenOne(FloatType::kFloat16, 0x7bff), 65504.0f);
  EXPECT_EQ(WidenOne(FloatType::kFloat16, 0x0001), 0x1p-24f);
  EXPECT_EQ(NearestOne(FloatType::kBfloat16, 1.00390625f), 0x3f80) << "a tie goes to even";
  EXPECT_EQ(NearestOne(FloatType::kBfloat16, 1.01171875f), 0x3f82);
  EXPECT_EQ(NearestOne(FloatType::kFloat16, -1.00048828125f), 0xbc00);
  EXPECT_EQ(NearestOne(FloatType::kFloat16, -0.0f), 0x8000);
}

// Every 16-bit value, through float and back, by either rounding; eight at once as one by one.
TEST(Float16, WhatFitsStaysAsItIs) {
  for (const FloatType type : kTypes) {
    std::vector<std::uint16_t> halves;
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      if (std::isfinite(WidenOne(type, static_cast<std::uint16_t>(bits))))
        halves.push_back(static_cast<std::uint16_t>(bits));
    }
    EXPECT_GT(halves.size(), 63000u);
    std::vector<float> wide(halves.size());
    Widen(type, halves.data(), halves.size(), wide.data());
    std::vector<std::uint16_t> nearest(halves.size()), random(halves.size());
    EXPECT_EQ(NarrowToNearest(type, wide.data(), wide.size(), nearest.data()), 0u);
    EXPECT_EQ(NarrowAtRandom(type, wide.data(), wide.size(), 7, random.data()), 0u);
    EXPECT_EQ(nearest, halves);
    EXPECT_EQ(random, halves);
    for (std::size_t i = 0; i < halves.size(); ++i) ASSERT_EQ(wide[i], WidenOne(type, halves[i]));
  }
}

TEST(Float16, RandomRoundingIsAStepAtMostAndRightOnAverage) {
  for (const FloatType type : kTypes) {
    for (const float value : {1.0f / 3, -1.001f, 3e-5f, -7.3e-8f, 1234.5678f, 0x1p-24f / 3}) {
      const std::uint16_t nearest = NearestOne(type, value);
      double sum = 0;
      constexpr int kDraws = 40000;
      std::vector<float> same(4, value);
      double spacing = 0;
      for (int draw = 0; draw < kDraws / 4; ++draw) {
        std::uint16_t out[4];
        ASSERT_EQ(NarrowAtRandom(type, same.data(), 4, static_cast<std::uint64_t>(draw), out), 0u);
        for (const std::uint16_t half : out) {
          ASSERT_LE(std::abs(static_cast<int>(half & 0x7fff) - static_cast<int>(nearest & 0x7fff)), 1);
          ASSERT_EQ(half & 0x8000, nearest & 0x8000);
          const double wide = static_cast<double>(WidenOne(type, half));
          sum += wide;
          spacing = std::max(spacing, std::abs(wide - static_cast<double>(WidenOne(type, nearest))));
        }
      }
      // Five standard deviations of the mean of kDraws draws that lie at most one spacing apart.
      EXPECT_NEAR(sum / kDraws, static_cast<double>(value), 5 * 0.5 * spacing / std::sqrt(kDraws) + 1e-12)
          << FloatTypeName(type) << " " << value;
    }
  }
}

TEST(Float16, DrawsDependOnSeedAndPlaceAlone) {
  std::vector<float> values(13);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1f * static_cast<float>(i + 1);
  std::vector<std::uint16_t> once(13), again(13), other(13);
  for (const FloatType type : kTypes) {
    NarrowAtRandom(type, values.data(), 13, 5, once.data());
    NarrowAtRandom(type, values.data(), 9, 5, again.data());
    NarrowAtRandom(type, values.data(), 13, 6, other.data());
    EXPECT_TRUE(std::equal(once.begin(), once.begin() + 9, again.begin()));
    EXPECT_NE(once, other);
  }
}

TEST(Float16, RandomRoundingClipsWithACountAndKeepsWhatIsNotFinite) {
  const float values[] = {1e6f, -HUGE_VALF, 65505.0f, std::nanf(""), -1.0f};
  std::uint16_t out[5];
  EXPECT_EQ(NarrowAtRandom(FloatType::kFloat16, values, 5, 1, out), 2u);
  EXPECT_EQ(WidenOne(FloatType::kFloat16, out[0]), 65504.0f);
  EXPECT_EQ(WidenOne(FloatType::kFloat16, out[1]), -HUGE_VALF);
  EXPECT_EQ(WidenOne(FloatType::kFloat16, out[2]), 65504.0f);
  EXPECT_TRUE(std::isnan(WidenOne(FloatType::kFloat16, out[3])));
  EXPECT_EQ(WidenOne(FloatType::kFloat16, out[4]), -1.0f);
  const float largest[] = {-std::numeric_limits<float>::max()};
  EXPECT_EQ(NarrowAtRandom(FloatType::kBfloat16, largest, 1, 1, out), 1u);
  EXPECT_EQ(WidenOne(FloatType::kBfloat16, out[0]), -std::bit_cast<float>(0x7f7f0000u));
}

TEST(Float16, EveryValueMeansWhatItShouldAndComesBack) {
  for (const FloatType type : kTypes) {
    std::vector<std::uint16_t> all(65536);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
    std::vector<float> values(all.size());
    DecodeValues(type, all.data(), all.size(), values.data());
    std::vector<std::uint16_t> back(all.size());
    EXPECT_EQ(EncodeValues(type, values.data(), values.size(), back.data()), 0u);
    std::vector<float> rounded = values;
    EXPECT_EQ(RoundValues(type, rounded.data(), rounded.size()), 0u);
    std::size_t non_finite = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const double meaning = Meaning(type, all[i]);
      non_finite += !std::isfinite(meaning);
      ASSERT_EQ(CountNonFinite(type, &all[i], 1), std::isfinite(meaning) ? 0u : 1u) << i;
      if (std::isnan(meaning)) {
        ASSERT_TRUE(std::isnan(values[i]) && std::isnan(rounded[i])) << i;
        ASSERT_TRUE(std::isnan(Meaning(type, back[i]))) << i;
        continue;
      }
      ASSERT_EQ(static_cast<double>(values[i]), meaning) << i;
      ASSERT_EQ(std::signbit(values[i]), all[i] >= 0x8000) << i;
      ASSERT_EQ(back[i], all[i]) << i;
      ASSERT_EQ(std::bit_cast<std::uint32_t>(rounded[i]), std::bit_cast<std::uint32_t>(values[i])) << i;
    }
    EXPECT_EQ(CountNonFinite(type, all.data(), all.size()), non_finite);
  }
}

// Each finite value, the middle to its neighbour, and the floats beside them.
TEST(Float16, RoundsToTheNearestAndTiesToEven) {
  for (const FloatType type : kTypes) {
    for (std::uint32_t bits = 0; bits < LargestFinite(type); ++bits) {
      const double low = Meaning(type, static_cast<std::uint16_t>(bits)),
                   high = Meaning(type, static_cast<std::uint16_t>(bits + 1));
      const auto middle = static_cast<float>((low + high) / 2);
      ASSERT_EQ(static_cast<double>(middle), (low + high) / 2);
      for (const float x : {static_cast<float>(low), std::nextafterf(static_cast<float>(low), HUGE_VALF),
                            std::nextafterf(middle, 0.0f), middle, std::nextafterf(middle, HUGE_VALF)}) {
        for (const float value : {x, -x}) ASSERT_EQ(EncodeOne(type, value), Nearest(type, value)) << value;
      }
    }
  }
}

TEST(Float16, RandomFloatsInBlocksOfAnySize) {
  RandomStream random(1);
  for (const FloatType type : kTypes) {
    for (std::size_t size : {1u, 7u, 8u, 9u, 255u, 256u, 257u, 1000u}) {
      std::vector<float> values(size);
      for (float& value : values) {
        do {
          value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        } while (std::isnan(value));
      }
      std::vector<std::uint16_t> halves(size + 1, 0x1234);
      std::vector<float> decoded(size + 1, 77.0f), rounded = values;
      const std::size_t clipped = EncodeValues(type, values.data(), size, halves.data());
      DecodeValues(type, halves.data(), size, decoded.data());
      EXPECT_EQ(RoundValues(type, rounded.data(), size), clipped);
      EXPECT_EQ(halves[size], 0x1234);  // nothing is written behind the end
      EXPECT_EQ(decoded[size], 77.0f);
      const double limit = Meaning(type, LargestFinite(type));
      const double step = limit - Meaning(type, static_cast<std::uint16_t>(LargestFinite(type) - 1));
      std::size_t expected = 0;
      for (std::size_t i = 0; i < size; ++i) {
        ASSERT_EQ(halves[i], Nearest(type, values[i])) << values[i];
        ASSERT_EQ(std::bit_cast<std::uint32_t>(rounded[i]), std::bit_cast<std::uint32_t>(decoded[i]));
        expected += std::isfinite(values[i]) && std::abs(static_cast<double>(values[i])) >= limit + step / 2;
      }
      EXPECT_EQ(clipped, expected);
    }
  }
}

TEST(Float16, WhatIsTooLargeIsClippedAndCounted) {
  for (const FloatType type : kTypes) {
    const auto largest = static_cast<float>(Meaning(type, LargestFinite(type)));
    std::size_t clipped = 9;
    EXPECT_EQ(EncodeOne(type, largest, &clipped), LargestFinite(type));
    EXPECT_EQ(clipped, 0u);
    EXPECT_EQ(EncodeOne(type, std::nextafterf(largest, HUGE_VALF), &clipped), LargestFinite(type));
    EXPECT_EQ(clipped, 0u);  // rounds down
    EXPECT_EQ(EncodeOne(type, std::numeric_limits<float>::max(), &clipped), LargestFinite(type));
    EXPECT_EQ(clipped, 1u);
    EXPECT_EQ(EncodeOne(type, std::numeric_limits<float>::lowest(), &clipped), LargestFinite(type) | 0x8000);
    EXPECT_EQ(clipped, 1u);
    EXPECT_EQ(EncodeOne(type, HUGE_VALF, &clipped), LargestFinite(type) + 1);  // an infinity stays one
    EXPECT_EQ(clipped, 0u);
  }
  std::size_t clipped = 0;
  EXPECT_EQ(EncodeOne(FloatType::kFloat16, 65519.996f, &clipped), 0x7bff);
  EXPECT_EQ(clipped, 0u);
  EXPECT_EQ(EncodeOne(FloatType::kFloat16, 65520.0f, &clipped), 0x7bff);
  EXPECT_EQ(clipped, 1u);
}

TEST(Float16, NaNsStayNaN) {
  for (const FloatType type : kTypes) {
    for (const std::uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
      float value = std::bit_cast<float>(bits);
      const std::uint16_t half = EncodeOne(type, value);
      EXPECT_TRUE(std::isnan(Meaning(type, half)));
      EXPECT_EQ(half >> 15, bits >> 31);
      RoundValues(type, &value, 1);
      EXPECT_TRUE(std::isnan(value));
    }
  }
}

TEST(Float16, Float32StaysAsItIs) {
  const std::vector<float> values = {1.0f, -0.0f, 1e-45f, HUGE_VALF};
  std::vector<float> out(4), back(4), rounded = values;
  EXPECT_EQ(EncodeValues(FloatType::kFloat32, values.data(), 4, out.data()), 0u);
  DecodeValues(FloatType::kFloat32, out.data(), 4, back.data());
  EXPECT_EQ(RoundValues(FloatType::kFloat32, rounded.data(), 4), 0u);
  EXPECT_EQ(back, values);
  EXPECT_EQ(rounded, values);
  EXPECT_EQ(CountNonFinite(FloatType::kFloat32, values.data(), 4), 1u);
}

}  // namespace
}  // namespace cohort::float16_test
