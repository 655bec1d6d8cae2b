// Where a process belongs in a run.
#ifndef COHORT_LAUNCH_PLACE_H_
#define COHORT_LAUNCH_PLACE_H_

#include <cstdint>
#include <vector>

#include "common/config.h"
#include "common/status.h"
#include "launch/cluster_file.h"
#include "launch/mpi_bootstrap.h"
#include "launch/role.h"

namespace cohort {

// By the exchange of addresses (mpi_bootstrap.h), or, with arguments.join, by the run that misses it: a dead worker, or backups on
// the server with its index.
struct Place {
  Bootstrap bootstrap;
  std::uint32_t term = 0;                   // of the scheduler, at least
  std::uint32_t incarnation = 0;            // of a worker
  std::vector<ClusterFile::Process> seats;  // of a server that joins: the backups to begin
};
// Errors: those of the exchange; cluster.json cannot be read, or knows of no such dead one.
Result<Place> FindPlace(Program program, const RoleArguments& arguments, const RunConfig& config);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLACE_H_
