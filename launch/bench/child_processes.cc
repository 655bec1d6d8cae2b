#include "launch/bench/child_processes.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "common/log.h"
#include "common/process.h"

namespace cohort::bench {
namespace {

constexpr int kSignalCheckMs = 100;

TimePoint Now() { return std::chrono::steady_clock::now(); }

Status Gone() { return {ErrorCode::kUnavailable, "the other end of the channel is gone"}; }

}  // namespace

// ---------------------------------------------------------------- the channel

Channel::~Channel() { close(file_); }

bool Channel::Readable() const {
  pollfd item{file_, POLLIN, 0};
  return poll(&item, 1, 0) > 0;
}

Status Channel::Send(const void* data, std::size_t size) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t sent = send(file_, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return Gone();
    bytes += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return {};
}

Status Channel::Receive(void* data, std::size_t size, Duration limit) {
  char* bytes = static_cast<char*>(data);
  const TimePoint deadline = Now() + limit;
  while (size > 0) {
    COHORT_RETURN_IF_ERROR(CheckStopSignal());  // nothing is waited for any more
    if (Now() >= deadline) {
      return {ErrorCode::kTimeout,
              "no word for " +
                  std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) + " s"};
    }
    pollfd item{file_, POLLIN, 0};
    if (poll(&item, 1, kSignalCheckMs) <= 0) continue;
    const ssize_t got = recv(file_, bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Gone();
    bytes += got;
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

Status Channel::SendText(const std::string& text) {
  const std::uint64_t size = text.size();
  COHORT_RETURN_IF_ERROR(Send(&size, sizeof(size)));
  return Send(text.data(), text.size());
}

Result<std::string> Channel::ReceiveText(Duration limit) {
  std::uint64_t size = 0;
  COHORT_RETURN_IF_ERROR(Receive(&size, sizeof(size), limit));
  std::string text(size, '\0');
  COHORT_RETURN_IF_ERROR(Receive(text.data(), text.size(), limit));
  return text;
}

// ---------------------------------------------------------------- the processes

double ChildProcesses::Child::CpuSeconds() const {
  clockid_t clock;
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::uint64_t ChildProcesses::Child::MemoryBytes() const {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

ChildProcesses::~ChildProcesses() {
  for (const auto& child : children_) {
    if (child->pid > 0) kill(child->pid, SIGKILL);
  }
  for (const auto& child : children_) Reap(*child, /*wait=*/true);
}

Result<ChildProcesses::Child*> ChildProcesses::Start(std::string name,
                                                     const std::function<Status(Channel&)>& body) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return Error(ErrorCode::kIo, std::string("socketpair: ") + std::strerror(errno));
  }
  // What is in the buffers now would be printed by both.
  std::fflush(stdout);
  std::fflush(stderr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    close(ends[0]);
    close(ends[1]);
    return Error(ErrorCode::kIo, std::string("fork: ") + std::strerror(errno));
  }
  if (pid == 0) {
    close(ends[0]);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_DFL);
    SetLogName(name);
    Status status = DieWithParent(parent);
    {
      Channel channel(ends[1]);
      if (status.ok()) status = body(channel);
    }
    if (!status.ok()) LogError(status.text());
    std::fflush(stderr);
    _exit(status.exit_code());  // what the parent has registered for its own end is not ours to run
  }
  close(ends[1]);
  auto child = std::make_unique<Child>();
  child->pid = pid;
  child->name = std::move(name);
  child->channel = std::make_unique<Channel>(ends[0]);
  children_.push_back(std::move(child));
  return children_.back().get();
}

bool ChildProcesses::Reap(Child& child, bool wait) {
  if (child.pid < 0) return true;
  int state = 0;
  pid_t reaped = 0;
  do {
    reaped = waitpid(child.pid, &state, wait ? 0 : WNOHANG);
  } while (reaped < 0 && errno == EINTR);
  if (reaped == 0) return false;
  child.pid = -1;
  if (WIFSIGNALED(state)) {
    child.end = "was ended by " + SignalName(WTERMSIG(state));
  } else if (WIFEXITED(state) && WEXITSTATUS(state) != 0) {
    child.end = "ended with exit code " + std::to_string(WEXITSTATUS(state));
  }
  return true;
}

Status ChildProcesses::Explain(Child& child, const Status& status) {
  COHORT_RETURN_IF_ERROR(CheckStopSignal());  // nothing is waited for any more
  // Its end may be a moment behind the end of its channel.
  for (int i = 0; i < 50 && !Reap(child, /*wait=*/false); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  if (child.pid < 0) {
    return {ErrorCode::kUnavailable, child.name + " " + (child.end.empty() ? "ended early" : child.end)};
  }
  return status.Within(child.name);
}

Status ChildProcesses::Join(Duration limit) {
  const TimePoint deadline = Now() + limit;
  for (const auto& child : children_) {
    while (!Reap(*child, /*wait=*/false)) {
      COHORT_RETURN_IF_ERROR(CheckStopSignal());  // nothing is waited for any more
      if (Now() >= deadline) return {ErrorCode::kTimeout, child->name + " did not end when told to"};
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    if (!child->end.empty()) return {ErrorCode::kUnavailable, child->name + " " + child->end};
  }
  return {};
}

}  // namespace cohort::bench
