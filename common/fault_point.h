// Fault points: named instants in the writing of files, at which a test may end its process.
//
// In production nobody listens, and a point costs one relaxed load.
#ifndef COHORT_COMMON_FAULT_POINT_H_
#define COHORT_COMMON_FAULT_POINT_H_

#include <atomic>
#include <string>

namespace cohort {

// All there are, in the order in which a checkpoint comes by.
inline constexpr const char* kFaultPoints[] = {
    "checkpoint: folder made",
    "checkpoint: former manifest removed",
    "checkpoint: layers linked",
    "file: before write",
    "file: mid-write",
    "file: before fsync",
    "file: before rename",
    "file: after rename",
    "file: after fsync of its folder",
    "checkpoint: before manifest",
    "checkpoint: after manifest",
    "checkpoint: manifest of an old one removed",
};

// Is told of each point that is reached, on the thread that reaches it, and of the file or folder concerned.
using FaultHook = void (*)(const char* point, const std::string& path);
inline std::atomic<FaultHook> fault_hook{nullptr};

inline void FaultPoint(const char* point, const std::string& path) {
  if (const FaultHook hook = fault_hook.load(std::memory_order_relaxed)) hook(point, path);
}

}  // namespace cohort

#endif  // COHORT_COMMON_FAULT_POINT_H_
