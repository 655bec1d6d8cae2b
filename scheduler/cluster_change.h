// What a user may ask of a run that goes on (docs/recovery.md, "Elasticity").
#ifndef COHORT_SCHEDULER_CLUSTER_CHANGE_H_
#define COHORT_SCHEDULER_CLUSTER_CHANGE_H_

#include <cstdint>
#include <string>

namespace cohort {

struct ClusterChange {
  enum class Kind : std::uint8_t { kAddServer = 0, kDrainServer, kAddWorker, kRemoveWorker };
  static constexpr Kind kLastKind = Kind::kRemoveWorker;
  Kind kind = Kind::kAddServer;
  std::uint32_t index = 0;  // of the server or worker: which is to go; which one comes, once that is known
  std::string host;         // of who comes
  bool OfWorkers() const { return kind == Kind::kAddWorker || kind == Kind::kRemoveWorker; }
};

// "add-server", as the command is called.
inline const char* KindName(ClusterChange::Kind kind) {
  constexpr const char* kNames[] = {"add-server", "drain-server", "add-worker", "remove-worker"};
  return kNames[static_cast<std::size_t>(kind)];
}

}  // namespace cohort

#endif  // COHORT_SCHEDULER_CLUSTER_CHANGE_H_
