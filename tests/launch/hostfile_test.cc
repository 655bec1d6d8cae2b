// Lists of hosts, launch agents, and programs that are spoken with in lines.
#include "launch/hostfile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "common/process.h"
#include "launch/line_process.h"
#include "tests/support/slowdown.h"
#include "tests/support/subprocess.h"

namespace cohort::hostfile_test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

TEST(Hostfile, NamesComeAsOftenAsTheyHaveSlots) {
  const TemporaryFolder folder;
  const auto hosts = ReadHostfile(
      folder.Write("hosts", "# the cluster\na slots=2\n\nb   # one\na\nc max_slots=4 slots=1\n"));
  ASSERT_TRUE(hosts.has_value()) << hosts.error().text();
  EXPECT_THAT(SlotsOf(*hosts), ElementsAre("a", "a", "a", "b", "c"));
  EXPECT_THAT(NamesOf(*hosts), ElementsAre("a", "b", "c"));
  EXPECT_EQ(hosts->at(1).line, 4);
  EXPECT_EQ(hosts->at(2).most, 4u);
  EXPECT_EQ(ToHostfile(HostsOf({"a", "b", "a"})), "a slots=2\nb slots=1\n");
  const auto none = ReadHostfile(folder.Write("none", "# nobody\n"));
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().exit_code(), 2);
  EXPECT_THAT(none.error().text(), HasSubstr("names no host"));
}

TEST(Hostfile, WhatMpirunIsGivenOfEachForm) {
  const TemporaryFolder folder;
  const auto given = [&folder](const std::string& text) {
    const auto hosts = ReadHostfile(folder.Write("hosts", text));
    return hosts ? ToHostfile(*hosts) : hosts.error().text();
  };
  EXPECT_EQ(given("a\n"), "a\n");  // as many as it has processors, which mpirun counts
  EXPECT_EQ(given("a slots=4"), "a slots=4\n");
  EXPECT_EQ(given("\ta slots = 4\t# big one\r\n"), "a slots=4\n");
  EXPECT_EQ(given("10.0.0.1:4\n"), "10.0.0.1 slots=4\n");
  EXPECT_EQ(given("\xEF\xBB\xBF"
                  "a:2\r\n"),
            "a slots=2\n");  // as some editors begin and end lines
  EXPECT_EQ(given("a slots=2 max_slots=4\n"), "a slots=2 max_slots=4\n");
  EXPECT_EQ(given("a max-slots=4 slots=2\n"), "a slots=2 max_slots=4\n");
  EXPECT_EQ(given("a max_slots=3\n"), "a slots=3 max_slots=3\n");
  // In several lines they add up; a line that says nothing adds one.
  EXPECT_EQ(given("a\na\n"), "a slots=2\n");
  EXPECT_EQ(given("a slots=2\nb\na slots=3\n"), "a slots=5\nb\n");
  EXPECT_EQ(given("a slots=2 max_slots=3\na\n"), "a slots=3 max_slots=4\n");
  EXPECT_EQ(given("a:1\na max_slots=2\n"), "a slots=3 max_slots=3\n");
  // This host by two of its names.
  EXPECT_EQ(given(HostName() + " slots=1\nlocalhost:2\n127.0.0.1\n"), HostName() + " slots=4\n");
  // What is written is read as the same.
  EXPECT_EQ(given(given("a:2\nb\nc max_slots=1\n")), given("a:2\nb\nc max_slots=1\n"));
}

TEST(Hostfile, ALineThatIsNoHostIsNamed) {
  const TemporaryFolder folder;
  const auto error = [&folder](const std::string& text) {
    const auto hosts = ReadHostfile(folder.Write("hosts", text));
    if (hosts) return std::string("none");
    EXPECT_EQ(hosts.error().exit_code(), 2);
    return hosts.error().text();
  };
  EXPECT_THAT(
      error("a\nb slots=abc\n"),
      HasSubstr(
          "hosts, line 2: \"slots=abc\" is no number of slots; expected NAME, NAME:N, NAME slots=N or "));
  for (const char* slots : {"a slots=0", "a slots=-1", "a slots=2x", "a slots=", "a slots=99999", "a:0",
                            "a:", "a:b", "a max_slots=0"})
    EXPECT_THAT(error(slots), HasSubstr("is no number of slots")) << slots;
  for (const char* word : {"a b c", "a slot=2", "a cpus=2", "a 4", "a slots"})
    EXPECT_THAT(error(word), HasSubstr("is not understood")) << word;
  EXPECT_THAT(error("a b c\n"), HasSubstr("\"b\" is not understood"));
  EXPECT_THAT(error("a:2 slots=2\n"), HasSubstr("\"slots=2\" says once more what the line has said"));
  EXPECT_THAT(error("a slots=4 max_slots=2\n"), HasSubstr("slots=4 is more than max_slots=2"));
  EXPECT_THAT(error("me@a slots=2\n"),
              HasSubstr("\"me@a\" names a user; ssh takes users from ~/.ssh/config"));
  EXPECT_THAT(error("::1\n"), HasSubstr("\"::1\" is an IPv6 address"));
  for (const char* name : {"^a", "-oProxyCommand=x", ":4", "+n0"})
    EXPECT_THAT(error(name), HasSubstr("is no name of a host")) << name;
  EXPECT_THAT(error("\x7f"
                    "ELF\x02\x01\n"),
              HasSubstr("line 1: \"?ELF??\" is no name of a host"));
}

