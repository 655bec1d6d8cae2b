#include "launch/commands/cluster_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/model_files.h"
#include "launch/allocation.h"
#include "launch/cluster_job.h"
#include "launch/commands/number_range.h"
#include "launch/hostfile.h"
#include "launch/process_hosts.h"

namespace cohort {

void ClusterOptions::AddSizeTo(CLI::App& command) {
  command.add_option("--servers", servers, "server processes (default: as the run file says)")
      ->check(Between(1, kMaxShards));
  command.add_option("--workers", workers, "worker processes (default: as the run file says)")
      ->check(Between(1, 1024));
  command
      .add_option("--set", set,
                  "section.key=value: overrides an option of the run file; may be given several times")
      ->allow_extra_args(false);
}

void ClusterOptions::AddTo(CLI::App& command) {
  AddSizeTo(command);
  command
      .add_option(
          "--hostfile", hostfile,
          "list of hosts: lines of NAME, NAME:N or NAME slots=N (default: this host, or the allocation)")
      ->check(CLI::ExistingFile);
  command.add_option(
      "--key", key,
      "file with the run's key, at this path on every host (`cohort key FILE` makes one); default: "
      "one is made in the run's folder, which all hosts share then");
  command
      .add_option(
          "--place", place,
          "servers=RULE or workers=RULE: on which hosts. RULE: spread (on each in turn), pack (fill the "
          "slots of one, then the next) or HOST,HOST (on these in turn); may be given for both "
          "(default: as mpirun does; docs/clusters.md)")
      ->allow_extra_args(false);
}

std::vector<std::string> ClusterOptions::Overrides() const {
  std::vector<std::string> overrides = set;
  if (servers > 0) overrides.push_back("cluster.servers=" + std::to_string(servers));
  if (workers > 0) overrides.push_back("cluster.workers=" + std::to_string(workers));
  return overrides;
}

Status ClusterOptions::Apply(ClusterJob* job) const {
  if (!key.empty() && job->config.cluster.encryption == Encryption::kOff)
    return Refused("--key " + key + ": cluster.encryption is off; leave one of them out");
  if (!key.empty()) job->key = std::filesystem::absolute(key).lexically_normal().string();
  if (!hostfile.empty()) {
    job->hostfile = hostfile;
    COHORT_ASSIGN_OR_RETURN(job->hosts, ReadHostfile(hostfile));
  }
  // mpirun does not keep to max_slots when it may start more processes than there are slots.
  const bool limited =
      std::any_of(job->hosts.begin(), job->hosts.end(), [](const ListedHost& host) { return host.most > 0; });
  if (place.empty() && !limited) return {};
  COHORT_ASSIGN_OR_RETURN(const HostRules rules, ParseHostRules(place));
  if (hostfile.empty() && !InAllocation()) {
    return {
        ErrorCode::kInvalidInput,
        "--place " + place.front() +
            ": there is this host alone; give the others by --hostfile, or run inside a Slurm allocation"};
  }
  std::vector<ListedHost> hosts = job->hosts;
  if (hosts.empty()) {
    COHORT_ASSIGN_OR_RETURN(const std::vector<std::string> slots, AllocatedHosts());
    hosts = HostsOf(slots);
  }
  const ClusterConfig& cluster = job->config.cluster;
  COHORT_ASSIGN_OR_RETURN(job->places, ChooseHosts(rules, hosts, cluster.servers, cluster.workers));
  return {};
}

SupervisorOptions OutputOf(Console& console) {
  SupervisorOptions output;
  output.progress = [&console](const std::string& line) { console.Progress(line); };
  output.note = [&console](const std::string& line) { console.Note(line); };
  return output;
}

std::string CountsLine(const std::string& result) {
  const auto json = nlohmann::ordered_json::parse(result, nullptr, /*allow_exceptions=*/false);
  std::string counts;
  if (json.is_object() && json.contains("counts")) {
    for (const auto& [name, count] : json["counts"].items()) {
      if (count != 0) counts += (counts.empty() ? "" : ", ") + name + " " + count.dump();
    }
  }
  return "counts: " + (counts.empty() ? "nothing dropped, defaulted or refused" : counts);
}

void ShowWarnings(const std::string& result, const std::vector<std::string>& known, Console& console) {
  const auto json = nlohmann::json::parse(result, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("warnings")) return;
  for (const auto& each : json["warnings"]) {
    const std::string warning = each.is_string() ? each.get<std::string>() : each.dump();
    if (std::find(known.begin(), known.end(), warning) == known.end()) console.Note("warning: " + warning);
  }
}

Result<ScratchFolder> RunModelJob(const ModelJob& options, Job job, Console& console) {
  ClusterJob cluster;
  cluster.request.job = job;
  COHORT_ASSIGN_OR_RETURN(cluster.request.split, SplitFromName(options.split));
  COHORT_ASSIGN_OR_RETURN(const std::string model, FindModel(options.run));
  cluster.request.model = std::filesystem::absolute(model).lexically_normal().string();
  COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(cluster.request.model));
  const std::string origin = model + " (its run file)";
  COHORT_ASSIGN_OR_RETURN(const RunConfig trained, ParseRunConfig(manifest.run_config, origin, ""));
  COHORT_ASSIGN_OR_RETURN(const RunConfig asked,
                          ParseRunConfig(manifest.run_config, origin, "", options.cluster.Overrides()));
  cluster.config = asked;
  cluster.config.embedding.log.clear();  // of the training: nothing is refused or evicted here
  cluster.config.data = std::filesystem::absolute(options.data).lexically_normal().string();
  cluster.scores = options.scores;
  COHORT_RETURN_IF_ERROR(options.cluster.Apply(&cluster));
  COHORT_RETURN_IF_ERROR(CheckClusterJob(cluster));
  COHORT_RETURN_IF_ERROR(CheckSettings(job, trained, asked));
  COHORT_ASSIGN_OR_RETURN(ScratchFolder folder, ScratchFolder::Create());
  cluster.folder = folder.path();
  COHORT_RETURN_IF_ERROR(RunClusterJob(cluster, OutputOf(console)));
  return folder;
}

}  // namespace cohort
