// A slow link: a network of the calling thread's own (a Linux network namespace) whose loopback lets so many bits pass a second. All
// processes that the thread starts, and those that these start, have no other network: they share the one link. Needs root, `ip`
// and `tc` (iproute2), and the kernel's tbf.
#ifndef COHORT_LAUNCH_SCALE_LINK_H_
#define COHORT_LAUNCH_SCALE_LINK_H_

#include <functional>

#include "common/status.h"

namespace cohort::scale {

// Runs `work` in a thread of its own whose network is a link of `mbit` megabits a second, and returns what it returns. The network goes with
// its last process. Errors, kInvalidInput: what this machine lacks for it.
Status OnLink(double mbit, const std::function<Status()>& work);

}  // namespace cohort::scale

#endif  // COHORT_LAUNCH_SCALE_LINK_H_
