// cohort-server: shards_per_server shards, each a thread with its own socket, its own rows and nothing shared; with
// replicas, the backups of the server before it as well. Started later (--join), one backup.
#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "common/log.h"
#include "common/zmq_transport.h"
#include "launch/mpi_bootstrap.h"
#include "launch/place.h"
#include "launch/role.h"
#include "launch/run_plan.h"
#include "launch/shard_runner.h"

namespace cohort {
namespace {

Status Run(const RoleArguments& arguments) {
  COHORT_ASSIGN_OR_RETURN(const RunConfig config, LoadRunConfig(arguments.config, arguments.overrides));
  const bool together = AllRanksAreLocal();  // to be asked before MPI begins
  COHORT_ASSIGN_OR_RETURN(const Place place, FindPlace(Program::kServer, arguments, config));
  const Bootstrap& bootstrap = place.bootstrap;
  const bool joins = !arguments.join.empty();
  // One that joins listens where the others do.
  const bool local = joins ? bootstrap.scheduler_endpoint.starts_with("tcp://127.0.0.1:") : together;
  COHORT_ASSIGN_OR_RETURN(const std::string address, ListenAddress(local));
  const std::uint32_t server = bootstrap.index + (joins ? config.cluster.servers : 0);
  SetLogName(joins ? ToString(BackupNode(bootstrap.index)) : "server " + std::to_string(server));
  std::optional<SchedulerWatch> watch;
  if (!arguments.supervised) watch.emplace(bootstrap.scheduler_host, bootstrap.scheduler_pid);

  ZmqContext context;
  std::vector<std::unique_ptr<ShardRunner>> runners;
  const std::uint32_t count = config.cluster.shards_per_server;
  const auto add = [&](std::uint32_t shard, bool backup) -> Status {
    ShardRunner::Options options;
    options.shard = shard;
    options.backup = backup;
    options.incarnation = place.incarnation;
    options.server = server;
    options.listen_host = address;
    options.scheduler_endpoint = bootstrap.scheduler_endpoint;
    options.scheduler = ClientOptions(config, bootstrap.run_id);
    options.scheduler.term = place.term;
    options.kept_pull_bytes = config.wire.kept_pull_bytes;
    if (config.embedding.policy.Any()) options.row_log = config.embedding.log;
    options.checkpoint_core_share = config.checkpoint.core_share;
    options.tier = config.tier;
    options.tier.max_bytes /= count;
    if (config.tier.max_disk_bytes != 0)
      options.tier.max_disk_bytes = std::max<std::uint64_t>(1, config.tier.max_disk_bytes / count);
    COHORT_ASSIGN_OR_RETURN(auto runner, ShardRunner::Create(context, options));
    runners.push_back(std::move(runner));
    return {};
  };
  if (joins) {
    COHORT_RETURN_IF_ERROR(add(bootstrap.index, true));
  } else {
    for (std::uint32_t i = 0; i < count; ++i) COHORT_RETURN_IF_ERROR(add(server * count + i, false));
    // The backups of the server before this one.
    const std::uint32_t before = (server + bootstrap.servers - 1) % bootstrap.servers;
    for (std::uint32_t i = 0; config.cluster.replicas > 0 && i < count; ++i)
      COHORT_RETURN_IF_ERROR(add(before * count + i, true));
  }
  std::vector<Status> ends(runners.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < runners.size(); ++i)
    threads.emplace_back([&, i] { ends[i] = runners[i]->Run(); });
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
