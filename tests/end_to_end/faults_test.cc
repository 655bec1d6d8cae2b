// Kills and stops the processes of real runs at random moments; the run ends by itself, with the model of an undisturbed one.
//
// COHORT_FAULTS: how many faults (default 10), COHORT_FAULT_SEED: which (default 1). Each fault is printed with what it hit: a
// process that was alive, in a run with steps left.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/processes.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

json LastLineOf(const std::string& path) {
  const std::string text = ReadFile(path);
  const std::size_t end = text.rfind('\n');
  if (end == std::string::npos || end == 0) return {};
  const std::size_t before = text.rfind('\n', end - 1);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return json::parse(text.substr(begin, end - begin), nullptr, false);
}

// Alive: not a zombie, and not stopped.
bool IsAlive(pid_t pid) {
  const std::string stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name = stat.rfind(')');
  return name != std::string::npos && name + 2 < stat.size() && stat[name + 2] != 'Z' &&
         stat[name + 2] != 'T';
}

constexpr std::array<const char*, 3> kRoles = {"scheduler", "shard", "worker"};

struct Victim {
  std::string name;  // "worker 1"
  pid_t pid = -1;
};

class Faults : public ::testing::Test {
 protected:
  // A run of some ten seconds.
  static std::string Epochs(const std::string& consistency) { return consistency == "asp" ? "600" : "250"; }
  std::vector<std::string> Options(const std::string& consistency, int replicas = 0) const {
    return {"--set", "train.epochs=" + Epochs(consistency),
            "--set", "cluster.replicas=" + std::to_string(replicas),
            "--set", "train.evaluate_each_epoch=false",
            "--set", "train.consistency=" + consistency,
            "--set", "checkpoint.every_steps=200",
            "--set", "cluster.recoveries=1000"};
  }
  std::string Folder(const std::string& run) const { return ShopRun::Get().folder() / run; }

  std::optional<Victim> Pick(const std::string& run, const std::string& role) {
    const json cluster = json::parse(ReadFile(Folder(run) + "/cluster.json"), nullptr, false);
    if (!cluster.is_object()) return std::nullopt;
    if (role == "scheduler") return Victim{role, cluster["scheduler"]["pid"].get<pid_t>()};
    std::vector<Victim> victims;
    for (const json& member : cluster["members"]) {
      if (member["role"] == role && member["state"] == "alive")
        victims.push_back({role + " " + member["index"].dump(), member["pid"].get<pid_t>()});
    }
    if (victims.empty()) return std::nullopt;
    return victims[random_() % victims.size()];
  }

  // The newest checkpoint has no manifest yet.
  bool WritesCheckpoint(const std::string& run) const {
    std::filesystem::path newest;
    std::error_code ignored;
    for (std::filesystem::directory_iterator entry(Folder(run) + "/checkpoints", ignored), end; entry != end;
         entry.increment(ignored))
      newest = std::max(newest, entry->path());
    return !newest.empty() && !std::filesystem::exists(newest / "manifest.json", ignored);
  }

  // The folder of the newest one with a manifest; empty: none.
  std::string NewestCheckpointOf(const std::string& run) const {
    std::set<std::string> complete;
    std::error_code ignored;
    for (std::filesystem::directory_iterator entry(Folder(run) + "/checkpoints", ignored), end; entry != end;
         entry.increment(ignored)) {
      if (std::filesystem::exists(entry->path() / "manifest.json", ignored)) complete.insert(entry->path());
    }
    return complete.empty() ? "" : *complete.rbegin();
  }

