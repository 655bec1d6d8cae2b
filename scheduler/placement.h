// Placement: on which server the two copies of each shard belong, and how that changes when a server comes or goes. Pure
// logic. A server is a process, known by its number; numbers are not used again.
#ifndef COHORT_SCHEDULER_PLACEMENT_H_
#define COHORT_SCHEDULER_PLACEMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"

namespace cohort {

// Of one shard. Two different servers.
struct ShardPlace {
  std::uint32_t shard = 0;
  std::uint32_t backup = 0;
  friend bool operator==(const ShardPlace&, const ShardPlace&) = default;
};

// By shard.
using Placement = std::vector<ShardPlace>;

// The servers in it, ascending; and as a text, "0, 1, 2".
std::vector<std::uint32_t> ServersOf(const Placement& placement);
std::string ListServers(const Placement& placement);

// Everything on `server` goes elsewhere: a shard to its backup's server, a backup to the server that holds least. What is
// elsewhere stays. kInvalidInput: there is no such server, or fewer than two would be left.
Result<Placement> WithoutServer(const Placement& placement, std::uint32_t server);

// `server`, a new one, gets its share of the shards and of the backups, from the servers that hold most. A shard's new backup
// is where the shard was. kInvalidInput: nobody has a shard to give away.
Result<Placement> WithServer(const Placement& placement, std::uint32_t server);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_PLACEMENT_H_
