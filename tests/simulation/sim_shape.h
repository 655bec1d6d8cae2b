// What a seed decides of a simulated run before it begins: the cluster's size, the workload, the options, how unkind
// the network is.
#ifndef COHORT_TESTS_SIMULATION_SIM_SHAPE_H_
#define COHORT_TESTS_SIMULATION_SIM_SHAPE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "common/random.h"
#include "common/types.h"
#include "scheduler/plan.h"
#include "tests/simulation/sim_network.h"
#include "tests/simulation/sim_worker.h"

namespace cohort {

// What the run is about beside the protocol itself; each has its own draws, so that no seed of another changes.
enum class Scenario : std::uint8_t {
  kPlain,
  kPolicies,    // rows are admitted and evicted
  kNarrow,      // rows of 16-bit weights
  kPositions,   // pushes name the rows of their pull by their places in it
  kHalfValues,  // embeddings and their gradients travel as bfloat16 or float16
  kTier,        // few rows in memory, the others on a slow disk
  kCache,       // ssp, asp: workers keep rows for later pulls
  kDeaths,      // workers die and are replaced
  kBackups,     // shards, backups and workers die; backups take their shards' places
  kSchedulers,  // the scheduler dies, beside the others, and another goes on from its journal
  kElastic,     // shards are moved to other servers on purpose while shards, backups and workers die
  kAll,         // half values, positions and a cache at once
  kPartitions,  // links are cut and clogged; in the end all faults are over, and the run ends soon
  kPartitionsAndDeaths,
  kRestarts,  // the run dies as a whole, and goes on from its checkpoints
};

struct Shape {
  SimPlan plan;
  std::uint32_t shards = 1, epochs = 1;
  std::uint64_t credit_bytes = 0;
  std::uint32_t request_rows = 0;
  std::uint64_t kept_pull_bytes = 0;
  std::optional<std::uint64_t> tier_bytes;  // none: all rows in memory
  Duration slowest_read{};
  std::uint64_t cache_rows = 0;
  std::uint32_t cache_max_age = 0;
  Duration max_compute{};
  NetworkFaults faults;
  Duration max_start{};      // processes start within
  std::uint32_t deaths = 0;  // of workers, and with backups of shards and backups, at most
  bool backups = false;
  bool scheduler_dies = false;  // as well
  std::uint32_t shards_per_server = 1;
  std::uint32_t changes = 0;  // servers and workers come and go, at most so often
  double worker_changes = 0;  // how many of these are of workers
  Duration between_changes{};
  Duration between_deaths{};

  // Liveness: when the run must have ended. All faults are over then, some time before.
  TimePoint Deadline() const;
  std::string Describe() const;  // in a line
};

// A run ends at most so long after the last fault. A worker that died before it confirmed its first order is noticed after
// 4 x dead_after = 20 s of silence (it might have been opening files); 10 s are enough for the whole run, redone. But where
// a credit lets one small request at a time go, the work alone may take over a minute.
inline constexpr Duration kEndsWithin = std::chrono::seconds(30);
inline constexpr Duration kEndsWithinOneByOne = std::chrono::seconds(120);  // credit_bytes < 1000

// The most of what makes a run long.
struct Limits {
  std::uint32_t workers = ~0u, shards = ~0u, epochs = ~0u;
  std::uint64_t train_rows = ~0ull, test_rows = ~0ull;
};

Shape DrawShape(std::uint64_t seed, Scenario scenario, const Limits& limits = {});

// What the scheduler is told: each epoch is trained, then scored or evaluated, then written away.
RunPlan PlanOf(const Shape& shape, std::uint64_t run_id);

template <typename T, std::size_t N>
T Pick(RandomStream& random, const T (&values)[N]) {
  return values[random.Below(N)];
}

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_SHAPE_H_
