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

// How many times as long everything takes in a run at workers and at servers as it took alone: a run's rows are nearer in caches or farther,
// and others use the machine more or less. A side's parts (reading, computing, messages, rows) were measured in other moments than the run;
// none of them can be told from what all took together, so they share the difference.
struct WorkloadFit {
  double worker = 1, server = 1;
  void Apply(SimulationInput* input) const;
};
// So that the simulation of `input`, a cluster of one worker and one server, takes the CPU seconds for a million samples that were
// measured, to 2 %, mostly to 0.1. Errors: kInvalidInput: there are none, or nothing meets them.
Result<WorkloadFit> FitWorkload(const SimulationInput& input, double worker_cpu_s_per_msample,
                                double server_cpu_s_per_msample);

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_WORKLOAD_FIT_H_
