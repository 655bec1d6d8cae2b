// What the commands that run a cluster share: its size on the command line, and where its words go.
#ifndef COHORT_LAUNCH_COMMANDS_CLUSTER_OPTIONS_H_
#define COHORT_LAUNCH_COMMANDS_CLUSTER_OPTIONS_H_

#include <string>
#include <vector>

#include "common/config.h"
#include "launch/commands/commands.h"
#include "launch/run_folder.h"
#include "launch/run_plan.h"
#include "launch/supervisor.h"

namespace cohort {

struct ClusterJob;  // cluster_job.h

struct ClusterOptions {
  std::int64_t servers = 0, workers = 0;  // 0: as the run file says
  std::vector<std::string> set;
  std::string hostfile, key;
  std::vector<std::string> place;

  void AddTo(CLI::App& command);
  void AddSizeTo(CLI::App& command);  // --servers, --workers and --set alone
  // --set, then the counts.
  std::vector<std::string> Overrides() const;
  // Where a job runs, whose configuration is there: its hosts, its key, who stands where.
  Status Apply(ClusterJob* job) const;
};

SupervisorOptions OutputOf(Console& console);

// A job on the model of a run: `cohort evaluate`, `cohort score`.
struct ModelJob {
  std::string run;  // RUN_DIR, or a model's folder
  std::string data;
  std::string split;
  ClusterOptions cluster;
  std::string scores;
};
// Runs it in a folder of its own, which is left for the caller to read.
Result<ScratchFolder> RunModelJob(const ModelJob& options, Job job, Console& console);

// Tells the warnings of a result.json, but for those that are known already.
void ShowWarnings(const std::string& result, const std::vector<std::string>& known, Console& console);

// What a run's result.json counts, in a line: "counts: parked_pulls 3".
std::string CountsLine(const std::string& result);

}  // namespace cohort

#endif  // COHORT_LAUNCH_COMMANDS_CLUSTER_OPTIONS_H_
