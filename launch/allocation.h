// What Slurm has given to the job that this process is a part of. mpirun knows by itself: it takes the hosts and starts its daemons there by srun.
#ifndef COHORT_LAUNCH_ALLOCATION_H_
#define COHORT_LAUNCH_ALLOCATION_H_

#include <string>
#include <vector>

#include "common/status.h"

namespace cohort {

// Whether this process runs inside an allocation.
bool InAllocation();

// Its hosts, in Slurm's order, each as often as it has tasks (SLURM_TASKS_PER_NODE), which are mpirun's slots. Errors: kUnavailable, `scontrol`
// cannot be run or says nothing that fits.
Result<std::vector<std::string>> AllocatedHosts();

// "2(x3),1" -> 2, 2, 2, 1. kInvalidInput: it is something else.
Result<std::vector<std::size_t>> TasksOfNodes(const std::string& text);

// From now on what this process starts shares the nodes with what it has started: a job step holds its nodes alone otherwise, and the replacement of
// a process that died on one of them would wait until the run is over. The user's own SLURM_OVERLAP wins.
void LetStepsOverlap();

}  // namespace cohort

#endif  // COHORT_LAUNCH_ALLOCATION_H_
