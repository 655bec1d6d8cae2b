// Runs that span three hosts (network namespaces with names and addresses of their own), encrypted, and what a link that fails does to them.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/network_hosts.h"
#include "tests/support/processes.h"

namespace cohort::testing::hosts_test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

class Hosts : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    hosts_ = std::make_unique<NetworkHosts>(3, folder_.path());
    if (!hosts_->failure().empty()) GTEST_SKIP() << "no network namespaces here: " << hosts_->failure();
  }

  static Words Options(int epochs) {
    return Set({"train.epochs=" + std::to_string(epochs), "train.evaluate_each_epoch=false",
                "checkpoint.every_steps=100"});
  }
  std::unique_ptr<Subprocess> Start(const std::string& run, const Words& options) {
    Words words = ShopRun::Get().TrainCommand(run, 2, 2, options);
    words.insert(words.end(), {"--hostfile", hosts_->list()});
    return std::make_unique<Subprocess>(hosts_->On(1, words), hosts_->Environment());
  }
  bool Trains(const std::string& run, Subprocess& train) {
    const std::string metrics = ShopRun::Get().folder() / (run + "/metrics.jsonl");
    return Within(seconds(60),
                  [&] {
                    return ReadFile(metrics).find("\"kind\":\"train\"") != std::string::npos ||
                           !train.Running();
                  }) &&
           train.Running();
  }

  TemporaryFolder folder_;
  std::unique_ptr<NetworkHosts> hosts_;
};

TEST_F(Hosts, ARunOverThreeHostsIsThatOfOne) {
  const std::string alone = HashOf("one_host", 2, 2, Options(3));
  const auto train = Start("three_hosts", Options(3));
  const Outcome outcome = train->Wait(seconds(120));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = ShopRun::Get().Result("three_hosts");
  EXPECT_EQ(result["model_hash"], alone);
  EXPECT_EQ(result["counts"]["refused_peers"], 0);
  std::set<std::string> names;
  const json cluster = json::parse(ReadFile(ShopRun::Get().folder() / "three_hosts/cluster.json"));
  for (const json& member : cluster["members"]) names.insert(member["host"].get<std::string>());
  EXPECT_EQ(names, (std::set<std::string>{"host1", "host2", "host3"})) << cluster;
}

TEST_F(Hosts, ProcessesStandWhereTheyArePlaced) {
  const std::string alone = HashOf("one_host_placed", 3, 2, Options(2));
  struct Case {
    Words rules;
    Words servers, workers;
  };
  // Of six slots the scheduler has one of host1.
  const std::vector<Case> cases = {
      {{"--place", "servers=spread"}, {"host1", "host2", "host3"}, {"host2", "host3"}},
      {{"--place", "servers=host3,host2", "--place", "workers=host3"},
       {"host3", "host2", "host3"},
       {"host3", "host3"}},
      {{"--place", "servers=pack"}, {"host1", "host2", "host2"}, {"host3", "host3"}},
      {{}, {"host1", "host2", "host2"}, {"host3", "host3"}},  // mpirun's own
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string run = "placed" + std::to_string(i);
    Words options = Options(2);
    options.insert(options.end(), cases[i].rules.begin(), cases[i].rules.end());
    options.insert(options.end(), {"--hostfile", hosts_->list()});
    const auto train =
        Subprocess(hosts_->On(1, ShopRun::Get().TrainCommand(run, 3, 2, options)), hosts_->Environment())
            .Wait(seconds(120));
    ASSERT_EQ(train.exit_code, 0) << train.all();
    EXPECT_EQ(ShopRun::Get().Result(run)["model_hash"], alone);
    const json cluster = json::parse(ReadFile(ShopRun::Get().folder() / (run + "/cluster.json")));
    EXPECT_EQ(cluster["scheduler"]["host"], "host1");
    for (const json& member : cluster["members"]) {
      const auto index = member["index"].get<std::size_t>();
      const Words& places = member["role"] == "worker" ? cases[i].workers : cases[i].servers;
      ASSERT_LT(index, places.size());
      EXPECT_EQ(member["host"], places[index]) << run << ": " << member;
    }
  }
}

