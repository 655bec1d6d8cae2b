#include "worker/gradient_clip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "common/random.h"

namespace cohort::gradient_clip_test {
namespace {

double PlainNorm(const std::vector<float>& a, const std::vector<float>& b) {
  long double sum = 0;
  for (const auto* values : {&a, &b}) {
    for (const float value : *values) sum += static_cast<long double>(value) * value;
  }
  return static_cast<double>(std::sqrt(sum));
}

std::vector<float> Values(RandomStream* random, std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random->Below(2001)) - 1000.0f;
  return values;
}

bool Clip(double limit, std::span<float> dense, std::span<float> embedding) {
  const std::span<float> pieces[] = {dense, embedding};
  return ClipNorm(limit, pieces);
}

TEST(GradientClip, ScalesToTheLimitAndKeepsTheDirection) {
  RandomStream random(1);
  for (const std::size_t dense_count : {1u, 15u, 16u, 100003u}) {
    for (const std::size_t embedding_count : {0u, 7u, 64u}) {
      const auto dense = Values(&random, dense_count), embedding = Values(&random, embedding_count);
      const double norm = PlainNorm(dense, embedding);
      auto a = dense, b = embedding;
      EXPECT_FALSE(Clip(norm * 1.000001, a, b));
      EXPECT_EQ(a, dense);
      EXPECT_EQ(b, embedding);
      const double limit = norm / 3;
      ASSERT_TRUE(Clip(limit, a, b));
      EXPECT_NEAR(PlainNorm(a, b) / limit, 1, 1e-6);
      for (std::size_t i = 0; i < dense_count; ++i) EXPECT_NEAR(a[i], dense[i] / 3, 1e-4);
      for (std::size_t i = 0; i < embedding_count; ++i) EXPECT_NEAR(b[i], embedding[i] / 3, 1e-4);
    }
  }
}

TEST(GradientClip, SquaresOfLargeValuesDoNotOverflow) {
  std::vector<float> dense(100, 3e38f), embedding(100, -3e38f);
  ASSERT_TRUE(Clip(1.0, dense, embedding));
  EXPECT_NEAR(PlainNorm(dense, embedding), 1, 1e-6);
}

TEST(GradientClip, LeavesWhatIsNotFinite) {
  for (const float odd : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<float> dense = {1, odd, 2}, embedding = {5};
    EXPECT_FALSE(Clip(1.0, dense, embedding));
    EXPECT_EQ(dense[0], 1);
    EXPECT_EQ(embedding[0], 5);
  }
}

TEST(GradientClip, AnyNumberOfPiecesIsOneGradient) {
  std::vector<float> dense = {3}, first = {}, second = {4, -12};
  const std::span<float> pieces[] = {dense, first, second};
  EXPECT_FALSE(ClipNorm(13, pieces));
  ASSERT_TRUE(ClipNorm(6.5, pieces));
  EXPECT_EQ(dense[0], 1.5f);
  EXPECT_EQ(second, (std::vector<float>{2, -6}));
}

}  // namespace
}  // namespace cohort::gradient_clip_test
