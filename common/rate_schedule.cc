#include "common/rate_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cohort {
namespace {

constexpr double kFirstOfOneCycle = 1.0 / 25;

// cos(pi x) for x in [0, 1] to 1e-15, by its series: unlike a library's, the same bits everywhere.
double CosPi(double x) {
  if (x > 0.5) return -CosPi(1.0 - x);
  const double square = std::numbers::pi * x * (std::numbers::pi * x);
  double term = 1.0, sum = 1.0;
  for (int n = 2; n <= 20; n += 2) {
    term *= -square / (n * (n - 1));
    sum += term;
  }
  return sum;
}

// From `from` at x = 0 to `to` at x = 1 by half a cosine.
double HalfCosine(double from, double to, double x) { return to + (from - to) * (1.0 + CosPi(x)) / 2; }

// `done` of all steps are over.
double Share(const RateSchedule& schedule, std::uint64_t done) {
  const auto steps = static_cast<double>(schedule.steps_per_epoch * schedule.epochs);
  const double over = static_cast<double>(done) / steps;
  const auto warmup = static_cast<double>(schedule.warmup), last = static_cast<double>(schedule.final_share);
  if (over < warmup) {
    if (schedule.kind == ScheduleKind::kOneCycle) return HalfCosine(kFirstOfOneCycle, 1.0, over / warmup);
    return std::min((static_cast<double>(done) + 1) / (warmup * steps), 1.0);
  }
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      break;
    case ScheduleKind::kStep: {
      double share = 1.0;
      for (double left = over; left >= static_cast<double>(schedule.step_every);
           left -= static_cast<double>(schedule.step_every)) {
        share *= static_cast<double>(schedule.step_factor);
      }
      return share;
    }
    case ScheduleKind::kCosine:
    case ScheduleKind::kOneCycle:
      return HalfCosine(1.0, last, (over - warmup) / (1.0 - warmup));
  }
  return 1.0;
}

}  // namespace

float RateShare(const RateSchedule& schedule, std::uint32_t epoch, Clock step) {
  if (schedule.constant()) return 1.0f;
  const std::uint64_t within = std::min(static_cast<std::uint64_t>(step), schedule.steps_per_epoch - 1);
  return static_cast<float>(
      Share(schedule, std::min(epoch, schedule.epochs - 1) * schedule.steps_per_epoch + within));
}

}  // namespace cohort
