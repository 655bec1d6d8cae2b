#include "common/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/support/subprocess.h"

namespace cohort::process_test {
namespace {

using testing::TemporaryFolder;

class MemoryIsShortTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write("proc/meminfo", "MemTotal:       1000000 kB\nMemFree:        1 kB\nMemAvailable:   500000 kB\n");
    Write("proc/self/cgroup", "");
  }
  void Write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder_ / file).parent_path());
    folder_.Write(file, text);
  }
  bool Short() const { return MemoryIsShort(folder_ / "proc", folder_ / "cgroup"); }
  TemporaryFolder folder_;
};

TEST_F(MemoryIsShortTest, OfTheHost) {
  EXPECT_FALSE(Short());
  Write("proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 49999 kB\n");
  EXPECT_TRUE(Short());
}

TEST_F(MemoryIsShortTest, OfACgroupAroundTheProcess) {
  Write("proc/self/cgroup", "0::/job/step\n");
  Write("cgroup/job/step/memory.max", "max\n");
  Write("cgroup/job/step/memory.current", "990\n");
  EXPECT_FALSE(Short());
  Write("cgroup/job/memory.max", "1000\n");
  Write("cgroup/job/memory.current", "990\n");
  EXPECT_TRUE(Short()) << "the limit stands above the process's own group";
  Write("cgroup/job/memory.stat", "anon 5\ninactive_file 100\n");
  EXPECT_FALSE(Short()) << "the page cache gives way";
}

TEST_F(MemoryIsShortTest, OfAContainerThatSeesItsOwnRoot) {
  Write("proc/self/cgroup", "0::/somewhere/on/the/host\n");
  Write("cgroup/memory.max", "1000\n");
  Write("cgroup/memory.current", "999\n");
  EXPECT_TRUE(Short());
}

TEST_F(MemoryIsShortTest, OfVersionOne) {
  Write("proc/self/cgroup", "5:cpu,cpuacct:/job\n4:memory:/job\n0::/\n");
  Write("cgroup/memory/job/memory.limit_in_bytes", "1000\n");
  Write("cgroup/memory/job/memory.usage_in_bytes", "900\n");
  EXPECT_FALSE(Short());
  Write("cgroup/memory/job/memory.usage_in_bytes", "960\n");
  EXPECT_TRUE(Short());
}

TEST(StartProcess, GivesStreamsAndACleanEnvironment) {
  int input[2], output[2];
  ASSERT_EQ(pipe2(input, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(output, O_CLOEXEC), 0);
  setenv("OMPI_COMM_WORLD_RANK", "3", 1);
  const auto pid = StartProcess({"sh", "-c", "read line; echo \"$line, rank ${OMPI_COMM_WORLD_RANK:-none}\""},
                                {.in = input[0], .out = output[1], .err = output[1]});
  unsetenv("OMPI_COMM_WORLD_RANK");
  ASSERT_TRUE(pid) << pid.error().text();
  for (const int theirs : {input[0], output[1]}) close(theirs);
  ASSERT_EQ(write(input[1], "heard\n", 6), 6);
  std::string said;
  char byte = 0;
  while (read(output[0], &byte, 1) == 1) said += byte;
  int status = 0;
  EXPECT_EQ(waitpid(*pid, &status, 0), *pid);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(said.substr(0, said.find('\n')), "heard, rank none");
  for (const int ours : {input[1], output[0]}) close(ours);
}

TEST(StartProcess, SaysWhatCannotBeStarted) {
  const auto pid = StartProcess({"/no/such/program"}, {.out = 1, .err = 2});
  ASSERT_FALSE(pid);
  EXPECT_EQ(pid.error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(pid.error().text(), "/no/such/program cannot be started: No such file or directory");
}

}  // namespace
}  // namespace cohort::process_test
