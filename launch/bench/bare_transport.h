// BareTransport: ZeroMQ alone, between the same processes, with the frames of a FramePlan and nothing behind
// them: the ceiling of the data plane. Bytes are neither made nor looked at; memory is kept as in a run.
#ifndef COHORT_LAUNCH_BENCH_BARE_TRANSPORT_H_
#define COHORT_LAUNCH_BENCH_BARE_TRANSPORT_H_

#include <cstdint>

#include "common/status.h"
#include "launch/bench/child_processes.h"
#include "launch/bench/frame_plan.h"
#include "launch/bench/options.h"
#include "launch/bench/round.h"

namespace cohort::bench {

class BareTransport {
 public:
  // Starts the processes. `all` must outlive this object.
  static Result<BareTransport> Start(ChildProcesses& all, const Options& options, const FramePlan& plan);

  // Each worker has options.window batches outstanding, `batches` in all.
  Result<Round> Run(Operation operation, std::uint64_t batches) {
    return RunRound(*all_, processes_, WorkOf(operation), batches);
  }
  // The processes end by themselves; ChildProcesses::Join waits for them.
  Status Stop();

 private:
  ChildProcesses* all_ = nullptr;
  RoundProcesses processes_;
};

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_BARE_TRANSPORT_H_
