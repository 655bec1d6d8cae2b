#include "launch/greeting.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/log.h"
#include "common/process.h"
#include "launch/doctor/mpi_trial.h"
#include "launch/role.h"

namespace cohort {

std::optional<int> Greet(Program program, int argc, char** argv) {
  if (argc != 3 || argv[1] != std::string(kGreetOption)) return std::nullopt;
  BeginRole(ProgramName(program));
  const long seconds = std::clamp(std::atol(argv[2]), 0L, 3600L);
  if (seconds > 0) {
    BootstrapOffer offer;
    offer.program = program;
    offer.limit = std::chrono::seconds(seconds);
    const Result<Bootstrap> exchanged = ExchangeAddresses(offer);
    if (!exchanged) {
      LogError(exchanged.error().text());
      return exchanged.error().exit_code();
    }
  }
  const std::string line = kGreeting + HostName() + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  return 0;
}

}  // namespace cohort
