#include "common/rate_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace cohort {
namespace {

RateSchedule Of(ScheduleKind kind, float warmup, std::uint64_t steps = 1000) {
  RateSchedule schedule;
  schedule.kind = kind;
  schedule.warmup = warmup;
  schedule.steps = steps;
  return schedule;
}

TEST(RateSchedule, ConstantIsOneAndWarmsUpInALine) {
  EXPECT_TRUE(Of(ScheduleKind::kConstant, 0).constant());
  EXPECT_TRUE(Of(ScheduleKind::kCosine, 0.1f, 0).constant()) << "the run's length is not known";
  const RateSchedule schedule = Of(ScheduleKind::kConstant, 0.125f);
  EXPECT_FALSE(schedule.constant());
  EXPECT_EQ(RateShare(schedule, 0), 1.0f / 125);
  EXPECT_EQ(RateShare(schedule, 49), 50.0f / 125);
  EXPECT_EQ(RateShare(schedule, 124), 1.0f);
  EXPECT_EQ(RateShare(schedule, 5000), 1.0f);
}

TEST(RateSchedule, StepsFallByTheirFactor) {
  RateSchedule schedule = Of(ScheduleKind::kStep, 0);
  schedule.step_every = 0.25f;
  schedule.step_factor = 0.5f;
  const float expected[] = {1, 0.5f, 0.25f, 0.125f};
  for (int quarter = 0; quarter < 4; ++quarter) {
    EXPECT_EQ(RateShare(schedule, 250 * quarter), expected[quarter]);
    EXPECT_EQ(RateShare(schedule, 250 * quarter + 249), expected[quarter]);
  }
  EXPECT_EQ(RateShare(schedule, 1000), RateShare(schedule, 123456));
}

TEST(RateSchedule, CosinesAreTheFormula) {
  for (const ScheduleKind kind : {ScheduleKind::kCosine, ScheduleKind::kOneCycle}) {
    RateSchedule schedule = Of(kind, 0.25f);
    schedule.final_share = 0.125f;
    for (Clock clock = 0; clock <= 1200; ++clock) {
      const double p = std::min(static_cast<double>(clock) / 1000, 1.0);
      double expected = 0.125 + 0.875 * (1 + std::cos(std::numbers::pi * (p - 0.25) / 0.75)) / 2;
      if (p < 0.25) {
        expected = kind == ScheduleKind::kCosine
                       ? static_cast<double>(clock + 1) / 250
                       : 1.0 + (0.04 - 1.0) * (1 + std::cos(std::numbers::pi * p / 0.25)) / 2;
      }
      EXPECT_NEAR(RateShare(schedule, clock), expected, 1e-7) << clock;
    }
    EXPECT_EQ(RateShare(schedule, 250), 1.0f);
    EXPECT_EQ(RateShare(schedule, 1000), 0.125f);
  }
}

}  // namespace
}  // namespace cohort
