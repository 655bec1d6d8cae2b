// `cohort cluster` on real runs: servers and workers go and come while training goes on, and the model is that of an undisturbed run.
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/processes.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using std::chrono::seconds;

class Elasticity : public ::testing::Test {
 protected:
  std::vector<std::string> Options(const std::string& consistency, int replicas = 1) const {
    return {"--set", "train.epochs=200",
            "--set", "cluster.shards_per_server=2",
            "--set", "cluster.replicas=" + std::to_string(replicas),
            "--set", "train.evaluate_each_epoch=false",
            "--set", "train.consistency=" + consistency,
            "--set", "checkpoint.every_steps=200",
            "--set", "cluster.dead_after_seconds=20"};  // who is slow has not died
  }
  std::string Folder(const std::string& run) const { return ShopRun::Get().folder() / run; }

  // Starts a run, and waits until it trains.
  std::unique_ptr<Subprocess> Start(const std::string& run, int servers,
                                    const std::vector<std::string>& options) {
    auto train = std::make_unique<Subprocess>(ShopRun::Get().TrainCommand(run, servers, 2, options));
    EXPECT_TRUE(Within(seconds(60), [&] {
      return ReadFile(Folder(run) + "/metrics.jsonl").find("\"kind\":\"train\"") != std::string::npos ||
             !train->Running();
    }));
    EXPECT_TRUE(train->Running());
    return train;
  }
  Outcome Cluster(const std::string& command, const std::string& run,
                  const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {Program(), "cluster", command, Folder(run)};
    words.insert(words.end(), more.begin(), more.end());
    return RunProgram(words, seconds(60));
  }
  // By server: the pids of its shards and backups.
  std::map<int, std::set<pid_t>> Servers(const std::string& run) {
    std::map<int, std::set<pid_t>> servers;
    const json status = json::parse(Cluster("status", run, {"--json"}).out, nullptr, false);
    for (const json& member : status["members"]) {
      if (member.contains("server")) servers[member["server"]].insert(member["pid"].get<pid_t>());
    }
    return servers;
  }
  // By number.
  std::map<int, pid_t> Workers(const std::string& run) {
    std::map<int, pid_t> workers;
    const json status = json::parse(Cluster("status", run, {"--json"}).out, nullptr, false);
    for (const json& member : status["members"]) {
      if (member["role"] == "worker") workers[member["index"]] = member["pid"].get<pid_t>();
    }
    return workers;
  }
  void ExpectDone(const Outcome& outcome) { EXPECT_EQ(outcome.exit_code, 0) << outcome.all(); }
  void ExpectRefused(const Outcome& outcome, const std::string& reason) {
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_NE(outcome.all().find(reason), std::string::npos) << outcome.all();
  }

  // The run ends well, with the model of one that nobody has touched.
  json ExpectSameModel(Subprocess& train, const std::string& run, const std::string& consistency) {
    const Outcome outcome = train.Wait(seconds(120));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all() << ReadFile(Folder(run) + "/log.txt");
    EXPECT_TRUE(Within(seconds(5), [&] { return ProcessesWith(Folder(run)).empty(); }));
    const json undisturbed = Undisturbed(consistency), result = ShopRun::Get().Result(run);
    if (!result.is_object() || !undisturbed.is_object()) {
      ADD_FAILURE() << "no result";
      return {{"recoveries", {{"moved", -1}}}};
    }
    EXPECT_EQ(result.value("status", ""), "done");
    if (consistency == "bsp") {
      EXPECT_EQ(result.value("model_hash", ""), undisturbed.value("model_hash", "?"));
      EXPECT_EQ(result.value("steps", 0), undisturbed.value("steps", 1));
    }
    EXPECT_EQ(result.value("model_rows", 0), undisturbed.value("model_rows", 1));
    EXPECT_EQ(result["pushes"]["lost"], 0);
    EXPECT_EQ(result["pushes"]["rolled_back"], 0);
    EXPECT_EQ(result["recoveries"]["failovers"], 0);
    EXPECT_EQ(result["recoveries"]["restarts"], 0);
    for (const json& epoch : result["epochs"])
      EXPECT_EQ(epoch["samples"], undisturbed["epochs"][0]["samples"]);
    return result;
  }

