#include "common/types.h"

namespace cohort {

const char* ConsistencyName(Consistency consistency) {
  switch (consistency) {
    case Consistency::kBsp:
      return "bsp";
    case Consistency::kSsp:
      return "ssp";
    case Consistency::kAsp:
      return "asp";
  }
  return "unknown";
}

const char* RoleName(Role role) {
  switch (role) {
    case Role::kScheduler: return "scheduler";
    case Role::kShard: return "shard";
    case Role::kWorker: return "worker";
    case Role::kBackup:
      return "backup";
  }
  return "unknown role";
}

std::string ToString(NodeId node) {
  if (node.role == Role::kScheduler) return "scheduler";
  return std::string(RoleName(node.role)) + " " + std::to_string(node.index);
}

const char* SplitName(Split split) {
  switch (split) {
    case Split::kTrain: return "train";
    case Split::kValid: return "valid";
    case Split::kTest: return "test";
  }
  return "unknown split";
}

}  // namespace cohort
