#include "launch/shard_runner.h"

#include <unistd.h>

#include <utility>

#include "common/process.h"
#include "launch/role.h"
#include "worker/model/kernels.h"

namespace cohort {
namespace {

constexpr Duration kStopGrace = std::chrono::seconds(5);

}  // namespace

Result<std::unique_ptr<ShardRunner>> ShardRunner::Create(ZmqContext& context, const Options& options) {
  auto runner = std::unique_ptr<ShardRunner>(new ShardRunner());
  const NodeId self = options.backup ? BackupNode(options.shard) : ShardNode(options.shard);
  ZmqTransport::Options listen;
  listen.incarnation = options.incarnation;
  listen.listen_host = options.listen_host;
  COHORT_ASSIGN_OR_RETURN(runner->wake_, WakeSignal::Create());
  listen.wake = runner->wake_.get();
  runner->store_ = Hdf5SnapshotStore({runner->wake_.get(), options.checkpoint_core_share});
  COHORT_ASSIGN_OR_RETURN(runner->transport_, ZmqTransport::Create(context, self, listen));
  ShardOptions shard;
  shard.registration.server = options.server;
  shard.registration.endpoint = runner->transport_->endpoint();
  shard.registration.host = HostName();
  shard.registration.pid = static_cast<std::uint64_t>(getpid());
  shard.registration.kernels = BestKernelPath();
  shard.scheduler = options.scheduler;
  shard.scheduler.incarnation = options.incarnation;
  shard.slabs = &runner->slabs_;
  shard.checkpoint_full_every = options.checkpoint_full_every;
  shard.kept_pull_bytes = options.kept_pull_bytes;
  shard.add_process_counters = [self = runner.get()](Counters* counters) {
    AddProcessCounters(counters);
    const LoopCounters& loop = self->loop_->counters();
    counters->bytes_received = loop.bytes_received;
    counters->bytes_sent = loop.bytes_sent;
    counters->bad_frames += loop.bad_frames;
    counters->refused_peers = self->transport_->refused_peers();
  };
  if (!options.tier.path.empty()) {
    ColdFile::Options disk;
    disk.directory = options.tier.path;
    if (options.tier.max_disk_bytes != 0) {
      disk.most_bytes = options.tier.max_disk_bytes;
      disk.taken = std::make_shared<std::uint64_t>(0);  // by all tables
    }
    disk.wake = runner->wake_.get();
    shard.tier_bytes = options.tier.max_bytes;
    shard.memory_is_short = [] { return MemoryIsShort(); };
    shard.cold_rows = [disk](std::uint32_t row_words) mutable -> Result<std::unique_ptr<ColdRows>> {
      disk.row_words = row_words;
      return ColdFile::Create(disk);
    };
  }
  if (!options.row_log.empty()) {
    // A backup sees what its shard sees, and both go on listing it.
    const std::string name = std::to_string(options.shard) +
                             (options.backup ? ".backup-" + std::to_string(options.incarnation) : "");
    COHORT_ASSIGN_OR_RETURN(runner->row_log_, RowLogFile::Create(options.row_log, name));
    shard.row_log = runner->row_log_.get();
  }
  runner->shard_ = std::make_unique<Shard>(self, std::move(shard), runner->store_);
  runner->loop_ = std::make_unique<NodeLoop>(runner->shard_.get(), runner->transport_.get());
  COHORT_RETURN_IF_ERROR(runner->transport_->Connect(kSchedulerNode, options.scheduler_endpoint));
  return runner;
}

Status ShardRunner::Run() {
  Outbox out;
  shard_->Start(loop_->Now(), out);
  loop_->Flush(out);
  TimePoint failed_at = kNever;
  loop_->Run([&] {
    if (StopSignal() != 0 && shard_->failure().ok()) {
      shard_->Fail({ErrorCode::kUnavailable, "ended by " + SignalName(StopSignal())}, loop_->Now(), out);
      loop_->Flush(out);
    }
    if (row_log_ && !row_log_->failure().ok() && shard_->failure().ok()) {
      shard_->Fail(row_log_->failure(), loop_->Now(), out);
      loop_->Flush(out);
    }
    if (failed_at == kNever && !shard_->failure().ok()) failed_at = loop_->Now();
    // After a failure of its own the stop follows; if it does not, nobody is left to send it.
    return shard_->stopped() || (failed_at != kNever && loop_->Now() >= failed_at + kStopGrace);
  });
  if (!shard_->failure().ok()) return shard_->failure();
  if (row_log_) COHORT_RETURN_IF_ERROR(row_log_->Close());
  if (!shard_->stop_reason().empty())
    return {ErrorCode::kUnavailable, "the run ends: " + shard_->stop_reason()};
  return {};
}

}  // namespace cohort
