// ShardRunner: one shard on the real network: its transport, its rows, and the loop that drives it.
#ifndef COHORT_LAUNCH_SHARD_RUNNER_H_
#define COHORT_LAUNCH_SHARD_RUNNER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "common/config.h"
#include "common/node_loop.h"
#include "common/scheduler_client.h"
#include "common/status.h"
#include "common/wake_signal.h"
#include "common/zmq_transport.h"
#include "launch/prefaulted_slabs.h"
#include "launch/row_log_file.h"
#include "server/cold_file.h"
#include "server/shard.h"
#include "server/snapshot.h"

namespace cohort {

// Create on any thread; then one thread owns it.
class ShardRunner {
 public:
  struct Options {
    std::uint32_t shard = 0;   // index among all shards
    bool backup = false;       // of that shard
    std::uint32_t incarnation = 0;
    std::uint32_t server = 0;  // of the process
    std::string listen_host;   // as ZmqTransport's
    std::string scheduler_endpoint;
    SchedulerClient::Options scheduler;
    std::uint64_t kept_pull_bytes = WireConfig().kept_pull_bytes;
    TierConfig tier;      // its limits are this shard's
    double checkpoint_core_share = CheckpointConfig().core_share;
    std::uint32_t checkpoint_full_every = CheckpointConfig().full_every;
    std::string row_log;  // where rows refused and evicted are listed; empty: nowhere
  };
  static Result<std::unique_ptr<ShardRunner>> Create(ZmqContext& context, const Options& options);

  // Serves until the scheduler's stop. What it returns ends the process, not the run: the scheduler has been
  // told.
  Status Run();

 private:
  ShardRunner() = default;
  std::unique_ptr<WakeSignal> wake_;  // from the disks to the loop
  Hdf5SnapshotStore store_;
  PrefaultedSlabs slabs_;
  std::unique_ptr<RowLogFile> row_log_;  // null: nobody asked
  std::unique_ptr<ZmqTransport> transport_;
  std::unique_ptr<Shard> shard_;
  std::unique_ptr<NodeLoop> loop_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SHARD_RUNNER_H_
