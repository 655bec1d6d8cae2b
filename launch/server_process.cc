#include "launch/server_process.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/atomic_file.h"
#include "common/log.h"
#include "common/process.h"
#include "launch/run_plan.h"

namespace cohort {
namespace {

constexpr auto kLookForMore = std::chrono::milliseconds(200);

}  // namespace

Status ServerProcess::Add(NodeId node, std::uint32_t incarnation) {
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

Status ServerProcess::Run(const std::string& folder) {
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

void ServerProcess::Start(Part& part) {
  part.thread = std::thread([this, &part] {
    part.end = part.runner->Run();
    part.runner.reset();  // others may go on here, and need the memory
    const std::lock_guard lock(mutex_);
    part.over = true;
    ended_.notify_all();
  });
}

// Begins the backups that are missing here, if this process is the server and not one that was taken for dead.
void ServerProcess::TakeSeats(const std::string& path) {
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

bool ServerProcess::IsBegun(const ClusterFile::Process& seat) {
  const std::lock_guard lock(mutex_);
  return std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) {
    return part.node == seat.node && part.incarnation == seat.incarnation && !part.over;
  });
}

}  // namespace cohort
