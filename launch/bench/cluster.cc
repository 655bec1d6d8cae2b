#include "launch/bench/cluster.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/log.h"
#include "common/node_loop.h"
#include "common/zmq_transport.h"
#include "launch/bench/bench_worker.h"
#include "launch/bench/keys.h"
#include "launch/role.h"
#include "launch/shard_runner.h"
#include "scheduler/coordinator.h"
#include "scheduler/run_observer.h"
#include "server/optimizer.h"

namespace cohort::bench {
namespace {

constexpr std::uint64_t kMostKept = 64;                       // batches pulled ahead of their pushes
constexpr std::uint64_t kKeptBytes = std::uint64_t{1} << 40;  // none is forgotten
constexpr Duration kClusterStartLimit = std::chrono::seconds(120);  // a worker draws its keys first

std::uint64_t RunId() { return static_cast<std::uint64_t>(getppid()); }

std::string ListenHost(const Options& options, const std::string& name) {
  if (options.transport == "tcp") return "127.0.0.1";
  return "ipc://@cohort-bench-" + std::to_string(getppid()) + (options.tier.empty() ? "-" : "-tier-") + name;
}

SchedulerClient::Options ClientOptions() {
  SchedulerClient::Options options;
  options.run_id = RunId();
  options.startup = kClusterStartLimit;
  return options;
}

// What the shards' heartbeats say of their disks.
class DiskObserver : public RunObserver {
 public:
  explicit DiskObserver(std::atomic<std::uint64_t>& rows_read) : rows_read_(rows_read) {}
  void OnSample(const MetricsSample& sample) override {
    std::uint64_t rows = 0;
    for (const MemberSample& member : sample.members) rows += member.counters.rows_read;
    rows_read_ = rows;
  }
  void OnPhaseEnd(const PhaseSummary&) override {}
  void OnEvent(const std::string&) override {}
  void OnWarning(const std::string& text) override { LogError("warning: " + text); }