  // Runs until the end, with up to `most` faults.
  int Disturb(const std::string& run, const std::string& consistency, int replicas, int most) {
    Subprocess train(ShopRun::Get().TrainCommand(run, 2, 2, Options(consistency, replicas)));
    std::map<pid_t, std::chrono::steady_clock::time_point> stopped;
    int faults = 0;
    // Of the next fault: while the run still recovers from the one before; while a checkpoint is written, if there is one.
    bool soon = false, in_checkpoint = random_() % 3 == 0;
    auto next = std::chrono::steady_clock::now() + milliseconds(500 + random_() % 2000);
    const auto limit = std::chrono::steady_clock::now() + seconds(60 + 20 * most) * kSlowdown;
    while (train.Running() && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(
          milliseconds(in_checkpoint ? 1 : 5));  // polls: for the end, and for the moment of the next fault
      const auto now = std::chrono::steady_clock::now();
      // Some of those that were stopped wake up again, when others have long taken their place.
      std::erase_if(stopped, [&](const auto& each) {
        if (now < each.second) return false;
        kill(each.first, SIGCONT);
        return true;
      });
      if (faults == most || now < next) continue;
      if (in_checkpoint && !WritesCheckpoint(run) && now < next + seconds(3)) continue;
      const json metrics = LastLineOf(Folder(run) + "/metrics.jsonl");
      const auto victim = Pick(run, kRoles[random_() % kRoles.size()]);
      if (!victim || !metrics.is_object() || metrics.value("kind", "") != "train" || !IsAlive(victim->pid))
        continue;
      const bool stop = random_() % 10 < 3;
      if (kill(victim->pid, stop ? SIGSTOP : SIGKILL) != 0) continue;
      if (stop && random_() % 2 == 0) stopped[victim->pid] = now + milliseconds(4000 + random_() % 4000);
      ++faults;
      const bool writes = WritesCheckpoint(run);
      checkpoints_hit_ += writes ? 1 : 0;
      ++hit_[victim->name.substr(0, victim->name.find(' '))];
      std::printf("  fault %d: %s %s (pid %d, alive) in epoch %s of %s, clock %s%s%s\n", faults,
                  stop ? "SIGSTOP" : "SIGKILL", victim->name.c_str(), victim->pid,
                  metrics["epoch"].dump().c_str(), Epochs(consistency).c_str(),
                  metrics["highest_clock"].dump().c_str(), writes ? ", during a checkpoint" : "",
                  soon ? ", soon after the one before" : "");
      soon = random_() % 4 == 0;
      in_checkpoint = !soon && random_() % 3 == 0;
      next = std::chrono::steady_clock::now() +
             (soon ? milliseconds(random_() % 500) : milliseconds(1000 + random_() % 4000));
    }
    const Outcome outcome = train.Wait(seconds(60));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all() << ReadFile(Folder(run) + "/log.txt");
    EXPECT_TRUE(Within(seconds(5), [&] { return ProcessesWith(Folder(run)).empty(); }));
    return faults;
  }

  void ExpectSameModel(const json& undisturbed, const std::string& run, bool same_hash) {
    const json result = ShopRun::Get().Result(run);
    ASSERT_TRUE(result.is_object());
    EXPECT_EQ(result.value("status", ""), "done") << result.value("reason", "");
    if (same_hash) {
      EXPECT_EQ(result.value("model_hash", ""), undisturbed.value("model_hash", "?"));
    }
    EXPECT_EQ(result.value("model_rows", 0), undisturbed.value("model_rows", 1));
    EXPECT_EQ(result["pushes"]["lost"], 0);
    EXPECT_EQ(result.value("steps", 0), undisturbed.value("steps", 1));
    for (const json& epoch : result["epochs"])
      EXPECT_EQ(epoch["samples"], undisturbed["epochs"][0]["samples"]);
    // Which parts there are follows from the data, whoever pushes them: as many as ever means that each has counted once.
    EXPECT_EQ(result["pushes"]["acknowledged"], undisturbed["pushes"]["acknowledged"]);
    std::printf("  %s: %s s, %s, pushes %s\n", run.c_str(), result["seconds"].dump().c_str(),
                result["recoveries"].dump().c_str(), result["pushes"].dump().c_str());
  }

  static int Wanted() { return static_cast<int>(FromEnvironment("COHORT_FAULTS", 10)); }

