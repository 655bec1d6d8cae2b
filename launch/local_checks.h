// What `cohort doctor` tries out.
#ifndef COHORT_LAUNCH_LOCAL_CHECKS_H_
#define COHORT_LAUNCH_LOCAL_CHECKS_H_

#include <string>

#include "common/status.h"

namespace cohort {

// Seconds from a message to its answer between two nodes of this process, over the transport that runs use: the median.
Result<double> LoopbackRoundTrip();

// Has mpirun start a program of this host, twice, as runs do. What it is, or why it did not work.
Result<std::string> TryMpirun();

}  // namespace cohort

#endif  // COHORT_LAUNCH_LOCAL_CHECKS_H_
