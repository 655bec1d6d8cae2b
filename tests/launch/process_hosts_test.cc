// Which process stands on which host, by --place; and the hosts that Slurm has given.
#include "launch/process_hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "common/process.h"
#include "launch/allocation.h"
#include "launch/cluster_job.h"
#include "tests/support/subprocess.h"

namespace cohort::process_hosts_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using Words = std::vector<std::string>;

const Words kThreeHosts = {"a", "a", "b", "b", "c", "c"};  // two slots each

ProcessHosts Placed(const Words& rules, const Words& slots, std::uint32_t servers, std::uint32_t workers) {
  const auto parsed = ParseHostRules(rules);
  EXPECT_TRUE(parsed.has_value()) << parsed.error().text();
  const auto places = ChooseHosts(*parsed, HostsOf(slots), servers, workers);
  EXPECT_TRUE(places.has_value()) << places.error().text();
  return *places;
}

TEST(ProcessHosts, PackFillsTheSlotsThatAreLeft) {
  const ProcessHosts placed = Placed({"servers=pack"}, kThreeHosts, 2, 5);
  EXPECT_EQ(placed.scheduler, "a");  // takes one
  EXPECT_THAT(placed.servers, ElementsAre("a", "b"));
  EXPECT_THAT(placed.workers, ElementsAre("b", "c", "c", "a", "a"));  // and from the beginning
}

TEST(ProcessHosts, SpreadTakesEachHostInTurn) {
  const ProcessHosts placed = Placed({"servers=spread", "workers=spread"}, kThreeHosts, 4, 2);
  EXPECT_THAT(placed.servers, ElementsAre("a", "b", "c", "a"));
  EXPECT_THAT(placed.workers, ElementsAre("a", "b"));
}

TEST(ProcessHosts, WhatIsSpreadTakesSlotsFromWhatIsPacked) {
  const ProcessHosts placed = Placed({"servers=spread"}, kThreeHosts, 3, 3);  // of a: the scheduler, a server
  EXPECT_THAT(placed.servers, ElementsAre("a", "b", "c"));
  EXPECT_THAT(placed.workers, ElementsAre("b", "c", "a"));
}

TEST(ProcessHosts, NamedHostsAreTakenInTurnAndNoOthers) {
  const ProcessHosts placed = Placed({"workers=c,b", "servers=b"}, kThreeHosts, 2, 3);
  EXPECT_THAT(placed.servers, ElementsAre("b", "b"));
  EXPECT_THAT(placed.workers, ElementsAre("c", "b", "c"));
}

TEST(ProcessHosts, TheSchedulerStandsWhereAnotherOneCanTakeItsPlace) {
  EXPECT_EQ(Placed({"workers=a"}, {"a", HostName()}, 1, 1).scheduler, HostName());
}

TEST(ProcessHosts, WhatIsWrongIsNamed) {
  const auto error = [](const Words& words) {
    const auto parsed = ParseHostRules(words);
    const auto placed =
        parsed ? ChooseHosts(*parsed, HostsOf(kThreeHosts), 1, 1) : tl::unexpected(parsed.error());
    if (placed) return std::string("none");
    EXPECT_EQ(placed.error().exit_code(), 2);
    return placed.error().text();
  };
  EXPECT_THAT(
      error({"servers=a,d"}),
      HasSubstr("\"d\" is neither a rule (spread, pack) nor one of the job's hosts, which are a, b, c"));
  // A rule that is misspelt.
  for (const char* rule : {"SPREAD", "spred", "Spread"})
    EXPECT_THAT(error({std::string("servers=") + rule}), HasSubstr("; did you mean \"spread\"?")) << rule;
  EXPECT_THAT(error({"workers=packs"}), HasSubstr("--place workers=packs: \"packs\" is neither"));
  EXPECT_THAT(error({"scheduler=a"}), HasSubstr("names neither servers nor workers; expected servers=RULE"));
  EXPECT_THAT(error({"spread"}), HasSubstr("names neither servers nor workers"));
  EXPECT_THAT(error({"server=spread"}), HasSubstr("; did you mean \"servers\"?"));
  EXPECT_THAT(error({"servers"}),
              HasSubstr("--place servers has no rule; expected servers=RULE or workers=RULE, where RULE is"));
  EXPECT_THAT(error({"servers="}), HasSubstr("has no rule"));
  EXPECT_THAT(error({"servers=a,,b"}), HasSubstr("\"\" is no host's name"));
  EXPECT_THAT(error({"servers=spread,a"}), HasSubstr("\"spread\" is no host's name"));
  EXPECT_THAT(error({"servers=a", "servers=b"}), HasSubstr("the second rule for servers"));
}

TEST(ProcessHosts, MpirunIsToldTheHostOfEachProcessInOrder) {
  ClusterJob job;
  job.folder = "/run";
  job.config.cluster.servers = 3;
  job.config.cluster.workers = 2;
  const auto hosts = [&job] {
    std::string told;
    const Words command = MpirunCommand(job);
    for (std::size_t i = 0; i < command.size(); ++i) {
      if (command[i] == "-np") told += command[i + 1];
      if (command[i] == "--host") told += "@" + command[i + 1];
      if (const std::size_t slash = command[i].rfind("/cohort-"); slash != std::string::npos)
        told += command[i].substr(slash + 7) + " ";
    }
    return told;
  };
  EXPECT_EQ(hosts(), "1-scheduler 3-server 2-worker ");
  job.places = ProcessHosts{"a", {"b", "b", "c"}, {"c", "a"}};
  EXPECT_EQ(hosts(), "1@a-scheduler 2@b-server 1@c-server 1@c-worker 1@a-worker ");
}