  // Runs until so many faults were had, a few in each.
  void DisturbRuns(const std::string& consistency, int wanted, int least_replicas, bool same_hash) {
    const json undisturbed = Undisturbed(consistency);
    int faults = 0;
    for (int number = 0; faults < wanted && !HasFailure(); ++number) {
      ASSERT_LT(number, wanted + 10) << "the runs end before there is a fault";
      const std::string run = "disturbed-" + consistency + "-" + std::to_string(number);
      const int replicas = number % 2 == 0 ? 1 : least_replicas;
      std::printf("run %d, replicas = %d\n", number, replicas);
      faults += Disturb(run, consistency, replicas, std::min(wanted - faults, 8));
      ExpectSameModel(undisturbed, run, same_hash);
      std::filesystem::remove_all(Folder(run));
    }
    std::printf("%d of %d faults came during a checkpoint\n", checkpoints_hit_, faults);
    for (const char* role : kRoles) {
      std::printf("%d of %d faults hit a %s\n", hit_[role], faults, role);
      if (faults >= 50) {
        EXPECT_GE(hit_[role] * 5, faults) << role;
      }
    }
  }

  json Undisturbed(const std::string& consistency) {
    static std::map<std::string, json> results;
    json& result = results[consistency];
    if (result.is_null()) {
      const std::string run = "undisturbed-" + consistency;
      const Outcome outcome = ShopRun::Get().Train(run, 2, 2, Options(consistency));
      EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
      result = ShopRun::Get().Result(run);
    }
    return result;
  }

  std::mt19937_64 random_{FromEnvironment("COHORT_FAULT_SEED", 1)};
  std::map<std::string, int> hit_;
  int checkpoints_hit_ = 0;
};

TEST_F(Faults, KillAnythingAndTheModelIsTheSame) {
  DisturbRuns("bsp", Wanted(), /*least_replicas=*/0, /*same_hash=*/true);
}

// A server that dies costs no steps when the other one has its rows too.
TEST_F(Faults, ABackupTakesADeadServersPlace) {
  const json undisturbed = Undisturbed("bsp");
  for (const int signal : {SIGKILL, SIGSTOP}) {
    const std::string run = signal == SIGKILL ? "killed-server" : "stopped-server";
    Subprocess train(ShopRun::Get().TrainCommand(run, 2, 2, Options("bsp", 1)));
    ASSERT_TRUE(Within(seconds(60), [&] {
      return LastLineOf(Folder(run) + "/metrics.jsonl").is_object() || !train.Running();
    }));
    const auto shard = Pick(run, "shard");
    ASSERT_TRUE(shard && kill(shard->pid, signal) == 0);
    const Outcome outcome = train.Wait(seconds(60));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    ExpectSameModel(undisturbed, run, /*same_hash=*/true);
    const json result = ShopRun::Get().Result(run);
    EXPECT_EQ(result["recoveries"]["failovers"], 1);
    EXPECT_EQ(result["recoveries"]["restarts"], 0);
    EXPECT_EQ(result["pushes"]["rolled_back"], 0);
  }
}

// In asp the order of arrival decides; every row is trained on once all the same.
TEST_F(Faults, KillAnythingInAsp) {
  DisturbRuns("asp", std::max(4, Wanted() / 2), /*least_replicas=*/1, /*same_hash=*/false);
}

// Nobody but the supervisor can tell, and it must not wait for what others may be silent.
TEST_F(Faults, AStoppedSchedulerIsAsGoodAsDead) {
  const json undisturbed = Undisturbed("bsp");
  const std::string run = "stopped-scheduler";
  Subprocess train(ShopRun::Get().TrainCommand(run, 2, 2, Options("bsp")));
  ASSERT_TRUE(Within(seconds(60), [&] {
    return LastLineOf(Folder(run) + "/metrics.jsonl").is_object() || !train.Running();
  }));
  const auto scheduler = Pick(run, "scheduler");
  ASSERT_TRUE(scheduler && kill(scheduler->pid, SIGSTOP) == 0);
  const Outcome outcome = train.Wait(seconds(90));  // 8 of silence, and a run on a busy machine
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  ExpectSameModel(undisturbed, run, /*same_hash=*/true);
  const json result = ShopRun::Get().Result(run);
  EXPECT_EQ(result["recoveries"]["takeovers"], 1);
  EXPECT_EQ(result["recoveries"]["restarts"], 0);
}

