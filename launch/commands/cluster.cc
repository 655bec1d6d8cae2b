// cohort cluster: changes who takes part in a run that goes on (docs/recovery.md, "Elasticity"), and shows it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

#include "common/atomic_file.h"
#include "common/process.h"
#include "launch/cluster_file.h"
#include "launch/cluster_requests.h"
#include "launch/commands/commands.h"
#include "launch/run_folder.h"

namespace cohort {
namespace {

constexpr auto kLook = std::chrono::milliseconds(100);
constexpr auto kGone = std::chrono::seconds(5);          // another scheduler takes a dead one's place sooner
constexpr auto kFirstAnswer = std::chrono::seconds(20);  // the scheduler looks five times a second

Result<ClusterFile> ReadCluster(const std::string& run) {
  const std::string path = run + "/" + kClusterFile;
  const auto text = ReadFile(path);
  if (!text) {
    return InvalidInput(run + ": there is no " + kClusterFile +
                        "; expected the RUN_DIR of `cohort train`, once everyone has registered");
  }
  return ClusterFromJson(*text, path);
}

// Why nobody would answer.
Status CheckAlive(const std::string& run, const ClusterFile& cluster) {
  if (!RunFolder::IsHeld(run))
    return {ErrorCode::kInvalidInput, "the run in " + run + " is over; only one that goes on can be changed"};
  if (cluster.scheduler_host == HostName() && !ProcessLives(cluster.scheduler_pid)) {
    return {ErrorCode::kUnavailable,
            "the scheduler of the run in " + run + " (pid " + std::to_string(cluster.scheduler_pid) +
                ") is gone; if the run goes on from a checkpoint, ask again when it does"};
  }
  return {};
}

Status Ask(const std::string& run, const ClusterChange& change, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const ClusterFile cluster, ReadCluster(run));
  COHORT_RETURN_IF_ERROR(CheckAlive(run, cluster));
  COHORT_ASSIGN_OR_RETURN(const std::string path, SendRequest(run, change));
  const auto asked = std::chrono::steady_clock::now();
  auto lived = asked;
  std::string shown;
  for (bool answered = false;; std::this_thread::sleep_for(kLook)) {
    if (const auto text = ReadFile(path)) {
      answered = true;
      COHORT_ASSIGN_OR_RETURN(const RequestAnswer answer, AnswerFromJson(*text, path));
      switch (answer.state) {
        case RequestAnswer::State::kRefused:
          return {ErrorCode::kInvalidInput, answer.text};
        case RequestAnswer::State::kFailed:
          return {ErrorCode::kUnavailable, answer.text};
        case RequestAnswer::State::kDone:
          console.Print(std::string(KindName(change.kind)) + " is done" +
                        (answer.text.empty() ? "" : ": " + answer.text));
          return {};
        case RequestAnswer::State::kUnderWay:
          if (answer.text != shown) console.Note("waiting for " + answer.text);
          shown = answer.text;
      }
    }
    // What it has written before it ended is read first.
    const auto now = ReadCluster(run);
    const Status alive = now ? CheckAlive(run, *now) : now.error();
    if (alive.ok()) lived = std::chrono::steady_clock::now();
    if (std::chrono::steady_clock::now() > lived + (RunFolder::IsHeld(run) ? kGone : 2 * kLook)) return alive;
    if (!answered && std::chrono::steady_clock::now() > asked + kFirstAnswer) {
      return {ErrorCode::kTimeout, "the scheduler (pid " + std::to_string(cluster.scheduler_pid) +
                                       " on host " + cluster.scheduler_host +
                                       ") has not answered; is it stopped?"};
    }
  }
}

Status Show(const std::string& run, Console& console) {
  COHORT_ASSIGN_OR_RETURN(ClusterFile cluster, ReadCluster(run));
  const bool over = !RunFolder::IsHeld(run);
  // By server; workers last.
  std::stable_sort(cluster.members.begin(), cluster.members.end(), [](const auto& a, const auto& b) {
    const auto key = [](const ClusterFile::Process& each) {
      const bool worker = each.node.role == Role::kWorker;
      return std::tuple(worker, worker ? 0 : each.server, each.node.role, each.node.index);
    };
    return key(a) < key(b);
  });
  char line[256];
  const auto row = [&](const std::string& server, const std::string& who, const std::string& host,
                       const std::string& pid, const std::string& incarnation) {
    std::snprintf(line, sizeof(line), "%-8s %-12s %-20s %10s %12s", server.c_str(), who.c_str(), host.c_str(),
                  pid.c_str(), incarnation.c_str());
    return std::string(line);
  };
  std::string table = row("server", "who", "host", "pid", "incarnation") + "\n" +
                      row("", "scheduler", cluster.scheduler_host, std::to_string(cluster.scheduler_pid), "");
  nlohmann::json members = nlohmann::json::array();
  for (const ClusterFile::Process& each : cluster.members) {
    const bool worker = each.node.role == Role::kWorker;
    const std::string server = worker ? "" : std::to_string(each.server);
    table +=
        "\n" + row(server, ToString(each.node), each.host,
                   each.missing ? "missing" : std::to_string(each.pid), std::to_string(each.incarnation));
    nlohmann::json member = {{"role", RoleName(each.node.role)},
                             {"index", each.node.index},
                             {"host", each.host},
                             {"pid", each.pid},
                             {"missing", each.missing},
                             {"incarnation", each.incarnation}};
    if (!worker) member["server"] = each.server;
    members.push_back(std::move(member));
  }
  console.Print((over ? "the run is over; at its end:\n" : "") + table);
  console.SetJson(
      nlohmann::json{{"status", "done"},
                     {"running", !over},
                     {"scheduler", {{"host", cluster.scheduler_host}, {"pid", cluster.scheduler_pid}}},
                     {"members", std::move(members)}}
          .dump());
  return {};
}

struct ClusterArguments {
  std::string run, host;
  std::uint32_t index = 0;
};

}  // namespace

