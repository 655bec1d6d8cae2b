// The part of the doctor's judgement that is about the network: whom each host could call, over which interface, how fast.
#ifndef COHORT_LAUNCH_DOCTOR_PAIR_CHECKS_H_
#define COHORT_LAUNCH_DOCTOR_PAIR_CHECKS_H_

#include <string>
#include <vector>

#include "launch/doctor/checks.h"
#include "launch/doctor/host_facts.h"

namespace cohort {

// Checks "interface", "reach" and "round trip" of several hosts. A host that nobody can call, or that can call nobody, is named once, not
// once with each other host. `interface`: cluster.interface as given.
std::vector<Check> JudgePairs(const ClusterFacts& facts, const std::string& interface);

}  // namespace cohort

#endif  // COHORT_LAUNCH_DOCTOR_PAIR_CHECKS_H_
