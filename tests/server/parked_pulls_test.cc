#include "server/parked_pulls.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace cohort::parked_pulls_test {

PullRequest Pull(RequestId id, Clock clock) {
  PullRequest pull;
  pull.request_id = id;
  pull.clock = clock;
  return pull;
}

using Released = std::vector<std::pair<std::uint32_t, RequestId>>;

class ParkedPullsTest : public ::testing::Test {
 protected:
  // Worker and request of those that are released when clocks up to this one may be answered.
  Released ReleasedUpTo(Clock clock) {
    Released released;
    parked.Release(
        [&](Clock of_pull) {
          ++asked;
          return of_pull <= clock;
        },
        [&](std::uint32_t worker, PullRequest request) {
          released.emplace_back(worker, request.request_id);
        });
    return released;
  }
  ParkedPulls parked;
  int asked = 0;
};

TEST_F(ParkedPullsTest, AreReleasedInTheOrderOfTheirArrival) {
  EXPECT_TRUE(parked.Park(7, Pull(1, 5)));
  EXPECT_TRUE(parked.Park(2, Pull(1, 6)));
  EXPECT_TRUE(parked.Park(0, Pull(9, 5)));
  EXPECT_EQ(parked.size(), 3u);
  EXPECT_EQ(ReleasedUpTo(5), (Released{{7, 1}, {0, 9}}));
  EXPECT_EQ(ReleasedUpTo(5), Released());
  EXPECT_EQ(ReleasedUpTo(6), (Released{{2, 1}}));
  EXPECT_TRUE(parked.empty());
}

TEST_F(ParkedPullsTest, ARepetitionIsKnownUntilItsPullIsReleased) {
  EXPECT_TRUE(parked.Park(1, Pull(3, 5)));
  EXPECT_FALSE(parked.Park(1, Pull(3, 5)));
  EXPECT_TRUE(parked.Park(2, Pull(3, 5)));  // another worker's ids are its own
  EXPECT_EQ(ReleasedUpTo(5), (Released{{1, 3}, {2, 3}}));
  EXPECT_TRUE(parked.Park(1, Pull(3, 5)));
}

TEST_F(ParkedPullsTest, WhereNothingCanBeAnsweredOnlyTheEarliestIsLookedAt) {
  for (RequestId id = 1; id <= 1000; ++id) parked.Park(0, Pull(id, 10 + static_cast<Clock>(id % 3)));
  EXPECT_EQ(ReleasedUpTo(9), Released());
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(ReleasedUpTo(10).size(), 333u);
  asked = 0;
  EXPECT_EQ(ReleasedUpTo(10), Released());
  EXPECT_EQ(asked, 1);
}

TEST_F(ParkedPullsTest, AWorkersAreForgotten) {
  parked.Park(1, Pull(1, 5));
  parked.Park(2, Pull(1, 4));
  parked.Forget(2);
  EXPECT_EQ(parked.size(), 1u);
  EXPECT_TRUE(parked.Park(2, Pull(1, 6)));
  EXPECT_EQ(ReleasedUpTo(5), (Released{{1, 1}}));
  parked.Clear();
  EXPECT_TRUE(parked.empty());
  EXPECT_TRUE(parked.Park(2, Pull(1, 6)));
}

}  // namespace cohort::parked_pulls_test
