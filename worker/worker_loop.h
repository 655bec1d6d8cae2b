// WorkerLoop: lets straight-line code wait for the protocol: "pull, wait until it is done, compute, push".
#ifndef COHORT_WORKER_WORKER_LOOP_H_
#define COHORT_WORKER_WORKER_LOOP_H_

#include <memory>
#include <optional>
#include <utility>

#include "common/status.h"
#include "worker/batch_reader.h"
#include "worker/pump.h"
#include "worker/worker.h"

namespace cohort {

// One thread.
class WorkerLoop {
 public:
  WorkerLoop(Worker& worker, Pump& pump) : worker_(worker), pump_(pump) {}

  Worker& worker() { return worker_; }
  ParameterClient& parameters() { return worker_.parameters(); }
  SchedulerClient& scheduler() { return worker_.scheduler(); }
  TimePoint Now() const { return pump_.Now(); }
  Outbox& out() { return out_; }

  // Moves messages without waiting: between two pieces of a long computation.
  Status Breathe() { return Step(Duration::zero()); }
  // Until the predicate holds. Fails with the worker's failure (every wait of the protocol has its deadline
  // there), or with kUnavailable when the scheduler ends the run.
  template <typename Predicate>
  Status WaitUntil(Predicate predicate) {
    while (!predicate()) {
      if (Status status = Step(kLongestStep); !status.ok()) return status;
    }
    return Status();
  }
  // The next batch of the reader. Null only when `until` holds and no batch is there.
  template <typename Predicate>
  Result<std::unique_ptr<Batch>> NextBatch(BatchReader& reader, Predicate until) {
    for (Duration at_most{};;) {
      if (Status status = Step(at_most); !status.ok()) return tl::unexpected<Status>(status);
      const bool over = until();
      // With all that was asked for read, only a message (a lease) can bring more.
      const bool reads = !reader.ReadAll();
      auto batch = reader.Next(reads ? kLongestRead : Duration::zero());
      if (!batch.has_value() || *batch || over) return batch;
      at_most = reads ? Duration::zero() : kLongestStep;
    }
  }
  // The next phase order, which may be the stop.
  Result<PhaseOrder> NextPhase();
  // After a failure of this worker: moves messages until the scheduler's stop has come, `limit` at most.
  std::optional<PhaseOrder> WaitForStop(Duration limit);

 private:
  // Others may wait for what this worker has to say meanwhile.
  static constexpr Duration kLongestRead = std::chrono::milliseconds(5);
  static constexpr Duration kLongestStep = std::chrono::milliseconds(100);
  Status Step(Duration at_most);

  Worker& worker_;
  Pump& pump_;
  Outbox out_;
  std::optional<PhaseOrder> order_;  // came while something else was waited for
};

}  // namespace cohort

#endif  // COHORT_WORKER_WORKER_LOOP_H_
