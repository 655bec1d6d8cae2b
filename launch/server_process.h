// ServerProcess: the shards and backups of one process, each a thread with its own socket, its own rows and nothing shared.
// While the run goes on it begins the backups that the scheduler wants here (cluster_file.h).
#ifndef COHORT_LAUNCH_SERVER_PROCESS_H_
#define COHORT_LAUNCH_SERVER_PROCESS_H_

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/config.h"
#include "common/run_key.h"
#include "common/status.h"
#include "common/zmq_transport.h"
#include "launch/cluster_file.h"
#include "launch/place.h"
#include "launch/shard_runner.h"

namespace cohort {

// One thread.
class ServerProcess {
 public:
  // `number`: of the server; `address`: to listen on; `key`: to speak with. config and place must outlive it.
  ServerProcess(const RunConfig& config, const Place& place, std::uint32_t number, std::string address,
                const std::optional<RunKey>& key)
      : config_(config), place_(place), number_(number), address_(std::move(address)), context_(1, key) {}

  // A shard or a backup. Before Run.
  Status Add(NodeId node, std::uint32_t incarnation);
  // Until all have ended; the first of their errors. `folder`: RUN_DIR, if more may be wanted here.
  Status Run(const std::string& folder);

 private:
  struct Part {
    NodeId node;
    std::uint32_t incarnation = 0;
    std::unique_ptr<ShardRunner> runner;
    std::thread thread;
    bool over = false;  // guarded by mutex_
    Status end;
  };
  void Start(Part& part);
  void TakeSeats(const std::string& path);
  bool IsBegun(const ClusterFile::Process& seat);

  const RunConfig& config_;
  const Place& place_;
  const std::uint32_t number_;
  const std::string address_;
  ZmqContext context_;
  std::string cluster_text_;                 // as read last
  std::vector<ClusterFile::Process> seats_;  // by it
  std::mutex mutex_;
  std::condition_variable ended_;
  std::list<Part> parts_;  // added to by one thread; each is its own thread's
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SERVER_PROCESS_H_
