// A real start of a run's three programs through mpirun: a process on each host, MPI's exchange, an end.
#ifndef COHORT_LAUNCH_DOCTOR_MPI_TRIAL_H_
#define COHORT_LAUNCH_DOCTOR_MPI_TRIAL_H_

#include <cstddef>
#include <string>
#include <vector>

#include "common/types.h"
#include "launch/doctor/host_facts.h"

namespace cohort {

inline constexpr const char* kGreetOption = "--greet";    // of the role programs (greeting.h)
inline constexpr const char* kGreeting = "greets from ";  // HOST, what each of them says

// MPI's exchange takes part of a second of each core's time and process; of more hosts than this, so many take part in it, evenly chosen.
inline constexpr std::size_t kMostInExchange = 16;

// On `hosts`, or, where there are none, on this one. Of many hosts mpirun first starts the programs on all, without the exchange. What does
// not come about within `limit` is ended.
MpiFacts TryMpi(const std::vector<std::string>& hosts, Duration limit);

}  // namespace cohort

#endif  // COHORT_LAUNCH_DOCTOR_MPI_TRIAL_H_
