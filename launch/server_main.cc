// cohort-server: shards_per_server shards, and with replicas the backups of the server before it (server_process.h). Started
// later (--join): the backups that its server misses.
#include <optional>

#include "common/log.h"
#include "launch/greeting.h"
#include "launch/mpi_bootstrap.h"
#include "launch/place.h"
#include "launch/role.h"
#include "launch/run_plan.h"
#include "launch/server_process.h"

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
  COHORT_ASSIGN_OR_RETURN(const std::string address, ListenAddress(local, config.cluster.interface));
  COHORT_ASSIGN_OR_RETURN(const auto key, KeyFor(address, config.cluster, arguments.key));
  const std::uint32_t number = bootstrap.index, count = config.cluster.shards_per_server;
  const bool replicated = config.cluster.replicas > 0;
  SetLogName("server " + std::to_string(number));
  std::optional<SchedulerWatch> watch;
  if (!arguments.supervised) watch.emplace(bootstrap.scheduler_host, bootstrap.scheduler_pid);

  ServerProcess server(config, place, number, address, key);
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
  if (const auto greeted = cohort::Greet(cohort::Program::kServer, argc, argv)) return *greeted;
  int exit_code = 0;
  const auto arguments = cohort::ParseRoleArguments("cohort-server", argc, argv, &exit_code);
  if (!arguments) return exit_code;
  cohort::BeginRole("server");
  const cohort::Status status = cohort::Run(*arguments);
  if (!status.ok()) cohort::Log(status.text());
  return status.exit_code();
}
