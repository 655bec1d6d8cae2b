// cohort-server: shards_per_server shards, each a thread with its own socket, its own rows and nothing shared.
#include <unistd.h>

#include <memory>
#include <thread>
#include <vector>

#include "common/log.h"
#include "common/node_loop.h"
#include "common/process.h"
#include "common/zmq_transport.h"
#include "launch/mpi_bootstrap.h"
#include "launch/role.h"
#include "launch/run_plan.h"
#include "server/shard.h"
#include "server/snapshot.h"
#include "worker/model/kernels.h"

namespace cohort {
namespace {

constexpr Duration kStopGrace = std::chrono::seconds(5);

// One shard and what drives it. Its thread owns it.
class ShardRunner {
 public:
  static Result<std::unique_ptr<ShardRunner>> Create(ZmqContext& context, const RunConfig& config,
                                                     const Bootstrap& bootstrap, const std::string& address,
                                                     std::uint32_t shard) {
    auto runner = std::unique_ptr<ShardRunner>(new ShardRunner());
    const NodeId self = ShardNode(shard);
    ZmqTransport::Options listen;
    listen.listen_host = address;
    COHORT_ASSIGN_OR_RETURN(runner->transport_, ZmqTransport::Create(context, self, listen));
    ShardOptions options;
    options.registration.server = bootstrap.index;
    options.registration.endpoint = runner->transport_->endpoint();
    options.registration.host = HostName();
    options.registration.pid = static_cast<std::uint64_t>(getpid());
    options.registration.kernels = BestKernelPath();
    options.scheduler = ClientOptions(config, bootstrap.run_id);
    options.add_process_counters = [self = runner.get()](Counters* counters) {
      AddProcessCounters(counters);
      const LoopCounters& loop = self->loop_->counters();
      counters->bytes_received = loop.bytes_received;
      counters->bytes_sent = loop.bytes_sent;
      counters->bad_frames += loop.bad_frames;
    };
    runner->shard_ = std::make_unique<Shard>(self, std::move(options), runner->store_);
    runner->loop_ = std::make_unique<NodeLoop>(self, runner->shard_.get(), runner->transport_.get());
    COHORT_RETURN_IF_ERROR(runner->transport_->Connect(kSchedulerNode, bootstrap.scheduler_endpoint));
    return runner;
  }

  // Serves until the scheduler's stop. What it returns ends the process, not the run: the scheduler has been told.
  Status Run() {
    Outbox out;
    shard_->Start(loop_->Now(), out);
    loop_->Flush(out);
    TimePoint failed_at = kNever;
    loop_->Run([&] {
      if (StopSignal() != 0 && shard_->failure().ok()) {
        shard_->Fail({ErrorCode::kUnavailable, "ended by " + SignalName(StopSignal())}, loop_->Now(), out);
        loop_->Flush(out);
      }
      if (failed_at == kNever && !shard_->failure().ok()) failed_at = loop_->Now();
      // After a failure of its own the stop follows; if it does not, nobody is left to send it.
      return shard_->stopped() || (failed_at != kNever && loop_->Now() >= failed_at + kStopGrace);
    });
    if (!shard_->failure().ok()) return shard_->failure();
    if (!shard_->stop_reason().empty())
      return {ErrorCode::kUnavailable, "the run ends: " + shard_->stop_reason()};
    return {};
  }

 private:
  ShardRunner() = default;
  Hdf5SnapshotStore store_;
  std::unique_ptr<ZmqTransport> transport_;
  std::unique_ptr<Shard> shard_;
  std::unique_ptr<NodeLoop> loop_;
};

Status Run(const RoleArguments& arguments) {
  COHORT_ASSIGN_OR_RETURN(const RunConfig config, LoadRunConfig(arguments.config, arguments.overrides));
  COHORT_ASSIGN_OR_RETURN(const std::string address, ListenAddress(AllRanksAreLocal()));
  BootstrapOffer offer;
  offer.program = Program::kServer;
  offer.limit = ClientOptions(config, 0).startup;
  COHORT_ASSIGN_OR_RETURN(const Bootstrap bootstrap, ExchangeAddresses(offer));
  SetLogName("server " + std::to_string(bootstrap.index));
  const SchedulerWatch watch(bootstrap.scheduler_host, bootstrap.scheduler_pid);

  ZmqContext context;
  std::vector<std::unique_ptr<ShardRunner>> runners;
  const std::uint32_t count = config.cluster.shards_per_server;
  for (std::uint32_t i = 0; i < count; ++i) {
    COHORT_ASSIGN_OR_RETURN(
        auto runner, ShardRunner::Create(context, config, bootstrap, address, bootstrap.index * count + i));
    runners.push_back(std::move(runner));
  }
  std::vector<Status> ends(count);
  std::vector<std::thread> threads;
  for (std::uint32_t i = 1; i < count; ++i) threads.emplace_back([&, i] { ends[i] = runners[i]->Run(); });
  ends[0] = runners[0]->Run();
  for (std::thread& thread : threads) thread.join();
  for (Status& end : ends) {
    if (!end.ok()) return end;
  }
  return {};
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto arguments = cohort::ParseRoleArguments("cohort-server", argc, argv, &exit_code);
  if (!arguments) return exit_code;
  cohort::BeginRole("server");
  const cohort::Status status = cohort::Run(*arguments);
  if (!status.ok()) cohort::Log(status.text());
  return status.exit_code();
}
