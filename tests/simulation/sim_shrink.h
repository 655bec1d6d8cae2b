// Makes a run that fails short enough to be read: delta debugging (Zeller, Hildebrandt 2002) over the list of its faults, and over
// the size of its cluster and its data.
#ifndef COHORT_TESTS_SIMULATION_SIM_SHRINK_H_
#define COHORT_TESTS_SIMULATION_SIM_SHRINK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/sim_faults.h"
#include "tests/simulation/sim_run.h"

namespace cohort {

struct ShrunkRun {
  FaultSchedule schedule;  // what is left of it
  Limits limits;
  std::size_t faults_before = 0;   // met by the seed's own run
  std::uint64_t runs = 0;          // that it took
  SimOutcome outcome;              // still a violation
  std::vector<std::string> trace;  // of all its messages but heartbeats

  // For a human: the shape, the faults, what led to the violation; at most about 100 lines.
  std::string Describe() const;
};

// REQUIRES: the seed's run ends with a violation. `most_runs`: whatever is left to be tried then is not.
ShrunkRun Shrink(std::uint64_t seed, Scenario scenario, PlantedBug bug = PlantedBug::kNone,
                 std::uint64_t most_runs = 1000);

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_SHRINK_H_
