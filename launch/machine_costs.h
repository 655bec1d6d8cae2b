// MachineCosts: what the protocol costs on a processor, as `cohort bench machine` has measured it. A JSON file.
#ifndef COHORT_LAUNCH_MACHINE_COSTS_H_
#define COHORT_LAUNCH_MACHINE_COSTS_H_

#include <string>

#include "common/status.h"
#include "launch/machine.h"

namespace cohort {

// CPU seconds of one side, all its threads together.
struct ExchangeCosts {
  double message = 0;  // a request and its answer, whatever is in them
  double row = 0;      // each row in them, of whatever width
  double byte = 0;     // each byte of the rows' values
};

struct MachineCosts {
  Machine machine;
  double round_trip_seconds =
      0;  // of a small message and its answer between two idle processes of a host, by the clock
  double switch_seconds =
      0;  // CPU time that a process pays for having had its core taken by another: cold caches
  ExchangeCosts worker_pull, server_pull;
  ExchangeCosts worker_push, server_push;  // rows are applied on arrival (asp)
};

std::string ToJson(const MachineCosts& costs);
// Errors name the file and what is not there: kInvalidInput, kCorrupt.
Result<MachineCosts> ReadMachineCosts(const std::string& path);

}  // namespace cohort

#endif  // COHORT_LAUNCH_MACHINE_COSTS_H_
