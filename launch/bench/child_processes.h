// The processes of a benchmark: forks of this one, each with a channel to it. They end with their parent,
// however it ends.
#ifndef COHORT_LAUNCH_BENCH_CHILD_PROCESSES_H_
#define COHORT_LAUNCH_BENCH_CHILD_PROCESSES_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/types.h"

namespace cohort::bench {

// One end of a byte stream between parent and child.
class Channel {
 public:
  explicit Channel(int file) : file_(file) {}
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Errors (kUnavailable): the other end is gone.
  Status Send(const void* data, std::size_t size);
  // Waits for all `size` bytes. Errors: the other end is gone (kUnavailable), nothing came for `limit`
  // (kTimeout), a stop signal came (kUnavailable).
  Status Receive(void* data, std::size_t size, Duration limit);
  // Whether Receive would find a byte, or the other end gone.
  bool Readable() const;

  Status SendText(const std::string& text);
  Result<std::string> ReceiveText(Duration limit);

 private:
  const int file_;
};

class ChildProcesses {
 public:
  struct Child {
    pid_t pid = -1;  // -1: has been reaped
    std::string name;
    std::unique_ptr<Channel> channel;
    std::string end;  // how it ended, once reaped; empty: well

    // User and system, all threads, so far; of a child that is alive.
    double CpuSeconds() const;
    // Resident.
    std::uint64_t MemoryBytes() const;
  };

  ChildProcesses() = default;
  ~ChildProcesses();  // kills those that are still alive, and reaps them
  ChildProcesses(const ChildProcesses&) = delete;
  ChildProcesses& operator=(const ChildProcesses&) = delete;

  // Forks. The child runs `body` with its end of the channel, prints an error of it, and ends. REQUIRES: this
  // process has one thread. The reference holds as long as this object.
  Result<Child*> Start(std::string name, const std::function<Status(Channel&)>& body);
  // What became of a child whose channel has failed with `status`: the error of the benchmark.
  Status Explain(Child& child, const Status& status);
  // Waits until all have ended. Errors: one ended badly, or is alive after `limit`.
  Status Join(Duration limit);

 private:
  bool Reap(Child& child, bool wait);
  std::vector<std::unique_ptr<Child>> children_;
};

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_CHILD_PROCESSES_H_
