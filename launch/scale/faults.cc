#include "launch/scale/faults.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/atomic_file.h"
#include "common/process.h"
#include "common/random.h"
#include "launch/cluster_file.h"
#include "launch/run_folder.h"
#include "scheduler/json_number.h"

namespace cohort::scale {
namespace {

constexpr auto kLook = std::chrono::milliseconds(200);
constexpr double kLongestRun = 24 * 3600;  // seconds for which faults are drawn

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A role program of ours: a pid may have been given to another process since.
bool IsRole(std::uint64_t pid) {
  const auto name = ReadFile("/proc/" + std::to_string(pid) + "/comm", 64);
  return name && name->starts_with("cohort-");
}

}  // namespace

std::vector<Fault> DrawFaults(double per_hour, double seconds, std::uint64_t seed, std::uint64_t stream) {
  std::vector<Fault> faults;
  if (!(per_hour > 0)) return faults;
  RandomStream random(seed, 0xfa17 + stream);
  for (double at = 0;;) {
    at += -std::log(1 - random.Uniform()) * 3600 / per_hour;
    if (at >= seconds) return faults;
    faults.push_back({at, random.Uniform()});
  }
}

Faults::Faults(std::string folder, double per_hour, std::uint32_t first_epoch, std::uint32_t end_epoch,
               std::uint64_t seed, std::uint64_t stream)
    : folder_(std::move(folder)),
      per_hour_(per_hour),
      first_epoch_(first_epoch),
      end_epoch_(end_epoch),
      seed_(seed),
      stream_(stream),
      thread_([this] { Watch(); }) {}

void Faults::Stop() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

void Faults::Watch() {
  const std::vector<Fault> faults = DrawFaults(per_hour_, kLongestRun, seed_, stream_);
  auto next = faults.begin();
  std::optional<double> training, measured;             // since when
  for (; !over_; std::this_thread::sleep_for(kLook)) {  // polls files, until it is told to stop
    const auto line =
        nlohmann::ordered_json::parse(NewestMetrics(folder_), nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || !line.contains("kind")) continue;
    const bool trains = line["kind"] == "train";
    const double epoch = NumberIn(line, "epoch"), now = Now();
    if (trains && !training) training = now;
    if (trains && epoch >= first_epoch_ && !measured) measured = now;
    // Its last line may stay for long when a restart follows.
    if (measured && trains && epoch < end_epoch_) measured_seconds_ = now - *measured;
    if (!training || !trains || next == faults.end() || now - *training < next->seconds) continue;
    if (Kill(next->who)) ++killed_, ++next;
  }
}

// False: nobody is there yet.
bool Faults::Kill(double who) {
  const auto text = ReadFile(folder_ + "/" + kClusterFile);
  const auto cluster = text ? ClusterFromJson(*text, kClusterFile) : tl::unexpected(text.error());
  if (!cluster) return false;
  std::vector<std::uint64_t> pids;
  const auto add = [&](const std::string& host, std::uint64_t pid) {
    if (host != HostName() || pid == 0 || !ProcessLives(pid) || !IsRole(pid)) return;
    if (std::find(pids.begin(), pids.end(), pid) == pids.end()) pids.push_back(pid);
  };
  add(cluster->scheduler_host, cluster->scheduler_pid);
  for (const ClusterFile::Process& each : cluster->members) {
    if (!each.missing) add(each.host, each.pid);
  }
  if (pids.empty()) return false;
  return kill(static_cast<pid_t>(pids[static_cast<std::size_t>(who * static_cast<double>(pids.size()))]),
              SIGKILL) == 0;
}

}  // namespace cohort::scale
