// What a user may ask of a run that goes on (docs/recovery.md, "Elasticity").
#ifndef COHORT_SCHEDULER_CLUSTER_CHANGE_H_
#define COHORT_SCHEDULER_CLUSTER_CHANGE_H_

#include <cstdint>
#include <string>

namespace cohort {

struct ClusterChange {
  enum class Kind : std::uint8_t { kAddServer = 0, kDrainServer };
  Kind kind = Kind::kAddServer;
  std::uint32_t server = 0;  // kDrainServer: which
  std::string host;          // kAddServer: where
};

// "add-server", as the command is called.
inline const char* KindName(ClusterChange::Kind kind) {
  constexpr const char* kNames[] = {"add-server", "drain-server"};
  return kNames[static_cast<std::size_t>(kind)];
}

}  // namespace cohort

#endif  // COHORT_SCHEDULER_CLUSTER_CHANGE_H_
