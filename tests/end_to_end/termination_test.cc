// A run that is interrupted, or one of whose processes dies and is not made up for (cluster.recoveries = 0), ends within
// seconds, says so, and leaves nothing behind.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/processes.h"

namespace cohort::testing {
namespace {

using Clock = std::chrono::steady_clock;

class Termination : public ::testing::Test {
 protected:
  // Starts a run that would take minutes, and waits until it trains.
  void StartRun(const std::string& name) {
    name_ = name;
    run_ = std::make_unique<Subprocess>(
        ShopRun::Get().TrainCommand(name, 2, 2,
                                    {"--set", "train.epochs=5000", "--set", "train.evaluate_each_epoch=false",
                                     "--set", "cluster.recoveries=0"}));
    const std::string metrics = Folder() + "/metrics.jsonl";
    ASSERT_TRUE(Within(std::chrono::seconds(60), [&] {
      return ReadFile(metrics).find("\"samples\"") != std::string::npos || ReadFile(metrics).size() > 500 ||
             !run_->Running();
    }));
    ASSERT_TRUE(run_->Running()) << run_->Wait(std::chrono::seconds(1)).all();
    ASSERT_EQ(ProcessesWith(Program("cohort-worker")).size() >= 2, true);
  }
  std::string Folder() const { return ShopRun::Get().folder() / name_; }

  // Kills the first process whose command line holds both texts (not mpirun, which names them all).
  void Kill(const std::string& program) {
    for (const FoundProcess& process : ProcessesWith(Folder())) {
      const std::string first = process.command.substr(0, process.command.find(' '));
      if (first.size() >= program.size() && first.substr(first.size() - program.size()) == program) {
        ASSERT_EQ(kill(process.pid, SIGKILL), 0);
        return;
      }
    }
    FAIL() << "no " << program << " of this run is alive";
  }
  // The run ends within `limit` with this exit code, everything is gone, and the result names `reason`.
  void ExpectEnd(int exit_code, const std::string& reason, std::chrono::seconds limit) {
    const auto started = Clock::now();
    const Outcome outcome = run_->Wait(std::chrono::seconds(30));
    const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
    EXPECT_FALSE(outcome.timed_out);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.all();
    EXPECT_LE(seconds, static_cast<double>(limit.count() * kSlowdown) + 1);
    ExpectNothingLeft();
    const auto result = ShopRun::Get().Result(name_);
    ASSERT_TRUE(result.is_object()) << outcome.all();
    EXPECT_EQ(result.value("status", ""), "failed") << result.dump();
    EXPECT_NE(result.value("reason", "").find(reason), std::string::npos) << result.dump();
  }
  void ExpectNothingLeft() {
    EXPECT_TRUE(Within(std::chrono::seconds(5), [&] { return ProcessesWith(Folder()).empty(); }));
    for (const FoundProcess& process : ProcessesWith(Folder()))
      ADD_FAILURE() << "left running: " << process.command;
  }

