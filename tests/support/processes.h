// Finds processes by their command lines, and waits for conditions with a deadline.
#ifndef COHORT_TESTS_SUPPORT_PROCESSES_H_
#define COHORT_TESTS_SUPPORT_PROCESSES_H_

#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/slowdown.h"
#include "tests/support/subprocess.h"

namespace cohort::testing {

struct FoundProcess {
  pid_t pid;
  std::string command;
};

// Living processes whose command line holds `text`, by reading /proc.
inline std::vector<FoundProcess> ProcessesWith(const std::string& text) {
  std::vector<FoundProcess> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string command = ReadFile(entry.path() / "cmdline");  // empty for zombies
    std::replace(command.begin(), command.end(), '\0', ' ');
    if (command.find(text) != std::string::npos) found.push_back({std::stoi(name), command});
  }
  return found;
}

// Whether the predicate comes true within `limit` (of a release build).
template <typename Predicate>
bool Within(std::chrono::seconds limit, Predicate predicate) {
  const auto deadline = std::chrono::steady_clock::now() + limit * kSlowdown;
  while (std::chrono::steady_clock::now() < deadline) {
    if (predicate()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // polls a condition, with a deadline
  }
  return predicate();
}

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_PROCESSES_H_
