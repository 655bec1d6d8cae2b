// Worker: a worker as a state machine: its conversations with the scheduler and with the shards behind one
// Node. The trainer's blocking code stands on it through WorkerLoop.
#ifndef COHORT_WORKER_WORKER_H_
#define COHORT_WORKER_WORKER_H_

#include <cstdint>

#include "common/node.h"
#include "common/scheduler_client.h"
#include "worker/parameter_client.h"

namespace cohort {

class Worker : public Node {
 public:
  Worker(std::uint32_t index, Register registration, SchedulerClient::Options scheduler,
         ParameterClient::Options parameters);

  void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) override;
  void OnTimer(TimePoint now, Outbox& out) override;
  TimePoint NextTimer() const override;
  Stamp stamp() const override;

  SchedulerClient& scheduler() { return scheduler_; }
  ParameterClient& parameters() { return parameters_; }
  // Why the worker cannot go on; ok while it can.
  const Status& failure() const;

 private:
  SchedulerClient scheduler_;
  ParameterClient parameters_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_WORKER_H_
