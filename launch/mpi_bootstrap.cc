#include "launch/mpi_bootstrap.h"

// Not the C++ bindings, which are gone from the standard.
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "common/log.h"
#include "common/process.h"

namespace cohort {
namespace {

// What a rank tells the others: plain bytes of a fixed size.
struct Record {
  std::uint32_t magic = 0;
  std::uint32_t program = 0;
  std::uint64_t run_id = 0;
  std::uint64_t pid = 0;
  std::array<char, 128> host{};
  std::array<char, 128> endpoint{};
};
constexpr std::uint32_t kMagic = 0x43485254;  // "CHRT"; another number: a program of another version

void Copy(const std::string& text, std::array<char, 128>* out) {
  std::memcpy(out->data(), text.data(), std::min(text.size(), out->size() - 1));
}

// Ends the process if the exchange is not over in time.
class Watchdog {
 public:
  explicit Watchdog(Duration limit) : thread_([this, limit] { Watch(limit); }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void Enter(const char* stage) { stage_ = stage; }

 private:
  void Watch(Duration limit) {
    const auto start = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    while (!over_) {
      changed_.wait_for(lock, std::chrono::milliseconds(100));
      if (over_) return;
      if (StopSignal() != 0) {
        LogError("ended by " + SignalName(StopSignal()) + " during start-up, in " + stage_.load());
        _exit(1);
      }
      if (std::chrono::steady_clock::now() - start > limit) {
        LogError("start-up: " + std::string(stage_.load()) + " did not end within " +
                 std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) +
                 " s (cluster.startup_seconds): a rank has died before it, or never started; its own message "
                 "may be above");
        _exit(1);
      }
    }
  }
  std::atomic<const char*> stage_{"MPI_Init"};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

// Waits without burning the cores that the other ranks need to start.
bool Wait(MPI_Request* request) {
  for (int done = 0; done == 0;) {
    if (MPI_Test(request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
    if (done == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

Result<Bootstrap> Read(const std::vector<Record>& records, int rank, Program program) {
  Bootstrap bootstrap;
  std::uint32_t schedulers = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const Record& record = records[i];
    if (record.magic != kMagic) {
      return InvalidInput("rank " + std::to_string(i) + " runs another program or another version of Cohort");
    }
    if (static_cast<int>(i) < rank && record.program == static_cast<std::uint32_t>(program))
      ++bootstrap.index;
    switch (static_cast<Program>(record.program)) {
      case Program::kScheduler:
        ++schedulers;
        bootstrap.scheduler_endpoint = record.endpoint.data();
        bootstrap.scheduler_host = record.host.data();
        bootstrap.scheduler_pid = record.pid;
        bootstrap.run_id = record.run_id;
        break;
      case Program::kServer:
        ++bootstrap.servers;
        break;
      case Program::kWorker:
        ++bootstrap.workers;
        break;
    }
  }
  if (schedulers != 1 || bootstrap.servers == 0 || bootstrap.workers == 0) {
    return InvalidInput(
        "mpirun started " + std::to_string(schedulers) + " schedulers, " + std::to_string(bootstrap.servers) +
        " servers and " + std::to_string(bootstrap.workers) +
        " workers; expected exactly one scheduler and at least one of the others: mpirun ... -np 1 "
        "cohort-scheduler ... : -np 2 cohort-server ... : -np 4 cohort-worker ...");
  }
  return bootstrap;
}

}  // namespace

const char* ProgramName(Program program) {
  switch (program) {
    case Program::kScheduler:
      return "scheduler";
    case Program::kServer:
      return "server";
    case Program::kWorker:
      return "worker";
  }
  return "unknown program";
}

bool AllRanksAreLocal() {
  const char* local = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
  const char* all = std::getenv("OMPI_COMM_WORLD_SIZE");
  return local == nullptr || all == nullptr || std::strcmp(local, all) == 0;
}

Result<Bootstrap> ExchangeAddresses(const BootstrapOffer& offer) {
#ifdef __SANITIZE_ADDRESS__
  const __lsan::ScopedDisabler mpi_frees_nothing;  // what it allocates here is not looked at
#endif
  Watchdog watchdog(offer.limit);
  // Blocking calls inside MPI give their core to others; the user's own setting wins.
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", /*overwrite=*/0);
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
    return Error(ErrorCode::kUnavailable,
                 "MPI_Init failed; start the program through mpirun or `cohort train`");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int rank = 0, size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);

  watchdog.Enter("the exchange of addresses");
  Record mine;
  mine.magic = kMagic;
  mine.program = static_cast<std::uint32_t>(offer.program);
  mine.run_id = offer.run_id;
  mine.pid = static_cast<std::uint64_t>(getpid());
  Copy(HostName(), &mine.host);
  Copy(offer.endpoint, &mine.endpoint);
  std::vector<Record> records(static_cast<std::size_t>(size));
  MPI_Request request = MPI_REQUEST_NULL;
  const int status = MPI_Iallgather(&mine, sizeof(mine), MPI_BYTE, records.data(), sizeof(Record), MPI_BYTE,
                                    MPI_COMM_WORLD, &request);
  const bool exchanged = status == MPI_SUCCESS && Wait(&request);

  // Collective as well, so at once: nobody may be left to wait for here later.
  watchdog.Enter("MPI_Finalize");
  if (exchanged) MPI_Finalize();
  if (!exchanged)
    return Error(ErrorCode::kUnavailable, "MPI could not exchange the addresses of the processes");
  return Read(records, rank, offer.program);
}

}  // namespace cohort
