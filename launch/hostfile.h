// A list of hosts (--hostfile), and the agent by which mpirun starts something on one of them.
#ifndef COHORT_LAUNCH_HOSTFILE_H_
#define COHORT_LAUNCH_HOSTFILE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "common/status.h"

namespace cohort {

// A host of a list, as all its lines together have it (docs/clusters.md says what each form means). mpirun is given ToHostfile, never the user's own
// file: what is understood here is what it does.
struct ListedHost {
  std::string name;
  int line = 0;           // its first
  std::size_t slots = 1;  // processes that it is meant to have
  bool counted =
      false;  // the list says how many slots; else mpirun takes the host's processors, and this program one slot
  std::size_t most = 0;  // max_slots: more processes it may not have; 0: no limit
};

// In the file's order, each once, by its first name: those of this host are one host. Errors: kInvalidInput, it is not there, a line is not
// understood, or it names no host.
Result<std::vector<ListedHost>> ReadHostfile(const std::string& path);

// The names, each once; and each as often as it has slots.
std::vector<std::string> NamesOf(const std::vector<ListedHost>& hosts);
std::vector<std::string> SlotsOf(const std::vector<ListedHost>& hosts);
// The list as mpirun takes it: NAME, slots= and max_slots= where they are said, a line a host.
std::string ToHostfile(const std::vector<ListedHost>& hosts);

// The hosts of names that come as often as they have slots, side by side or not.
std::vector<ListedHost> HostsOf(const std::vector<std::string>& slots);

// "host2.shop.example" -> "host2", as mpirun calls it; an address stays whole.
std::string WithoutDomain(const std::string& name);

// Whether a hostfile's name is this host, as mpirun sees it: its name, with a domain or without, or an IPv4 address of it.
bool IsThisHost(const std::string& name);

// The words before HOST COMMAND that start a command on another host: the agent of mpirun's setting OMPI_MCA_plm_rsh_agent (the first of
// its alternatives that is there), else ssh. ssh asks no question and waits `connect_seconds` at most for the host. Errors: kUnavailable,
// none of them is there.
Result<std::vector<std::string>> LaunchAgent(int connect_seconds);

// Where a shell would find a program; empty: nowhere.
std::string FindProgram(const std::string& name);

// A word as a shell takes it for itself.
std::string ShellWord(const std::string& word);

}  // namespace cohort

#endif  // COHORT_LAUNCH_HOSTFILE_H_