// Servers and workers go on meanwhile: nothing is rolled back.
TEST_F(Faults, AnotherSchedulerTakesADeadOnesPlace) {
  const json undisturbed = Undisturbed("bsp");
  const std::string run = "killed-scheduler";
  Subprocess train(ShopRun::Get().TrainCommand(run, 2, 2, Options("bsp")));
  pid_t before = -1;
  for (int deaths = 0; deaths < 2; ++deaths) {
    std::optional<Victim> scheduler;
    ASSERT_TRUE(Within(seconds(60), [&] {
      const json metrics = LastLineOf(Folder(run) + "/metrics.jsonl");
      if (metrics.is_object() && metrics.value("kind", "") == "train") scheduler = Pick(run, "scheduler");
      return !train.Running() || (scheduler && scheduler->pid != before);
    }));
    ASSERT_TRUE(train.Running() && kill(scheduler->pid, SIGKILL) == 0);
    before = scheduler->pid;
  }
  const Outcome outcome = train.Wait(seconds(60));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  ExpectSameModel(undisturbed, run, /*same_hash=*/true);
  const json result = ShopRun::Get().Result(run);
  EXPECT_EQ(result["recoveries"]["takeovers"], 2);
  EXPECT_EQ(result["recoveries"]["restarts"], 0);
  EXPECT_EQ(result["pushes"]["rolled_back"], 0);
  EXPECT_EQ(result["tasks"], undisturbed["tasks"]);
  EXPECT_FALSE(std::filesystem::exists(Folder(run) + "/journal"));
}

