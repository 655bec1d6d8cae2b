#include "launch/place.h"

#include "common/atomic_file.h"
#include "launch/cluster_file.h"
#include "launch/run_plan.h"

namespace cohort {

Result<Place> FindPlace(Program program, const RoleArguments& arguments, const RunConfig& config) {
  Place place;
  if (arguments.join.empty()) {
    BootstrapOffer offer;
    offer.program = program;
    offer.limit = ClientOptions(config, 0).startup;
    COHORT_ASSIGN_OR_RETURN(place.bootstrap, ExchangeAddresses(offer));
    return place;
  }
  const std::string path = arguments.join + "/" + kClusterFile;
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  COHORT_ASSIGN_OR_RETURN(const ClusterFile cluster, ClusterFromJson(text, path));
  place.bootstrap.index = arguments.index;
  place.bootstrap.scheduler_endpoint = cluster.scheduler_endpoint;
  place.bootstrap.scheduler_host = cluster.scheduler_host;
  place.bootstrap.scheduler_pid = cluster.scheduler_pid;
  place.bootstrap.run_id = cluster.run_id;
  place.term = cluster.scheduler_term;
  if (program == Program::kServer) {
    place.seats = SeatsOf(cluster, arguments.index);
    if (!place.seats.empty()) return place;
    return InvalidInput(path + ": server " + std::to_string(arguments.index) + " misses no backup");
  }
  const NodeId self = WorkerNode(arguments.index);
  for (const ClusterFile::Process& member : cluster.members) {
    if (member.node != self) continue;
    if (!member.missing)
      return InvalidInput(path + ": " + ToString(member.node) + " lives; nobody may take its place");
    place.incarnation = member.incarnation;
    return place;
  }
  return InvalidInput(path + ": there is no " + ToString(self));
}

}  // namespace cohort
