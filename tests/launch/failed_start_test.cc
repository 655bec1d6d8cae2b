// From what mpirun says of a start that came to nothing, to the reason. The texts are those of Open MPI 4.1.4 and OpenSSH.
#include "launch/failed_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/process.h"

namespace cohort::failed_start_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

const std::vector<ListedHost> kHosts = {{HostName(), 1}, {"shop1", 3}, {"shop12", 4}};
constexpr const char* kDaemon = "ORTE was unable to reliably start one or more daemons.";

bool All(const std::string&) { return true; }
bool None(const std::string&) { return false; }

TEST(FailedStart, AHostThatNobodyKnowsIsTheUsersToCorrect) {
  const Words words = {"ssh: Could not resolve hostname shop12: Name or service not known", kDaemon};
  const Status status = WhyNotStarted(words, kHosts, "hosts", None);
  EXPECT_EQ(status.exit_code(), 2);
  EXPECT_THAT(status.text(), StartsWith(words[0] + "; hosts, line 4: shop12 is no host that is known here"));
  EXPECT_THAT(status.text(), HasSubstr("`cohort doctor --hostfile hosts`"));
}

// mpirun leaves domains out.
TEST(FailedStart, AHostIsFoundByItsNameWithoutDomain) {
  const Words words = {"ssh: Could not resolve hostname shop1: Name or service not known"};
  const Status status = WhyNotStarted(words, {{"shop12.example", 1}, {"shop1.example", 2}}, "hosts", None);
  EXPECT_EQ(status.exit_code(), 2);
  EXPECT_THAT(status.text(),
              HasSubstr("line 2: shop1.example, which mpirun calls shop1, is no host that is known here"));
}

TEST(FailedStart, AHostThatDoesNotAnswerIsNamed) {
  const Words words = {"[" + HostName() + ":7] a word of mpirun's",
                       "ssh: connect to host shop1 port 22: Connection refused", kDaemon};
  const Status status = WhyNotStarted(words, kHosts, "hosts", All);
  EXPECT_EQ(status.exit_code(), 1);
  EXPECT_THAT(status.text(), StartsWith(words[1] + "; hosts, line 3: shop1 could not be used"));
}

TEST(FailedStart, WhereNoHostIsNamedTheFirstLineIsTheReason) {
  const Words words = {"[" + HostName() + ":7] a word of mpirun's", "bash: line 1: orted: command not found",
                       kDaemon};
  const Status status = WhyNotStarted(words, kHosts, "hosts", All);
  EXPECT_EQ(status.exit_code(), 1);
  EXPECT_THAT(status.text(), StartsWith(words[1] + "; `cohort doctor --hostfile hosts` looks at"));
  // Names that only the agent knows are no mistake: ~/.ssh/config has some.
  const Status unknown = WhyNotStarted(words, kHosts, "hosts", None);
  EXPECT_EQ(unknown.exit_code(), 1);
  EXPECT_THAT(unknown.text(), HasSubstr("hosts, line 3: no address of shop1 is found here"));
  // On this host alone, or in an allocation.
  const Status alone = WhyNotStarted({words[0]}, {}, "", None);
  EXPECT_THAT(alone.text(), StartsWith(words[0] + "; `cohort doctor` looks at"));
  EXPECT_THAT(WhyNotStarted({}, {}, "", None).text(), StartsWith("nothing was said; "));
}

TEST(FailedStart, ANameIsAWordOfItsOwn) {
  for (const char* line : {"myshop1 is away", "shop1.example is away", "shop1-a is away", "a.shop1 is away"})
    EXPECT_THAT(WhyNotStarted({line}, kHosts, "hosts", All).text(), Not(HasSubstr("line 3"))) << line;
  for (const char* line : {"shop1", "lost shop1.", "\"shop1\": away", "shop1: away", "shop12x and shop1"})
    EXPECT_THAT(WhyNotStarted({line}, kHosts, "hosts", All).text(), HasSubstr("line 3: shop1 could")) << line;
}

TEST(FailedStart, RulesAndFramesSayNothing) {
  EXPECT_FALSE(SaysSomething("--------------------------------"));
  EXPECT_FALSE(SaysSomething("  \t"));
  EXPECT_TRUE(SaysSomething("* lack of authority"));
}

TEST(FailedStart, ThisHostIsKnown) {
  EXPECT_TRUE(IsKnownHost("127.0.0.1"));
  EXPECT_TRUE(IsKnownHost("localhost"));
  EXPECT_FALSE(IsKnownHost("not a name"));
}

}  // namespace
}  // namespace cohort::failed_start_test
