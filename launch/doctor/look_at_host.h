// Looks at the host of this process: what a run would find there.
#ifndef COHORT_LAUNCH_DOCTOR_LOOK_AT_HOST_H_
#define COHORT_LAUNCH_DOCTOR_LOOK_AT_HOST_H_

#include <functional>
#include <string>

#include "launch/doctor/host_facts.h"

namespace cohort {

// All but `endpoint`. `stage` is told of each thing that may take long: a folder of a file server that is gone holds the caller for
// ever. Writes 4 MB into the folder and takes them away again. Raises this process's limit of open files, as a run's processes do.
HostFacts LookAtHost(const LookOrder& order, const std::string& version,
                     const std::function<void(const std::string&)>& stage);

}  // namespace cohort

#endif  // COHORT_LAUNCH_DOCTOR_LOOK_AT_HOST_H_