  json Undisturbed(const std::string& consistency) {
    static std::map<std::string, json> results;
    json& result = results[consistency];
    if (result.is_null()) {
      const std::string run = "untouched-" + consistency;
      const Outcome outcome = ShopRun::Get().Train(run, 2, 2, Options(consistency, 0));
      EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
      result = ShopRun::Get().Result(run);
    }
    return result;
  }
};

TEST_F(Elasticity, ServersGoAndComeWhileTrainingGoesOn) {
  const std::string run = "elastic";
  const auto train = Start(run, 3, Options("bsp"));
  ExpectRefused(Cluster("drain-server", run, {"7"}), "there is no server 7; there are 0, 1, 2");
  const std::set<pid_t> before = Servers(run)[1];
  ASSERT_EQ(before.size(), 1u);
  Subprocess drain({Program(), "cluster", "drain-server", Folder(run), "1"});
  ASSERT_TRUE(Within(seconds(20), [&] { return !ReadFile(Folder(run) + "/requests/0002.json").empty(); }));
  ExpectRefused(Cluster("drain-server", run, {"2"}), "is under way");
  const Outcome drained = drain.Wait(seconds(60));
  EXPECT_EQ(drained.exit_code, 0) << drained.all();
  EXPECT_FALSE(Servers(run).contains(1));
  EXPECT_NE(kill(*before.begin(), 0), 0) << "its process is to be gone";
  ExpectRefused(Cluster("drain-server", run, {"1"}), "there is no server 1; there are 0, 2");
  ExpectRefused(Cluster("drain-server", run, {"0"}), "are the last two");

  const Outcome added = Cluster("add-server", run);
  EXPECT_EQ(added.exit_code, 0) << added.all();
  EXPECT_EQ(Servers(run)[3].size(), 1u) << "one process for all that it holds";
  ASSERT_TRUE(train->Running());
  const json result = ExpectSameModel(*train, run, "bsp");
  EXPECT_EQ(result["recoveries"]["moved"], 4);
  ExpectRefused(Cluster("add-server", run), "is over");
  const Outcome after = Cluster("status", run);
  EXPECT_EQ(after.exit_code, 0);
  EXPECT_NE(after.all().find("the run is over"), std::string::npos) << after.all();
}

// Another scheduler goes on with what the dead one had begun, and the command hears of its end.
TEST_F(Elasticity, AChangeOutlivesTheScheduler) {
  const std::string run = "elastic-scheduler";
  const auto train = Start(run, 3, Options("bsp"));
  Subprocess drain({Program(), "cluster", "drain-server", Folder(run), "1"});
  ASSERT_TRUE(
      Within(seconds(20), [&] { return !ReadFile(Folder(run) + "/requests/0001.answer.json").empty(); }));
  const json cluster = json::parse(ReadFile(Folder(run) + "/cluster.json"), nullptr, false);
  ASSERT_TRUE(cluster.is_object());
  ASSERT_EQ(kill(cluster["scheduler"]["pid"].get<pid_t>(), SIGKILL), 0);
  const Outcome drained = drain.Wait(seconds(60));
  EXPECT_EQ(drained.exit_code, 0) << drained.all();
  const json result = ExpectSameModel(*train, run, "bsp");
  EXPECT_EQ(result["recoveries"]["takeovers"], 1);
  EXPECT_EQ(result["recoveries"]["restarts"], 0);
  EXPECT_GE(result["recoveries"]["moved"], 2);
}

