// mpirun's list of hosts, and the agent by which mpirun starts something on one of them.
#ifndef COHORT_LAUNCH_HOSTFILE_H_
#define COHORT_LAUNCH_HOSTFILE_H_

#include <string>
#include <vector>

#include "common/status.h"

namespace cohort {

// The hosts of a hostfile ("NAME" or "NAME slots=N" a line), in its order, each as often as it has slots, once where that is not said. Errors:
// kInvalidInput, it is not there, a line is none of these, or it names no host.
Result<std::vector<std::string>> ReadHostfile(const std::string& path);

// The same names, each once.
std::vector<std::string> DistinctHosts(const std::vector<std::string>& hosts);

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