TEST_F(Hosts, ARuleThatDoesNotFitIsRefusedAtOnce) {
  Words options = Options(2);
  options.insert(options.end(), {"--hostfile", hosts_->list(), "--place", "servers=host2,host7"});
  const Outcome outcome = RunProgram(ShopRun::Get().TrainCommand("misplaced", 2, 2, options));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
  EXPECT_NE(
      outcome.err.find("\"host7\" is neither a rule (spread, pack) nor one of the job's hosts, which are "
                       "host1, host2, host3"),
      std::string::npos)
      << outcome.err;
  const Outcome alone =
      RunProgram(ShopRun::Get().TrainCommand("misplaced", 2, 2, {"--place", "servers=spread"}));
  EXPECT_EQ(alone.exit_code, 2) << alone.all();
  EXPECT_NE(alone.err.find("give the others by --hostfile"), std::string::npos) << alone.err;
}

// What docs/clusters.md says of lists, and mpirun by itself does not take: a comment behind a name, NAME:N, a host in two lines, max_slots.
TEST_F(Hosts, AListInEveryFormIsTaken) {
  const std::string alone = HashOf("one_host_listed", 2, 2, Options(2));
  const std::string head = "# ours\nhost1:1 # small\n\thost2 slots = 1  # big one\nhost3 slots=1";
  const std::string tail = "\r\nhost2\nhost1\n";
  struct Case {
    std::string list, given;
    Words rules;
  };
  const std::vector<Case> cases = {
      {head + tail, "host1 slots=2\nhost2 slots=2\nhost3 slots=1\n", {}},  // mpirun places
      {head + " max_slots=1" + tail, "host1 slots=2\nhost2 slots=2\nhost3 slots=1 max_slots=1\n", {}},
      {head + tail,
       "host1 slots=2\nhost2 slots=2\nhost3 slots=1\n",
       {"--place", "servers=host2", "--place", "workers=host3,host1"}}};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string run = "listed" + std::to_string(i);
    Words options = Options(2);
    options.insert(options.end(), cases[i].rules.begin(), cases[i].rules.end());
    options.insert(options.end(), {"--hostfile", folder_.Write("odd", cases[i].list)});
    const Outcome train =
        Subprocess(hosts_->On(1, ShopRun::Get().TrainCommand(run, 2, 2, options)), hosts_->Environment())
            .Wait(seconds(120));
    ASSERT_EQ(train.exit_code, 0) << train.all();
    EXPECT_EQ(ShopRun::Get().Result(run)["model_hash"], alone);
    EXPECT_EQ(ReadFile(ShopRun::Get().folder() / (run + "/hosts")), cases[i].given);
    std::map<std::string, int> processes;
    const json cluster = json::parse(ReadFile(ShopRun::Get().folder() / (run + "/cluster.json")));
    for (const json& member : cluster["members"]) ++processes[member["host"].get<std::string>()];
    // The scheduler has the other slot of host1.
    EXPECT_EQ(processes, (std::map<std::string, int>{{"host1", 1}, {"host2", 2}, {"host3", 1}})) << cluster;
  }
}

TEST_F(Hosts, MoreThanTheListHasRoomForIsRefusedAtOnce) {
  const std::string list = folder_.Write("full", "host1 max_slots=2\nhost2 max_slots=2\n");
  Words options = Options(2);
  options.insert(options.end(), {"--hostfile", list});
  const Outcome outcome = RunProgram(ShopRun::Get().TrainCommand("full", 2, 2, options));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
  EXPECT_NE(outcome.err.find("would have 3 of the 5 processes, and the list of hosts says max_slots=2"),
            std::string::npos)
      << outcome.err;
}

// A link that is slow, narrow, or cut for a while; and the run that it has to end as.
TEST_F(Hosts, ALinkThatIsLateChangesNothing) {
  const std::string alone = HashOf("one_host_late", 2, 2, Options(2));
  hosts_->cable(2).delay_ms = 50;  // each way
  const auto train = Start("late", Options(2));
  const Outcome outcome = train->Wait(seconds(200));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_EQ(ShopRun::Get().Result("late")["model_hash"], alone);
}

TEST_F(Hosts, ALinkThatIsNarrowChangesNothing) {
  const std::string alone = HashOf("one_host_narrow", 2, 2, Options(3));
  hosts_->cable(3).bits_per_second = 10'000'000;
  const auto train = Start("narrow", Options(3));
  const Outcome outcome = train->Wait(seconds(200));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_EQ(ShopRun::Get().Result("narrow")["model_hash"], alone);
}

TEST_F(Hosts, ALinkThatIsCutForAWhileChangesNothing) {
  const std::string alone = HashOf("one_host_cut", 2, 2, Options(60));
  const auto train = Start("cut", Options(60));
  ASSERT_TRUE(Trains("cut", *train)) << train->Wait(seconds(1)).all();
  hosts_->cable(2).cut = true;
  EXPECT_FALSE(Within(seconds(20), [&] { return !train->Running(); }));
  hosts_->cable(2).cut = false;
  const Outcome outcome = train->Wait(seconds(200));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_EQ(ShopRun::Get().Result("cut")["model_hash"], alone);
}

