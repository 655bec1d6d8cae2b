// A job for a cluster of this configuration, as the commands see it: from files to a verdict.
#ifndef COHORT_LAUNCH_CLUSTER_JOB_H_
#define COHORT_LAUNCH_CLUSTER_JOB_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/status.h"
#include "launch/hostfile.h"
#include "launch/process_hosts.h"
#include "launch/run_plan.h"
#include "launch/supervisor.h"

namespace cohort {

inline constexpr const char* kKeyFile = "run.key";  // in the job's folder, while it runs

struct ClusterJob {
  RunConfig config;
  JobRequest request;
  std::string folder;    // for run.toml, result.json, metrics.jsonl, log.txt; exists, and is the job's alone
  std::string scores;    // score: the file for the users
  std::string
      hostfile;  // the user's list of hosts; empty: this host, or what the resource manager has allocated
  std::vector<ListedHost> hosts;       // that it names
  std::optional<ProcessHosts> places;  // of as many processes as `config` says; nothing: mpirun's own
  std::string
      key;  // file with the run's key, on every host; empty: one is made in `folder`, and gone with the run
  bool resume = false;   // train: goes on from the newest checkpoint in `folder`, if there is one
};

// How a job that died goes on.
struct FormerLife {
  std::string checkpoint;          // to go on from; empty: from the start
  std::uint64_t acknowledged = 0;  // parts of pushes, until it died
  std::uint32_t restarts = 0;      // this one included
};
// The mpirun line that starts the roles of `job` from the folder of this program.
std::vector<std::string> MpirunCommand(const ClusterJob& job, const FormerLife& before = {});

// The process that takes the place of a dead worker, or begins what a server misses: on this host directly, on another one
// through an mpirun of its own.
std::vector<std::string> ReplacementCommand(const ClusterJob& job, const ClusterFile::Process& member);

// Checks what can be checked before anything is started, as the scheduler will see it. Errors are the user's.
Status CheckClusterJob(const ClusterJob& job);

// Writes run.toml, runs the cluster, returns the verdict that result.json carries. `output` gives progress and note.
Status RunClusterJob(const ClusterJob& job, SupervisorOptions output);

}  // namespace cohort

#endif  // COHORT_LAUNCH_CLUSTER_JOB_H_
