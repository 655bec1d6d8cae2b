// SimulatedHosts: processors in virtual time. Threads run jobs, each a number of CPU seconds; those of a host share its
// cores as under a fair scheduler: who has had least runs, and one that wakes up takes the core of one that has had more
// (the rule of Linux's CFS, with its usual granularities). Where a host has a core for every thread nobody ever waits, and
// a job's end is known when it is handed in.
//
// One thread; time is nanoseconds since the start.
#ifndef COHORT_LAUNCH_SIMULATE_SIMULATED_HOST_H_
#define COHORT_LAUNCH_SIMULATE_SIMULATED_HOST_H_

#include <cmath>
#include <cstdint>
#include <deque>
#include <set>
#include <utility>
#include <vector>

namespace cohort {

using VirtualTime = std::int64_t;  // ns
inline VirtualTime ToVirtual(double seconds) { return static_cast<VirtualTime>(std::llround(seconds * 1e9)); }
inline double ToSeconds(VirtualTime time) { return static_cast<double>(time) * 1e-9; }

class SimulatedHosts {
 public:
  using ThreadId = std::uint32_t;
  // What a thread does next: `begin` runs when a core is there, and returns the CPU nanoseconds that it takes; `end` runs
  // when they are over. Numbers for the driver, which knows what they mean.
  struct Job {
    std::uint32_t kind = 0;
    std::uint32_t what = 0, more = 0;
  };
  class Driver {
   public:
    virtual ~Driver() = default;
    virtual VirtualTime Begin(ThreadId thread, const Job& job, VirtualTime now) = 0;
    virtual void End(ThreadId thread, const Job& job, VirtualTime now) = 0;
    // Asks for Wake(thread, ticket) at `at`.
    virtual void WakeAt(VirtualTime at, ThreadId thread, std::uint32_t ticket) = 0;
  };

  // `switch_cost`: CPU time more for a thread that gets a core on which another process has run before.
  explicit SimulatedHosts(Driver* driver, VirtualTime switch_cost = 0)
      : driver_(*driver), switch_cost_(switch_cost) {}

  std::uint32_t AddHost(std::uint32_t cores);
  // `process`: a number; threads of the same one find the caches of a core as they left them.
  ThreadId AddThread(std::uint32_t host, std::uint32_t process);

  // Jobs of a thread run one after the other, in the order in which they are handed in.
  void Submit(ThreadId thread, const Job& job, VirtualTime now);
  void Wake(ThreadId thread, std::uint32_t ticket, VirtualTime now);

  // Whether nobody ever waits for a core there: then RunAlone may be used instead of Submit, and costs no event.
  bool Roomy(ThreadId thread) const;
  // When the thread is free for what comes at `now`, and then its end after `cost`. REQUIRES: Roomy.
  VirtualTime FreeAt(ThreadId thread, VirtualTime now) const {
    return threads_[thread].free > now ? threads_[thread].free : now;
  }
  VirtualTime RunAlone(ThreadId thread, VirtualTime begin, VirtualTime cost) {
    Thread& one = threads_[thread];
    one.ran += cost;
    return one.free = begin + cost;
  }

  VirtualTime ran(ThreadId thread) const { return threads_[thread].ran; }  // CPU time in all

 private:
  static constexpr std::uint32_t kNobody = 0xffffffff;
  struct Thread {
    std::uint32_t host = 0, process = 0;
    VirtualTime free = 0;  // roomy hosts
    VirtualTime ran = 0;
    // Others.
    std::deque<Job> jobs;
    bool begun = false;   // the first job
    bool active = false;  // has jobs
    bool running = false;
    std::uint32_t core = 0;    // where, if it is running
    VirtualTime left = 0;      // of the first job, once begun
    VirtualTime since = 0;     // running
    VirtualTime fair = 0;      // CPU time had, for the scheduler's comparison
    std::uint32_t ticket = 0;  // of the newest WakeAt
  };
  struct Host {
    std::uint32_t cores = 1, threads = 0;
    std::vector<std::uint32_t> idle;                   // cores
    std::vector<std::uint32_t> last;                   // by core: the process that ran there last
    std::set<std::pair<VirtualTime, ThreadId>> ready;  // by fair time
    std::vector<ThreadId> running;
    VirtualTime least_fair = 0;
  };

  void Dispatch(Host& host, VirtualTime now);
  // On the idle core that its process had last, if there is one, else on the longest idle one.
  void RunOn(Host& host, ThreadId id, VirtualTime now);
  // Books what it has run up to now; it runs no more.
  void TakeOff(ThreadId id, VirtualTime now);
  void MakeReady(ThreadId id);

  Driver& driver_;
  const VirtualTime switch_cost_;
  std::vector<Host> hosts_;
  std::vector<Thread> threads_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_SIMULATED_HOST_H_
