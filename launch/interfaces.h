// The network interfaces of this host that have an IPv4 address.
#ifndef COHORT_LAUNCH_INTERFACES_H_
#define COHORT_LAUNCH_INTERFACES_H_

#include <string>
#include <vector>

#include "common/status.h"

namespace cohort {

struct NetworkInterface {
  std::string name;     // "eth0"
  std::string address;  // "10.0.0.7"
  int prefix = 32;      // leading bits of the address that name its network
  bool up = false;
  bool loopback = false;
};

// In the system's order; an interface with several addresses comes several times. Errors: kIo.
Result<std::vector<NetworkInterface>> Interfaces();

}  // namespace cohort

#endif  // COHORT_LAUNCH_INTERFACES_H_
