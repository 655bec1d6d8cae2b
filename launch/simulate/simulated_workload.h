// SimulatedWorkload: a training job as the simulation sees it: what a worker reads, computes, pulls and pushes for a batch.
#ifndef COHORT_LAUNCH_SIMULATE_SIMULATED_WORKLOAD_H_
#define COHORT_LAUNCH_SIMULATE_SIMULATED_WORKLOAD_H_

#include <cstdint>
#include <vector>

#include "common/types.h"

namespace cohort {

struct SimulatedWorkload {
  // CPU seconds of a worker for a row of data. In bsp every worker loads the whole global batch, and encodes its slices.
  double load_seconds = 0, encode_seconds = 0;
  double compute_seconds = 0;  // forward, backward and what else its main thread does, but for messages
  double crowd_factor = 1;     // how many times as long that takes while every core of the host computes
  // Rows that a batch of `batch_rows` pulls and pushes, and floats of each.
  struct Table {
    double rows = 0;
    std::uint32_t dim = 0;
    std::uint32_t pull_value_bytes = 4, push_value_bytes = 4;  // of a float, as it travels
  };
  std::uint32_t batch_rows = 1;
  Table dense;
  std::vector<Table> embeddings;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_SIMULATED_WORKLOAD_H_
