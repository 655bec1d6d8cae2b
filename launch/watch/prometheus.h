// A run's state in the text format that Prometheus reads (docs/watching.md lists the metrics).
#ifndef COHORT_LAUNCH_WATCH_PROMETHEUS_H_
#define COHORT_LAUNCH_WATCH_PROMETHEUS_H_

#include <string>
#include <vector>

#include "launch/watch/run_state.h"

namespace cohort {

// Exposition format 0.0.4. Every sample has the label `run`; what is not known has no sample.
std::string PrometheusText(const RunState& state);

// The names of all metrics that there can be.
std::vector<std::string> PrometheusNames();

}  // namespace cohort

#endif  // COHORT_LAUNCH_WATCH_PROMETHEUS_H_
