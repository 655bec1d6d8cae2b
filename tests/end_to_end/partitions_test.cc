// Commands of the lifecycle with --workers: the same bytes as in one process, for any number of workers and when one is killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/processes.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Partitions : public ::testing::Test {
 protected:
  // A generated shop and what is prepared of its campaign, once.
  static const TemporaryFolder& Shop() {
    static const TemporaryFolder folder;
    static const bool made = [] {
      const Outcome generated =
          RunProgram({Program(), "generate", "--shop", "--out", folder / "shop", "--users", "4000", "--items",
                      "480", "--days", "300", "--seed", "4"});
      EXPECT_EQ(generated.exit_code, 0) << generated.all();
      const Outcome prepared = RunProgram({Program(), "prepare", (folder / "shop") + "/campaign.toml",
                                           "--out", (folder / "shop") + "/campaign.h5"});
      EXPECT_EQ(prepared.exit_code, 0) << prepared.all();
      return true;
    }();
    EXPECT_TRUE(made);
    return folder;
  }

  // A trained model of ShopRun's dataset, once.
  static std::string Run() {
    static const Outcome trained = ShopRun::Get().Train("partitioned", 1, 1);
    EXPECT_EQ(trained.exit_code, 0) << trained.all();
    return ShopRun::Get().folder() / "partitioned";
  }

  struct Result {
    std::string file, report;  // bytes
    json said;                 // but for paths and seconds
  };
  Result ResultOf(const Outcome& outcome, const std::string& folder) const {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    json said = json::parse(outcome.out, nullptr, false);
    for (const char* of_the_run : {"seconds", "cpu_seconds", "out", "output", "report"})
      said.erase(of_the_run);
    EXPECT_FALSE(std::filesystem::exists(folder + "/out.csv.parts"));
    std::string report = ReadFile(folder + "/out.html");  // it names the file
    if (const std::size_t at = report.find(folder); at != report.npos) report.erase(at, folder.size());
    report = std::regex_replace(report, std::regex("MB in [^\n]* s of CPU time"), "MB");
    return {ReadFile(folder + "/out.csv"), std::move(report), std::move(said)};
  }
  // `command` without --out and --json; `with_report`: it has --report too. One worker is killed so long after it was seen,
  // or after `handed_over` was there.
  void ExpectTheSameBytes(const Words& command, bool with_report = false,
                          std::chrono::milliseconds kill_after = std::chrono::milliseconds(300),
                          const std::string& handed_over = "") {
    const auto in = [&](const std::string& name) {
      const std::string folder = folder_ / name;
      std::filesystem::create_directory(folder);
      Words words = command;
      words.insert(words.end(), {"--json", "--out", folder + "/out.csv"});
      if (with_report) words.insert(words.end(), {"--report", folder + "/out.html"});
      return words;
    };
    const Result alone = ResultOf(RunProgram(in("alone")), folder_ / "alone");
    ASSERT_GT(alone.file.size(), 1000u);
    const auto expect_same = [&](const Outcome& outcome, const std::string& name) {
      SCOPED_TRACE(name);
      const Result result = ResultOf(outcome, folder_ / name);
      EXPECT_TRUE(result.file == alone.file);
      EXPECT_TRUE(result.report == alone.report);
      EXPECT_EQ(result.said, alone.said);
      EXPECT_TRUE(ProcessesWith(folder_ / name).empty());
    };
    for (const std::string workers : {"1", "2", "4"}) {
      Words words = in(workers);
      words.insert(words.end(), {"--workers", workers});
      expect_same(RunProgram(words), workers);
    }
    // One of them dies when parts are being made; where a fast machine was through before, sooner, in another job.
    bool died = false;
    for (int attempt = 0; attempt < 5 && !died; ++attempt, kill_after /= 3) {
      const std::string name = "killed" + std::to_string(attempt);
      Words words = in(name);
      words.insert(words.end(), {"--workers", "2"});
      Subprocess job(words);
      pid_t worker = 0;
      while (worker == 0 && job.Running()) {
        for (const FoundProcess& found : ProcessesWith("--partition-worker " + (folder_ / name)))
          worker = found.pid;
      }
      const std::string file = (folder_ / name) + "/out.csv.parts/once-" + handed_over;
      while (!handed_over.empty() && !std::filesystem::exists(file) && job.Running())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::this_thread::sleep_for(kill_after * kSlowdown);  // wherever it is then
      if (worker > 0) kill(worker, SIGKILL);
      const Outcome outcome = job.Wait(std::chrono::seconds(120));
      expect_same(outcome, name);
      died = outcome.err.find("was ended by signal SIGKILL") != outcome.err.npos;
    }
    EXPECT_TRUE(died) << "every job was through before its worker was killed";
  }

  TemporaryFolder folder_;
};

