// What MPI is for: who am I, and where is the scheduler. One exchange at start-up, then MPI is over (DESIGN
// decision 8): a rank that dies later can hang nobody. The only user of mpi.h.
#ifndef COHORT_LAUNCH_MPI_BOOTSTRAP_H_
#define COHORT_LAUNCH_MPI_BOOTSTRAP_H_

#include <cstdint>
#include <string>

#include "common/status.h"
#include "common/types.h"

namespace cohort {

// The three programs of a run. A server runs several shards.
enum class Program : std::uint8_t { kScheduler = 0, kServer = 1, kWorker = 2 };
const char* ProgramName(Program program);  // "scheduler" | "server" | "worker"

struct BootstrapOffer {
  Program program = Program::kWorker;
  std::string endpoint;                       // the scheduler's: where it listens
  std::uint64_t run_id = 0;                   // the scheduler's: of the run
  Duration limit = std::chrono::seconds(60);  // from the call until everyone has taken part
};

struct Bootstrap {
  std::uint32_t index = 0;    // among the processes of this program, by rank
  std::uint32_t servers = 0;  // how many there are
  std::uint32_t workers = 0;
  std::string scheduler_endpoint;
  std::string scheduler_host;
  std::uint64_t scheduler_pid = 0;
  std::uint64_t run_id = 0;
};

// Whether mpirun started all ranks on this host, as it says in the environment; true without mpirun. Before
// MPI.
bool AllRanksAreLocal();

// Takes part in the exchange, and ends MPI. Call once, from the main thread. When `limit` passes first,
// because a rank died or never came, a watchdog ends the process with exit code 1 and a message: MPI itself
// would wait for ever. Errors: not exactly one scheduler, no server, no worker.
Result<Bootstrap> ExchangeAddresses(const BootstrapOffer& offer);

}  // namespace cohort

#endif  // COHORT_LAUNCH_MPI_BOOTSTRAP_H_