 private:
  std::atomic<std::uint64_t>& rows_read_;
};
// A heartbeat and a sample later everything is known.
constexpr Duration kSampled = std::chrono::milliseconds(1800);

Status RunScheduler(Channel& channel, const Options& options, std::atomic<std::uint64_t>& rows_read) {
  ZmqContext context(1, options.key);
  ZmqTransport::Options listen;
  listen.listen_host = ListenHost(options, "scheduler");
  COHORT_ASSIGN_OR_RETURN(const auto transport, ZmqTransport::Create(context, kSchedulerNode, listen));
  const Welcome view = ViewOf(options);
  RunPlan plan;
  plan.run_id = RunId();
  plan.shards = options.ShardCount();
  plan.workers = options.workers;
  plan.seed = options.seed;
  plan.consistency = options.consistency;
  plan.staleness = options.staleness;
  plan.slices = view.slices;
  plan.tables = view.tables;
  plan.startup = kClusterStartLimit;
  plan.steps = {PlanStep::Phase(PhaseKind::kTrain, 0, Split::kTrain)};
  DiskObserver observer(rows_read);
  Coordinator coordinator(std::move(plan), nullptr, &observer);
  NodeLoop loop(&coordinator, transport.get());
  coordinator.Start(loop.Now());
  COHORT_RETURN_IF_ERROR(channel.SendText(transport->endpoint()));
  loop.Run([&] { return coordinator.finished(); });
  return coordinator.verdict();
}

Status RunServer(const Options& options, std::uint32_t server, const std::string& scheduler) {
  KeepFreedMemory();
  ZmqContext context(1, options.key);
  std::vector<std::unique_ptr<ShardRunner>> runners;
  for (std::uint32_t i = 0; i < options.shards; ++i) {
    ShardRunner::Options shard;
    shard.shard = server * options.shards + i;
    shard.server = server;
    shard.listen_host = ListenHost(options, "shard-" + std::to_string(shard.shard));
    shard.scheduler_endpoint = scheduler;
    shard.scheduler = ClientOptions();
    shard.kept_pull_bytes = kKeptBytes;
    shard.tier = TierOf(options);
    COHORT_ASSIGN_OR_RETURN(auto runner, ShardRunner::Create(context, shard));
    runners.push_back(std::move(runner));
  }
  std::vector<Status> ends(runners.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < runners.size(); ++i)
    threads.emplace_back([&, i] { ends[i] = runners[i]->Run(); });
  ends[0] = runners[0]->Run();
  for (std::thread& thread : threads) thread.join();
  for (Status& end : ends) COHORT_RETURN_IF_ERROR(end);
  return {};
}

}  // namespace

struct Cluster::Shared {
  std::atomic<std::uint64_t> rows_read{0};
};

Result<Cluster> Cluster::Start(ChildProcesses& all, const Options& options) {
  Cluster cluster;
  cluster.all_ = &all;
  cluster.options_ = options;
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error(ErrorCode::kIo, std::string("mmap: ") + std::strerror(errno));
  cluster.shared_ = new (memory) Shared();  // until this process ends
  COHORT_ASSIGN_OR_RETURN(ChildProcesses::Child * scheduler, all.Start("scheduler", [&](Channel& channel) {
    return RunScheduler(channel, options, cluster.shared_->rows_read);
  }));
  const Result<std::string> endpoint = scheduler->channel->ReceiveText(kClusterStartLimit);
  if (!endpoint) return tl::unexpected(all.Explain(*scheduler, endpoint.error()));
  for (std::uint32_t i = 0; i < options.servers; ++i) {
    COHORT_ASSIGN_OR_RETURN(
        ChildProcesses::Child * server,
        all.Start("server " + std::to_string(i), [&](Channel&) { return RunServer(options, i, *endpoint); }));
    cluster.processes_.servers.push_back(server);
  }
  for (std::uint32_t i = 0; i < options.workers; ++i) {
    COHORT_ASSIGN_OR_RETURN(ChildProcesses::Child * worker,
                            all.Start("worker " + std::to_string(i), [&](Channel& channel) {
                              return RunBenchWorker(channel, options, i, *endpoint, ClientOptions());
                            }));
    cluster.processes_.workers.push_back(worker);
  }
  for (auto* worker : cluster.processes_.workers) {
    const Result<std::string> ready = worker->channel->ReceiveText(kClusterStartLimit);
    if (!ready) return tl::unexpected(all.Explain(*worker, ready.error()));
  }
  return cluster;
}

Result<Round> Cluster::Run(Operation operation, std::uint64_t batches) {
  if (operation != Operation::kPush || options_.push_rows == PushRowNames::kKeys) {
    return RunRound(*all_, processes_, WorkOf(operation), batches);
  }
  // As many clocks may be open.
  std::uint64_t most = kMostKept;
  if (options_.consistency == Consistency::kBsp) most = 1;
  if (options_.consistency == Consistency::kSsp) most = std::min(most, std::uint64_t{options_.staleness} + 1);
  Round total;
  for (std::uint64_t done = 0; done < batches;) {
    const std::uint64_t part = std::min(most, batches - done);
    if (auto kept = RunRound(*all_, processes_, Work::kKeep, part); !kept) return kept;
    COHORT_ASSIGN_OR_RETURN(const Round round, RunRound(*all_, processes_, Work::kPush, part));
    total.Append(round);
    done += part;
  }
  return total;
}

Result<Cluster::TwoRounds> Cluster::RunBoth(std::uint64_t any, std::uint64_t hot) {
  COHORT_CHECK(processes_.workers.size() == 2);
  const RoundProcesses first{processes_.servers, {processes_.workers[0]}};
  const RoundProcesses second{processes_.servers, {processes_.workers[1]}};
  TwoRounds rounds;
  COHORT_ASSIGN_OR_RETURN(const RunningRound any_running, BeginRound(*all_, first, Work::kPull, any));
  COHORT_ASSIGN_OR_RETURN(const RunningRound hot_running, BeginRound(*all_, second, Work::kPullHot, hot));
  COHORT_ASSIGN_OR_RETURN(rounds.hot, EndRound(*all_, hot_running));
  COHORT_ASSIGN_OR_RETURN(rounds.any, EndRound(*all_, any_running));
  return rounds;
}

std::uint64_t Cluster::RowsRead() const {
  std::this_thread::sleep_for(kSampled);
  return shared_->rows_read;
}

Status Cluster::Fill() {
  memory_before_ = ServerMemory();
  COHORT_ASSIGN_OR_RETURN(const Round round, RunRound(*all_, processes_, Work::kFill, FillBatches(options_)));
  memory_after_ = ServerMemory();
  if (round.rows == options_.rows) return {};
  return {ErrorCode::kInternal,
          "filled " + std::to_string(round.rows) + " rows, expected " + std::to_string(options_.rows)};
}

std::uint64_t Cluster::ServerMemory() const {
  std::uint64_t sum = 0;
  for (const auto* server : processes_.servers) sum += server->MemoryBytes();
  return sum;
}

double Cluster::OverheadPerRow() const {
  const Optimizer optimizer(TableOf(options_).optimizer, options_.dim);
  const double added = static_cast<double>(memory_after_) - static_cast<double>(memory_before_);
  return added / static_cast<double>(options_.rows) -
         static_cast<double>(optimizer.row_floats() * sizeof(float));
}

}  // namespace cohort::bench
