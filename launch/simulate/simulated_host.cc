#include "launch/simulate/simulated_host.h"

#include <algorithm>

#include "common/check.h"

namespace cohort {
namespace {

// Of Linux's scheduler on a few cores: how long a thread runs while others wait, and how much less than the running one a
// thread that wakes up must have had to take its place at once.
constexpr VirtualTime kTimeSlice = 3'000'000;
constexpr VirtualTime kWakeUpGranularity = 1'000'000;

}  // namespace

std::uint32_t SimulatedHosts::AddHost(std::uint32_t cores) {
  hosts_.push_back({});
  Host& host = hosts_.back();
  host.cores = std::max(1u, cores);
  host.last.assign(host.cores, kNobody);
  for (std::uint32_t core = 0; core < host.cores; ++core) host.idle.push_back(core);
  return static_cast<std::uint32_t>(hosts_.size() - 1);
}

SimulatedHosts::ThreadId SimulatedHosts::AddThread(std::uint32_t host, std::uint32_t process) {
  threads_.push_back({});
  threads_.back().host = host;
  threads_.back().process = process;
  ++hosts_[host].threads;
  return static_cast<ThreadId>(threads_.size() - 1);
}

bool SimulatedHosts::Roomy(ThreadId thread) const {
  const Host& host = hosts_[threads_[thread].host];
  return host.threads <= host.cores;
}

void SimulatedHosts::Submit(ThreadId id, const Job& job, VirtualTime now) {
  Thread& thread = threads_[id];
  thread.jobs.push_back(job);
  if (thread.active) return;
  thread.active = true;
  Host& host = hosts_[thread.host];
  // Who slept long is not owed all of it.
  thread.fair = std::max(thread.fair, host.least_fair - kTimeSlice);
  if (host.running.size() >= host.cores) {
    const auto most = std::max_element(host.running.begin(), host.running.end(), [&](ThreadId a, ThreadId b) {
      const auto fair = [&](ThreadId t) { return threads_[t].fair + now - threads_[t].since; };
      return std::pair(fair(a), a) < std::pair(fair(b), b);
    });
    const ThreadId victim = *most;
    const VirtualTime had = threads_[victim].fair + now - threads_[victim].since;
    if (had > thread.fair + kWakeUpGranularity) {
      TakeOff(victim, now);
      MakeReady(victim);
    }
  }
  MakeReady(id);
  Dispatch(host, now);
}

void SimulatedHosts::MakeReady(ThreadId id) {
  hosts_[threads_[id].host].ready.insert({threads_[id].fair, id});
}

void SimulatedHosts::Dispatch(Host& host, VirtualTime now) {
  while (host.running.size() < host.cores && !host.ready.empty()) {
    const auto [fair, id] = *host.ready.begin();
    host.ready.erase(host.ready.begin());
    host.least_fair = std::max(host.least_fair, fair);
    host.running.push_back(id);
    RunOn(host, id, now);
  }
}

void SimulatedHosts::RunOn(Host& host, ThreadId id, VirtualTime now) {
  const std::uint32_t process = threads_[id].process;
  auto core = std::find_if(host.idle.begin(), host.idle.end(),
                           [&](std::uint32_t idle) { return host.last[idle] == process; });
  if (core == host.idle.end()) core = host.idle.begin();
  threads_[id].running = true;
  threads_[id].since = now;
  threads_[id].core = *core;
  const std::uint32_t before = std::exchange(host.last[*core], process);
  host.idle.erase(core);
  if (!threads_[id].begun) {
    const Job job = threads_[id].jobs.front();
    const VirtualTime cost = driver_.Begin(id, job, now);
    threads_[id].left = cost;
    threads_[id].begun = true;
  }
  Thread& thread = threads_[id];
  if (before != process && before != kNobody) thread.left += switch_cost_;
  driver_.WakeAt(now + std::min(thread.left, kTimeSlice), id, ++thread.ticket);
}

void SimulatedHosts::TakeOff(ThreadId id, VirtualTime now) {
  Thread& thread = threads_[id];
  const VirtualTime ran = now - thread.since;
  thread.ran += ran, thread.fair += ran, thread.left -= ran;
  thread.running = false;
  ++thread.ticket;
  hosts_[thread.host].idle.push_back(thread.core);
  auto& running = hosts_[thread.host].running;
  running.erase(std::find(running.begin(), running.end(), id));
}

void SimulatedHosts::Wake(ThreadId id, std::uint32_t ticket, VirtualTime now) {
  if (threads_[id].ticket != ticket || !threads_[id].running) return;
  const std::uint32_t host = threads_[id].host;
  TakeOff(id, now);
  if (threads_[id].left <= 0) {
    const Job job = threads_[id].jobs.front();
    threads_[id].jobs.pop_front();
    threads_[id].begun = false;
    // Still active: what `end` hands in for this thread waits its turn.
    driver_.End(id, job, now);
  }
  if (threads_[id].jobs.empty()) {
    threads_[id].active = false;
  } else {
    MakeReady(id);
  }
  Dispatch(hosts_[host], now);
}

}  // namespace cohort