// What is acknowledged on arrival is in both copies.
TEST_F(Elasticity, ServersGoAndComeInAsp) {
  const std::string run = "elastic-asp";
  const auto train = Start(run, 3, Options("asp"));
  const Outcome drained = Cluster("drain-server", run, {"0"});
  EXPECT_EQ(drained.exit_code, 0) << drained.all();
  const Outcome added = Cluster("add-server", run, {"--json"});
  EXPECT_EQ(added.exit_code, 0) << added.all();
  EXPECT_EQ(json::parse(added.out, nullptr, false)["status"], "done");
  ASSERT_TRUE(train->Running());
  EXPECT_EQ(ExpectSameModel(*train, run, "asp")["recoveries"]["moved"], 4);
}

// An added server dies, and gets a process again, like any other.
TEST_F(Elasticity, AnAddedServerIsReplacedLikeOthers) {
  const std::string run = "elastic-death";
  const auto train = Start(run, 2, Options("bsp"));
  const Outcome added = Cluster("add-server", run);
  ASSERT_EQ(added.exit_code, 0) << added.all();
  const std::set<pid_t> pids = Servers(run)[2];
  ASSERT_EQ(pids.size(), 1u);
  ASSERT_EQ(kill(*pids.begin(), SIGKILL), 0);
  EXPECT_TRUE(Within(seconds(20), [&] {
    const std::set<pid_t> now = Servers(run)[2];
    return !train->Running() || (now.size() == 1 && *now.begin() != 0 && now != pids);
  }));
  EXPECT_TRUE(train->Running());
  const Outcome outcome = train->Wait(seconds(120));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = ShopRun::Get().Result(run);
  EXPECT_EQ(result.value("model_hash", ""), Undisturbed("bsp").value("model_hash", "?"));
  EXPECT_EQ(result["recoveries"]["failovers"], 1);
  EXPECT_EQ(result["pushes"]["lost"], 0);
}

// Without replicas. One that came is replaced like any other; one that goes is not.
TEST_F(Elasticity, WorkersComeAndGoWhileTrainingGoesOn) {
  const std::string run = "workers";
  const auto train = Start(run, 2, Options("bsp", 0));
  ExpectRefused(Cluster("remove-worker", run, {"7"}), "there is no worker 7; there are 0, 1");
  const Outcome added = Cluster("add-worker", run);
  ExpectDone(added);
  EXPECT_NE(added.all().find("waiting for worker 2 to start"), std::string::npos) << added.all();
  std::map<int, pid_t> workers = Workers(run);
  ASSERT_EQ(workers.size(), 3u);
  ExpectDone(Cluster("remove-worker", run, {"0"}));
  EXPECT_NE(kill(workers[0], 0), 0) << "its process is to be gone";
  EXPECT_EQ(Workers(run).count(0), 0u) << "and nobody takes its place";
  ExpectRefused(Cluster("remove-worker", run, {"0"}), "there is no worker 0; there are 1, 2");
  ASSERT_EQ(kill(workers[2], SIGKILL), 0);
  EXPECT_TRUE(Within(seconds(20), [&] {
    const pid_t pid = Workers(run)[2];
    return !train->Running() || (pid != 0 && pid != workers[2]);
  }));
  ExpectDone(Cluster("remove-worker", run, {"1"}));
  ExpectRefused(Cluster("remove-worker", run, {"2"}), "worker 2 is the last one");
  ASSERT_TRUE(train->Running());
  const json result = ExpectSameModel(*train, run, "bsp");
  EXPECT_EQ(result["recoveries"]["workers_replaced"], 1);
}

// Every row of every epoch counts once, whoever had its lease.
TEST_F(Elasticity, WorkersComeAndGoInAsp) {
  const std::string run = "workers-asp";
  const auto train = Start(run, 2, Options("asp"));
  ExpectDone(Cluster("add-worker", run));
  ExpectDone(Cluster("remove-worker", run, {"1"}));
  ExpectDone(Cluster("add-worker", run));
  EXPECT_EQ(Workers(run).size(), 3u);
  EXPECT_EQ(Workers(run).count(1), 0u);
  ASSERT_TRUE(train->Running());
  ExpectSameModel(*train, run, "asp");
}