TEST_F(Partitions, Recommend) {
  const std::string shop = Shop() / "shop";
  ExpectTheSameBytes({Program(), "recommend", shop + "/shop.toml", "--at", "test", "--truth", shop + "/truth",
                      "--segment", "gender,age", "--exposure", "0.05", "--diversity", "0.1"});
}

TEST_F(Partitions, Prepare) {
  ExpectTheSameBytes({Program(), "prepare", (Shop() / "shop") + "/shop.toml"}, true,
                     std::chrono::milliseconds(0), "records0");
}

TEST_F(Partitions, Uplift) {
  ExpectTheSameBytes({Program(), "uplift", (Shop() / "shop") + "/campaign.h5", "--arm", "campaign_arm",
                      "--control", "none", "--outcome", "campaign_outcome", "--cost", "email=0.1", "--target",
                      "coupon=0.3", "--splits", "3", "--draws", "50"},
                     true);
}

TEST_F(Partitions, Strategy) {
  ExpectTheSameBytes({Program(), "strategy", (Shop() / "shop") + "/actions.toml"});
}

TEST_F(Partitions, Explain) {
  ExpectTheSameBytes({Program(), "explain", Run(), "--data", ShopRun::Get().dataset(), "--rows", "64"});
}

TEST_F(Partitions, Profile) {
  const std::string data = ShopRun::Get().dataset();
  std::map<std::string, std::string> scores;
  for (const std::string split : {"valid", "test"}) {
    scores[split] = folder_ / (split + ".csv");
    const Outcome scored =
        RunProgram({Program(), "score", Run(), "--data", data, "--split", split, "--out", scores[split]});
    ASSERT_EQ(scored.exit_code, 0) << scored.all();
  }
  ExpectTheSameBytes({Program(), "profile", data, "--scores", scores["test"], "--calibrate", scores["valid"],
                      "--groups", "channel"},
                     true, std::chrono::milliseconds(0));
}

TEST_F(Partitions, SaysWhatIsWrong) {
  const auto refused = [](const Words& command, const std::string& text) {
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(text));
  };
  const std::string shop = (Shop() / "shop") + "/shop.toml", out = folder_ / "out.csv";
  refused({Program(), "recommend", shop, "--out", out, "--workers", "0"}, "--workers");
  refused({Program(), "recommend", shop, "--out", out, "--dead-after", "3"},
          "--dead-after requires --workers");
  refused({Program(), "explain", "run", "--data", "data.h5", "--workers", "2"}, "--workers needs --out");
  refused({Program(), "prepare", folder_.Write("schema.toml", "[source]\nfiles = [\"x.csv\"]\n"), "--out",
           out, "--workers", "2"},
          "has no section [shop]");
  // With findings that --strict makes errors, and others, the words are those of one process.
  std::filesystem::create_directory(folder_ / "twice");
  folder_.Write("twice/events.csv",
                "user,time,kind\n"
                "a,2020-01-05,view\na,2020-01-05,view\n");
  const std::string strict = folder_.Write("twice/shop.toml",
                                           "[shop]\nuntil = \"2020-12-01\"\n"
                                           "[events]\nfiles = [\"events.csv\"]\nuser = \"user\"\n"
                                           "time = \"time\"\nkind = \"kind\"\n"
                                           "[snapshots]\ntrain = \"2020-03-01\"\ntest = \"2020-10-01\"\n"
                                           "[labels.churn]\nhorizon_days = 30\n");
  for (const Words& more : {Words{"--strict"}, Words{}}) {
    Words command = {Program(), "prepare", strict, "--out", out};
    command.insert(command.end(), more.begin(), more.end());
    const Outcome alone = RunProgram(command);
    EXPECT_EQ(alone.exit_code, 2) << alone.all();
    command.insert(command.end(), {"--workers", "2"});
    const Outcome job = RunProgram(command);
    EXPECT_EQ(job.exit_code, 2);
    EXPECT_EQ(job.err, alone.err);
    EXPECT_FALSE(std::filesystem::exists(out + ".parts"));
  }
  // What is wrong with the data is said once, and nothing stays behind.
  const std::string bad = folder_.Write("shop.toml", "[events]\nfiles = [\"none.csv\"]\n");
  refused({Program(), "recommend", bad, "--out", out, "--workers", "2"}, "shop.toml");
  EXPECT_FALSE(std::filesystem::exists(out + ".parts"));
}

}  // namespace
}  // namespace cohort::testing
