// The supervisor, with small shell scripts in mpirun's place.
#include "launch/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "common/process.h"
#include "tests/support/subprocess.h"

namespace cohort::supervisor_test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorOptions Options(const std::string& script) {
    SupervisorOptions options;
    options.command = {"sh", "-c", script, "fake-mpirun"};
    options.folder = folder_.path();
    options.startup = options.silence = milliseconds(1500);
    options.farewell = milliseconds(300);
    options.terminate = milliseconds(300);
    options.progress = [this](const std::string& line) { progress_.push_back(line); };
    options.note = [this](const std::string& line) { notes_.push_back(line); };
    return options;
  }
  // What the scheduler does, by the shell alone: another program would be seen as a process of the run that dies.
  std::string WriteVerdict(const std::string& json) const {
    return "echo '" + json + "' > " + folder_.path() + "/result.json; ";
  }
  std::string Killed() const {
    return WriteVerdict(
        R"({"status":"failed","reason":"the scheduler was killed before it reached a verdict"})");
  }
  nlohmann::json Result() const { return nlohmann::json::parse(testing::ReadFile(folder_ / "result.json")); }

  testing::TemporaryFolder folder_;
  std::vector<std::string> progress_, notes_;
};

TEST_F(SupervisorTest, TheVerdictIsTheResultFileNotTheExitCode) {
  EXPECT_TRUE(Supervise(Options(WriteVerdict(R"({"status":"done","steps":3})") + "exit 7")).ok());
  EXPECT_EQ(Result()["steps"], 3);
  const Status failed =
      Supervise(Options(WriteVerdict(R"({"status":"failed","reason":"worker 1 died"})") + "exit 0"));
  EXPECT_EQ(failed.text(), "worker 1 died");
  EXPECT_EQ(failed.exit_code(), 1);
  EXPECT_EQ(Result()["reason"], "worker 1 died");
  const Status input =
      Supervise(Options(WriteVerdict(R"({"status":"failed","reason":"no row","code":"invalid input"})")));
  EXPECT_EQ(input.exit_code(), 2);
}

TEST_F(SupervisorTest, AMissingProgramIsNamed) {
  SupervisorOptions options = Options("");
  options.command = {"/nonexistent/mpirun"};
  const Status status = Supervise(options);
  EXPECT_THAT(status.text(), HasSubstr("/nonexistent/mpirun cannot be started: No such file"));
  EXPECT_EQ(Result()["status"], "failed");
  EXPECT_EQ(Result()["reason"], status.text());
}

TEST_F(SupervisorTest, AnEarlyEndShowsTheLastWords) {
  const Status status = Supervise(Options("echo 'not enough slots' >&2; exit 3"));
  EXPECT_EQ(status.text(), "not enough slots; the run has not begun; sh ended with exit code 3");
  EXPECT_EQ(Result()["reason"], status.text());
  EXPECT_THAT(notes_, ::testing::Contains(HasSubstr("not enough slots")));
  EXPECT_EQ(testing::ReadFile(folder_ / "log.txt"), "not enough slots\n");
}

// A script that counts its lives, and may be begun again.
class SupervisorRestartTest : public SupervisorTest {
 protected:
  Status Run(const std::string& script, std::uint32_t restarts, bool resumes = false) {
    SupervisorOptions options = Options("echo life >> " + folder_.path() + "/lives; " + script);
    options.restarts = restarts;
    options.restart = [command = options.command](std::uint32_t) { return command; };
    options.resumes = resumes;
    options.explain = [](const std::vector<std::string>& words) {
      return Status(ErrorCode::kInvalidInput, words.empty() ? "nothing" : words[0] + " (line 2)");
    };
    return Supervise(options);
  }
  std::size_t Lives() const {
    const std::string lives = testing::ReadFile(folder_ / "lives");
    return static_cast<std::size_t>(std::count(lives.begin(), lives.end(), '\n'));
  }
  // Long enough for it to be seen.
  std::string Metrics() const { return "echo '{}' >> " + folder_.path() + "/metrics.jsonl; sleep 0.8; "; }
};

