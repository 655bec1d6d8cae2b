// How much more memory this process could have: of its host, and of every cgroup around it.
#ifndef COHORT_COMMON_MEMORY_ROOM_H_
#define COHORT_COMMON_MEMORY_ROOM_H_

#include <cstdint>
#include <string>
#include <vector>

namespace cohort {

struct MemoryRoom {
  std::uint64_t left = 0, of = 0;  // bytes; the page cache's part counts as left
};

// The host's, and that of each cgroup (version 1 or 2) with a limit. What cannot be read is left out.
std::vector<MemoryRoom> MemoryRooms(const std::string& proc = "/proc",
                                    const std::string& cgroups = "/sys/fs/cgroup");

}  // namespace cohort

#endif  // COHORT_COMMON_MEMORY_ROOM_H_
