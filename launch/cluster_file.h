// RUN_DIR/cluster.json: who takes part in a run, as its scheduler sees it: for the supervisor, which starts the
// replacements of dead processes, for these (--join), and for whoever wants to know.
#ifndef COHORT_LAUNCH_CLUSTER_FILE_H_
#define COHORT_LAUNCH_CLUSTER_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/types.h"

namespace cohort {

inline constexpr const char* kClusterFile = "cluster.json";  // in RUN_DIR

struct ClusterFile {
  struct Process {
    NodeId node;
    std::uint32_t server = 0;  // a shard's, or a backup's; missing: where it is to be
    bool missing = false;      // another one is to register under `incarnation`
    std::uint32_t incarnation = 0;  // missing, and 0: it is the first life of a worker that comes later
    std::string host;       // missing: where it is to be
    std::uint64_t pid = 0;  // missing: 0. Of one server process: all its shards and backups
  };
  std::uint64_t run_id = 0;
  std::string scheduler_endpoint, scheduler_host;
  std::uint64_t scheduler_pid = 0;
  std::uint32_t scheduler_term = 1;  // the how-manieth scheduler it is
  std::vector<Process> members;
};

// The missing backups that a server is to begin.
std::vector<ClusterFile::Process> SeatsOf(const ClusterFile& file, std::uint32_t server);
// The living shards and backups of a server.
std::vector<ClusterFile::Process> MembersOf(const ClusterFile& file, std::uint32_t server);

std::string ToJson(const ClusterFile& file);
// kCorrupt: `origin` says what it is not.
Result<ClusterFile> ClusterFromJson(const std::string& text, const std::string& origin);

}  // namespace cohort

#endif  // COHORT_LAUNCH_CLUSTER_FILE_H_
