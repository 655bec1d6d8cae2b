#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

#include "common/memory_room.h"

extern char** environ;

namespace cohort {
namespace {

std::atomic<int> first_signal{0};

void OnSignal(int signal) {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

ProcessUsage ReadProcessUsage() {
  ProcessUsage result;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    result.cpu_seconds = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
    result.peak_memory_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  }
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  if (statm >> size >> resident) {
    result.memory_bytes = resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }
  return result;
}

bool MemoryIsShort(const std::string& proc, const std::string& cgroups) {
  for (const MemoryRoom& room : MemoryRooms(proc, cgroups)) {
    if (room.left < room.of / 20) return true;
  }
  return false;
}

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "unknown-host";
  return name;
}

Status DieWithParent(pid_t parent) {
  const pid_t expected = parent != 0 ? parent : getppid();
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    return {ErrorCode::kIo, std::string("prctl(PR_SET_PDEATHSIG): ") + std::strerror(errno)};
  }
  // It may have died before the call.
  if (getppid() != expected) _exit(1);
  return {};
}

void CatchStopSignals() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;  // nohup
    sigaction(signal, &action, nullptr);
  }
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
}

int StopSignal() { return first_signal.load(); }

Status CheckStopSignal() {
  if (StopSignal() == 0) return {};
  return {ErrorCode::kUnavailable, "ended by " + SignalName(StopSignal())};
}

std::string SignalName(int signal) {
  if (signal == SIGINT) return "an interrupt (signal SIGINT)";
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? std::string("signal SIG") + name : "signal " + std::to_string(signal);
}

bool ProcessLives(std::uint64_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(stat, line)) return false;
  // "pid (name) state ...": the name may hold anything, so look behind the last parenthesis.
  const std::size_t end = line.rfind(')');
  return end != std::string::npos && end + 2 < line.size() && line[end + 2] != 'Z' && line[end + 2] != 'X';
}

std::vector<ChildProcess> ChildrenOf(pid_t pid) {
  std::vector<ChildProcess> children;
  const std::string id = std::to_string(pid);
  std::ifstream list("/proc/" + id + "/task/" + id + "/children");
  for (pid_t child = 0; list >> child;) {
    if (!ProcessLives(static_cast<std::uint64_t>(child))) continue;
    std::ifstream file("/proc/" + std::to_string(child) + "/comm");
    std::string name;
    if (std::getline(file, name)) children.push_back({child, name});
  }
  return children;
}

namespace {

// What the launcher of an outer MPI job has left in the environment is not for this one.
std::vector<std::string> CleanEnvironment() {
  std::vector<std::string> clean;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view entry(*each);
    if (!entry.starts_with("PMIX_") && !entry.starts_with("OMPI_COMM_WORLD_")) clean.emplace_back(entry);
  }
  return clean;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<pid_t> StartProcess(const std::vector<std::string>& command, const ProcessStreams& streams) {
  int failure_ends[2];
  if (pipe2(failure_ends, O_CLOEXEC) != 0)
    return Error(ErrorCode::kIo, std::string("pipe: ") + std::strerror(errno));
  // All that allocates comes before the fork.
  std::vector<std::string> arguments = command, environment = CleanEnvironment();
  const std::vector<char*> argv = Pointers(arguments), envp = Pointers(environment);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    (void)DieWithParent(parent);
    dup2(streams.in >= 0 ? streams.in : open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(streams.out, STDOUT_FILENO);
    dup2(streams.err, STDERR_FILENO);
    execvpe(argv[0], argv.data(), envp.data());
    const int reason = errno;
    (void)!write(failure_ends[1], &reason, sizeof(reason));
    _exit(127);
  }
  close(failure_ends[1]);
  int reason = child < 0 ? errno : 0;
  const bool failed = child < 0 || read(failure_ends[0], &reason, sizeof(reason)) == sizeof(reason);
  close(failure_ends[0]);
  if (!failed) return child;
  if (child > 0) waitpid(child, nullptr, 0);
  return Error(ErrorCode::kUnavailable, command[0] + " cannot be started: " + std::strerror(reason));
}

std::string ProgramFolder() {
  char path[PATH_MAX] = {};
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0) return ".";
  std::string folder(path, static_cast<std::size_t>(length));
  return folder.substr(0, folder.rfind('/'));
}

}  // namespace cohort
