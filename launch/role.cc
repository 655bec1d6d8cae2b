#include "launch/role.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "common/log.h"
#include "common/process.h"
#include "launch/interfaces.h"

namespace cohort {

std::optional<RoleArguments> ParseRoleArguments(const std::string& program, int argc, char** argv,
                                                int* exit_code) {
  RoleArguments arguments;
  CLI::App app("A process of a Cohort run; started through mpirun, see `cohort train --help`.", program);
  app.add_option("--config", arguments.config, "the run file (RUN.toml)")->required();
  app.add_option("--set", arguments.overrides, "section.key=value: overrides an option of the run file")
      ->allow_extra_args(false);
  app.add_option("--key", arguments.key,
                 "the file with the run's key (`cohort key FILE` makes one); needed where hosts are spanned");
  app.add_flag("--supervised", arguments.supervised, "the folder was made by a supervisor (`cohort train`)")
      ->group("");
  if (program != "cohort-scheduler") {
    app.add_option("--join", arguments.join,
                   "RUN_DIR of a run that goes on: take the place of a dead worker, or of a server's backups")
        ->group("");
    app.add_option("--index", arguments.index, "with --join: the worker's, or the server's")->group("");
    if (program == "cohort-server")
      app.add_option("--run", arguments.run, "RUN_DIR: take over more backups while the run goes on")
          ->group("");
  }
  if (program == "cohort-scheduler") {
    app.add_option("--out", arguments.out, "RUN_DIR: the folder for results")->required();
    app.add_flag("--overwrite", arguments.overwrite, "replace an earlier run in RUN_DIR");
    app.add_option("--job", arguments.job, "train | evaluate | score")
        ->check(CLI::IsMember({"train", "evaluate", "score"}));
    app.add_option("--model", arguments.model,
                   "evaluate, score: the folder of the model; train: of one of its own shape to start from");
    app.add_option("--resume", arguments.resume, "train: a checkpoint of this run, to go on from")->group("");
    app.add_option("--acknowledged", arguments.acknowledged, "parts of pushes before a restart")->group("");
    app.add_option("--restarts", arguments.restarts, "how often the run was started before")->group("");
    app.add_option("--split", arguments.split, "evaluate, score: one split only");
    app.add_option("--scores", arguments.scores, "score: the file to write (.csv or .h5)");
    app.add_option("--take-over", arguments.take_over,
                   "go on with the run in RUN_DIR, whose scheduler has died, as the scheduler of this term")
        ->group("");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    *exit_code = app.exit(asked);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "%s: error: %s (see --help)\n", program.c_str(), error.what());
    *exit_code = 2;
    return std::nullopt;
  }
  return arguments;
}

void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

void BeginRole(const std::string& name) {
  KeepFreedMemory();
  // Each connection takes a file; so do those of strangers, until they are closed.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 1 << 20);
    setrlimit(RLIMIT_NOFILE, &files);
  }
  SetLogName(name);
  CatchStopSignals();
  const Status status = DieWithParent();
  if (!status.ok()) Log(status.text() + "; this process may outlive its launcher");
}

Result<std::string> ListenAddress(bool local, const std::string& interface) {
  if (local) return "127.0.0.1";
  COHORT_ASSIGN_OR_RETURN(const std::vector<NetworkInterface> interfaces, Interfaces());
  std::string address, others;
  for (const NetworkInterface& each : interfaces) {
    const bool usable = each.up && !each.loopback;
    if (address.empty() &&
        (interface.empty() ? usable : (interface == each.name || interface == each.address)))
      address = each.address;
    others += (others.empty() ? "" : ", ") + each.name + " " + each.address;
  }
  if (!address.empty()) return address;
  if (!interface.empty())
    return InvalidInput("cluster.interface: host " + HostName() + " has no \"" + interface +
                        "\" with an IPv4 address; it has " + (others.empty() ? "none" : others));
  return Error(ErrorCode::kUnavailable,
               "host " + HostName() + " has no IPv4 address but loopback, and the run spans several hosts");
}

Result<std::optional<RunKey>> KeyFor(const std::string& address, const ClusterConfig& config,
                                     const std::string& file) {
  const bool here = address == "127.0.0.1" || address.starts_with("tcp://127.0.0.1:");
  if (config.encryption == Encryption::kOff || (config.encryption == Encryption::kAuto && here))
    return std::optional<RunKey>();
  if (file.empty())
    return InvalidInput(
        "connections are to be encrypted and there is no key: make one with `cohort key FILE`, and give it "
        "to every process with --key FILE; or set cluster.encryption=off, which lets everybody on the "
        "network "
        "read and write along");
  COHORT_ASSIGN_OR_RETURN(RunKey key, RunKey::Read(file));
  return std::optional<RunKey>(std::move(key));
}

void AddProcessCounters(Counters* counters) {
  const ProcessUsage usage = ReadProcessUsage();
  counters->memory_bytes = usage.memory_bytes;
  counters->peak_memory_bytes = usage.peak_memory_bytes;
  counters->busy_seconds = usage.cpu_seconds;
}

SchedulerWatch::SchedulerWatch(const std::string& host, std::uint64_t pid) {
  if (host != HostName()) return;
  thread_ = std::thread([this, pid] {
    constexpr auto kCheck = std::chrono::milliseconds(200);
    constexpr int kGraceChecks = 10;  // the stop may still be on its way
    std::unique_lock lock(mutex_);
    for (int gone = 0; !changed_.wait_for(lock, kCheck, [this] { return over_; });) {
      gone = ProcessLives(pid) ? 0 : gone + 1;
      if (gone > kGraceChecks) {
        LogError("the scheduler (pid " + std::to_string(pid) + ") is gone");
        _exit(1);
      }
    }
  });
}

SchedulerWatch::~SchedulerWatch() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace cohort
