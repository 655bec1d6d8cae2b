// Time for benchmarks inside one process.
#ifndef COHORT_LAUNCH_BENCH_STOPWATCH_H_
#define COHORT_LAUNCH_BENCH_STOPWATCH_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <vector>

#include "common/process.h"
#include "common/status.h"

namespace cohort::bench {

inline double ThreadCpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

inline double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// An element by its rank: 0 the lowest, 0.5 the median, 1 the highest. REQUIRES: not empty.
inline double Quantile(std::vector<double> values, double share) {
  const auto rank = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return values[static_cast<std::size_t>(rank)];
}

// What repeating a piece of work for a while gave. Times are the thread's CPU time: what else runs on the machine is
// left out as far as it does not share caches and memory.
struct Repeated {
  std::uint64_t count = 0;
  double cpu_seconds = 0;
  std::vector<double> each_us;
  double PerSecond() const { return static_cast<double>(count) / cpu_seconds; }
};

// Calls work(0), work(1), … for about `seconds` by the clock, at least once.
template <typename Work>
Repeated Repeat(double seconds, Work work) {
  Repeated result;
  const double end = WallSeconds() + seconds, start = ThreadCpuSeconds();
  double now = start;
  do {
    const double before = now;
    work(result.count++);
    now = ThreadCpuSeconds();
    result.each_us.push_back((now - before) * 1e6);
  } while (WallSeconds() < end && StopSignal() == 0);
  result.cpu_seconds = now - start;
  return result;
}

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_STOPWATCH_H_