// A change of workers goes on with another scheduler.
TEST_F(Elasticity, AWorkerComesThoughTheSchedulerDies) {
  const std::string run = "workers-scheduler";
  const auto train = Start(run, 2, Options("bsp", 0));
  Subprocess add({Program(), "cluster", "add-worker", Folder(run)});
  ASSERT_TRUE(
      Within(seconds(20), [&] { return !ReadFile(Folder(run) + "/requests/0001.answer.json").empty(); }));
  const json cluster = json::parse(ReadFile(Folder(run) + "/cluster.json"), nullptr, false);
  ASSERT_TRUE(cluster.is_object());
  ASSERT_EQ(kill(cluster["scheduler"]["pid"].get<pid_t>(), SIGKILL), 0);
  ExpectDone(add.Wait(seconds(60)));
  EXPECT_TRUE(Within(seconds(20), [&] { return Workers(run).size() == 3; }));
  const json result = ExpectSameModel(*train, run, "bsp");
  EXPECT_EQ(result["recoveries"]["takeovers"], 1);
}

// The run goes back to a checkpoint: in bsp with the workers of its start, in asp also with who has leases to finish.
TEST_F(Elasticity, ARunWhoseWorkersHaveChangedGoesOnFromItsCheckpoint) {
  for (const std::string consistency : {"bsp", "asp"}) {
    SCOPED_TRACE(consistency);
    const std::string run = "workers-restart-" + consistency;
    const auto train = Start(run, 2, Options(consistency, 0));
    ExpectDone(Cluster("add-worker", run));
    ExpectDone(Cluster("remove-worker", run, {"0"}));
    const auto checkpoints = [&] {
      std::error_code none;
      return std::distance(std::filesystem::directory_iterator(Folder(run) + "/checkpoints", none), {});
    };
    ASSERT_TRUE(Within(seconds(20), [&] { return checkpoints() > 1 || !train->Running(); }));
    const std::map<int, std::set<pid_t>> servers = Servers(run);
    ASSERT_TRUE(train->Running());
    ASSERT_EQ(kill(*servers.at(1).begin(), SIGKILL), 0);
    const Outcome outcome = train->Wait(seconds(120));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all() << ReadFile(Folder(run) + "/log.txt");
    const json result = ShopRun::Get().Result(run), undisturbed = Undisturbed(consistency);
    EXPECT_EQ(result.value("status", ""), "done");
    EXPECT_EQ(result["recoveries"]["restarts"], 1);
    EXPECT_EQ(result["pushes"]["lost"], 0);
    EXPECT_EQ(result.value("model_rows", 0), undisturbed.value("model_rows", 1));
    if (consistency == "bsp") {
      EXPECT_EQ(result.value("model_hash", ""), undisturbed.value("model_hash", "?"));
    }
    for (const json& epoch : result["epochs"])
      EXPECT_EQ(epoch["samples"], undisturbed["epochs"][0]["samples"]);
  }
}

TEST_F(Elasticity, RefusesWhatCannotBe) {
  const std::string run = "rigid";
  const auto train = Start(run, 2, Options("bsp", 0));
  ExpectRefused(Cluster("add-server", run), "cluster.replicas = 0");
  ExpectRefused(Cluster("drain-server", run, {"0"}), "cluster.replicas = 0");
  ExpectRefused(Cluster("drain-server", run, {"x"}), "x");
  train->Signal(SIGKILL);
  train->Wait(seconds(5));
  EXPECT_TRUE(Within(seconds(5), [&] { return ProcessesWith("--config " + Folder(run)).empty(); }));
  ExpectRefused(Cluster("add-server", run), "is over");
  ExpectRefused(Cluster("status", "nowhere"), "there is no cluster.json");
}

}  // namespace
}  // namespace cohort::testing
