// Supervisor: starts a cluster's processes through mpirun, watches over them, and makes sure that the run ends, that
// nothing of it stays behind, and that result.json tells how it ended, whatever dies.
#ifndef COHORT_LAUNCH_SUPERVISOR_H_
#define COHORT_LAUNCH_SUPERVISOR_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/types.h"
#include "launch/cluster_file.h"

namespace cohort {

struct SupervisorOptions {
  std::vector<std::string> command;  // mpirun and its arguments
  std::string folder;                // of the run: result.json, metrics.jsonl and log.txt are there
  Duration startup = std::chrono::seconds(70);   // until the scheduler has written its first result.json
  Duration silence = std::chrono::seconds(70);   // without a new line in metrics.jsonl, from the first one on
  std::size_t children = 0;                      // that mpirun starts on this host; 0: not known
  Duration bereaved = std::chrono::seconds(3);   // start-up with fewer children of mpirun than that
  Duration farewell = std::chrono::seconds(2);   // from the verdict until mpirun has ended
  Duration terminate = std::chrono::seconds(3);  // from SIGTERM to SIGKILL
  // The command that takes the place of a member that is missing (cluster_file.h). Empty: nobody is replaced.
  std::function<std::vector<std::string>(const ClusterFile::Process&)> replacement;
  // The command of the scheduler that takes the place of a dead one, which had an earlier term; at most `restarts` times. Empty,
  // or if the dead one left no journal: the run ends with it.
  std::function<std::vector<std::string>(std::uint32_t term)> take_over;
  // After a death that nobody can take the place of: the command that goes on with the run, from a checkpoint or from the
  // start; called at most `restarts` times. Empty: the run fails.
  std::function<std::vector<std::string>(std::uint32_t number)> restart;  // numbers from 1 on
  std::uint32_t restarts = 0;
  // `command` goes on with a run that has been there: a start of it that comes to nothing is tried again, as every later one. One of a new run,
  // before anybody has registered, is not: it would come to nothing again.
  bool resumes = false;
  // Why such a start came to nothing, of the first lines that the command has said (failed_start.h). Empty: its first line says so.
  std::function<Status(const std::vector<std::string>& words)> explain;
  // A line for a terminal that replaces the one before it; a line to keep (errors of the processes). May be empty.
  std::function<void(const std::string&)> progress;
  std::function<void(const std::string&)> note;
};

// Runs the command to its end, and what `restart` gives after a death, and returns the run's verdict: ok, or why it failed. SIGINT and SIGTERM (process.h,
// CatchStopSignals) end the run. Afterwards result.json carries the same verdict, and no process of the run is alive.
// The caller's death ends the processes too. One run at a time per process.
Status Supervise(const SupervisorOptions& options);

}  // namespace cohort

#endif  // COHORT_LAUNCH_SUPERVISOR_H_
