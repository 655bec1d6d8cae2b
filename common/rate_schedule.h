// How the learning rate moves over a run: the share of it that counts at a clock.
//
// With c the steps that are over, c = epoch * steps_per_epoch + step, p = c / (epochs * steps_per_epoch) and w = warmup:
//
//   constant   p < w: (c + 1) / (w epochs steps_per_epoch);  then 1
//   step       as constant until w;             then step_factor ^ floor(p / step_every)
//   cosine     as constant until w;             then final + (1 - final) (1 + cos(pi (p - w) / (1 - w))) / 2     [1]
//   one_cycle  from 1/25 to 1 by half a cosine until w; then as cosine                                           [2]
//
// A fast worker of an asynchronous run uses more clocks than an epoch has steps: in those the share stays what it was in
// the epoch's last step.
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
  float warmup = 0.0f;                // share of the run, below 1
  float final_share = 0.0f;           // cosine, one_cycle: of the rate, at the end
  float step_every = 0.3f;            // step: share of the run, above 0
  float step_factor = 0.1f;           // step: above 0
  std::uint64_t steps_per_epoch = 0;  // 0: not known, the share is 1
  std::uint32_t epochs = 0;

  bool operator==(const RateSchedule&) const = default;
  // Whether it is 1 throughout.
  bool constant() const {
    return steps_per_epoch == 0 || epochs == 0 || (kind == ScheduleKind::kConstant && warmup == 0.0f);
  }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(kind, warmup, final_share, step_every, step_factor, steps_per_epoch, epochs);
  }
};

// Pure: the same bits on every machine. `step`: clocks since the epoch began. REQUIRES: the ranges above; step >= 0.
float RateShare(const RateSchedule& schedule, std::uint32_t epoch, Clock step);

}  // namespace cohort

#endif  // COHORT_COMMON_RATE_SCHEDULE_H_
