// cohort doctor: what on this machine would stop a run, and the mend. A line per check.
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/process.h"
#include "launch/commands/commands.h"
#include "launch/local_checks.h"
#include "launch/run_folder.h"
#include "worker/model/kernels.h"

namespace cohort {
namespace {

constexpr double kGigabyte = 1e9;

struct Check {
  std::string name;
  bool good = false;
  bool needed = true;  // false: a run works without it, with less
  std::string found;
  std::string mend;
};

std::string Amount(double bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f GB", bytes / kGigabyte);
  return text;
}

double AvailableMemory() {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  for (double amount = 0; file >> name >> amount >> unit;) {
    if (name == "MemAvailable:") return amount * 1024;
  }
  return 0;
}

Check SpaceIn(const std::string& name, const std::string& folder, double least, const std::string& mend) {
  struct statvfs space {};
  const bool there = statvfs(folder.c_str(), &space) == 0;
  const double free = there ? static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize) : 0;
  return {name, there && free >= least, false,
          there ? Amount(free) + " free in " + folder : folder + " is not there", mend};
}

std::vector<Check> RunChecks(const std::string& folder) {
  std::vector<Check> checks;
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  checks.push_back({"cores", cores >= 2, false, std::to_string(cores) + " online",
                    "runs work with more processes than cores, only slower"});
  const std::string kernels = BestKernelPath();
  checks.push_back(
      {"AVX2", HasKernelPath("avx2"), true, "best numerical path: " + kernels,
       "an x86-64 processor with AVX2 and FMA is needed; in a virtual machine, pass the host's CPU through"});
  const double memory = AvailableMemory();
  checks.push_back(
      {"memory", memory >= 0.5 * kGigabyte, true, Amount(memory) + " available",
       "a small run takes about 0.5 GB over all its processes: free some, or lower model.embedding_dim, "
       "train.shuffle_rows and the numbers of processes"});
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  checks.push_back({"open files", files.rlim_cur >= 512, true, "limit " + std::to_string(files.rlim_cur),
                    "raise it: ulimit -n 4096"});
  checks.push_back(SpaceIn("shared memory", "/dev/shm", 16e6,
                           "mpirun starts ranks through it: enlarge /dev/shm (docker: --shm-size)"));
  checks.push_back(SpaceIn("disk", folder, kGigabyte, "models and scores need room: choose another --out"));
  checks.push_back(
      SpaceIn("scratch", ScratchBase(), 0.2 * kGigabyte, "evaluate and score work there: set TMPDIR"));

  const Result<double> round_trip = LoopbackRoundTrip();
  char text[64];
  if (round_trip) std::snprintf(text, sizeof(text), "round trip %.0f us over ZeroMQ", *round_trip * 1e6);
  checks.push_back(
      {"loopback", round_trip.has_value(), true, round_trip ? text : round_trip.error().text(),
       "processes talk over TCP on 127.0.0.1: bring lo up (ip link set lo up), and let no firewall stop it"});

  const Result<std::string> mpirun = TryMpirun();
  checks.push_back({"mpirun", mpirun.has_value(), true, mpirun ? *mpirun : mpirun.error().text(),
                    "apt-get install openmpi-bin, or run launch/install-dependencies"});
  for (const char* program : {"cohort-scheduler", "cohort-server", "cohort-worker"}) {
    const std::string path = ProgramFolder() + "/" + program;
    checks.push_back(
        {program, access(path.c_str(), X_OK) == 0, true, path, "build it: launch/build release"});
  }
  return checks;
}

Status Doctor(const std::string& folder, Console& console) {
  const std::vector<Check> checks = RunChecks(folder);
  nlohmann::ordered_json json = {{"status", "done"}, {"checks", nlohmann::ordered_json::array()}};
  std::string bad;
  for (const Check& check : checks) {
    const char* verdict = check.good ? "ok" : check.needed ? "BAD" : "low";
    char line[256];
    std::snprintf(line, sizeof(line), "%-4s %-17s %s", verdict, check.name.c_str(), check.found.c_str());
    console.Print(check.good ? line : std::string(line) + "\n     -> " + check.mend);
    json["checks"].push_back(
        {{"name", check.name}, {"good", check.good}, {"needed", check.needed}, {"found", check.found}});
    if (!check.good) json["checks"].back()["mend"] = check.mend;
    if (!check.good && check.needed) bad += (bad.empty() ? "" : ", ") + check.name;
  }
  if (!bad.empty()) json["status"] = "failed", json["reason"] = "a run would fail here: " + bad;
  console.SetJson(json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  if (!bad.empty()) return {ErrorCode::kUnavailable, "a run would fail here: " + bad};
  console.Print("nothing here would stop a run");
  return {};
}

}  // namespace

void AddDoctor(CLI::App& app, Commands& commands) {
  auto folder = std::make_shared<std::string>(".");
  CLI::App* command = app.add_subcommand("doctor", "what on this machine would stop a run, and the mend");
  command->add_option("--out", *folder, "where runs are to be written")->check(CLI::ExistingDirectory);
  commands[command] = [folder](Console& console) { return Doctor(*folder, console); };
}

}  // namespace cohort