// `cohort train` itself, and mpirun: no orphan is left, and what --resume gives is the same.
TEST_F(Faults, KillTheLauncherAndResume) {
  const json undisturbed = Undisturbed("bsp");
  int killed = 0;
  const int rounds = std::max(1, Wanted() / 10);
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    const std::string run = "launcher-" + std::to_string(round);
    Subprocess train(ShopRun::Get().TrainCommand(run, 2, 2, Options("bsp")));
    ASSERT_TRUE(Within(seconds(60), [&] {
      return LastLineOf(Folder(run) + "/metrics.jsonl").is_object() || !train.Running();
    }));
    std::this_thread::sleep_for(
        milliseconds(random_() % 2500));  // the moment of the fault: nothing is waited for
    if (!train.Running()) continue;       // too fast
    ++killed;
    train.Signal(SIGKILL);
    train.Wait(seconds(5));
    EXPECT_TRUE(Within(seconds(5), [&] { return ProcessesWith(Folder(run)).empty(); }));
    for (const FoundProcess& process : ProcessesWith(Folder(run)))
      ADD_FAILURE() << "left running: " << process.command;
    const std::string run_file = ReadFile(Folder(run) + "/run.toml");
    const Outcome other =
        RunProgram({Program(), "train", "--resume", Folder(run), "--set", "train.epochs=3"}, seconds(60));
    EXPECT_EQ(other.exit_code, 2) << other.all();
    EXPECT_NE(other.all().find("[train] epochs = 3 was epochs = " + Epochs("bsp")), std::string::npos)
        << other.all();
    EXPECT_EQ(ReadFile(Folder(run) + "/run.toml"), run_file);
    // A run file that has been edited is compared with the run's own, and the run goes on as it was.
    std::string edited = ReadFile(ShopRun::Get().run_file());
    edited.replace(edited.find("seed = 1"), 8, "seed = 9");
    Words words = {Program(), "train", ShopRun::Get().folder().Write("edited.toml", edited), "--resume",
                   Folder(run)};
    for (const std::string& option : Options("bsp")) words.push_back(option);
    words.insert(words.end(), {"--servers", "2", "--workers", "2"});
    const Outcome resumed = RunProgram(words, seconds(120));
    EXPECT_EQ(resumed.exit_code, 0) << resumed.all();
    EXPECT_NE(resumed.err.find("edited.toml is not as it was when the run in " + Folder(run) + " was begun"),
              std::string::npos)
        << resumed.err;
    EXPECT_NE(resumed.err.find("changes:\n  seed = 9 was seed = 1\n  to train with them"), std::string::npos)
        << resumed.err;
    ExpectSameModel(undisturbed, run, /*same_hash=*/true);
    const Outcome again = RunProgram({Program(), "train", "--resume", Folder(run)}, seconds(60));
    EXPECT_EQ(again.exit_code, 2);
    EXPECT_NE(again.all().find("has ended well"), std::string::npos) << again.all();
    std::filesystem::remove_all(Folder(run));
  }
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    const std::string run = "mpirun-" + std::to_string(round);
    Subprocess train(ShopRun::Get().TrainCommand(run, 2, 2, Options("bsp")));
    ASSERT_TRUE(Within(seconds(60), [&] {
      return LastLineOf(Folder(run) + "/metrics.jsonl").is_object() || !train.Running();
    }));
    std::this_thread::sleep_for(milliseconds(random_() % 2500));  // likewise
    for (const FoundProcess& process : ProcessesWith(Folder(run))) {
      if (process.command.starts_with("mpirun") && kill(process.pid, SIGKILL) == 0) ++killed;
    }
    const Outcome outcome = train.Wait(seconds(120));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    ExpectSameModel(undisturbed, run, /*same_hash=*/true);
    EXPECT_TRUE(Within(seconds(5), [&] { return ProcessesWith(Folder(run)).empty(); }));
    std::filesystem::remove_all(Folder(run));
  }
  std::printf("%d of %d kills hit a run with steps left\n", killed, 2 * rounds);
  EXPECT_GT(killed, 0);
}

// A checkpoint that was cut into other parts meanwhile, by a tool, is the same checkpoint.
TEST_F(Faults, GoesOnFromAReshardedCheckpoint) {
  const json undisturbed = Undisturbed("bsp");
  const std::string run = "resharded", checkpoints = Folder(run) + "/checkpoints";
  Subprocess train(ShopRun::Get().TrainCommand(run, 2, 2, Options("bsp")));
  ASSERT_TRUE(Within(seconds(60), [&] { return !NewestCheckpointOf(run).empty() || !train.Running(); }));
  ASSERT_TRUE(train.Running());
  train.Signal(SIGKILL);
  train.Wait(seconds(5));
  ASSERT_TRUE(Within(seconds(5), [&] { return ProcessesWith(Folder(run)).empty(); }));
  const std::string checkpoint = NewestCheckpointOf(run), out = Folder(run) + "/in-five-parts";
  const Outcome made =
      RunProgram({Program(), "reshard", checkpoint, "--shards", "5", "--out", out, "--json"});
  ASSERT_EQ(made.exit_code, 0) << made.all();
  EXPECT_EQ(json::parse(made.out)["parts"], 5);
  const Outcome compared = RunProgram({Program(), "diff", checkpoint, out, "--json"});
  EXPECT_EQ(compared.exit_code, 0) << compared.all();
  EXPECT_EQ(json::parse(compared.out)["status"], "same");
  std::filesystem::remove_all(checkpoints);
  std::filesystem::create_directory(checkpoints);
  std::filesystem::rename(out, checkpoint);
  const Outcome resumed =
      RunProgram({Program(), "train", "--resume", Folder(run), "--servers", "3"}, seconds(120));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.all();
  EXPECT_NE(resumed.all().find("going on from " + checkpoint), std::string::npos) << resumed.all();
  ExpectSameModel(undisturbed, run, /*same_hash=*/true);
}

