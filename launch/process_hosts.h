// On which host each process of a job starts, by a rule for servers and one for workers (--place). docs/clusters.md.
#ifndef COHORT_LAUNCH_PROCESS_HOSTS_H_
#define COHORT_LAUNCH_PROCESS_HOSTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/hostfile.h"

namespace cohort {

struct HostRule {
  enum class Kind : std::uint8_t {
    kPack,    // fills the slots of a host, then those of the next one
    kSpread,  // one on each host in turn
    kHosts,   // one on each of `hosts` in turn
  };
  Kind kind = Kind::kPack;
  std::vector<std::string> hosts;
};
struct HostRules {
  HostRule servers, workers;
};

// Of words "servers=RULE" and "workers=RULE", where RULE is pack, spread or HOST,HOST,... kInvalidInput: another role or none, no rule, or two for
// one role.
Result<HostRules> ParseHostRules(const std::vector<std::string>& words);

// Names of hosts, by index of the process.
struct ProcessHosts {
  std::string scheduler;
  std::vector<std::string> servers, workers;
};

// `hosts`: a list's (hostfile.h) or an allocation's (allocation.h). The scheduler takes a slot of this host, if it is among them, where another one
// can take its place; else of the first. Then servers and then workers are placed. `pack` takes the slots that are left, and begins with all of them
// anew when none is; the other rules do not count slots. kInvalidInput: a rule names a host that is not among them, which may be a rule that is
// misspelt; a host would have more processes than its max_slots.
Result<ProcessHosts> ChooseHosts(const HostRules& rules, const std::vector<ListedHost>& hosts,
                                 std::uint32_t servers, std::uint32_t workers);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PROCESS_HOSTS_H_
