// PartitionJob: the parts of a command's work (common/partitions.h), made by worker processes on this host or on others.
//
// The command's own process is the coordinator. It starts the workers when the job starts: each is the same program with the same
// arguments and WORKER_OPTION FOLDER. A worker reads the same files and computes the same things as the coordinator, save what
// Partitions::Once names, which it is handed; then it makes the parts that it is given. The work folder, OUT.parts beside the
// output, holds what passes between them, each file written whole or not at all (atomic_file.h); on several hosts it lies, like the
// input and the output, on storage that all of them share.
//
//   coordinator -> worker, stdin    "7"              make part 7; the end of stdin: the job is over
//   worker -> coordinator, stdout   "ready PRINT"    it may be given a part; the fingerprint of its work
//                                   "alive"          every fifth of `dead_after`
//                                   "done 7"         FOLDER/part-7 is whole and on the disk
//   worker -> coordinator, stderr   words; "error: ..." and an exit code of 1 or 2 end the job with that error
//
// A worker that is killed, or silent for `dead_after`, is replaced, and its part is given away once more. Workers die with the
// coordinator.
#ifndef COHORT_LAUNCH_PARTITION_JOB_H_
#define COHORT_LAUNCH_PARTITION_JOB_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/partitions.h"
#include "common/status.h"
#include "common/types.h"

namespace cohort {

inline constexpr const char* kPartitionWorkerOption = "--partition-worker";

struct PartitionJobOptions {
  std::uint32_t workers = 0;
  std::string hostfile;                            // the list of hosts (hostfile.h); empty: all on this host
  Duration dead_after = std::chrono::seconds(60);  // silent for so long: as good as dead
  std::string out;                                 // the command's output: the work folder is OUT.parts
  std::vector<std::string> command;                // of a worker, without kPartitionWorkerOption FOLDER
  std::function<void(const std::string&)> progress, note;  // a line that replaces the one before; one to keep
};

// Starts the workers and is their coordinator; they are gone when the object is, and the work folder with them. A folder that
// a killed job has left is emptied. Errors: kInvalidInput, the folder cannot be made, another job holds it, or the hostfile names no
// host. Run's: what a worker says; kUnavailable, a part has killed its worker kMostDeaths times, or workers die before they have
// begun as often; a stop signal.
inline constexpr int kMostDeaths = 3;
Result<std::unique_ptr<Partitions>> StartPartitionJob(const PartitionJobOptions& options);

// In a worker of the job in `folder`. Run ends the process when the coordinator has no more parts to give, and returns errors only.
Result<std::unique_ptr<Partitions>> JoinPartitionJob(const std::string& folder, Duration dead_after);

// The command line of this process: what a worker is started with.
std::vector<std::string> OwnCommand();

}  // namespace cohort

#endif  // COHORT_LAUNCH_PARTITION_JOB_H_
