// How the learning rate moves over a run: the share of it that counts at a clock.
//
// With p = clock / steps, the share of the run that is over, and w = warmup:
//
//   constant   p < w: (clock + 1) / (w steps);  then 1
//   step       as constant until w;             then step_factor ^ floor(p / step_every)
//   cosine     as constant until w;             then final + (1 - final) (1 + cos(pi (p - w) / (1 - w))) / 2     [1]
//   one_cycle  from 1/25 to 1 by half a cosine until w; then as cosine                                           [2]
//
// From p = 1 on (asynchronous runs may use more clocks than planned) the share stays what it is at 1.
//
// [1] Loshchilov, Hutter: "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, without restarts.
// [2] Smith, Topin: "Super-Convergence", 2019 (arXiv:1708.07120); 1/25 is that of fastai and PyTorch.
#ifndef COHORT_COMMON_RATE_SCHEDULE_H_
#define COHORT_COMMON_RATE_SCHEDULE_H_

#include <cstdint>

#include "common/types.h"

namespace cohort {

enum class ScheduleKind : std::uint8_t { kConstant = 0, kStep, kCosine, kOneCycle };

struct RateSchedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  float warmup = 0.0f;        // share of the run, below 1
  float final_share = 0.0f;   // cosine, one_cycle: of the rate, at the end
  float step_every = 0.3f;    // step: share of the run, above 0
  float step_factor = 0.1f;   // step: above 0
  std::uint64_t steps = 0;    // clocks of the run; 0: not known, the share is 1

  // Whether it is 1 throughout.
  bool constant() const { return steps == 0 || (kind == ScheduleKind::kConstant && warmup == 0.0f); }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(kind, warmup, final_share, step_every, step_factor, steps);
  }
};

// Pure: the same bits on every machine. REQUIRES: the ranges above; clock >= 0.
float RateShare(const RateSchedule& schedule, Clock clock);

}  // namespace cohort

#endif  // COHORT_COMMON_RATE_SCHEDULE_H_
