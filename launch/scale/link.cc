#include "launch/scale/link.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common/process.h"

namespace cohort::scale {
namespace {

constexpr const char* kBurst = "256kb";  // the largest packet of a loopback is 64 KB

Status Lacks(const std::string& what) {
  return {ErrorCode::kInvalidInput, "matrix.link_mbit needs a network namespace of its own, " + what +
                                        "; run as root with iproute2 installed, or leave link_mbit out"};
}

Status Do(const std::vector<std::string>& command) {
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto pid = StartProcess(command, {.out = null, .err = null});
  close(null);
  std::string words;
  for (const std::string& word : command) words += (words.empty() ? "" : " ") + word;
  if (!pid) return Lacks("and `" + words + "` cannot be started");
  int status = 0;
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return Lacks("and `" + words + "` failed there");
}

Status Enter(double mbit) {
  if (unshare(CLONE_NEWNET) != 0)
    return Lacks(std::string("which this process may not make: ") + std::strerror(errno));
  COHORT_RETURN_IF_ERROR(Do({"ip", "link", "set", "lo", "up"}));
  return Do({"tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate",
             std::to_string(std::llround(mbit * 1e6)) + "bit", "burst", kBurst, "latency", "2s"});
}

}  // namespace

Status OnLink(double mbit, const std::function<Status()>& work) {
  Status status;
  std::thread([&] {
    status = Enter(mbit);
    if (status.ok()) status = work();
  }).join();
  return status;
}

}  // namespace cohort::scale
