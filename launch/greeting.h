// What a role program does when it is only to show that it can be started: `cohort-worker --greet SECONDS` takes part in MPI's exchange
// of addresses, as in a run, prints "greets from HOST", and ends; with 0 seconds it does so without MPI. `cohort doctor` starts a
// run's programs so.
#ifndef COHORT_LAUNCH_GREETING_H_
#define COHORT_LAUNCH_GREETING_H_

#include <optional>

#include "launch/mpi_bootstrap.h"

namespace cohort {

// The exit code, if the arguments ask for a greeting; nothing if they do not.
std::optional<int> Greet(Program program, int argc, char** argv);

}  // namespace cohort

#endif  // COHORT_LAUNCH_GREETING_H_
