// launch/slurm/train.sbatch in a Slurm that the test starts: a controller and three nodes (network namespaces), munge, jobs that span nodes.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/network_hosts.h"
#include "tests/support/processes.h"
#include "tests/support/slurm_cluster.h"

namespace cohort::testing::slurm_test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr int kLong = 80;  // epochs, of which somebody sees the beginning

class Slurm : public ::testing::Test {
 protected:
  struct Machine {
    TemporaryFolder folder;
    NetworkHosts hosts{3, folder.path()};
    std::unique_ptr<SlurmCluster> slurm;
  };
  static void SetUpTestSuite() {
    if (::geteuid() != 0) return;
    machine_ = std::make_unique<Machine>();
    if (machine_->hosts.failure().empty())
      machine_->slurm = std::make_unique<SlurmCluster>(machine_->hosts, 3, machine_->folder);
  }
  static void TearDownTestSuite() { machine_.reset(); }

  void SetUp() override {
    if (!machine_) GTEST_SKIP() << "network namespaces need root";
    if (!machine_->slurm) GTEST_SKIP() << "no network namespaces here: " << machine_->hosts.failure();
    if (!machine_->slurm->failure().empty()) GTEST_SKIP() << "no Slurm here: " << machine_->slurm->failure();
  }
  void TearDown() override {
    if (HasFailure() && machine_ && machine_->slurm) std::cerr << machine_->slurm->Logs();
  }

  static Words Options(int epochs) {
    return Set({"train.epochs=" + std::to_string(epochs), "train.evaluate_each_epoch=false",
                "checkpoint.every_steps=100"});
  }
  // Submits the job's script with its arguments, as a user does. Returns the job's number.
  static std::string Submit(const Words& sbatch, const std::string& run, int epochs, const Words& more = {},
                            const std::string& run_file = ShopRun::Get().run_file()) {
    Words words = {"sbatch", "--parsable", "--output=" + Output(run), "--open-mode=append"};
    words.insert(words.end(), sbatch.begin(), sbatch.end());
    words.insert(words.end(), {std::string(COHORT_SOURCE_DIR) + "/launch/slurm/train.sbatch", run_file,
                               ShopRun::Get().folder() / run});
    words.insert(words.end(), {"--servers", "2", "--workers", "2"});
    for (const Words& options : {Options(epochs), more})
      words.insert(words.end(), options.begin(), options.end());
    const Outcome outcome = machine_->slurm->Start(1, words, {{"COHORT", Program()}})->Wait(seconds(20));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    return outcome.out.substr(0, outcome.out.find('\n'));
  }
  // As Slurm says it, "0:0", when the job has ended. (`sbatch --wait` looks every half minute at last.)
  static std::string ExitCodeOf(const std::string& job) {
    std::string shown;
    const bool ended = Within(seconds(120), [&] {
      shown = machine_->slurm->On(1, {"scontrol", "show", "job", "--oneliner", job}).out;
      return shown.find("JobState=COMPLETED") != std::string::npos ||
             shown.find("JobState=FAILED") != std::string::npos ||
             shown.find("JobState=CANCELLED") != std::string::npos;
    });
    const std::string name = "ExitCode=";
    const std::size_t at = shown.find(" " + name);
    if (!ended || at == std::string::npos) return "none: " + shown;
    const std::size_t begin = at + 1 + name.size();
    return shown.substr(begin, shown.find(' ', begin) - begin);
  }
  static std::string Output(const std::string& run) { return ShopRun::Get().folder() / (run + ".txt"); }
  static std::string Said(const std::string& run) { return ReadFile(Output(run)) + machine_->slurm->Logs(); }

  // Of the long run without Slurm.
  static std::string LongAlone() {
    static const std::string hash = HashOf("alone_long", 2, 2, Options(kLong));
    return hash;
  }
  static json Members(const std::string& run) {
    const json cluster =
        json::parse(ReadFile(ShopRun::Get().folder() / (run + "/cluster.json")), nullptr, false);
    return cluster.is_object() ? cluster.value("members", json::array()) : json::array();
  }
  static bool Trains(const std::string& run) {
    const std::string checkpoint = ShopRun::Get().folder() / (run + "/checkpoints/0000000100/manifest.json");
    return Within(seconds(60), [&] { return std::filesystem::exists(checkpoint); });
  }

