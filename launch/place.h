// Where a process belongs in a run.
#ifndef COHORT_LAUNCH_PLACE_H_
#define COHORT_LAUNCH_PLACE_H_

#include <cstdint>

#include "common/config.h"
#include "common/status.h"
#include "launch/mpi_bootstrap.h"
#include "launch/role.h"

namespace cohort {

// By the exchange of addresses (mpi_bootstrap.h), or, with arguments.join, by the run whose dead worker, or backup, it replaces.
struct Place {
  Bootstrap bootstrap;
  std::uint32_t incarnation = 0;
  std::uint32_t term = 0;  // of the scheduler, at least
};
// Errors: those of the exchange; cluster.json cannot be read, or knows of no such dead one.
Result<Place> FindPlace(Program program, const RoleArguments& arguments, const RunConfig& config);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLACE_H_
