// What SimulatedWorkload says of a job, found out: by reading some of its batches and computing them in one thread
// (MeasureWorkload), then, where a run of one worker and one server has been measured, by what that took (FitWorkload).
#ifndef COHORT_LAUNCH_SIMULATE_WORKLOAD_FIT_H_
#define COHORT_LAUNCH_SIMULATE_WORKLOAD_FIT_H_

#include <cstdint>

#include "common/config.h"
#include "common/status.h"
#include "launch/simulate/simulated_cluster.h"
#include "launch/simulate/simulated_workload.h"

namespace cohort {

// `config`: of a run of `workers`; its data are read. In one thread, by its CPU time; then in as many processes as this machine has
// cores, beside one alone. Takes some eight seconds. REQUIRES: this process has one thread.
Result<SimulatedWorkload> MeasureWorkload(const RunConfig& config, std::uint32_t workers);

// What the protocol and one thread cannot tell: how much longer computing takes in a run, and what rows cost at its servers, over
// what `cohort bench machine` says.
struct WorkloadFit {
  double compute = 1, server = 1;
  void Apply(SimulatedWorkload* workload) const {
    workload->compute_seconds *= compute;
    workload->server_factor = server;
  }
};
// So that the simulation of `input`, a cluster of one worker and one server, takes the CPU seconds for a million samples that were
// measured.
Result<WorkloadFit> FitWorkload(SimulationInput input, double worker_cpu_s_per_msample,
                                double server_cpu_s_per_msample);

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_WORKLOAD_FIT_H_
