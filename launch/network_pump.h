// NetworkPump: a worker's messages move on the real network, and a signal becomes a message to the scheduler.
#ifndef COHORT_LAUNCH_NETWORK_PUMP_H_
#define COHORT_LAUNCH_NETWORK_PUMP_H_

#include "common/node_loop.h"
#include "common/process.h"
#include "worker/pump.h"
#include "worker/worker.h"

namespace cohort {

class NetworkPump : public Pump {
 public:
  NetworkPump(Worker& worker, NodeLoop& loop) : worker_(worker), loop_(loop) {}
  TimePoint Now() const override { return loop_.Now(); }
  void Run(Outbox& out, Duration at_most) override {
    if (StopSignal() != 0 && !signal_told_) {
      signal_told_ = true;
      worker_.scheduler().SendReliably(Failure{0, "ended by " + SignalName(StopSignal())}, Now(), out);
    }
    loop_.Flush(out);
    loop_.Pump(at_most);
  }

 private:
  Worker& worker_;
  NodeLoop& loop_;
  bool signal_told_ = false;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_NETWORK_PUMP_H_
