// Runs that span three hosts (network namespaces with names and addresses of their own), encrypted, and what a link that fails does to them.
#include <gtest/gtest.h>

#include <fstream>
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
  EXPECT_NE(outcome.err.find("host7 is none of the job's hosts, which are host1, host2, host3"),
            std::string::npos)
      << outcome.err;
  const Outcome alone =
      RunProgram(ShopRun::Get().TrainCommand("misplaced", 2, 2, {"--place", "servers=spread"}));
  EXPECT_EQ(alone.exit_code, 2) << alone.all();
  EXPECT_NE(alone.err.find("give the others by --hostfile"), std::string::npos) << alone.err;
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

}  // namespace
}  // namespace cohort::testing::hosts_test
