// What a process can know and say of itself and of others on its host: memory, CPU time, name, signals, life
// and death.
#ifndef COHORT_COMMON_PROCESS_H_
#define COHORT_COMMON_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"

namespace cohort {

struct ProcessUsage {
  std::uint64_t memory_bytes = 0;       // resident
  std::uint64_t peak_memory_bytes = 0;  // highest resident
  double cpu_seconds = 0;               // user and system, all threads
};
ProcessUsage ReadProcessUsage();

// Whether less than a twentieth of the memory that this process could have is left: of its host, or of any cgroup around it
// (version 1 or 2). What cannot be read sets no limit.
bool MemoryIsShort(const std::string& proc = "/proc", const std::string& cgroups = "/sys/fs/cgroup");

std::string HostName();

// The process gets SIGKILL when its parent dies; at once if the parent is gone already. `parent` is the
// parent's pid as known before the fork, 0 to take what getppid() says.
Status DieWithParent(pid_t parent = 0);

// SIGINT, SIGTERM and SIGHUP (unless nohup has it ignored) are noted from now on, not obeyed; SIGPIPE is ignored. A blocking call they hit
// returns (EINTR).
void CatchStopSignals();
// The first one that came, or 0.
int StopSignal();
// kUnavailable, "ended by signal SIGTERM": one came.
Status CheckStopSignal();
// "signal SIGTERM", "an interrupt (SIGINT)"
std::string SignalName(int signal);

// Whether a process of this host with that id exists and is no zombie.
bool ProcessLives(std::uint64_t pid);

// The living children of a process of this host, with their programs' names (cut to 15 characters, as the kernel does).
struct ChildProcess {
  pid_t pid = 0;
  std::string name;
};
std::vector<ChildProcess> ChildrenOf(pid_t pid);

// Starts a program, looked for as a shell would, with these descriptors as its stdin (-1: nothing to be read), stdout and stderr. It
// has a process group of its own, so that a Ctrl-C in the terminal is this process's to handle, and dies with this process; what the
// launcher of an outer MPI job has left in the environment is not passed on. kUnavailable: it cannot be started.
struct ProcessStreams {
  int in = -1, out = -1, err = -1;
};
Result<pid_t> StartProcess(const std::vector<std::string>& command, const ProcessStreams& streams);

// The folder of the running program: where its companions lie.
std::string ProgramFolder();

}  // namespace cohort

#endif  // COHORT_COMMON_PROCESS_H_
