// Simulate: an experiment's points on simulated clusters, in the format of measured ones (launch/scale/results.h).
#ifndef COHORT_LAUNCH_SIMULATE_SIMULATE_H_
#define COHORT_LAUNCH_SIMULATE_SIMULATE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/machine_costs.h"
#include "launch/scale/experiment.h"
#include "launch/scale/results.h"
#include "launch/simulate/simulated_cluster.h"
#include "launch/simulate/workload_fit.h"

namespace cohort {

struct SimulateOptions {
  MachineCosts costs;
  std::optional<scale::ScaleResults>
      measured;  // whose point of one worker and one server the workload is fitted to
  // The cluster: as in SimulationInput.
  std::uint32_t hosts = 1, cores_per_host = 1;
  double link_gbit = 0, latency_us = 0;
  double straggler_share = 0, straggler_factor = 1;
  std::uint64_t steps = 0;  // of a worker; 0: an epoch of the job
};

struct SimulatedPoint {
  scale::Settings settings;
  SimulationResult result;
  WorkloadFit fit;          // 1 and 1 without SimulateOptions::measured
  double wall_seconds = 0;  // that simulating it took
};

struct Simulated {
  scale::ScaleResults results;
  std::vector<SimulatedPoint> points;
};

// What a point's throughput is bound by: the busiest thing, or what is waited for. "the busiest shard's thread 97 %".
std::string Bound(const SimulationResult& result);

// `folder`: for a job's data, which are drawn there. `progress` takes a line.
Result<Simulated> Simulate(const scale::Experiment& experiment, const SimulateOptions& options,
                           const std::string& folder,
                           const std::function<void(const std::string&)>& progress);

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_SIMULATE_H_
