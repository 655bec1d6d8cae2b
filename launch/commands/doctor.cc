// cohort doctor: what on this machine, or on the hosts of a list, would stop a run, and the mend. A line per check.
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/wire.h"
#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"
#include "launch/doctor/checks.h"
#include "launch/doctor/cluster_probe.h"
#include "launch/doctor/mpi_trial.h"
#include "launch/doctor/probe.h"
#include "launch/hostfile.h"

namespace cohort {
namespace {

constexpr Duration kMorePerHost = std::chrono::milliseconds(100);
constexpr Duration kMpiLimit = std::chrono::seconds(20), kMpiLimitPerHost = std::chrono::milliseconds(400);

struct DoctorOptions {
  std::string hostfile, run_file, out = ".", interface;
  double needs_memory_gb = 0;  // 0: as for a small run
  double wait_seconds = 0;     // 0: by the number of hosts
  bool probe = false;
};

// The folder itself, or what is there of the way to it.
std::string NearestFolder(const std::string& path) {
  std::filesystem::path folder = std::filesystem::absolute(path).lexically_normal();
  std::error_code ignored;
  while (!std::filesystem::is_directory(folder, ignored) && folder.has_relative_path())
    folder = folder.parent_path();
  return folder.has_filename() ? folder.string()
                               : folder.parent_path().string();  // without a slash at the end
}

// What a run of this configuration needs of each of `hosts` hosts, as far as the run file alone tells.
void AddNeedsOf(const RunConfig& config, std::size_t hosts, Needs* needs) {
  const ClusterConfig& cluster = config.cluster;
  constexpr std::uint64_t kFilesBeside = 128;       // libraries, datasets, logs
  constexpr std::uint64_t kFilesPerConnection = 2;  // ZeroMQ's
  // Each shard is called by all workers, and by all servers where there are backups.
  needs->open_files = std::max<std::uint64_t>(
      needs->open_files, kFilesBeside + kFilesPerConnection * cluster.shards_per_server *
                                            std::uint64_t{cluster.workers + cluster.servers});
  constexpr std::uint64_t kSharedBytesPerProcess = 4'500'000;  // Open MPI's
  const std::uint64_t processes = std::uint64_t{1} + cluster.servers + cluster.workers;
  needs->shared_memory_bytes = std::max<std::uint64_t>(
      needs->shared_memory_bytes, kSharedBytesPerProcess * ((processes + hosts - 1) / hosts));
  needs->data = std::filesystem::absolute(config.data).lexically_normal().string();
  struct stat file {};
  if (access(needs->data.c_str(), R_OK) == 0 && stat(needs->data.c_str(), &file) == 0)
    needs->data_bytes = file.st_size;
}

// "host1, host2"; of many the first few.
std::string Names(const std::vector<std::string>& hosts) {
  constexpr std::size_t kMostNamed = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(hosts.size(), kMostNamed); ++i)
    text += (i == 0 ? "" : ", ") + hosts[i];
  return hosts.size() <= kMostNamed ? text
                                    : text + " and " + std::to_string(hosts.size() - kMostNamed) + " more";
}

using Json = nlohmann::ordered_json;

Json ToJson(const Check& check) {
  Json json = {{"name", check.name},
               {"good", check.severity == Severity::kGood},
               {"needed", check.severity == Severity::kBad},
               {"found", check.found}};
  if (check.severity != Severity::kGood) json["hosts"] = check.hosts, json["mend"] = check.mend;
  return json;
}

Json ToJson(const ClusterFacts& facts) {
  Json json = {{"hosts", Json::array()}, {"pairs", Json::array()}};
  for (const HostProbe& host : facts.hosts) {
    Json each = {{"name", host.name}, {"answered", host.answer == Answer::kWhole}};
    if (host.has_facts) {
      each["host"] = host.facts.host;
      each["version"] = host.facts.version;
      each["address"] = host.facts.address;
      each["clock_ahead_seconds"] = host.clock_ahead_seconds;
      each["clock_error_seconds"] = host.clock_error_seconds;
      each["memory_bytes"] = host.facts.memory_bytes;
      each["open_files"] = host.facts.open_files;
      each["shared_memory_bytes"] = host.facts.shared_memory.free_bytes;
      each["disk_bytes"] = host.facts.folder.free_bytes;
      each["write_bytes_per_second"] = host.facts.write_bytes_per_second;
      each["mpirun"] = host.facts.mpirun;
    }
    json["hosts"].push_back(std::move(each));
    if (facts.hosts.size() < 2) continue;
    for (std::size_t to = 0; to < host.pairs.size(); ++to) {
      const PairFact& pair = host.pairs[to];
      if (pair.reach == Reach::kUntried) continue;
      Json fact = {
          {"from", host.name}, {"to", facts.hosts[to].name}, {"reached", pair.reach == Reach::kReached}};
      if (pair.reach == Reach::kReached)
        fact["round_trip_us"] = pair.round_trip_seconds * 1e6;
      else
        fact["reason"] = pair.words;
      json["pairs"].push_back(std::move(fact));
    }
  }
  return json;
}

// Prints a line per check. What is bad is an error.
Status Show(const ClusterFacts& facts, const std::vector<Check>& checks, double seconds, Console& console) {
  Json json = {{"status", "done"}, {"seconds", seconds}, {"checks", Json::array()}};
  json.update(ToJson(facts));
  std::string bad, low;
  const bool several = facts.hosts.size() > 1;
  for (const Check& check : checks) {
    const char* verdict = check.severity == Severity::kGood  ? "ok"
                          : check.severity == Severity::kBad ? "BAD"
                                                             : "low";
    char begin[64];
    std::snprintf(begin, sizeof(begin), "%-4s %-17s ", verdict, check.name.c_str());
    const std::string whose = several && !check.hosts.empty() ? Names(check.hosts) : "";
    console.Print(begin + (whose.empty() ? "" : whose + ": ") + check.found +
                  (check.severity == Severity::kGood ? "" : "\n     -> " + check.mend));
    json["checks"].push_back(ToJson(check));
    if (check.severity == Severity::kGood) continue;
    std::string& list = check.severity == Severity::kBad ? bad : low;
    list += (list.empty() ? "" : ", ") + check.name + (whose.empty() ? "" : " (" + whose + ")");
  }
  const std::string reason = "a run would fail here: " + bad;
  if (!bad.empty()) json["status"] = "failed", json["reason"] = reason;
  console.SetJson(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!bad.empty()) return {ErrorCode::kUnavailable, reason};
  char text[64] = {};
  if (several) std::snprintf(text, sizeof(text), " (%zu hosts, %.1f s)", facts.hosts.size(), seconds);
  console.Print(text[0] == '\0' ? "nothing here would stop a run"
                                : std::string("nothing here would stop a run") + text);
  return {};
}

Status Doctor(const DoctorOptions& options, Console& console) {
  if (options.probe) return RunProbe(COHORT_VERSION);
  const auto start = std::chrono::steady_clock::now();
  Needs needs;
  needs.version = COHORT_VERSION;
  needs.wire_version = kWireVersion;
  ClusterProbeOptions probes;
  probes.version = needs.version;
  probes.progress = [&console](const std::string& line) { console.Progress(line); };
  probes.order.folder = NearestFolder(options.out);
  if (!options.hostfile.empty()) {
    COHORT_ASSIGN_OR_RETURN(const std::vector<ListedHost> hosts, ReadHostfile(options.hostfile));
    probes.hosts = NamesOf(hosts);
    // This host speaks with all of them at once.
    const Duration more = kMorePerHost * static_cast<int>(probes.hosts.size());
    probes.answer_limit =
        options.wait_seconds > 0
            ? std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.wait_seconds))
            : probes.answer_limit + more;
    probes.pairs_limit += more;
  }
  if (!options.run_file.empty()) {
    COHORT_ASSIGN_OR_RETURN(const RunConfig config, LoadRunConfig(options.run_file, {}));
    AddNeedsOf(config, std::max<std::size_t>(1, probes.hosts.size()), &needs);
    if (needs.data_bytes < 0)
      return Refused(options.run_file + ": data: " + needs.data +
                     " cannot be read here; make it (`cohort prepare`) or give the run file that names it");
    probes.order.data = needs.data;
    needs.interface = config.cluster.interface;
  }
  if (!options.interface.empty()) needs.interface = options.interface;
  probes.order.interface = needs.interface;
  if (options.needs_memory_gb > 0)
    needs.memory_bytes = static_cast<std::uint64_t>(options.needs_memory_gb * 1e9);

  ClusterFacts facts;
  if (probes.hosts.empty()) {
    facts = LookHere(probes.order, needs.version);
  } else {
    COHORT_ASSIGN_OR_RETURN(facts, ProbeCluster(probes));
  }
  const std::vector<std::string> fit = FitForMpi(facts, needs);
  if (!fit.empty()) {
    console.Progress("starting a run's programs through mpirun");
    facts.mpi = TryMpi(probes.hosts.empty() ? std::vector<std::string>{} : fit,
                       kMpiLimit + kMpiLimitPerHost * static_cast<int>(fit.size()));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return Show(facts, Judge(facts, needs), seconds, console);
}

}  // namespace