void AddCluster(CLI::App& app, Commands& commands) {
  auto arguments = std::make_shared<ClusterArguments>();
  CLI::App* cluster = app.add_subcommand(
      "cluster", "add servers or workers to a run that goes on, take them away, or show who takes part");
  cluster->require_subcommand(1);
  auto actions = std::make_shared<std::map<const CLI::App*, std::function<Status(Console&)>>>();
  const auto add = [&](const std::string& name, const std::string& description) {
    CLI::App* command = cluster->add_subcommand(name, description);
    command->add_option("RUN_DIR", arguments->run, "of a run of `cohort train` that goes on")->required();
    return command;
  };
  const auto asks = [&](CLI::App* command, ClusterChange::Kind kind) {
    (*actions)[command] = [arguments, kind](Console& console) {
      return Ask(arguments->run, {kind, arguments->index, arguments->host}, console);
    };
  };
  CLI::App* add_server = add(
      "add-server", "start another server and move its share of the shards to it, while training goes on");
  const auto has_host = [&](CLI::App* command) {
    command->add_option("--host", arguments->host, "where; default: the scheduler's host");
  };
  has_host(add_server);
  asks(add_server, ClusterChange::Kind::kAddServer);
  CLI::App* drain = add("drain-server", "move all that a server holds to the others, then end its process");
  drain->add_option("SERVER", arguments->index, "its number (`cohort cluster status`)")->required();
  asks(drain, ClusterChange::Kind::kDrainServer);
  CLI::App* add_worker =
      add("add-worker",
          "start another worker, which takes part from the next phase on; with leases (ssp, asp, "
          "evaluation) at once");
  has_host(add_worker);
  asks(add_worker, ClusterChange::Kind::kAddWorker);
  CLI::App* remove = add(
      "remove-worker",
      "end a worker's process when it has done what it has: in bsp its share of the epoch, else its lease");
  remove->add_option("WORKER", arguments->index, "its number (`cohort cluster status`)")->required();
  asks(remove, ClusterChange::Kind::kRemoveWorker);
  CLI::App* status = add("status", "who takes part, and where");
  (*actions)[status] = [arguments](Console& console) { return Show(arguments->run, console); };
  commands[cluster] = [cluster, actions](Console& console) {
    return actions->at(cluster->get_subcommands().front())(console);
  };
}

}  // namespace cohort
