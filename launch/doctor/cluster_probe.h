// Starts a probe on every host at once, asks each for the facts of its host and the time, has each call all the others, and waits for
// none of them longer than it says.
#ifndef COHORT_LAUNCH_DOCTOR_CLUSTER_PROBE_H_
#define COHORT_LAUNCH_DOCTOR_CLUSTER_PROBE_H_

#include <functional>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/types.h"
#include "launch/doctor/host_facts.h"

namespace cohort {

struct ClusterProbeOptions {
  std::vector<std::string> hosts;                    // of the hostfile, each once
  LookOrder order;                                   // the marker is made by the callee
  std::string version;                               // of this program
  Duration answer_limit = std::chrono::seconds(5);   // from the start until a host has said all of itself
  Duration pairs_limit = std::chrono::seconds(4);    // until a host has called all others
  std::function<void(const std::string&)> progress;  // a line that replaces the one before
};

// All but `mpi`. A probe is this program, by its path, with kProbeOption: on this host directly, on others through the launch agent that
// mpirun would use. Errors: kInvalidInput, there is no such agent; kIo, no file may be opened; a stop signal.
Result<ClusterFacts> ProbeCluster(const ClusterProbeOptions& options);

// The facts of this host, in this process; `pairs` has what it found when it called itself.
ClusterFacts LookHere(const LookOrder& order, const std::string& version);

}  // namespace cohort

#endif  // COHORT_LAUNCH_DOCTOR_CLUSTER_PROBE_H_
