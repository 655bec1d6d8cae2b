// Cluster: a scheduler, servers and workers as processes of their own, made of the same classes as a run
// (Coordinator, Shard, Worker, NodeLoop, ZmqTransport). Instead of training, the workers do rounds.
#ifndef COHORT_LAUNCH_BENCH_CLUSTER_H_
#define COHORT_LAUNCH_BENCH_CLUSTER_H_

#include <cstdint>

#include "common/status.h"
#include "launch/bench/child_processes.h"
#include "launch/bench/options.h"
#include "launch/bench/round.h"

namespace cohort::bench {

class Cluster {
 public:
  // Starts the processes; returns when the training phase has begun everywhere. `all` must outlive this object.
  static Result<Cluster> Start(ChildProcesses& all, const Options& options);

  // Makes every row of the table, by ordinary pushes of zeros. Once.
  Status Fill();
  // Each worker has options.window batches outstanding, `batches` in all; closes every clock.
  // Pushes by position are of batches pulled beforehand, which is not measured.
  Result<Round> Run(Operation operation, std::uint64_t batches);
  // Pulls: worker 0 has batches like any, and meanwhile worker 1 has `hot` of rows that are in memory. 0: none of these.
  // REQUIRES: two workers.
  struct TwoRounds {
    Round any, hot;
  };
  Result<TwoRounds> RunBoth(std::uint64_t any, std::uint64_t hot);
  // Rows that the servers have read from disk for pulls, up to now: waits until they have said so.
  std::uint64_t RowsRead() const;
  // Ends the run as training ends it; ChildProcesses::Join waits for the processes.
  Status Stop() { return SendStop(processes_); }

  // Resident memory that Fill added to the servers, per row, beyond the rows' weights and optimizer state. Includes
  // what the servers' messages need.
  double OverheadPerRow() const;

 private:
  std::uint64_t ServerMemory() const;

  struct Shared;  // memory of all processes

  ChildProcesses* all_ = nullptr;
  Shared* shared_ = nullptr;
  Options options_;
  RoundProcesses processes_;
  std::uint64_t memory_before_ = 0, memory_after_ = 0;
};

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_CLUSTER_H_
