// Bugs of ours, planted to show that the simulation finds them.
#ifndef COHORT_TESTS_SIMULATION_PLANTED_BUGS_H_
#define COHORT_TESTS_SIMULATION_PLANTED_BUGS_H_

#include <cstdint>
#include <memory>

#include "server/shard.h"
#include "worker/parameter_client.h"

namespace cohort {

enum class PlantedBug : std::uint8_t {
  kNone,
  kNoDuplicateCheck,
  kCloseBeforeAcknowledgements,
  kSumInArrivalOrder,
  kCacheBeyondTheBound
};

// A shard, or a client of shards, with the bug, if it is one of theirs.
std::unique_ptr<Shard> NewShard(PlantedBug bug, NodeId self, ShardOptions options, SnapshotStore& store);
ParameterClientFaults ClientFaults(PlantedBug bug);

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_PLANTED_BUGS_H_