TEST_F(SupervisorRestartTest, ANewRunThatComesToNothingIsNotBegunAgain) {
  const Status status = Run("echo; echo '-----'; echo 'no host x'; seq 100; exit 1", 5);
  EXPECT_EQ(Lives(), 1u);
  EXPECT_EQ(status.text(), "no host x (line 2); the run has not begun; sh ended with exit code 1");
  EXPECT_EQ(status.exit_code(), 2);
  EXPECT_EQ(Result()["reason"], status.text());
  EXPECT_EQ(Result()["code"], "invalid input");
  // What was said first, however much came behind it.
  ASSERT_FALSE(notes_.empty());
  EXPECT_EQ(notes_[0], "  no host x");
  EXPECT_LT(notes_.size(), 20u);
}

TEST_F(SupervisorRestartTest, NorIsOneWhoseSchedulerHadJustCome) {
  const Status status = Run(Killed() + "echo 'no program on x'; exit 1", 5);
  EXPECT_EQ(Lives(), 1u);
  EXPECT_THAT(status.text(), HasSubstr("no program on x (line 2); the run has not begun"));
}

TEST_F(SupervisorRestartTest, ARunThatGoesOnIsTriedAgain) {
  const Status status = Run("echo 'no host x'; exit 1", 5, /*resumes=*/true);
  EXPECT_GT(Lives(), 1u);
  EXPECT_THAT(status.text(), HasSubstr("ended before it had started the scheduler"));
  EXPECT_EQ(status.exit_code(), 1);
}

TEST_F(SupervisorRestartTest, ARunThatHadBegunIsTriedAgain) {
  const Status status = Run(Killed() + Metrics() + "exit 1", 1);
  EXPECT_EQ(Lives(), 2u);
  EXPECT_THAT(notes_, ::testing::Contains(HasSubstr("given up after 1 restarts")));
  EXPECT_EQ(status.exit_code(), 1);
}

// Its hosts may be away for a while.
TEST_F(SupervisorRestartTest, AStartAfterADeathIsTriedAgain) {
  (void)Run("if test $(wc -l < " + folder_.path() + "/lives) = 1; then " + Killed() + Metrics() +
                "fi; echo 'no host x'; exit 1",
            2);
  EXPECT_EQ(Lives(), 3u);
}

TEST_F(SupervisorRestartTest, ANewRunWhoseMpirunIsKilledIsBegunAgain) {
  (void)Run("kill -9 $$", 1);
  EXPECT_EQ(Lives(), 2u);
}

TEST_F(SupervisorTest, ADeadSchedulerIsNamedAndErrorsAreShownAtOnce) {
  const Status status =
      Supervise(Options(Killed() + "echo '12:00:00.000 worker 0: error: the scheduler is gone'; kill -9 $$"));
  EXPECT_THAT(
      status.text(),
      HasSubstr("the scheduler was killed before it reached a verdict; sh was ended by signal SIGKILL"));
  EXPECT_THAT(notes_, ::testing::Contains("12:00:00.000 worker 0: error: the scheduler is gone"));
  EXPECT_EQ(Result()["reason"], status.text());
}

TEST_F(SupervisorTest, AHungStartEndsAtItsLimit) {
  const auto before = std::chrono::steady_clock::now();
  const Status status = Supervise(Options("exec sleep 60"));
  EXPECT_EQ(status.code(), ErrorCode::kTimeout);
  EXPECT_THAT(status.text(), HasSubstr("did not start the scheduler within"));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
}

