// SimulatedCluster: a training run in virtual time: the real Coordinator, Shards, SchedulerClients and ParameterClients on
// simulated processors and links. Every message is one that the roles send; what it costs on its way is MachineCosts'.
//
// A process has the threads that a run's has: a worker its main thread, its reader and ZeroMQ's I/O thread, a server a
// thread for each shard and one for I/O. A message goes through the sender's main thread and I/O thread, the link of its
// host, that of the receiver's, the receiver's I/O thread, and waits for its main thread. Within a host there is no link.
// Nothing is lost. One thread; the same input gives the same result, to the last bit.
//
// Left out: evaluation, checkpoints, backups, memory; what a processor's caches and its neighbours do to each other.
#ifndef COHORT_LAUNCH_SIMULATE_SIMULATED_CLUSTER_H_
#define COHORT_LAUNCH_SIMULATE_SIMULATED_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "common/status.h"
#include "common/types.h"
#include "launch/machine_costs.h"
#include "launch/simulate/simulated_workload.h"

namespace cohort {

struct SimulationInput {
  MachineCosts costs;
  SimulatedWorkload workload;

  std::uint32_t workers = 1, servers = 1, shards_per_server = 1;
  Consistency consistency = Consistency::kBsp;
  std::uint32_t staleness = 0;
  std::uint32_t slices = 1;      // bsp
  std::uint32_t batch_size = 1;  // global
  std::uint64_t rows = 1;        // of the epoch
  std::uint32_t request_rows = 4096;

  std::uint32_t hosts = 1;  // processes are spread over them in turn; 0: each has one of its own
  std::uint32_t cores_per_host = 1;
  double link_bytes_per_second = 0;  // of a host, each way; 0: no limit
  double link_latency_seconds = 0;   // one way
  double shared_link_bytes_per_second =
      0;  // of a link that every message passes, whoever sends it; 0: there is none
  double straggler_share = 0, straggler_factor = 1;  // of steps that take so many times as long to compute
  double faults_per_hour = 0;                        // workers killed, each replaced after `restart_seconds`
  double restart_seconds = 1;
  std::uint64_t seed = 1;
};

struct SimulationResult {
  double seconds = 0;  // of the epoch, virtual
  std::uint64_t samples = 0;
  std::uint64_t steps = 0;  // of all workers
  double worker_cpu_seconds = 0, server_cpu_seconds = 0, scheduler_cpu_seconds = 0;
  double worker_bytes = 0, server_bytes = 0;  // sent
  std::uint64_t messages = 0;                 // sent by both
  std::uint32_t workers_replaced = 0;
  // Shares of the epoch, means over the workers.
  double compute_share = 0, pull_wait_share = 0, read_wait_share = 0, end_wait_share = 0;
  // The busiest of each kind: CPU time, or time that bytes took, over the epoch's time.
  double busiest_worker_thread = 0, busiest_reader = 0, busiest_shard_thread = 0, busiest_server_io = 0,
         busiest_link = 0;
  double busiest_host = 0;  // of its cores
  double scheduler_thread = 0;
  std::uint64_t events = 0;  // handled by the simulation
};

// `progress` takes the share of the epoch's rows that are done, now and then. Errors: the run's own verdict; kInvalidInput: what
// cannot be; a stop signal.
Result<SimulationResult> SimulateCluster(const SimulationInput& input,
                                         const std::function<void(double)>& progress);

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_SIMULATED_CLUSTER_H_