// Many ids, of which few are met between two checkpoints: these have the rows that have changed, over former ones.
TEST_F(Faults, GoesOnFromIncrementalCheckpoints) {
  const TemporaryFolder& folder = ShopRun::Get().folder();
  std::string rows = "uid,y\n";
  for (int i = 0; i < 60000; ++i) rows += std::to_string(i) + (i % 3 == 0 ? ",1\n" : ",0\n");
  folder.Write("ids.csv", rows);
  folder.Write("ids.toml", R"([source]
files = ["ids.csv"]
[split]
hash_of = "uid"
valid = 0.02
test = 0.02
[[feature]]
name = "uid"
column = "uid"
type = "categorical"
[[task]]
name = "y"
column = "y"
type = "binary"
positive = ["1"]
)");
  folder.Write("ids-run.toml", R"(data = "ids.h5"
[model]
kind = "single"
embedding_dim = 8
expert_layers = [16]
tower_layers = [8]
[train]
epochs = 6
batch_size = 100
evaluate_train = false
evaluate_each_epoch = false
[cluster]
servers = 2
workers = 2
recoveries = 100
[checkpoint]
every_steps = 30
full_every = 8
)");
  const Outcome prepared =
      RunProgram({Program(), "prepare", folder / "ids.toml", "--out", folder / "ids.h5"});
  ASSERT_EQ(prepared.exit_code, 0) << prepared.all();
  const auto command = [&](const std::string& run) {
    return std::vector<std::string>{Program(), "train", folder / "ids-run.toml", "--out", Folder(run)};
  };
  const Outcome outcome = RunProgram(command("ids"), seconds(120));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json undisturbed = ShopRun::Get().Result("ids");
  const auto incremental = [this](const std::string& run) {
    const std::string newest = NewestCheckpointOf(run);
    return !newest.empty() && ReadFile(newest + "/manifest.json").find("\"layers\"") != std::string::npos;
  };
  // A server dies, and all go back to the newest checkpoint; then `cohort train` dies.
  for (int trial = 0;; ++trial) {
    ASSERT_LT(trial, 10) << "no incremental checkpoint was the newest";
    const std::string run = "ids-" + std::to_string(trial);
    Subprocess train(command(run));
    ASSERT_TRUE(Within(seconds(60), [&] { return incremental(run) || !train.Running(); }));
    const auto server = Pick(run, "shard"), scheduler = Pick(run, "scheduler");
    ASSERT_TRUE(train.Running() && server && scheduler && kill(server->pid, SIGKILL) == 0);
    ASSERT_TRUE(Within(seconds(60), [&] {
      const auto now = Pick(run, "scheduler");
      return !train.Running() || (now && now->pid != scheduler->pid);
    }));
    const std::string before = NewestCheckpointOf(run);
    ASSERT_TRUE(Within(seconds(60), [&] {
      return !train.Running() || (NewestCheckpointOf(run) != before && incremental(run));
    }));
    train.Signal(SIGKILL);
    train.Wait(seconds(5));
    ASSERT_TRUE(Within(seconds(5), [&] { return ProcessesWith(Folder(run)).empty(); }));
    const bool is = incremental(run);
    const Outcome verified = RunProgram({Program(), "verify", NewestCheckpointOf(run)});
    EXPECT_EQ(verified.exit_code, 0) << verified.all();
    const std::string from = NewestCheckpointOf(run);
    const Outcome resumed =
        RunProgram({Program(), "train", "--resume", Folder(run), "--servers", "3"}, seconds(120));
    EXPECT_EQ(resumed.exit_code, 0) << resumed.all();
    EXPECT_NE(resumed.all().find("going on from " + from), std::string::npos) << resumed.all();
    ExpectSameModel(undisturbed, run, /*same_hash=*/true);
    if (is) break;
  }
}

}  // namespace
}  // namespace cohort::testing