// Not the user's own file, which mpirun reads otherwise.
TEST(ProcessHosts, MpirunIsGivenTheListAsItWasUnderstood) {
  ClusterJob job;
  job.folder = "/run";
  job.hostfile = "mine";
  EXPECT_THAT(MpirunCommand(job), ::testing::Not(::testing::Contains("--hostfile")));
  job.hosts = {{"a", 1}};
  const Words command = MpirunCommand(job);
  const auto option = std::find(command.begin(), command.end(), "--hostfile");
  ASSERT_LT(option + 1, command.end());
  EXPECT_EQ(*(option + 1), "/run/hosts");
  EXPECT_THAT(command, ::testing::Not(::testing::Contains("mine")));
}

TEST(ProcessHosts, NoHostHasMoreThanItsMaxSlots) {
  const HostRules pack;
  // Slots of all are taken again when none is left, but for those of hosts that are full.
  const std::vector<ListedHost> hosts = {{"a", 1, 1, true, 2}, {"b", 2, 2, true, 2}, {"c", 3}};
  const auto placed = ChooseHosts(pack, hosts, 2, 5);
  ASSERT_TRUE(placed.has_value()) << placed.error().text();
  EXPECT_EQ(placed->scheduler, "a");
  EXPECT_THAT(placed->servers, ElementsAre("b", "b"));
  EXPECT_THAT(placed->workers, ElementsAre("c", "a", "c", "c", "c"));
  const std::vector<ListedHost> two = {{"a", 1, 1, true, 2}, {"b", 2, 2, true, 2}};
  EXPECT_TRUE(ChooseHosts(pack, two, 1, 2).has_value());
  const auto full = ChooseHosts(pack, two, 2, 2);
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().exit_code(), 2);
  EXPECT_THAT(full.error().text(),
              HasSubstr("would have 3 of the 5 processes, and the list of hosts says max_slots=2; raise it"));
  const auto named = ChooseHosts(*ParseHostRules({"workers=b"}), hosts, 1, 3);
  ASSERT_FALSE(named.has_value());
  EXPECT_THAT(named.error().text(), ::testing::StartsWith("b would have "));
}

TEST(Allocation, TasksOfNodes) {
  EXPECT_THAT(*TasksOfNodes("2(x3),1"), ElementsAre(2, 2, 2, 1));
  EXPECT_THAT(*TasksOfNodes("4"), ElementsAre(4));
  for (const char* wrong : {"x", "2(x", "2(x0)", "0", "2(x3)y", "2,,1", "2(x99999999)"}) {
    const auto tasks = TasksOfNodes(wrong);
    ASSERT_FALSE(tasks.has_value()) << wrong;
    EXPECT_THAT(tasks.error().text(), HasSubstr("expected a list as 2(x3),1"));
  }
}

class AllocationTest : public ::testing::Test {
 protected:
  // A Slurm whose scontrol is this script.
  void Give(const std::string& script) {
    std::filesystem::permissions(folder_.Write("scontrol", "#!/bin/sh\n" + script),
                                 std::filesystem::perms::owner_all);
    ::setenv("PATH", (folder_.path() + ":" + path_).c_str(), 1);
    ::setenv("SLURM_JOB_ID", "7", 1);
    ::setenv("SLURM_JOB_NODELIST", "n[1-2]", 1);
    ::setenv("SLURM_TASKS_PER_NODE", "2,1", 1);
  }
  void TearDown() override {
    ::setenv("PATH", path_.c_str(), 1);
    for (const char* name : {"SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_TASKS_PER_NODE"}) ::unsetenv(name);
  }
  const std::string path_ = std::getenv("PATH");
  TemporaryFolder folder_;
};

TEST_F(AllocationTest, HostsComeAsOftenAsTheyHaveTasks) {
  EXPECT_FALSE(InAllocation());
  Give("test \"$*\" = 'show hostnames n[1-2]' && printf 'n1\\nn2\\n'\n");
  EXPECT_TRUE(InAllocation());
  const auto hosts = AllocatedHosts();
  ASSERT_TRUE(hosts.has_value()) << hosts.error().text();
  EXPECT_THAT(*hosts, ElementsAre("n1", "n1", "n2"));
}

TEST_F(AllocationTest, WhatSlurmDoesNotSayIsAnError) {
  Give("echo 'Invalid hostlist' >&2; exit 1\n");
  auto hosts = AllocatedHosts();
  ASSERT_FALSE(hosts.has_value());
  EXPECT_THAT(hosts.error().text(), HasSubstr("the hosts of job 7 (n[1-2]): Invalid hostlist"));
  Give("echo n1\n");
  hosts = AllocatedHosts();
  ASSERT_FALSE(hosts.has_value());
  EXPECT_THAT(hosts.error().text(), HasSubstr("SLURM_TASKS_PER_NODE=2,1 does not fit"));
}

}  // namespace
}  // namespace cohort::process_hosts_test
