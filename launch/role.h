// What the three role programs have in common: arguments, signals, the address to listen on, the watch over the
// scheduler's process.
#ifndef COHORT_LAUNCH_ROLE_H_
#define COHORT_LAUNCH_ROLE_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/config.h"
#include "common/message.h"
#include "common/run_key.h"
#include "common/status.h"

namespace cohort {

// The scheduler's arguments; servers and workers take the first few only.
struct RoleArguments {
  std::string config;
  std::vector<std::string> overrides;
  std::string
      join;  // RUN_DIR of a run that goes on: takes the place of a dead worker, or of backups that a server misses, without MPI
  std::uint32_t index = 0;  // with join: the worker's, or the server's
  std::string run;          // a server's: RUN_DIR, whose cluster.json gives it more to do while it runs
  // Somebody (`cohort train`) has made and locked the folder, ends this process when it ends, and replaces who dies.
  bool supervised = false;
  std::string out;  // RUN_DIR, or the job's folder
  bool overwrite = false;
  std::uint32_t take_over = 0;  // not 0: in the place of a dead scheduler, as the how-manieth one (its term)
  std::string resume;       // the folder of a checkpoint of this run, to go on from
  std::uint64_t acknowledged = 0;  // parts of pushes that the run's former life had
  std::uint32_t restarts = 0;      // how often the run has died before
  std::string key;                 // the file with the run's key
  std::string job = "train";
  std::string model;  // evaluate, score; train: to start from
  std::string split;
  std::string scores;  // score: the file for the users
};
// Nothing: the process is to end with *exit_code (--help, a usage error; both have been printed).
std::optional<RoleArguments> ParseRoleArguments(const std::string& program, int argc, char** argv,
                                                int* exit_code);

// The large arrays of a step come and go with every message. Left alone, the allocator gives them back to the kernel each
// time and faults them in again; after this call they stay with the process. Call it before the first large array.
void KeepFreedMemory();
// Keeps freed memory, dies with the launcher, notes signals, names the log lines.
void BeginRole(const std::string& name);
// The address that the other processes of the run reach: loopback if `local`; else `interface`'s (its name, or an address of it), or where that
// is empty the first one of this host that is up.
Result<std::string> ListenAddress(bool local, const std::string& interface);
// The key that connections to `address` (or an endpoint there) are encrypted with; nothing: they are not. kInvalidInput: they are to be,
// and there is no file, or none with a key.
Result<std::optional<RunKey>> KeyFor(const std::string& address, const ClusterConfig& config,
                                     const std::string& file);
// Adds what the process knows: memory, CPU time. Bytes are the caller's to add.
void AddProcessCounters(Counters* counters);

// Where nobody supervises: ends this process soon after the scheduler's has gone without a stop, if that is to be seen from
// here (same host): prints, waits a grace period, then _exit(1).
class SchedulerWatch {
 public:
  SchedulerWatch(const std::string& host, std::uint64_t pid);
  ~SchedulerWatch();  // the role has ended by itself
  SchedulerWatch(const SchedulerWatch&) = delete;
  SchedulerWatch& operator=(const SchedulerWatch&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_ROLE_H_
