#include <gtest/gtest.h>

#include <numeric>

#include "worker/trainer.h"

namespace cohort::step_timer_test {
namespace {

TEST(StepTimer, PartsAddUpToTheTime) {
  using std::chrono::milliseconds;
  StepTimer::Time now = std::chrono::steady_clock::now();
  StepTimer timer;
  timer.Start(now);
  Batch batch;
  batch.read_seconds = 3, batch.distinct_seconds = 1;
  timer.LapOfBatch(&batch, now += milliseconds(40));  // waited 40 ms for what took the reader 4 s
  timer.Lap(StepPart::kPullWait, now += milliseconds(5));
  timer.Lap(StepPart::kForward, now += milliseconds(7));
  timer.Lap(StepPart::kBackward, now += milliseconds(9));
  timer.Lap(StepPart::kPushWait, now += milliseconds(2));
  timer.LapOfBatch(nullptr, now += milliseconds(1));
  EXPECT_NEAR(timer.Sum(StepPart::kRead), 0.031, 1e-6);
  EXPECT_NEAR(timer.Sum(StepPart::kDistinct), 0.010, 1e-6);
  EXPECT_NEAR(timer.Sum(StepPart::kPullWait), 0.005, 1e-9);
  EXPECT_NEAR(timer.Sum(StepPart::kForward), 0.007, 1e-9);
  const auto& seconds = timer.seconds();
  EXPECT_NEAR(std::accumulate(seconds.begin(), seconds.end(), 0.0), 0.064, 1e-9);
}

TEST(StepTimer, APauseBetweenPhasesIsNoStep) {
  using std::chrono::seconds;
  StepTimer::Time now = std::chrono::steady_clock::now();
  StepTimer timer;
  timer.Start(now);
  timer.Lap(StepPart::kForward, now += seconds(1));
  timer.Start(now += seconds(100));
  timer.Lap(StepPart::kForward, now += seconds(1));
  EXPECT_NEAR(timer.Sum(StepPart::kForward), 2, 1e-9);
}

}  // namespace
}  // namespace cohort::step_timer_test
