#include "launch/allocation.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <sstream>

#include "launch/line_process.h"

namespace cohort {
namespace {

constexpr Duration kAnswer = std::chrono::seconds(10);  // scontrol expands names, and asks nobody
constexpr std::size_t kMostNodes = 1u << 16;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A number at the beginning of *text, which it is taken off.
bool TakeNumber(std::string_view* text, std::size_t* number) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc() || *number == 0 || *number > kMostNodes) return false;
  text->remove_prefix(static_cast<std::size_t>(end - text->data()));
  return true;
}

}  // namespace

bool InAllocation() { return !Variable("SLURM_JOB_ID").empty(); }

Result<std::vector<std::size_t>> TasksOfNodes(const std::string& text) {
  std::vector<std::size_t> tasks;
  std::istringstream entries(text);
  for (std::string entry; std::getline(entries, entry, ',');) {
    std::string_view left = entry;
    std::size_t count = 0, nodes = 1;
    bool good = TakeNumber(&left, &count);
    if (good && left.starts_with("(x")) {
      left.remove_prefix(2);
      good = TakeNumber(&left, &nodes) && left == ")";
    } else {
      good = good && left.empty();
    }
    if (!good || tasks.size() + nodes > kMostNodes)
      return InvalidInput("SLURM_TASKS_PER_NODE is \"" + text + "\"; expected a list as 2(x3),1");
    tasks.insert(tasks.end(), nodes, count);
  }
  return tasks;
}

Result<std::vector<std::string>> AllocatedHosts() {
  const std::string list = Variable("SLURM_JOB_NODELIST");
  const std::string what = "the hosts of job " + Variable("SLURM_JOB_ID") + " (" + list + ")";
  const auto failed = [&what](const std::string& why) {
    return Error(ErrorCode::kUnavailable,
                 what + ": " + why + "; `scontrol show hostnames` has to work where this command runs");
  };
  auto scontrol = LineProcess::Start({"scontrol", "show", "hostnames", list});
  if (!scontrol) return failed(scontrol.error().text());
  std::vector<std::string> names;
  const auto end = std::chrono::steady_clock::now() + kAnswer;
  while (!(*scontrol)->exit_code() && std::chrono::steady_clock::now() < end) {
    LineProcess::Await({scontrol->get()}, std::chrono::milliseconds(100));
    for (std::string& line : (*scontrol)->Heard()) names.push_back(std::move(line));
  }
  if ((*scontrol)->exit_code() != 0 || names.empty()) {
    const auto& words = (*scontrol)->words();
    return failed(words.empty() ? "scontrol did not name them" : words.back());
  }
  const std::string tasks_text = Variable("SLURM_TASKS_PER_NODE");
  std::vector<std::size_t> tasks(names.size(), 1);
  if (!tasks_text.empty()) {
    COHORT_ASSIGN_OR_RETURN(tasks, TasksOfNodes(tasks_text));
    if (tasks.size() != names.size()) return failed("SLURM_TASKS_PER_NODE=" + tasks_text + " does not fit");
  }
  std::vector<std::string> hosts;
  for (std::size_t i = 0; i < names.size(); ++i) hosts.insert(hosts.end(), tasks[i], names[i]);
  return hosts;
}

void LetStepsOverlap() { setenv("SLURM_OVERLAP", "1", /*overwrite=*/0); }

}  // namespace cohort
