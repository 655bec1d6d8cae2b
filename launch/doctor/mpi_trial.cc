#include "launch/doctor/mpi_trial.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "common/process.h"
#include "launch/failed_start.h"
#include "launch/line_process.h"

namespace cohort {
namespace {

constexpr std::size_t kLeastProcesses = 3;                       // a run has one of each program
constexpr Duration kFarewell = std::chrono::milliseconds(1500);  // of mpirun, to end its daemons
constexpr Duration kMpirunTurn = std::chrono::milliseconds(100);

// `greeting_seconds`: until the exchange has to be over; 0: there is none.
std::vector<std::string> MpirunWords(const std::vector<std::string>& hosts, std::int64_t greeting_seconds) {
  std::vector<std::string> command = {"mpirun", "--enable-recovery", "--oversubscribe", "--bind-to", "none"};
  const auto add = [&command](std::initializer_list<std::string> words) {
    command.insert(command.end(), words.begin(), words.end());
  };
  if (geteuid() == 0) add({"--allow-run-as-root"});
  if (!hosts.empty()) {
    std::string list;
    for (const std::string& host : hosts) list += (list.empty() ? "" : ",") + host;
    add({"--map-by", "node", "--host", list});
  }
  const std::string seconds = std::to_string(greeting_seconds), programs = ProgramFolder();
  const std::size_t workers = std::max(hosts.size(), kLeastProcesses) - 2;
  add({"-np", "1", programs + "/cohort-scheduler", kGreetOption, seconds});
  add({":", "-np", "1", programs + "/cohort-server", kGreetOption, seconds});
  add({":", "-np", std::to_string(workers), programs + "/cohort-worker", kGreetOption, seconds});
  return command;
}

// What is worth saying of mpirun's many words: the first line that is none of its frames and rules.
std::string MpirunReason(const LineProcess& mpirun) {
  for (const std::string& line : mpirun.words()) {
    if (SaysSomething(line)) return line;
  }
  return "";
}

// Runs mpirun, and says who greeted. The error; empty: all went well.
std::string Run(const std::vector<std::string>& hosts, std::int64_t greeting_seconds, Duration limit,
                std::vector<std::string>* greeted) {
  greeted->clear();
  auto started = LineProcess::Start(MpirunWords(hosts, greeting_seconds));
  if (!started) return started.error().text();
  LineProcess& mpirun = **started;
  mpirun.SayNoMore();
  const auto listen = [&](std::chrono::steady_clock::time_point until) {
    while (!mpirun.exit_code() && std::chrono::steady_clock::now() < until && StopSignal() == 0) {
      LineProcess::Await({&mpirun},
                         std::min<Duration>(kMpirunTurn, until - std::chrono::steady_clock::now()));
      for (const std::string& line : mpirun.Heard()) {
        const std::string greeting = kGreeting;
        if (line.starts_with(greeting)) greeted->push_back(line.substr(greeting.size()));
      }
    }
  };
  listen(std::chrono::steady_clock::now() + limit);
  const bool late = !mpirun.exit_code();
  if (late) {
    mpirun.Stop();
    listen(std::chrono::steady_clock::now() + kFarewell);
  }
  const std::size_t expected = std::max(hosts.size(), kLeastProcesses);
  if (!late && mpirun.exit_code() == 0 && greeted->size() == expected) return "";
  std::string error =
      late ? "was not over within " +
                 std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) + " s"
           : std::to_string(greeted->size()) + " of " + std::to_string(expected) +
                 " processes took part, mpirun ended with code " + std::to_string(*mpirun.exit_code());
  const std::string reason = MpirunReason(mpirun);
  return reason.empty() ? error : error + ": " + reason;
}

// Some of the hosts, the first and the last among them, evenly.
std::vector<std::string> Spread(const std::vector<std::string>& hosts, std::size_t count) {
  std::vector<std::string> some;
  for (std::size_t i = 0; i < count; ++i) some.push_back(hosts[i * (hosts.size() - 1) / (count - 1)]);
  return some;
}

}  // namespace

MpiFacts TryMpi(const std::vector<std::string>& hosts, Duration limit) {
  MpiFacts facts;
  facts.tried = true;
  facts.hosts = hosts;
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::string> some = hosts;
  if (hosts.size() > kMostInExchange) {
    facts.error = Run(hosts, 0, limit, &facts.greeted);
    some = Spread(hosts, kMostInExchange);
  }
  facts.exchanged = some.size();
  if (facts.error.empty()) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(limit).count() - 1;
    std::vector<std::string> greeted;
    facts.error = Run(some, std::max<std::int64_t>(1, seconds), limit, &greeted);
    // Who did not come is one of them.
    if (some.size() == hosts.size() || !facts.error.empty()) {
      facts.hosts = some;
      facts.greeted = greeted;
    }
  }
  facts.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return facts;
}

}  // namespace cohort
