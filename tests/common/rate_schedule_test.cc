#include "common/rate_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace cohort::rate_schedule_test {
namespace {

RateSchedule Of(ScheduleKind kind, float warmup, std::uint64_t steps = 1000) {
  RateSchedule schedule;
  schedule.kind = kind;
  schedule.warmup = warmup;
  schedule.steps_per_epoch = steps / 4;
  schedule.epochs = 4;
  return schedule;
}

// By the step of the whole run.
float At(const RateSchedule& schedule, int step) {
  return RateShare(schedule, static_cast<std::uint32_t>(step / 250), step % 250);
}

TEST(RateSchedule, ConstantIsOneAndWarmsUpInALine) {
  EXPECT_TRUE(Of(ScheduleKind::kConstant, 0).constant());
  EXPECT_TRUE(Of(ScheduleKind::kCosine, 0.1f, 0).constant()) << "the run's length is not known";
  const RateSchedule schedule = Of(ScheduleKind::kConstant, 0.125f);
  EXPECT_FALSE(schedule.constant());
  EXPECT_EQ(At(schedule, 0), 1.0f / 125);
  EXPECT_EQ(At(schedule, 49), 50.0f / 125);
  EXPECT_EQ(At(schedule, 124), 1.0f);
  EXPECT_EQ(At(schedule, 999), 1.0f);
}

TEST(RateSchedule, StepsFallByTheirFactor) {
  RateSchedule schedule = Of(ScheduleKind::kStep, 0);
  schedule.step_every = 0.25f;
  schedule.step_factor = 0.5f;
  const float expected[] = {1, 0.5f, 0.25f, 0.125f};
  for (int quarter = 0; quarter < 4; ++quarter) {
    EXPECT_EQ(At(schedule, 250 * quarter), expected[quarter]);
    EXPECT_EQ(At(schedule, 250 * quarter + 249), expected[quarter]);
  }
  EXPECT_EQ(RateShare(schedule, 2, 249), RateShare(schedule, 2, 123456)) << "clocks beyond the epoch's steps";
  EXPECT_EQ(RateShare(schedule, 3, 0), RateShare(schedule, 9, 0));
}

TEST(RateSchedule, CosinesAreTheFormula) {
  for (const ScheduleKind kind : {ScheduleKind::kCosine, ScheduleKind::kOneCycle}) {
    RateSchedule schedule = Of(kind, 0.25f);
    schedule.final_share = 0.125f;
    for (int clock = 0; clock < 1000; ++clock) {
      const double p = static_cast<double>(clock) / 1000;
      double expected = 0.125 + 0.875 * (1 + std::cos(std::numbers::pi * (p - 0.25) / 0.75)) / 2;
      if (p < 0.25) {
        expected = kind == ScheduleKind::kCosine
                       ? static_cast<double>(clock + 1) / 250
                       : 1.0 + (0.04 - 1.0) * (1 + std::cos(std::numbers::pi * p / 0.25)) / 2;
      }
      EXPECT_NEAR(At(schedule, clock), expected, 1e-7) << clock;
    }
    EXPECT_EQ(At(schedule, 250), 1.0f);
    EXPECT_NEAR(At(schedule, 999), 0.125f, 1e-5);
  }
}

}  // namespace
}  // namespace cohort::rate_schedule_test
