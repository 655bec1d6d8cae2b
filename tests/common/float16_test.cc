#include "common/float16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "common/random.h"

namespace cohort {
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

TEST(Float16, NearestIsNearest) {
  RandomStream random(1);
  for (const FloatType type : kTypes) {
    for (int i = 0; i < 100000; ++i) {
      const float value =
          std::ldexp(static_cast<float>(random.Uniform() - 0.5), static_cast<int>(random.Below(40)) - 26);
      const std::uint16_t half = NearestOne(type, value);
      const double error = std::abs(static_cast<double>(WidenOne(type, half)) - static_cast<double>(value));
      for (const int step : {-1, 1}) {
        const float other = WidenOne(type, static_cast<std::uint16_t>(half + step));
        if (!std::isfinite(other)) continue;
        ASSERT_LE(error, std::abs(static_cast<double>(other) - static_cast<double>(value))) << value;
      }
    }
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

TEST(Float16, WhatIsTooLargeIsClippedAndCounted) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float values[] = {1e6f, -infinity, 65505.0f, std::nanf(""), 1.0f};
  std::uint16_t out[5];
  EXPECT_EQ(NarrowToNearest(FloatType::kFloat16, values, 5, out), 3u);
  EXPECT_EQ(WidenOne(FloatType::kFloat16, out[0]), 65504.0f);
  EXPECT_EQ(WidenOne(FloatType::kFloat16, out[1]), -65504.0f);
  EXPECT_TRUE(std::isnan(WidenOne(FloatType::kFloat16, out[3])));
  EXPECT_EQ(NarrowAtRandom(FloatType::kBfloat16, values, 5, 1, out), 1u);
  EXPECT_EQ(WidenOne(FloatType::kBfloat16, out[1]), -std::bit_cast<float>(0x7f7f0000u));
  EXPECT_TRUE(std::isnan(WidenOne(FloatType::kBfloat16, out[3])));
}

}  // namespace
}  // namespace cohort