  std::string name_;
  std::unique_ptr<Subprocess> run_;
};

TEST_F(Termination, CtrlCEndsTheRun) {
  StartRun("interrupted");
  run_->Signal(SIGINT);
  ExpectEnd(1, "interrupt", std::chrono::seconds(5));
}

TEST_F(Termination, SigtermEndsTheRun) {
  StartRun("terminated");
  run_->Signal(SIGTERM);
  ExpectEnd(1, "signal", std::chrono::seconds(5));
}

TEST_F(Termination, ADeadWorkerIsNamed) {
  StartRun("dead-worker");
  Kill("cohort-worker");
  ExpectEnd(1, "worker", std::chrono::seconds(5));
}

TEST_F(Termination, ADeadServerIsNamed) {
  StartRun("dead-server");
  Kill("cohort-server");
  ExpectEnd(1, "shard", std::chrono::seconds(5));
}

TEST_F(Termination, ADeadSchedulerIsNamed) {
  StartRun("dead-scheduler");
  Kill("cohort-scheduler");
  ExpectEnd(1, "scheduler", std::chrono::seconds(5));
}

TEST_F(Termination, ADeadMpirunLeavesNoOrphans) {
  StartRun("dead-mpirun");
  Kill("mpirun");
  ExpectEnd(1, "", std::chrono::seconds(5));
}

TEST_F(Termination, ADeadLauncherLeavesNoOrphans) {
  StartRun("dead-launcher");
  run_->Signal(SIGKILL);
  run_->Wait(std::chrono::seconds(5));
  ExpectNothingLeft();
}

// A process that is stopped is as good as dead after its deadline.
TEST_F(Termination, AHungWorkerIsNamed) {
  StartRun("hung-worker");
  for (const FoundProcess& process : ProcessesWith(Folder())) {
    if (process.command.substr(0, process.command.find(' ')).find("cohort-worker") != std::string::npos) {
      ASSERT_EQ(kill(process.pid, SIGSTOP), 0);
      break;
    }
  }
  ExpectEnd(1, "worker", std::chrono::seconds(12));
}

// What writes files and trains nothing ends alike: with the signal's name, and without the files that it had begun.
TEST_F(Termination, WhatPreparesLeavesNothingUnfinished) {
  const TemporaryFolder folder;
  const auto unfinished = [&] {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
      if (entry.path().extension() == ".tmp" || entry.path().extension() == ".parts")
        files.push_back(entry.path().filename());
    }
    return files;
  };
  const auto expect_ended = [&](const std::vector<std::string>& command, int signal,
                                const std::string& name) {
    Subprocess process(command);
    ASSERT_TRUE(
        Within(std::chrono::seconds(30), [&] { return !unfinished().empty() || !process.Running(); }));
    ASSERT_TRUE(process.Running()) << process.Wait(std::chrono::seconds(1)).all();
    process.Signal(signal);
    const Outcome outcome = process.Wait(std::chrono::seconds(10));
    EXPECT_FALSE(outcome.timed_out);
    EXPECT_EQ(outcome.exit_code, 1) << outcome.all();
    EXPECT_NE(outcome.err.find("error: ended by " + name), std::string::npos) << outcome.all();
    EXPECT_EQ(unfinished(), std::vector<std::string>());
  };
  expect_ended({Program(), "generate", "--out", folder / "table", "--users", "100000000"}, SIGTERM,
               "signal SIGTERM");
  expect_ended({Program(), "generate", "--shop", "--out", folder / "endless", "--users", "10000000"}, SIGINT,
               "an interrupt");
  EXPECT_FALSE(std::filesystem::exists(folder / "endless/shop.toml"));

  // A pipe that brings no more.
  folder.Write("table.toml",
               "[source]\nfiles = [\"/dev/stdin\"]\n[split]\nhash_of = \"x\"\ntest = 0.2\n"
               "[[feature]]\nname = \"x\"\ntype = \"numeric\"\n[[task]]\nname = \"y\"\ntype = \"binary\"\n");
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  const int writer = open((folder / "fifo").c_str(), O_RDWR);
  ASSERT_EQ(write(writer, "x,y\n1,0\n", 8), 8);
  expect_ended({"bash", "-c", "cd \"$1\" && exec \"$0\" prepare table.toml --out table.h5 < fifo", Program(),
                folder.path()},
               SIGTERM, "signal SIGTERM");
  close(writer);

  // A night, and its records.
  const std::string shop = folder / "shop";
  const Outcome made = RunProgram({Program(), "generate", "--shop", "--out", shop, "--users", "40000"});
  ASSERT_EQ(made.exit_code, 0) << made.all();
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--workers", "2"}}) {
    std::vector<std::string> night = {Program(),         "prepare", shop + "/shop.toml", "--out",
                                      shop + "/shop.h5", "--since", shop + "/records"};
    night.insert(night.end(), more.begin(), more.end());
    expect_ended(night, SIGTERM, "signal SIGTERM");
    EXPECT_FALSE(std::filesystem::exists(shop + "/shop.h5") || std::filesystem::exists(shop + "/records"));
    EXPECT_TRUE(Within(std::chrono::seconds(5), [&] { return ProcessesWith(shop + "/shop.h5").empty(); }));
  }
}

}  // namespace
}  // namespace cohort::testing
