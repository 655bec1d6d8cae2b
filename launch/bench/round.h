// A round: all workers do the same number of batches from the same instant on, and report. What is measured
// and its ceiling take turns with rounds.
#ifndef COHORT_LAUNCH_BENCH_ROUND_H_
#define COHORT_LAUNCH_BENCH_ROUND_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "common/status.h"
#include "common/types.h"
#include "launch/bench/child_processes.h"
#include "launch/bench/options.h"

namespace cohort::bench {

enum class Work : std::uint32_t {
  kFill = 0,
  kPull,
  kKeep,  // pulls whose rows the next kPush names; clocks stay open
  kPush,
  kPullPush,
  kPullHot,  // pulls of rows that are in memory, with or without a tier (Options::HotRows)
  kStop
};
Work WorkOf(Operation operation);

struct RoundOrder {
  Work work = Work::kStop;
  std::uint64_t batches = 0;  // of each worker
  std::int64_t start_ns = 0;  // of the steady clock, which all processes of a host share
};

// What one worker has to say of a round.
struct WorkerReport {
  std::int64_t end_ns = 0;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;         // frames sent and received
  std::uint64_t pulled_bytes = 0;  // values received
  std::uint64_t cached_rows = 0;   // that needed not be asked for
  std::vector<float> latency_us;   // of each batch, from asked to answered
};
Status SendReport(Channel& channel, const WorkerReport& report);
// The worker's side: the next order, once it is there (Channel::Readable).
Result<RoundOrder> ReceiveOrder(Channel& channel);
// Returns at the instant of the order.
void WaitForStart(const RoundOrder& order);

// A round as a whole.
struct Round {
  double seconds = 0;  // from the common start to the last worker's end
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0, pulled_bytes = 0, cached_rows = 0;
  std::vector<float> latency_us;  // of all batches, ascending
  double server_cpu_seconds = 0, worker_cpu_seconds = 0;

  // Takes another round of the same work in, as if it had followed at once.
  void Append(const Round& other);
  double CpuSeconds() const { return server_cpu_seconds + worker_cpu_seconds; }
  double RowsPerSecond() const { return static_cast<double>(rows) / seconds; }
  double Latency(double share) const;  // 0.5: the median, in us
};

// A group of processes that does rounds.
struct RoundProcesses {
  std::vector<ChildProcesses::Child*> servers, workers;
};
Result<Round> RunRound(ChildProcesses& all, const RoundProcesses& processes, Work work,
                       std::uint64_t batches);
// In two steps, so that other workers can have a round of their own meanwhile. CPU time is what all servers took.
struct RunningRound {
  RoundProcesses processes;
  std::int64_t start_ns = 0;
  double server_cpu_seconds = 0, worker_cpu_seconds = 0;  // before
};
Result<RunningRound> BeginRound(ChildProcesses& all, RoundProcesses processes, Work work,
                                std::uint64_t batches);
Result<Round> EndRound(ChildProcesses& all, const RunningRound& running);
Status SendStop(const RoundProcesses& processes);

// How many batches a round of about `seconds` takes, found by shorter ones, which also warm up.
Result<std::uint64_t> Calibrate(double seconds, const std::function<Result<Round>(std::uint64_t)>& run);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_ROUND_H_
