// cohort-server: shards_per_server shards, each a thread with its own socket, its own rows and nothing shared; with
// replicas, the backups of the server before it as well, and those that the scheduler wants here while the run goes on
// (cluster_file.h). Started later (--join), with the backups that its server misses.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "common/atomic_file.h"
#include "common/log.h"
#include "common/process.h"
#include "common/zmq_transport.h"
#include "launch/cluster_file.h"
#include "launch/mpi_bootstrap.h"
#include "launch/place.h"
#include "launch/role.h"
#include "launch/run_plan.h"
#include "launch/shard_runner.h"

namespace cohort {
namespace {

constexpr auto kLookForMore = std::chrono::milliseconds(200);

// The shards and backups of this process. One thread; theirs are its own.
class Server {
 public:
  Server(const RunConfig& config, const Place& place, std::uint32_t number, std::string address)
      : config_(config), place_(place), number_(number), address_(std::move(address)) {}

  Status Add(NodeId node, std::uint32_t incarnation) {
    const std::uint32_t count = config_.cluster.shards_per_server;
    ShardRunner::Options options;
    options.shard = node.index;
    options.backup = node.role == Role::kBackup;
    options.incarnation = incarnation;
    options.server = number_;
    options.listen_host = address_;
    options.scheduler_endpoint = place_.bootstrap.scheduler_endpoint;
    options.scheduler = ClientOptions(config_, place_.bootstrap.run_id);
    options.scheduler.term = place_.term;
    options.kept_pull_bytes = config_.wire.kept_pull_bytes;
    if (config_.embedding.policy.Any()) options.row_log = config_.embedding.log;
    options.checkpoint_core_share = config_.checkpoint.core_share;
    options.tier = config_.tier;
    options.tier.max_bytes /= count;
    if (config_.tier.max_disk_bytes != 0)
      options.tier.max_disk_bytes = std::max<std::uint64_t>(1, config_.tier.max_disk_bytes / count);
    COHORT_ASSIGN_OR_RETURN(auto runner, ShardRunner::Create(context_, options));
    Part& part = parts_.emplace_back();
    part.node = node;
    part.incarnation = incarnation;
    part.runner = std::move(runner);
    return {};
  }

  // Until all have ended. `folder`: RUN_DIR, if more may be wanted here.
  Status Run(const std::string& folder) {
    for (Part& part : parts_) Start(part);
    std::unique_lock lock(mutex_);
    const auto over = [this] {
      return std::all_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.over; });
    };
    while (!ended_.wait_for(lock, kLookForMore, over)) {
      lock.unlock();
      if (!folder.empty()) TakeSeats(folder + "/" + kClusterFile);
      lock.lock();
    }
    lock.unlock();
    for (Part& part : parts_) part.thread.join();
    for (const Part& part : parts_) COHORT_RETURN_IF_ERROR(part.end);
    return {};
  }

 private:
  struct Part {
    NodeId node;
    std::uint32_t incarnation = 0;
    std::unique_ptr<ShardRunner> runner;
    std::thread thread;
    bool over = false;  // guarded by mutex_
    Status end;
  };

  void Start(Part& part) {
    part.thread = std::thread([this, &part] {
      part.end = part.runner->Run();
      part.runner.reset();  // others may go on here, and need the memory
      const std::lock_guard lock(mutex_);
      part.over = true;
      ended_.notify_all();
    });
  }

  // Begins the backups that are missing here, if this process is the server and not one that was taken for dead.
  void TakeSeats(const std::string& path) {
    if (auto text = ReadFile(path); text && *text != cluster_text_) {
      cluster_text_ = std::move(*text);
      seats_.clear();
      const auto cluster = ClusterFromJson(cluster_text_, path);
      if (!cluster || cluster->run_id != place_.bootstrap.run_id) return;
      const auto members = MembersOf(*cluster, number_);
      const auto mine = [](const ClusterFile::Process& each) {
        return each.host == HostName() && each.pid == static_cast<std::uint64_t>(getpid());
      };
      if (std::any_of(members.begin(), members.end(), mine)) seats_ = SeatsOf(*cluster, number_);
    }
    for (const ClusterFile::Process& seat : seats_) {
      if (IsBegun(seat)) continue;
      const Status added = Add(seat.node, seat.incarnation);
      if (!added.ok()) return LogError(added.text());
      Log(ToString(seat.node) + " begins here");
      Start(parts_.back());
    }
  }

  bool IsBegun(const ClusterFile::Process& seat) {
    const std::lock_guard lock(mutex_);
    return std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) {
      return part.node == seat.node && part.incarnation == seat.incarnation && !part.over;
    });
  }

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

Status Run(const RoleArguments& arguments) {
  COHORT_ASSIGN_OR_RETURN(const RunConfig config, LoadRunConfig(arguments.config, arguments.overrides));
  const bool together = AllRanksAreLocal();  // to be asked before MPI begins
  COHORT_ASSIGN_OR_RETURN(const Place place, FindPlace(Program::kServer, arguments, config));
  const Bootstrap& bootstrap = place.bootstrap;
  const bool joins = !arguments.join.empty();
  // One that joins listens where the others do.
  const bool local = joins ? bootstrap.scheduler_endpoint.starts_with("tcp://127.0.0.1:") : together;
  COHORT_ASSIGN_OR_RETURN(const std::string address, ListenAddress(local));
  const std::uint32_t number = bootstrap.index, count = config.cluster.shards_per_server;
  const bool replicated = config.cluster.replicas > 0;
  SetLogName("server " + std::to_string(number));
  std::optional<SchedulerWatch> watch;
  if (!arguments.supervised) watch.emplace(bootstrap.scheduler_host, bootstrap.scheduler_pid);

  Server server(config, place, number, address);
  for (const ClusterFile::Process& seat : place.seats)
    COHORT_RETURN_IF_ERROR(server.Add(seat.node, seat.incarnation));
  for (std::uint32_t i = 0; !joins && i < count; ++i)
    COHORT_RETURN_IF_ERROR(server.Add(ShardNode(number * count + i), place.incarnation));
  // The backups of the server before this one.
  const std::uint32_t before = joins ? 0 : (number + bootstrap.servers - 1) % bootstrap.servers;
  for (std::uint32_t i = 0; !joins && replicated && i < count; ++i)
    COHORT_RETURN_IF_ERROR(server.Add(BackupNode(before * count + i), place.incarnation));
  return server.Run(!replicated ? "" : joins ? arguments.join : arguments.run);
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
