// Partitions made by worker processes: the same bytes as in one process, whoever is killed or stopped, and clear words where that
// cannot be. The processes are those of tests/support/partition_program.cc.
#include "launch/partition_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/fault_point.h"
#include "tests/support/processes.h"
#include "tests/support/subprocess.h"

namespace cohort::testing {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

class PartitionJob : public ::testing::Test {
 protected:
  Words Command(const std::string& out, int workers, const Words& more) const {
    Words command = {std::string(COHORT_BIN_DIR) + "/tests/partition_program", "--out", out, "--workers",
                     std::to_string(workers)};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  // Numbers 0 to 19, two a part, unless told otherwise.
  Outcome Run(int workers, const Words& more = {}) {
    out_ = folder_ / ("out" + std::to_string(++runs_));
    Words all = {"--count", "20", "--size", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return RunProgram(Command(out_, workers, all), std::chrono::seconds(60));
  }
  static std::string Expected(int count) {
    std::string text = "number,product\n";
    for (int i = 0; i < count; ++i) text += std::to_string(i) + "," + std::to_string(3 * i) + "\n";
    return text;
  }
  void ExpectDone(const Outcome& outcome, int count = 20) const {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    EXPECT_EQ(ReadFile(out_), Expected(count));
    EXPECT_FALSE(std::filesystem::exists(out_ + ".parts"));
  }
  void ExpectFailed(const Outcome& outcome, int exit_code, const std::string& text) const {
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(text));
    EXPECT_FALSE(std::filesystem::exists(out_));
    EXPECT_FALSE(std::filesystem::exists(out_ + ".tmp"));
    EXPECT_FALSE(std::filesystem::exists(out_ + ".parts"));
    EXPECT_TRUE(ProcessesWith(out_).empty());
  }
  static std::size_t Count(const std::string& text, const std::string& word) {
    std::size_t count = 0;
    for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++count;
    return count;
  }

  TemporaryFolder folder_;
  std::string out_;
  int runs_ = 0;
};

TEST_F(PartitionJob, TheSameBytesForAnyNumberOfWorkers) {
  for (const int workers : {0, 1, 2, 4}) {
    ExpectDone(Run(workers));
    ExpectDone(Run(workers, {"--count", "101", "--size", "7"}), 101);
  }
}

TEST_F(PartitionJob, NobodyAndFewerPartsThanWorkers) {
  for (const int workers : {0, 1, 4}) {
    ExpectDone(Run(workers, {"--count", "0"}), 0);
    ExpectDone(Run(workers, {"--count", "1"}), 1);
    ExpectDone(Run(workers, {"--count", "3"}), 3);
  }
}

TEST_F(PartitionJob, AWorkerIsKilledAtEveryPart) {
  for (const int workers : {1, 2}) {
    const Outcome outcome = Run(workers, {"--fault", "kill", "--at", "all"});
    ExpectDone(outcome);
    EXPECT_EQ(Count(outcome.err, "was ended by signal SIGKILL"), 10u) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("numbers 6 to 7 (n6 to n7) are done once more"));
  }
}

TEST_F(PartitionJob, AWorkerIsKilledWhereverItWritesAPart) {
  int points = 0;
  for (const std::string point : kFaultPoints) {
    if (!point.starts_with("file: ")) continue;
    SCOPED_TRACE(point);
    const Outcome outcome = Run(2, {"--fault", point, "--at", "3"});
    ExpectDone(outcome);
    EXPECT_EQ(Count(outcome.err, "was ended by signal SIGKILL"), 1u) << outcome.err;
    ++points;
  }
  EXPECT_EQ(points, 6);
}

TEST_F(PartitionJob, AWorkerIsStopped) {
  const Outcome outcome = Run(2, {"--fault", "stop", "--at", "4", "--dead-after", "1"});
  ExpectDone(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("has said nothing for 1 s; numbers 8 to 9"));
}

// More parts than may wait for the first one, whose worker is stopped.
TEST_F(PartitionJob, ManyPartsWaitForTheFirst) {
  const Outcome outcome =
      Run(2, {"--count", "200", "--size", "1", "--fault", "stop", "--at", "0", "--dead-after", "1"});
  ExpectDone(outcome, 200);
  EXPECT_THAT(outcome.err, HasSubstr("has said nothing for 1 s; numbers 0 to 0"));
}

TEST_F(PartitionJob, ASlowWorkerIsNoStoppedOne) {
  const Outcome outcome = Run(2, {"--count", "4", "--slow", "2500", "--dead-after", "1"});
  ExpectDone(outcome, 4);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(PartitionJob, AWorkerThatGoesByItselfIsReplaced) {
  const Outcome outcome = Run(2, {"--fault", "exit", "--at", "0"});
  ExpectDone(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("ended with exit code 0; numbers 0 to 1"));
}

TEST_F(PartitionJob, APartThatKillsItsWorkersIsNamed) {
  ExpectFailed(Run(2, {"--fault", "kill", "--at", "2", "--times", "3"}), 1,
               "numbers 4 to 5 (n4 to n5) have ended their worker 3 times");
}

TEST_F(PartitionJob, WorkersDieBeforeTheyBegin) {
  // One worker: of two, one may begin between the other's deaths, and then they are not in a row.
  ExpectDone(Run(1, {"--fault", "kill", "--at", "setup", "--times", "2"}));
  ExpectFailed(Run(1, {"--fault", "kill", "--at", "setup", "--times", "3"}), 1,
               "workers end before they have begun, 3 in a row");
}

TEST_F(PartitionJob, AnErrorOfAWorkerIsTheJobs) {
  ExpectFailed(Run(2, {"--fault", "refuse", "--at", "5"}), 2, ": numbers.csv:7: \"x\" is no number");
  ExpectFailed(Run(2, {"--fault", "fail", "--at", "5"}), 1, ": numbers.csv: cannot read: Input/output error");
  ExpectFailed(Run(2, {"--fault", "refuse", "--at", "setup"}), 2, "worker ");
}

TEST_F(PartitionJob, TheDiskIsFull) {
  ExpectFailed(Run(2, {"--fault", "full", "--at", "5", "--size", "4", "--count", "40"}), 1,
               "out1.parts/part-5.tmp: cannot write: File too large");
}

TEST_F(PartitionJob, AWorkerWithOtherDataIsFoundOut) {
  ExpectFailed(Run(2, {"--fault", "other", "--at", "none"}), 2, "has read other data than this process");
}

TEST_F(PartitionJob, TheCoordinatorIsKilled) {
  out_ = folder_ / "killed";
  Subprocess job(Command(out_, 2, {"--count", "1000", "--slow", "50"}));
  ASSERT_TRUE(Within(std::chrono::seconds(20), [&] {
    return ProcessesWith(kPartitionWorkerOption + (" " + out_)).size() == 2 &&
           std::filesystem::exists(out_ + ".parts/once-factor");
  }));
  job.Signal(SIGKILL);
  EXPECT_TRUE(Within(std::chrono::seconds(10), [&] { return ProcessesWith(out_).empty(); }));
  EXPECT_TRUE(std::filesystem::exists(out_ + ".parts"));
  EXPECT_FALSE(std::filesystem::exists(out_));
  // What it has left is not in the way.
  ExpectDone(RunProgram(Command(out_, 2, {"--count", "20"})));
}

TEST_F(PartitionJob, TheCoordinatorIsAskedToEnd) {
  out_ = folder_ / "ended";
  Subprocess job(Command(out_, 2, {"--count", "1000", "--slow", "50"}));
  ASSERT_TRUE(Within(std::chrono::seconds(20), [&] {
    return std::filesystem::exists(out_ + ".begun") && ProcessesWith(out_).size() == 3;
  }));
  job.Signal(SIGTERM);
  ExpectFailed(job.Wait(std::chrono::seconds(20)), 1, "ended by signal SIGTERM");
}

TEST_F(PartitionJob, AWorkFolderThatIsNotTheJobs) {
  out_ = folder_ / "busy";
  const std::string parts = out_ + ".parts";
  const auto refused = [&](const std::string& text) {
    const Outcome outcome = RunProgram(Command(out_, 2, {"--count", "4"}));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(parts));
    EXPECT_THAT(outcome.err, HasSubstr(text));
    EXPECT_FALSE(std::filesystem::exists(out_));
  };
  folder_.Write("busy.parts", "a file");
  refused("cannot be opened: Not a directory");
  std::filesystem::remove(parts);
  std::filesystem::create_directory(parts);
  folder_.Write("busy.parts/mine.txt", "kept");
  refused("holds mine.txt, which no job has left there");
  EXPECT_EQ(ReadFile(parts + "/mine.txt"), "kept");
  std::filesystem::remove(parts + "/mine.txt");
  folder_.Write("busy.parts/part-3", "of a job that was killed");
  const int held = ::open(parts.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  refused("another job writes there");
  ::close(held);
  ExpectDone(RunProgram(Command(out_, 2, {"--count", "4"})), 4);
  out_ = (folder_ / "none") + "/out";
  const Outcome outcome = RunProgram(Command(out_, 2, {"--count", "4"}));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
  EXPECT_THAT(outcome.err, HasSubstr("cannot be made: No such file or directory"));
}

// By an address, which is not the host's name: through mpirun, as on another host.
TEST_F(PartitionJob, WorkersOnOtherHosts) {
  const std::string hosts = folder_.Write("hosts", "# two here\n127.0.0.1 slots=2\n");
  ExpectDone(Run(2, {"--hostfile", hosts}));
  const Outcome killed = Run(2, {"--hostfile", hosts, "--fault", "kill", "--at", "3"});
  ExpectDone(killed);
  EXPECT_THAT(killed.err, HasSubstr("on 127.0.0.1) ended with exit code 137"));
  const Outcome stopped = Run(2, {"--hostfile", hosts, "--fault", "stop", "--at", "3", "--dead-after", "2"});
  ExpectDone(stopped);
  EXPECT_THAT(stopped.err, HasSubstr("on 127.0.0.1) has said nothing for 2 s"));
  ExpectFailed(Run(2, {"--hostfile", hosts, "--fault", "refuse", "--at", "3"}), 2, "\"x\" is no number");
  const std::string none = folder_.Write("none", "# nobody\n");
  ExpectFailed(Run(2, {"--hostfile", none}), 2, "names no host");
}

}  // namespace
}  // namespace cohort::testing
