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
  // Of shards.
  kLostAck,           // a part is acknowledged, and dropped, now and then
  kNoDuplicateCheck,  // a part that comes twice counts twice
  kSumInArrivalOrder,
  kBackupKeepsWorkers,  // a backup does not hear who takes part in a new phase
  kAckBeforeBackup,     // what a shard with a backup does is acknowledged before the backup has it
  // Of the scheduler: it answers before it has written down what it answers to.
  kAnswerBeforeJournal,
  // Of shards and the scheduler: what a replaced worker says counts as its successor's.
  kMissingFence,
  // Of workers.
  kCloseBeforeAcknowledgements,
  kCacheBeyondTheBound,
  // Of checkpoints.
  kManifestBeforeData,  // a part is told of before it is written
  kMissingFsync,        // of a part's file, before it is renamed
  kStaleAfterFailover,  // one shard goes on from the checkpoint before
  kWrongSlotAfterReshard,
  kForgottenOptimizerSlot,
  kForgottenChange,  // a row that has changed is left out of an incremental checkpoint, now and then
};

// With the bug, if it is one of theirs.
std::unique_ptr<Shard> NewShard(PlantedBug bug, NodeId self, ShardOptions options, SnapshotStore& store);
// A driver of the scheduler with the bug; null if it is not the scheduler's.
std::unique_ptr<Node> WithoutFence(PlantedBug bug, Node* scheduler);
ParameterClientFaults ClientFaults(PlantedBug bug);

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_PLANTED_BUGS_H_
