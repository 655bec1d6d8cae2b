// One simulated run: a cluster, a plan and a network drawn from a seed; the real Coordinator, Shards and clients; and
// the judgement of what came out.
//
// Invariants:
//  - every acknowledged push counts exactly once: with whole-number gradients and plain SGD at rate 1 the model is the
//    exact sum, in every consistency, after every epoch and in every snapshot;
//  - bsp equals the single-process reference (workload.h) bit for bit, optimizer state included;
//  - with policies or 16-bit weights, the same in bsp; else no row is kept or made that a policy rules out, and the dense table is exact;
//  - every part of a checkpoint is the state of one instant (sim_checkpoints.h);
//  - no pull shows less than its consistency demands, nor more than was pushed (Markers);
//  - scoring hands over every row once, in order, with the reference's predictions;
//  - the run ends well before its virtual deadline, with partitions within kEndsWithin (sim_shape.h) of the last fault, and no damaged frame or ghost changes anything.
#ifndef COHORT_TESTS_SIMULATION_SIM_RUN_H_
#define COHORT_TESTS_SIMULATION_SIM_RUN_H_

#include <cstdint>
#include <string>

#include "common/types.h"
#include "tests/simulation/planted_bugs.h"
#include "tests/simulation/sim_faults.h"
#include "tests/simulation/sim_network.h"
#include "tests/simulation/sim_shape.h"

namespace cohort {

struct SimOutcome {
  std::string violation;  // empty: all invariants held
  std::string shape;      // of the cluster, in a line
  Counts counts;
  Duration virtual_time{};
  Duration after_faults{};        // that the run has taken, if the faults end
  std::uint64_t fingerprint = 0;  // of all that happened
};

struct SimOptions {
  PlantedBug bug = PlantedBug::kNone;
  Limits limits;
  FaultScript script;
};

SimOutcome Simulate(std::uint64_t seed, Scenario scenario, const SimOptions& options = {});

// A run that dies as a whole at some moments, also in the middle of a write and with the power, and goes on each time from the
// newest checkpoint that is whole (sim_checkpoint_files.h), with other numbers of shards and, in bsp, of workers. In the end its
// model must be that of a run that was never interrupted; and no checkpoint is lost but by damage.
// What Simulate does for Scenario::kRestarts.
SimOutcome SimulateRestarts(std::uint64_t seed, const SimOptions& options);

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_RUN_H_
