// The supervisor of a simulated run, who asks for changes of it as well, and its opposite: kills workers, shards and backups at moments that the seed decides, tells the scheduler of a
// death at once or leaves it to the silence, and starts who is missing.
#ifndef COHORT_TESTS_SIMULATION_SIM_SUPERVISOR_H_
#define COHORT_TESTS_SIMULATION_SIM_SUPERVISOR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/random.h"
#include "common/types.h"
#include "tests/simulation/sim_cluster.h"
#include "tests/simulation/sim_faults.h"
#include "tests/simulation/sim_network.h"
#include "tests/simulation/sim_shape.h"

namespace cohort {

class SimSupervisor {
 public:
  // All must outlive the supervisor.
  SimSupervisor(std::uint64_t seed, const Shape& shape, SimNetwork* network, SimCluster* cluster,
                const FaultScript& script);

  // Workers' first lives, in the order of their indices. `compute`: as in SimCluster::AddWorker.
  void StartWorker(std::uint32_t incarnation, Duration compute, TimePoint start);
  // The first lives of all backups.
  void StartBackups(std::uint32_t incarnation);
  // Between any two events.
  void Follow();
  const std::string& violation() const { return violation_; }
  const Counts& counts() const { return counts_; }

 private:
  void KillSomebody();
  // `told_after`: below 0: the scheduler is not told. The scheduler itself: another one starts; below 0 it lives on, unheard.
  void Kill(NodeId victim, Duration told_after);
  void TellOfDeaths();
  void Change();
  void JudgeChange(const ClusterChange& change);
  void EndLeavers();
  void EndRefused();
  void StartReplacements();
  void StartMissingBackups();
  bool MayDie(NodeId victim) const;
  Duration StartDelay();
  SimCluster::Life NewLife(std::uint32_t incarnation);

  const std::uint64_t seed_;
  const Shape& shape_;
  SimNetwork* const network_;
  SimCluster* const cluster_;
  const FaultScript& script_;
  std::vector<Fault> kills_;  // to be replayed, the next one last
  RandomStream fate_;
  std::uint32_t deaths_left_;
  TimePoint next_death_;
  std::uint64_t births_ = 0;
  RandomStream changes_;
  std::uint32_t changes_left_;
  TimePoint next_change_;
  std::optional<ClusterChange> change_;  // under way
  std::string violation_;
  Counts counts_;
  std::vector<std::uint32_t> incarnations_;      // by worker: of the newest life
  std::vector<Duration> computes_;               // by worker
  std::map<TimePoint, NodeId> notices_;          // of deaths, to the scheduler
  std::vector<std::uint32_t> backups_;           // by shard: the incarnation of its backup's newest life
  std::map<NodeId, TimePoint> starting_nodes_;   // backups: their newest lives start then
  std::map<std::uint32_t, TimePoint> starting_;  // by worker: its newest life starts then
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_SUPERVISOR_H_
