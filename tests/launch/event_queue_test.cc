#include "launch/simulate/event_queue.h"

#include <gtest/gtest.h>

#include <map>

#include "common/random.h"

namespace cohort::event_queue_test {
namespace {

// Against a map: near and far events, at one time, at the present moment, and into the bucket that is being handed out.
TEST(EventQueue, HandsOutInTheOrderOfTimeAndOfComing) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    EventQueue<int> queue;
    std::multimap<VirtualTime, int> expected;  // keeps the order of what has one time
    RandomStream random(seed, 1);
    VirtualTime now = 0;
    int added = 0;
    for (int turn = 0; turn < 20000; ++turn) {
      for (std::uint64_t i = random.Below(turn < 10000 ? 4 : 2); i > 0; --i) {
        const VirtualTime widths[] = {0, 10, 40'000, 3'000'000, 2'000'000'000};
        const VirtualTime at =
            now + static_cast<VirtualTime>(random.Uniform() * static_cast<double>(widths[random.Below(5)]));
        queue.Push(at, added);
        expected.emplace(at, added++);
      }
      ASSERT_EQ(queue.empty(), expected.empty());
      if (expected.empty()) continue;
      const auto [at, number, what] = queue.Pop();
      ASSERT_EQ(at, expected.begin()->first) << seed;
      ASSERT_EQ(what, expected.begin()->second) << seed;
      expected.erase(expected.begin());
      now = at;
    }
  }
}

}  // namespace
}  // namespace cohort::event_queue_test