TEST(Hostfile, ThisHostIsKnownByNameAndAddress) {
  EXPECT_TRUE(IsThisHost(HostName()));
  EXPECT_TRUE(IsThisHost("localhost"));
  EXPECT_TRUE(IsThisHost("127.0.0.1"));
  EXPECT_FALSE(IsThisHost(HostName() + "x"));
  EXPECT_FALSE(IsThisHost("198.51.100.7"));
}

TEST(Hostfile, TheAgentIsTheOneThatMpirunWouldUse) {
  const TemporaryFolder folder;
  const std::string ssh = folder.Write("ssh", "#!/bin/sh\n"), other = folder.Write("other", "#!/bin/sh\n");
  for (const std::string& each : {ssh, other})
    std::filesystem::permissions(each, std::filesystem::perms::owner_all);
  ::setenv("OMPI_MCA_plm_rsh_agent", (folder / "none" + " : " + other + " -q : " + ssh).c_str(), 1);
  auto agent = LaunchAgent(4);
  ASSERT_TRUE(agent.has_value());
  EXPECT_THAT(*agent, ElementsAre(other, "-q"));
  // ssh asks nothing, and does not wait for ever.
  ::setenv("OMPI_MCA_plm_rsh_agent", ssh.c_str(), 1);
  agent = LaunchAgent(4);
  ASSERT_TRUE(agent.has_value());
  EXPECT_THAT(*agent, ElementsAre(ssh, "-x", "-o", "BatchMode=yes", "-o", "ConnectTimeout=4"));
  ::setenv("OMPI_MCA_plm_rsh_agent", (folder / "none").c_str(), 1);
  agent = LaunchAgent(4);
  ASSERT_FALSE(agent.has_value());
  EXPECT_THAT(agent.error().text(), HasSubstr("OMPI_MCA_plm_rsh_agent"));
  ::unsetenv("OMPI_MCA_plm_rsh_agent");
}

TEST(Hostfile, AWordComesThroughAShellAsItWas) {
  const std::string word = "it's a \"$HOME\" `x` \\ *";
  const testing::Outcome outcome = testing::RunProgram({"sh", "-c", "printf %s " + ShellWord(word)});
  EXPECT_EQ(outcome.out, word);
}

class LineProcessTest : public ::testing::Test {
 protected:
  // Until it has ended.
  std::vector<std::string> All(LineProcess& process) {
    std::vector<std::string> lines;
    const auto end = std::chrono::steady_clock::now() + seconds(20) * testing::kSlowdown;
    while (!process.exit_code() && std::chrono::steady_clock::now() < end) {
      LineProcess::Await({nullptr, &process}, std::chrono::milliseconds(100));
      for (std::string& line : process.Heard()) lines.push_back(std::move(line));
    }
    return lines;
  }
};

TEST_F(LineProcessTest, LinesGoBothWays) {
  auto process =
      LineProcess::Start({"sh", "-c", "while read line; do echo got $line; done; echo words >&2; exit 3"});
  ASSERT_TRUE(process.has_value());
  (*process)->Say("one");
  (*process)->Say("two");
  (*process)->SayNoMore();
  EXPECT_THAT(All(**process), ElementsAre("got one", "got two"));
  EXPECT_EQ((*process)->exit_code(), 3);
  EXPECT_THAT((*process)->words(), ElementsAre("words"));
}

TEST_F(LineProcessTest, MoreThanAPipeHoldsIsSentBitByBit) {
  auto process = LineProcess::Start({"sh", "-c", "sleep 0.2; wc -c"});
  ASSERT_TRUE(process.has_value());
  (*process)->Say(std::string(300'000, 'x'));
  (*process)->SayNoMore();
  EXPECT_THAT(All(**process), ElementsAre("300001"));
}

TEST_F(LineProcessTest, OneThatDoesNotListenStopsNobody) {
  auto process = LineProcess::Start({"true"});
  ASSERT_TRUE(process.has_value());
  All(**process);
  (*process)->Say("is anybody there?");
  EXPECT_EQ((*process)->exit_code(), 0);
  const auto none = LineProcess::Start({"/nowhere/program"});
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().text(), HasSubstr("/nowhere/program"));
}

TEST_F(LineProcessTest, ItIsGoneWithTheObject) {
  const auto start = std::chrono::steady_clock::now();
  {
    auto process = LineProcess::Start({"sleep", "100"});
    ASSERT_TRUE(process.has_value());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(20) * testing::kSlowdown);
}

}  // namespace
}  // namespace cohort::hostfile_test
