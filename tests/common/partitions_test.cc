#include "common/partitions.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

namespace cohort::partitions_test {
namespace {

TEST(PartitionsHere, PartsAreMadeAndTakenInOrder) {
  std::vector<std::string> said;
  PartitionsHere here([&](const std::string& line) { said.push_back(line); });
  EXPECT_EQ(here.Once("weights", []() -> Result<std::string> { return std::string("computed"); }),
            "computed");
  std::string taken;
  PartitionedWork work;
  work.doing = "listing", work.noun = "users", work.count = 7, work.size = 3;
  work.make = [](std::uint64_t first, std::uint64_t end) -> Result<std::string> {
    return std::to_string(first) + "-" + std::to_string(end) + ";";
  };
  work.take = [&](const std::string& part) {
    taken += part;
    return Status();
  };
  EXPECT_EQ(work.parts(), 3u);
  EXPECT_TRUE(here.Run(work).ok());
  EXPECT_EQ(taken, "0-3;3-6;6-7;");
  EXPECT_EQ(said, (std::vector<std::string>{"listing: 0 of 7 users", "listing: 3 of 7 users",
                                            "listing: 6 of 7 users"}));
  work.count = 0;
  EXPECT_EQ(work.parts(), 0u);
  EXPECT_TRUE(here.Run(work).ok());
  EXPECT_EQ(taken, "0-3;3-6;6-7;");
}

TEST(PartitionsHere, AnErrorEndsTheWork) {
  PartitionsHere here([](const std::string&) {});
  int made = 0, taken = 0;
  PartitionedWork work;
  work.count = 5;
  work.make = [&](std::uint64_t first, std::uint64_t) -> Result<std::string> {
    ++made;
    if (first == 2) return Error(ErrorCode::kIo, "made no part");
    return std::string();
  };
  work.take = [&](const std::string&) {
    ++taken;
    return Status();
  };
  EXPECT_EQ(here.Run(work).text(), "made no part");
  EXPECT_EQ(made, 3);
  EXPECT_EQ(taken, 2);
  work.make = [](std::uint64_t, std::uint64_t) -> Result<std::string> { return std::string(); };
  work.take = [](const std::string&) { return Status(ErrorCode::kIo, "took no part"); };
  EXPECT_EQ(here.Run(work).text(), "took no part");
}

// In a process of its own: a signal is remembered for good.
TEST(PartitionsHere, AStopSignalEndsItAfterThePartUnderWay) {
  const auto run = [] {
    int taken = 0;
    PartitionsHere here([](const std::string&) {});
    PartitionedWork work;
    work.count = 10, work.size = 4;
    work.make = [](std::uint64_t first, std::uint64_t) -> Result<std::string> {
      if (first == 4) raise(SIGTERM);
      return std::string();
    };
    work.take = [&](const std::string&) {
      ++taken;
      return Status();
    };
    const Status status = here.Run(work);
    _exit(taken == 2 && status.text() == "ended by signal SIGTERM" && status.exit_code() == 1 ? 42 : 1);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace cohort::partitions_test