void AddDoctor(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App* command = app.add_subcommand(
      "doctor", "what on this machine, or on a list of hosts, would stop a run, and the mend");
  CLI::Option* hostfile =
      command
          ->add_option(
              "--hostfile", options->hostfile,
              "list of hosts, as for `cohort train`: looks at each, and at every pair (default: this "
              "machine alone)")
          ->check(CLI::ExistingFile);
  command
      ->add_option(
          "--run", options->run_file,
          "the run file of the run to come: its dataset, interface and numbers of processes are checked too")
      ->check(CLI::ExistingFile);
  command->add_option("--out", options->out, "where the run is to be written (default: here)");
  command->add_option("--interface", options->interface,
                      "the network interface to listen on, or an IPv4 address of it (default: the run file's "
                      "cluster.interface, or the first that is up)");
  command
      ->add_option("--needs-memory", options->needs_memory_gb,
                   "GB that the processes of the run take on a host (default: 0.5, a small run)")
      ->check(Between(0.001, 1e6));
  command
      ->add_option("--wait", options->wait_seconds,
                   "seconds after which a host that has not answered is given up, 2 to 600 (default: 5, and "
                   "0.1 a host)")
      ->check(Between(2.0, 600.0))
      ->needs(hostfile);
  command->add_flag(kProbeOption, options->probe, "be the doctor's probe on this host")->group("");
  commands[command] = [options](Console& console) { return Doctor(*options, console); };
}

}  // namespace cohort
