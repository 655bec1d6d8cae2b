#include "launch/plan/plan.h"

#include <algorithm>
#include <vector>

namespace cohort {

Result<Forecast> ForecastRun(const RunConfig& config, const PlanOptions& options,
                             const PlanProgress& progress) {
  Forecast forecast;
  const JobRequest train;
  COHORT_ASSIGN_OR_RETURN(forecast.inputs, ReadRunInputs(config, train));
  COHORT_ASSIGN_OR_RETURN(forecast.plan, MakePlan(forecast.inputs, train, /*run_id=*/1));
  COHORT_ASSIGN_OR_RETURN(forecast.sample,
                          TakeSample(forecast.inputs, forecast.plan, options.sample_rows, progress));
  forecast.traffic = PlanTraffic(forecast.inputs, forecast.plan, forecast.sample);
  forecast.memory = PlanMemory(forecast.inputs, forecast.plan, forecast.sample);
  forecast.time = PlanStepTime(forecast.inputs, forecast.plan, forecast.sample, forecast.traffic,
                               forecast.memory, options.costs);
  forecast.price_per_hour = options.price_per_hour;
  forecast.deadline = options.deadline;
  if (options.deadline > 0) {
    COHORT_ASSIGN_OR_RETURN(forecast.smallest, SmallestCluster(forecast.inputs, forecast.sample,
                                                               options.costs, options.deadline, progress));
  }
  return forecast;
}

double MemoryPerHost(const MemoryPlan& memory, std::uint32_t hosts) {
  std::vector<double> bytes(hosts);
  std::size_t next = 0;
  const auto deal = [&](const ProcessMemory& process) { bytes[next++ % hosts] += process.bytes(); };
  deal(memory.scheduler);
  for (const ProcessMemory& process : memory.servers) deal(process);
  for (const ProcessMemory& process : memory.workers) deal(process);
  return *std::max_element(bytes.begin(), bytes.end());
}

}  // namespace cohort
