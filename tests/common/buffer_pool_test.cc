#include "common/buffer_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

namespace cohort::buffer_pool_test {
namespace {

TEST(BufferPool, ReusesWhatCameBackAndOnlyThat) {
  BufferPool pool;
  auto first = pool.Take<float>(1000);
  const float* memory = first.values.data();
  EXPECT_EQ(first.buffer.size(), 4000u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 64, 0u);
  Buffer holder = first.buffer;
  first.buffer = {};
  auto second = pool.Take<float>(1000);
  EXPECT_NE(second.values.data(), memory);
  holder = {};
  auto third = pool.Take<float>(900);
  EXPECT_EQ(third.values.data(), memory);
  EXPECT_EQ(pool.blocks(), 2u);
}

TEST(BufferPool, BuffersOutliveThePool) {
  Buffer kept;
  {
    BufferPool pool;
    auto taken = pool.Take<int>(5);
    std::iota(taken.values.begin(), taken.values.end(), 0);
    kept = taken.buffer;
  }
  EXPECT_EQ(kept.As<int>()[4], 4);
}

TEST(BufferPool, ReturnsFromAnotherThread) {
  BufferPool pool;
  for (int round = 0; round < 200; ++round) {
    auto taken = pool.Take<int>(2000);
    std::fill(taken.values.begin(), taken.values.end(), round);
    std::thread other([buffer = std::move(taken.buffer), round] {
      for (const int value : buffer.As<int>()) EXPECT_EQ(value, round);
    });
    if (round % 2)
      other.join();
    else {
      auto more = pool.Take<int>(2000);
      std::fill(more.values.begin(), more.values.end(), -1);
      other.join();
    }
  }
  EXPECT_LE(pool.blocks(), 4u);
}

}  // namespace
}  // namespace cohort::buffer_pool_test