TEST_F(SupervisorTest, AProcessThatDiesDuringStartUpIsNamed) {
  SupervisorOptions options = Options(Killed() + "sleep 60 & sleep 0.9 & wait");
  options.bereaved = milliseconds(500);
  options.startup = std::chrono::seconds(30);
  options.children = 2;
  const auto before = std::chrono::steady_clock::now();
  const Status status = Supervise(options);
  EXPECT_THAT(status.text(), ::testing::MatchesRegex("sleep \\(pid [0-9]+\\) died during start-up"));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
}

// ssh has started what is to run on its host, and ends; that the others are slow is no death.
TEST_F(SupervisorTest, ALaunchAgentMayEndDuringStartUp) {
  SupervisorOptions options = Options("sleep 60 & sleep 0.3 & wait");
  options.bereaved = milliseconds(200);
  options.startup = milliseconds(2000);
  const Status status = Supervise(options);
  EXPECT_THAT(status.text(), HasSubstr("did not start the scheduler within"));
}

TEST_F(SupervisorTest, ProcessesThatNeverWereSeenAreWaitedForLonger) {
  SupervisorOptions options = Options(Killed() + "sleep 60 & sleep 60 & wait");
  options.bereaved = milliseconds(500);
  options.startup = std::chrono::seconds(30);
  options.children = 3;
  const auto before = std::chrono::steady_clock::now();
  EXPECT_THAT(Supervise(options).text(), HasSubstr("sh runs 2 of 3 processes"));
  EXPECT_GT(std::chrono::steady_clock::now() - before, milliseconds(4 * 500));
}

TEST_F(SupervisorTest, ASilentSchedulerEndsAtItsLimitEvenIfNobodyListensToSigterm) {
  const std::string line =
      R"({"kind":"train","split":"train","epoch":0,"phase_rows":10,"phase_samples":5,"samples_per_second":1000,"loss":{}})";
  const Status status = Supervise(Options("trap '' TERM; " + Killed() + "echo '" + line + "' > " +
                                          folder_.path() + "/metrics.jsonl; while true; do sleep 0.1; done"));
  EXPECT_THAT(status.text(), HasSubstr("the scheduler has been silent"));
  EXPECT_THAT(progress_, ::testing::Contains("epoch 1: 50 %, 1.0 k samples/s"));
}

TEST_F(SupervisorTest, WhoStaysAfterTheVerdictIsSentAway) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(Supervise(Options(WriteVerdict(R"({"status":"done"})") + "exec sleep 60")).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(3));
}

// In a process of its own: signals are noted once per process.
TEST_F(SupervisorTest, AnInterruptEndsTheRunAndIsNamed) {
  const pid_t child = fork();
  if (child == 0) {
    CatchStopSignals();
    const Status status =
        Supervise(Options(Killed() + "echo $$ > " + folder_.path() + "/pid; exec sleep 60"));
    _exit(status.text() == "ended by an interrupt (signal SIGINT)" ? 42 : 1);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (testing::ReadFile(folder_ / "pid").find('\n') == std::string::npos &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(10));  // polls a condition, with a deadline
  }
  const auto sleeper = std::stoul(testing::ReadFile(folder_ / "pid"));
  EXPECT_TRUE(ProcessLives(sleeper));
  kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42);
  EXPECT_FALSE(ProcessLives(sleeper));
  EXPECT_EQ(Result()["reason"], "ended by an interrupt (signal SIGINT)");
}

TEST_F(SupervisorTest, TheCallersDeathEndsTheCommand) {
  const pid_t child = fork();
  if (child == 0) {
    (void)Supervise(Options("echo $$ > " + folder_.path() + "/pid; exec sleep 60"));
    _exit(0);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (testing::ReadFile(folder_ / "pid").find('\n') == std::string::npos &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(10));  // polls a condition, with a deadline
  }
  const auto sleeper = std::stoul(testing::ReadFile(folder_ / "pid"));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  while (ProcessLives(sleeper) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(10));  // polls a condition, with a deadline
  }
  EXPECT_FALSE(ProcessLives(sleeper));
}

}  // namespace
}  // namespace cohort::supervisor_test
