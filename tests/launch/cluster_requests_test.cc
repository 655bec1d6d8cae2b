// Requests to a run that goes on, and their answers, as files.
#include "launch/cluster_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "common/atomic_file.h"
#include "launch/cluster_file.h"
#include "tests/support/subprocess.h"

namespace cohort::cluster_requests_test {
namespace {

using ::testing::HasSubstr;
using State = RequestAnswer::State;

constexpr ClusterChange kDrain = {ClusterChange::Kind::kDrainServer, 3, ""};

Result<RequestAnswer> AnswerIn(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return AnswerFromJson(text, path);
}

TEST(ClusterRequests, AreTakenOnceInOrderAndAnswered) {
  const testing::TemporaryFolder folder;
  RequestInbox inbox(folder / "", /*took_over=*/false);
  EXPECT_FALSE(inbox.Next()) << "there is no folder yet";
  const auto first = SendRequest(folder / "", kDrain);
  const auto second = SendRequest(folder / "", {ClusterChange::Kind::kAddServer, 0, "there"});
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(AnswerIn(*first));
  const auto one = inbox.Next(), other = inbox.Next();
  ASSERT_TRUE(one && other && one->change && other->change);
  EXPECT_EQ(one->change->kind, ClusterChange::Kind::kDrainServer);
  EXPECT_EQ(one->change->index, 3u);
  EXPECT_EQ(other->change->host, "there");
  EXPECT_FALSE(inbox.Next());
  inbox.Answer(one->number, {State::kUnderWay, "shard 3"});
  inbox.Answer(other->number, {State::kRefused, "another is under way"});
  EXPECT_EQ(AnswerIn(*first)->state, State::kUnderWay);
  EXPECT_EQ(AnswerIn(*first)->text, "shard 3");
  inbox.Answer(one->number, {State::kDone, ""});
  EXPECT_EQ(AnswerIn(*first)->state, State::kDone);
  EXPECT_EQ(AnswerIn(*second)->text, "another is under way");
}

TEST(ClusterRequests, WhatAFormerLifeLeftIsAnsweredAndNotTaken) {
  const testing::TemporaryFolder folder;
  std::vector<std::string> answers;
  {
    RequestInbox inbox(folder / "", /*took_over=*/false);
    for (int i = 0; i < 3; ++i) answers.push_back(*SendRequest(folder / "", kDrain));
    inbox.Answer(inbox.Next()->number, {State::kDone, ""});
    inbox.Answer(inbox.Next()->number, {State::kUnderWay, "shard 3"});
  }
  RequestInbox inbox(folder / "", /*took_over=*/false);
  EXPECT_FALSE(inbox.Next());
  EXPECT_EQ(AnswerIn(answers[0])->state, State::kDone);
  EXPECT_EQ(AnswerIn(answers[1])->state, State::kFailed);
  EXPECT_THAT(AnswerIn(answers[2])->text, HasSubstr("started again meanwhile"));
}

// The same life of the run, and another scheduler.
TEST(ClusterRequests, WhatADeadSchedulerHadBegunGoesOn) {
  const testing::TemporaryFolder folder;
  std::vector<std::string> answers;
  {
    RequestInbox inbox(folder / "", /*took_over=*/false);
    for (int i = 0; i < 3; ++i) answers.push_back(*SendRequest(folder / "", kDrain));
    inbox.Answer(inbox.Next()->number, {State::kDone, ""});
    inbox.Answer(inbox.Next()->number, {State::kUnderWay, "shard 3"});
  }
  RequestInbox inbox(folder / "", /*took_over=*/true);
  EXPECT_EQ(inbox.under_way(), 2u);
  EXPECT_EQ(AnswerIn(answers[1])->state, State::kUnderWay);
  EXPECT_EQ(inbox.Next()->number, 3u) << "nobody has seen it yet";
}

TEST(ClusterRequests, TwoAtOnceGetTwoNumbers) {
  const testing::TemporaryFolder folder;
  std::vector<std::string> answers(4);
  std::vector<std::thread> threads;
  for (std::string& answer : answers)
    threads.emplace_back([&] { answer = SendRequest(folder / "", kDrain).value_or(""); });
  for (std::thread& thread : threads) thread.join();
  std::sort(answers.begin(), answers.end());
  EXPECT_EQ(std::unique(answers.begin(), answers.end()), answers.end());
  EXPECT_FALSE(answers.front().empty());
}

TEST(ClusterRequests, WhatIsNoRequestIsRefusedWithItsReason) {
  const testing::TemporaryFolder folder;
  RequestInbox inbox(folder / "", /*took_over=*/false);
  ASSERT_TRUE(SendRequest(folder / "", kDrain));
  folder.Write("requests/0002.json", "{\"kind\": \"fly\", \"index\": 1, \"host\": \"\"}");
  folder.Write("requests/0003.json", "[");
  folder.Write("requests/note.json", "{}");
  ASSERT_TRUE(inbox.Next()->change);
  EXPECT_THAT(inbox.Next()->change.error().text(), HasSubstr("unknown kind \"fly\""));
  EXPECT_THAT(inbox.Next()->change.error().text(), HasSubstr("not what `cohort cluster` writes"));
  EXPECT_FALSE(inbox.Next());
}

TEST(ClusterFile, KnowsWhoIsOnAServerAndWhoIsMissingThere) {
  ClusterFile file;
  file.members = {{ShardNode(0), 0, false, 0, "x", 7},  {ShardNode(1), 1, true, 1, "x", 0},
                  {WorkerNode(0), 0, true, 1, "x", 0},  {BackupNode(0), 1, true, 3, "x", 0},
                  {BackupNode(1), 0, false, 0, "x", 7}, {BackupNode(2), 0, true, 2, "x", 0}};
  const auto read = ClusterFromJson(ToJson(file), "cluster.json");
  ASSERT_TRUE(read);
  ASSERT_EQ(MembersOf(*read, 0).size(), 2u);
  EXPECT_TRUE(MembersOf(*read, 1).empty());
  ASSERT_EQ(SeatsOf(*read, 0).size(), 1u);
  EXPECT_EQ(SeatsOf(*read, 0)[0].node, BackupNode(2));
  ASSERT_EQ(SeatsOf(*read, 1).size(), 1u) << "a shard's place is taken by its backup";
  EXPECT_EQ(SeatsOf(*read, 1)[0].incarnation, 3u);
}

}  // namespace
}  // namespace cohort::cluster_requests_test
