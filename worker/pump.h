// Pump: what moves a worker's messages while blocking code (trainer, scorer) runs on top of its state
// machine. NodeLoop is behind it in the program; a simulated network in tests.
#ifndef COHORT_WORKER_PUMP_H_
#define COHORT_WORKER_PUMP_H_

#include "common/node.h"
#include "common/types.h"

namespace cohort {

class Pump {
 public:
  virtual ~Pump() = default;
  virtual TimePoint Now() const = 0;
  // Sends what `out` holds, then delivers messages and timers to the node: everything that is there; if
  // nothing is, waits for the first, `at_most`.
  virtual void Run(Outbox& out, Duration at_most) = 0;
};

}  // namespace cohort

#endif  // COHORT_WORKER_PUMP_H_
