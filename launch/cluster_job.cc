#include "launch/cluster_job.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "common/atomic_file.h"
#include "common/process.h"
#include "launch/run_folder.h"

namespace cohort {
namespace {

// Beyond the limits that the roles keep themselves.
constexpr Duration kMargin = std::chrono::seconds(10);

}  // namespace

std::vector<std::string> MpirunCommand(const ClusterJob& job) {
  const std::string programs = ProgramFolder();
  const std::string run_file = job.folder + "/" + kRunFile;
  std::vector<std::string> command = {"mpirun", "--enable-recovery", "--oversubscribe", "--bind-to", "none"};
  const auto add = [&command](std::initializer_list<std::string> words) {
    command.insert(command.end(), words.begin(), words.end());
  };
  if (geteuid() == 0) add({"--allow-run-as-root"});
  if (!job.hostfile.empty()) add({"--hostfile", job.hostfile});
  add({"-np", "1", programs + "/cohort-scheduler", "--config", run_file, "--out", job.folder, "--supervised",
       "--job", JobName(job.request.job)});
  if (!job.request.model.empty()) add({"--model", job.request.model});
  if (job.request.split) add({"--split", SplitName(*job.request.split)});
  if (!job.scores.empty()) add({"--scores", job.scores});
  add({":", "-np", std::to_string(job.config.cluster.servers), programs + "/cohort-server", "--config",
       run_file});
  add({":", "-np", std::to_string(job.config.cluster.workers), programs + "/cohort-worker", "--config",
       run_file});
  return command;
}

std::vector<std::string> ReplacementCommand(const ClusterJob& job, const ClusterFile::Process& member) {
  std::vector<std::string> command;
  if (member.host != HostName()) {
    command = {"mpirun", "-np", "1", "--host", member.host, "--oversubscribe", "--bind-to", "none"};
    if (geteuid() == 0) command.push_back("--allow-run-as-root");
  }
  for (const std::string& word :
       {ProgramFolder() + "/cohort-worker", std::string("--config"), job.folder + "/" + kRunFile, std::string("--join"),
        job.folder, std::string("--index"), std::to_string(member.node.index)}) {
    command.push_back(word);
  }
  return command;
}

Status CheckClusterJob(const ClusterJob& job) {
  COHORT_ASSIGN_OR_RETURN(const RunInputs inputs, ReadRunInputs(job.config, job.request));
  COHORT_ASSIGN_OR_RETURN(const RunPlan plan, MakePlan(inputs, job.request, 0));
  return {};
}

Status RunClusterJob(const ClusterJob& job, SupervisorOptions output) {
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(job.folder + "/" + kRunFile, ToToml(job.config)));
  const SchedulerClient::Options limits = ClientOptions(job.config, 0);
  output.command = MpirunCommand(job);
  output.folder = job.folder;
  if (job.config.cluster.recoveries > 0) {
    output.replacement = [&job](const ClusterFile::Process& member) { return ReplacementCommand(job, member); };
  }
  output.startup = limits.startup + kMargin;
  output.silence = limits.dead_after + kMargin;
  // With a list of hosts, or inside an allocation, some start elsewhere.
  if (job.hostfile.empty() && std::getenv("SLURM_JOB_ID") == nullptr) {
    output.children = std::size_t{1} + job.config.cluster.servers + job.config.cluster.workers;
  }
  CatchStopSignals();
  return Supervise(output);
}

}  // namespace cohort
