#include "launch/cluster_job.h"

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/atomic_file.h"
#include "common/process.h"
#include "common/run_key.h"
#include "launch/allocation.h"
#include "launch/checkpoints.h"
#include "launch/failed_start.h"
#include "launch/run_folder.h"

namespace cohort {
namespace {

// Beyond the limits that the roles keep themselves.
constexpr Duration kMargin = std::chrono::seconds(10);
constexpr Duration kSchedulerMargin = std::chrono::seconds(5);

// What every role is told of the run's key.
std::vector<std::string> KeyArguments(const ClusterJob& job) {
  if (job.config.cluster.encryption == Encryption::kOff) return {};
  return {"--key", job.key.empty() ? job.folder + "/" + kKeyFile : job.key};
}

std::vector<std::string> SchedulerCommand(const ClusterJob& job) {
  std::vector<std::string> command = {ProgramFolder() + "/cohort-scheduler",
                                      "--config",
                                      job.folder + "/" + kRunFile,
                                      "--supervised",
                                      "--out",
                                      job.folder,
                                      "--job",
                                      JobName(job.request.job)};
  const auto add = [&command](const char* option, const std::string& value) {
    if (!value.empty()) command.insert(command.end(), {option, value});
  };
  add("--model", job.request.model);
  add("--split", job.request.split ? SplitName(*job.request.split) : "");
  add("--scores", job.scores);
  for (const std::string& word : KeyArguments(job)) command.push_back(word);
  return command;
}

// What tells mpirun to start `count` processes of a program: an application for each row of neighbours on a host, or one for all where mpirun
// places them (no hosts).
std::vector<std::string> Applications(std::size_t count, const std::vector<std::string>& hosts,
                                      const std::vector<std::string>& program) {
  std::vector<std::string> words;
  for (std::size_t from = 0, to = 0; from < count; from = to) {
    while (to < count && (hosts.empty() || hosts[to] == hosts[from])) ++to;
    if (from > 0) words.push_back(":");
    words.insert(words.end(), {"-np", std::to_string(to - from)});
    if (!hosts.empty()) words.insert(words.end(), {"--host", hosts[from]});
    words.insert(words.end(), program.begin(), program.end());
  }
  return words;
}

}  // namespace

std::vector<std::string> MpirunCommand(const ClusterJob& job, const FormerLife& before) {
  std::vector<std::string> command = {"mpirun", "--enable-recovery", "--oversubscribe", "--bind-to", "none"};
  const auto add = [&command](const std::vector<std::string>& words) {
    command.insert(command.end(), words.begin(), words.end());
  };
  if (geteuid() == 0) add({"--allow-run-as-root"});
  if (!job.hosts.empty()) add({"--hostfile", job.folder + "/" + kHostsFile});

  std::vector<std::string> scheduler = SchedulerCommand(job);
  if (!before.checkpoint.empty()) scheduler.insert(scheduler.end(), {"--resume", before.checkpoint});
  if (before.restarts > 0)
    scheduler.insert(scheduler.end(), {"--acknowledged", std::to_string(before.acknowledged), "--restarts",
                                       std::to_string(before.restarts)});
  const std::string run_file = job.folder + "/" + kRunFile;
  std::vector<std::string> server = {
      ProgramFolder() + "/cohort-server", "--config", run_file, "--supervised", "--run", job.folder};
  std::vector<std::string> worker = {ProgramFolder() + "/cohort-worker", "--config", run_file,
                                     "--supervised"};
  for (const std::string& word : KeyArguments(job)) {  // the scheduler has them already
    server.push_back(word);
    worker.push_back(word);
  }
  const ProcessHosts nowhere;
  const ProcessHosts& place = job.places ? *job.places : nowhere;
  add(Applications(1, job.places ? std::vector{place.scheduler} : std::vector<std::string>(), scheduler));
  add({":"});
  add(Applications(job.config.cluster.servers, place.servers, server));
  add({":"});
  add(Applications(job.config.cluster.workers, place.workers, worker));
  return command;
}

std::vector<std::string> ReplacementCommand(const ClusterJob& job, const ClusterFile::Process& member) {
  std::vector<std::string> command;
  if (member.host != HostName()) {
    command = {"mpirun", "-np", "1", "--host", member.host, "--oversubscribe", "--bind-to", "none"};
    if (geteuid() == 0) command.push_back("--allow-run-as-root");
  }
  for (const std::string& word :
       {ProgramFolder() + (member.node.role == Role::kWorker ? "/cohort-worker" : "/cohort-server"),
        std::string("--config"), job.folder + "/" + kRunFile, std::string("--supervised"),
        std::string("--join"), job.folder, std::string("--index"),
        std::to_string(member.node.role == Role::kWorker ? member.node.index : member.server)}) {
    command.push_back(word);
  }
  for (const std::string& word : KeyArguments(job)) command.push_back(word);
  return command;
}

Status CheckClusterJob(const ClusterJob& job) {
  if (!job.key.empty() && job.config.cluster.encryption != Encryption::kOff) {
    COHORT_ASSIGN_OR_RETURN([[maybe_unused]] const RunKey key, RunKey::Read(job.key));
  }
  COHORT_ASSIGN_OR_RETURN(const RunInputs inputs, ReadRunInputs(job.config, job.request));
  COHORT_ASSIGN_OR_RETURN(const RunPlan plan, MakePlan(inputs, job.request, 0));
  return {};
}

namespace {

// Parts of pushes that the run in `folder` had acknowledged when it ended, as its newest metrics say.
std::uint64_t AcknowledgedIn(const std::string& folder) {
  const auto json = nlohmann::json::parse(NewestMetrics(folder), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("acknowledged")) return 0;
  const auto& acknowledged = json["acknowledged"];
  return acknowledged.is_number_unsigned() ? acknowledged.get<std::uint64_t>() : 0;
}

// The command that goes on with a job where its newest checkpoint was made, or begins it once more.
std::vector<std::string> GoOn(const ClusterJob& job, std::uint32_t restarts,
                              const std::function<void(const std::string&)>& note) {
  const auto say = [&note](const std::string& text) {
    if (note) note(text);
  };
  FormerLife before{"", AcknowledgedIn(job.folder), restarts};
  std::optional<std::string> checkpoint;
  if (job.request.job == Job::kTrain)
    checkpoint = NewestCheckpoint(job.folder + "/" + kCheckpointsFolder, say);
  before.checkpoint = checkpoint.value_or("");
  say(checkpoint ? "going on from " + *checkpoint
                 : "beginning once more, from the start: there is no checkpoint");
  return MpirunCommand(job, before);
}

}  // namespace

Status RunClusterJob(const ClusterJob& job, SupervisorOptions output) {
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(job.folder + "/" + kRunFile, ToToml(job.config)));
  const std::string hosts = job.folder + "/" + kHostsFile;
  if (job.hosts.empty()) {
    std::remove(hosts.c_str());
  } else {
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(hosts, ToHostfile(job.hosts)));
  }
  const std::string key = job.folder + "/" + kKeyFile;
  if (job.key.empty() && job.config.cluster.encryption != Encryption::kOff) {
    COHORT_ASSIGN_OR_RETURN(const RunKey made, RunKey::New());
    COHORT_RETURN_IF_ERROR(made.Write(key));
  }
  const SchedulerClient::Options limits = ClientOptions(job.config, 0);
  output.command = job.resume ? GoOn(job, 1, output.note) : MpirunCommand(job);
  output.resumes = job.resume;
  bool explained = false;
  output.explain = [&job, &explained](const std::vector<std::string>& words) {
    explained = true;
    return WhyNotStarted(words, job.hosts, job.hostfile);
  };
  output.folder = job.folder;
  output.startup = limits.startup + kMargin;
  output.silence = limits.dead_after + kMargin;
  if (job.config.cluster.recoveries > 0) {
    // The scheduler adds to metrics.jsonl every second; stopped or not, it is as good as dead when it does not.
    output.silence = std::chrono::duration_cast<Duration>(
                         std::chrono::duration<double>(job.config.cluster.dead_after_seconds)) +
                     kSchedulerMargin;
    output.restarts = job.config.cluster.recoveries;
    output.restart = [&job, note = output.note](std::uint32_t number) {
      return GoOn(job, number + (job.resume ? 1 : 0), note);
    };
    output.take_over = [&job](std::uint32_t term) {
      std::vector<std::string> command = SchedulerCommand(job);
      command.insert(command.end(), {"--take-over", std::to_string(term)});
      return command;
    };
  }
  output.replacement = [&job](const ClusterFile::Process& member) { return ReplacementCommand(job, member); };
  // With a list of hosts, or inside an allocation, some start elsewhere.
  if (InAllocation()) LetStepsOverlap();
  if (job.hosts.empty() && !InAllocation()) {
    output.children = std::size_t{1} + job.config.cluster.servers + job.config.cluster.workers;
  }
  CatchStopSignals();
  const Status verdict = Supervise(output);
  std::remove(key.c_str());
  // Open MPI does not say which host it was.
  if (!verdict.ok() && !explained && !job.hosts.empty() && output.note && NewestMetrics(job.folder).empty()) {
    output.note("if a host cannot be reached or lacks something: `cohort doctor --hostfile " + job.hostfile +
                "` names it");
  }
  return verdict;
}

}  // namespace cohort
