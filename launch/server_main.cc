// cohort-server: shards_per_server shards, each a thread with its own socket, its own rows and nothing shared.
#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "common/log.h"
#include "common/zmq_transport.h"
#include "launch/mpi_bootstrap.h"
#include "launch/role.h"
#include "launch/run_plan.h"
#include "launch/shard_runner.h"

namespace cohort {
namespace {

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
    ShardRunner::Options options;
    options.shard = bootstrap.index * count + i;
    options.server = bootstrap.index;
    options.listen_host = address;
    options.scheduler_endpoint = bootstrap.scheduler_endpoint;
    options.scheduler = ClientOptions(config, bootstrap.run_id);
    options.kept_pull_bytes = config.wire.kept_pull_bytes;
    if (config.embedding.policy.Any()) options.row_log = config.embedding.log;
    options.checkpoint_core_share = config.checkpoint.core_share;
    options.tier = config.tier;
    options.tier.max_bytes /= count;
    if (config.tier.max_disk_bytes != 0)
      options.tier.max_disk_bytes = std::max<std::uint64_t>(1, config.tier.max_disk_bytes / count);
    COHORT_ASSIGN_OR_RETURN(auto runner, ShardRunner::Create(context, options));
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