// Starts that cannot succeed, with a launch agent that fails as ssh does. Needs no namespaces.
class FirstStart : public ::testing::Test {
 protected:
  Outcome Train(const std::string& run, const std::string& host, const std::string& agent) {
    const std::string path =
        folder_.Write("agent", "#!/bin/sh\necho call >> " + folder_ / "calls" + "\n" + agent);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    hostfile_ = folder_.Write("list", "# ours\nlocalhost slots=3\n\n" + host + " slots=2 # not there\n");
    return RunProgram(ShopRun::Get().TrainCommand(run, 2, 2, {"--hostfile", hostfile_}), seconds(60),
                      {{"OMPI_MCA_plm_rsh_agent", path}});
  }
  std::size_t Calls() const {
    const std::string calls = ReadFile(folder_ / "calls");
    return static_cast<std::size_t>(std::count(calls.begin(), calls.end(), '\n'));
  }
  TemporaryFolder folder_;
  std::string hostfile_;
};

constexpr const char* kUnknown =
    "printf 'ssh: Could not resolve hostname %s: Name or service not known\\r\\n' $1 >&2; exit 255\n";

TEST_F(FirstStart, AHostThatNobodyKnowsEndsItAtOnce) {
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = Train("unknown_host", "nowhere.invalid", kUnknown);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(20) * kSlowdown);
  EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
  EXPECT_EQ(Calls(), 1u) << outcome.all();
  const std::string reason =
      "ssh: Could not resolve hostname nowhere: Name or service not known; " + hostfile_ +
      ", line 4: nowhere.invalid, which mpirun calls nowhere, is no host that is known here";
  EXPECT_NE(outcome.err.find("failed: " + reason), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("cohort doctor --hostfile " + hostfile_), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("; then begin anew with --overwrite"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find('\r'), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("checkpoint"), std::string::npos) << outcome.err;
  const json result = ShopRun::Get().Result("unknown_host");
  EXPECT_EQ(result.value("status", ""), "failed");
  EXPECT_EQ(result.value("code", ""), "invalid input");
  EXPECT_EQ(result.value("reason", "").rfind(reason, 0), 0u) << result;
}

// What it looks like when a host is only away; and a run that is there already waits for it.
TEST_F(FirstStart, AHostThatIsAwayEndsItAtOnceButNotARunThatGoesOn) {
  const std::string refused = "echo \"ssh: connect to host $1 port 22: No route to host\" >&2; exit 255\n";
  const Outcome outcome = Train("away", "192.0.2.1", refused);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.all();
  EXPECT_NE(outcome.err.find("line 4: 192.0.2.1 could not be used"), std::string::npos) << outcome.err;
  EXPECT_EQ(Calls(), 1u) << outcome.all();
  const Outcome resumed = RunProgram({Program(), "train", "--resume", ShopRun::Get().folder() / "away",
                                      "--hostfile", hostfile_, "--set", "cluster.recoveries=2"},
                                     seconds(60), {{"OMPI_MCA_plm_rsh_agent", folder_ / "agent"}});
  EXPECT_EQ(resumed.exit_code, 1) << resumed.all();
  EXPECT_EQ(Calls(), 4u) << resumed.all();
  EXPECT_NE(resumed.err.find("beginning once more, from the start: there is no checkpoint"),
            std::string::npos)
      << resumed.err;
  EXPECT_EQ(resumed.err.find("goes on from its newest checkpoint"), std::string::npos) << resumed.err;
}

TEST_F(FirstStart, AnMpirunThatFailsEndsItAtOnce) {
  const std::string mpirun = folder_.Write(
      "mpirun", "#!/bin/sh\necho call >> " + folder_ / "calls" + "\necho 'no licence today' >&2\nexit 9\n");
  std::filesystem::permissions(mpirun, std::filesystem::perms::owner_all);
  const Outcome outcome = RunProgram(ShopRun::Get().TrainCommand("no_mpirun", 1, 1), seconds(60),
                                     {{"PATH", folder_.path() + ":" + std::getenv("PATH")}});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.all();
  EXPECT_EQ(Calls(), 1u);
  EXPECT_NE(outcome.err.find(
                "failed: no licence today; `cohort doctor` looks at what a start needs; the run has not "
                "begun; mpirun ended with exit code 9; there is no checkpoint"),
            std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace cohort::testing::hosts_test