  static inline std::unique_ptr<Machine> machine_;
};

TEST_F(Slurm, AJobRunsOnTheNodesThatItGotAndIsThatOfOneHost) {
  const std::string alone = HashOf("alone", 2, 2, Options(3));
  const std::string job = Submit({"--nodes=2", "--exclude=host2"}, "allocated", 3);
  ASSERT_EQ(ExitCodeOf(job), "0:0") << Said("allocated");
  EXPECT_EQ(ShopRun::Get().Result("allocated")["model_hash"], alone);
  std::set<std::string> hosts;
  for (const json& member : Members("allocated")) hosts.insert(member["host"].get<std::string>());
  EXPECT_EQ(hosts, (std::set<std::string>{"host1", "host3"}));
}

// The signal is the one that comes before the time limit (#SBATCH --signal=B:TERM@120).
TEST_F(Slurm, AJobThatIsStoppedGoesOnWhenItIsSubmittedAgain) {
  const std::string alone = LongAlone();
  const std::string first = Submit({}, "stopped", kLong);
  ASSERT_TRUE(Trains("stopped")) << Said("stopped");
  machine_->slurm->On(1, {"scancel", "--batch", "--signal=TERM", first});
  EXPECT_EQ(ExitCodeOf(first), "1:0") << Said("stopped");
  const json failed = ShopRun::Get().Result("stopped");
  EXPECT_EQ(failed["status"], "failed");
  EXPECT_EQ(failed["reason"].get<std::string>().rfind("ended by signal SIGTERM", 0), 0u) << failed["reason"];

  EXPECT_NE(ReadFile(Output("stopped")).find("goes on from its newest checkpoint"), std::string::npos)
      << Said("stopped");
  // The run file has been edited meanwhile: that is said, and changes nothing.
  std::string edited = ReadFile(ShopRun::Get().run_file());
  edited.replace(edited.find("seed = 1"), 8, "seed = 9");
  const std::string run_file = ShopRun::Get().folder().Write("edited.toml", edited);
  ASSERT_EQ(ExitCodeOf(Submit({}, "stopped", kLong, {}, run_file)), "0:0") << Said("stopped");
  EXPECT_NE(ReadFile(Output("stopped")).find("  seed = 9 was seed = 1\n"), std::string::npos)
      << Said("stopped");
  EXPECT_NE(ReadFile(Output("stopped")).find("going on from"), std::string::npos) << Said("stopped");
  EXPECT_EQ(ShopRun::Get().Result("stopped")["model_hash"], alone);
}

// A second job step, on a node that the first one holds.
TEST_F(Slurm, AWorkerThatDiesOnAnotherNodeIsReplacedThere) {
  const std::string alone = LongAlone();
  const std::string job = Submit({}, "killed", kLong, {"--place", "workers=host3,host2"});
  ASSERT_TRUE(Trains("killed")) << Said("killed");
  pid_t victim = 0;  // processes of all namespaces are seen here
  for (const json& member : Members("killed")) {
    if (member["role"] != "worker") continue;
    EXPECT_EQ(member["host"], member["index"] == 0 ? "host3" : "host2");
    if (member["index"] == 0) victim = member["pid"].get<pid_t>();
  }
  ASSERT_GT(victim, 0);
  ::kill(victim, SIGKILL);
  ASSERT_EQ(ExitCodeOf(job), "0:0") << Said("killed");
  const json result = ShopRun::Get().Result("killed");
  EXPECT_EQ(result["model_hash"], alone);
  EXPECT_EQ(result["recoveries"]["workers_replaced"], 1) << result["recoveries"];
  EXPECT_EQ(result["recoveries"]["restarts"], 0) << result["recoveries"];
  for (const json& member : Members("killed")) {
    if (member["role"] == "worker" && member["index"] == 0) {
      EXPECT_EQ(member["host"], "host3");
    }
  }
}

}  // namespace
}  // namespace cohort::testing::slurm_test
