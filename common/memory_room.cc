#include "common/memory_room.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

namespace cohort {
namespace {

// Of "name value" lines; nothing when there is none. "name:" is a name, too.
std::optional<std::uint64_t> ValueIn(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string first;
    std::uint64_t value = 0;
    if (words >> first && first == name && words >> value) return value;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> NumberIn(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

}  // namespace

std::vector<MemoryRoom> MemoryRooms(const std::string& proc, const std::string& cgroups) {
  std::vector<MemoryRoom> rooms;
  constexpr std::uint64_t kKilobyte = 1024;
  const auto total = ValueIn(proc + "/meminfo", "MemTotal:"),
             left = ValueIn(proc + "/meminfo", "MemAvailable:");
  if (total && left) rooms.push_back({*left * kKilobyte, *total * kKilobyte});
  std::ifstream groups(proc + "/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // number:controllers:/path
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool newer = controllers == ",,", older = controllers.find(",memory,") != std::string::npos;
    if (!newer && !older) continue;
    const std::string root = cgroups + (older ? "/memory" : "");
    // Every group up to the root counts. In a container the path may be the host's; the root is its own then.
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      if (!path.empty() && path.back() == '/') path.pop_back();
      const std::string folder = root + path;
      const auto most = NumberIn(folder + (older ? "/memory.limit_in_bytes" : "/memory.max"));
      const auto used = NumberIn(folder + (older ? "/memory.usage_in_bytes" : "/memory.current"));
      if (most && used) {  // "max": no limit
        // The page cache's part gives way.
        const std::uint64_t cache =
            ValueIn(folder + "/memory.stat", older ? "total_inactive_file" : "inactive_file").value_or(0);
        const std::uint64_t needed = *used - std::min(*used, cache);
        rooms.push_back({*most - std::min(*most, needed), *most});
      }
      if (path.find('/') == std::string::npos) break;
    }
  }
  return rooms;
}

}  // namespace cohort
