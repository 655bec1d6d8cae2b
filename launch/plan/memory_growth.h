// MemoryGrowth: what this process takes beyond what it had, at its highest: without the pages of programs and libraries, which a
// role's process has in any case (memory.h, ProcessBase).
#ifndef COHORT_LAUNCH_PLAN_MEMORY_GROWTH_H_
#define COHORT_LAUNCH_PLAN_MEMORY_GROWTH_H_

#include <cstdint>

namespace cohort {

// For a process that was forked to be measured: its peak begins anew with the object. One at a time.
class MemoryGrowth {
 public:
  MemoryGrowth();
  std::uint64_t Bytes() const;

 private:
  std::uint64_t began_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_MEMORY_GROWTH_H_
