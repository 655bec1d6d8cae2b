// Servers that come to a run and go from it: the coordinator, driven with messages; the test plays the members, and starts
// whoever is missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "scheduler/coordinator.h"

namespace cohort::elastic_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

// Two shards a server; every node confirms at once, unless the test says otherwise.
class ElasticCluster {
 public:
  explicit ElasticCluster(std::uint32_t servers, bool backups = true, std::uint32_t recoveries = 0)
      : coordinator_(PlanOf(servers, backups, recoveries), nullptr, nullptr) {
    coordinator_.Start(now_);
    for (std::uint32_t shard = 0; shard < 2 * servers; ++shard) {
      Join(ShardNode(shard), shard / 2, 0);
      if (backups) Join(BackupNode(shard), (shard / 2 + 1) % servers, 0);
    }
    for (std::uint32_t worker = 0; worker < 2; ++worker) Join(WorkerNode(worker), 0, 0);
    for (std::uint32_t shard = 0; backups && shard < 2 * servers; ++shard) Ready(shard);
  }

  static RunPlan PlanOf(std::uint32_t servers, bool backups, std::uint32_t recoveries) {
    RunPlan plan;
    plan.run_id = 7;
    plan.shards = 2 * servers;
    plan.workers = 2;
    plan.rows = {20000, 5000, 3000};
    plan.steps = {PlanStep::Phase(PhaseKind::kTrain, 0, Split::kTrain)};
    plan.backups = backups;
    plan.recoveries = recoveries;
    return plan;
  }

  Status Ask(ClusterChange::Kind kind, std::uint32_t server = 0) {
    Outbox out;
    Status status = coordinator_.BeginChange({kind, server, "there"}, now_, out);
    Deliver(out);
    return status;
  }
  Status Drain(std::uint32_t server) { return Ask(ClusterChange::Kind::kDrainServer, server); }
  Status Add() { return Ask(ClusterChange::Kind::kAddServer); }

  void Send(NodeId from, Message message) {
    Stamp stamp;
    stamp.sender = from;
    stamp.incarnation = incarnations_[from];
    stamp.run_id = 7;
    Outbox out;
    coordinator_.OnMessage(stamp, std::move(message), now_, out);
    Deliver(out);
  }
  void Join(NodeId node, std::uint32_t server, std::uint32_t incarnation) {
    incarnations_[node] = incarnation;
    servers_[node] = server;
    Register registration;
    registration.request_id = ++id_;
    registration.server = server;
    registration.pid = 1000 + server;
    registration.host = "x";
    registration.endpoint = "tcp://h:" + ToString(node) + "." + std::to_string(incarnation);
    Send(node, registration);
  }
  void Ready(std::uint32_t shard) { Send(BackupNode(shard), BackupReady{++id_}); }
  void Die(NodeId node) {
    Outbox out;
    coordinator_.OnProcessDeath(node, now_, out);
    Deliver(out);
  }

  // What the nodes do when they hear from the scheduler.
  void Deliver(Outbox& out) {
    for (Outgoing& each : out.Take()) todo_.push_back(std::move(each));
    if (delivering_) return;
    delivering_ = true;
    while (!todo_.empty()) {
      const Outgoing each = todo_.front();
      todo_.erase(todo_.begin());
      if (silent_.contains(each.to)) continue;
      if (const auto* order = std::get_if<PhaseOrder>(&each.message)) {
        if (deaf_.contains(each.to)) continue;
        if (order->kind == PhaseKind::kStop && each.to.role != Role::kWorker) stopped_.push_back(each.to);
        Send(each.to, PhaseReply{order->request_id});
      } else if (const auto* backup = std::get_if<BackupOrder>(&each.message)) {
        endpoints_[each.to.index] = backup->endpoint;
        Send(each.to, Ack{backup->request_id});
      } else if (const auto* promote = std::get_if<PromoteOrder>(&each.message)) {
        Send(each.to, Ack{promote->request_id});
        Join(ShardNode(each.to.index), servers_[each.to], promote->incarnation);
      } else if (const auto* moved = std::get_if<ShardMoved>(&each.message)) {
        moves_.push_back(moved->shard);
        Send(each.to, Ack{moved->request_id});
      }
    }
    delivering_ = false;
  }

  // Time goes on; somebody starts who is missing, and what is built is ready soon.
  void Run(Duration duration, bool start_missing = true) {
    for (const TimePoint end = now_ + duration; now_ < end;) {
      now_ += milliseconds(250);
      std::vector<std::pair<NodeId, bool>> members;
      for (const Member& member : coordinator_.membership().all())
        members.emplace_back(member.node, member.registered());
      for (const auto& [node, registered] : members) {
        if (registered && !silent_.contains(node)) Send(node, Heartbeat{++id_, 1, {}, {}});
        if (registered || node.role != Role::kBackup || !start_missing) continue;
        const Member& member = *coordinator_.membership().Find(node);
        Join(node, member.registration.server, member.incarnation);
        Ready(node.index);
      }
      if (now_ >= coordinator_.NextTimer()) {
        Outbox out;
        coordinator_.OnTimer(now_, out);
        Deliver(out);
      }
    }
  }

  std::vector<NodeId> On(std::uint32_t server) const {
    std::vector<NodeId> nodes;
    for (const Member& member : coordinator_.membership().all()) {
      if (member.node.role != Role::kWorker && member.registration.server == server)
        nodes.push_back(member.node);
    }
    return nodes;
  }

  TimePoint now_{};
  Coordinator coordinator_;
  std::map<NodeId, std::uint32_t> incarnations_, servers_;
  std::set<NodeId> silent_, deaf_;                  // say nothing; do not follow orders for a phase
  std::vector<NodeId> stopped_;                     // in this order
  std::map<std::uint32_t, std::string> endpoints_;  // by shard: of the backup that it was told of last
  std::vector<std::uint32_t> moves_;                // that workers were told of

 private:
  RequestId id_ = 0;
  std::vector<Outgoing> todo_;
  bool delivering_ = false;
};

TEST(Elastic, ADrainedServerHandsEverythingOver) {
  ElasticCluster cluster(3);
  ASSERT_TRUE(cluster.Drain(1).ok());
  EXPECT_THAT(*cluster.coordinator_.ChangeWaitsFor(), HasSubstr("of 6 shards are where they belong"));
  cluster.Run(seconds(5));
  EXPECT_FALSE(cluster.coordinator_.ChangeWaitsFor());
  EXPECT_TRUE(cluster.coordinator_.change_verdict().ok());
  EXPECT_TRUE(cluster.On(1).empty());
  // Its two shards, and the backups that it had of server 0; nobody else.
  EXPECT_EQ(cluster.stopped_.size(), 4u);
  for (const NodeId node : {ShardNode(2), ShardNode(3), BackupNode(0), BackupNode(1)})
    EXPECT_THAT(cluster.stopped_, ::testing::Contains(node));
  EXPECT_EQ(cluster.moves_, (std::vector<std::uint32_t>{2, 2, 3, 3})) << "both workers of both shards";
  EXPECT_EQ(cluster.coordinator_.moved(), 2u);
  EXPECT_EQ(cluster.coordinator_.failovers(), 0u);
  EXPECT_FALSE(cluster.coordinator_.decided()) << "with recoveries = 0: a move is no death";
}

TEST(Elastic, AddedServersTakeTheirShare) {
  ElasticCluster cluster(2);
  ASSERT_TRUE(cluster.Add().ok());
  // Missing first, so that somebody starts it there.
  cluster.Run(milliseconds(500), /*start_missing=*/false);
  const auto seats = cluster.On(2);
  ASSERT_EQ(seats.size(), 1u) << "one after the other";
  EXPECT_EQ(cluster.coordinator_.membership().Find(seats[0])->registration.host, "there");
  cluster.Run(seconds(5));
  EXPECT_FALSE(cluster.coordinator_.ChangeWaitsFor());
  EXPECT_TRUE(cluster.coordinator_.change_verdict().ok());
  EXPECT_EQ(cluster.On(2).size(), 2u) << "a shard and a backup";
  EXPECT_EQ(cluster.coordinator_.moved(), 1u);
  // The next number is another one.
  ASSERT_TRUE(cluster.Drain(2).ok());
  cluster.Run(seconds(5));
  ASSERT_TRUE(cluster.Add().ok());
  cluster.Run(seconds(5));
  EXPECT_TRUE(cluster.On(2).empty());
  EXPECT_EQ(cluster.On(3).size(), 2u);
}

TEST(Elastic, RefusesWhatCannotBe) {
  EXPECT_THAT(ElasticCluster(3, false).Drain(0).text(), HasSubstr("start it with cluster.replicas = 1"));
  EXPECT_THAT(ElasticCluster(2).Drain(0).text(), HasSubstr("last two"));
  ElasticCluster cluster(3);
  EXPECT_THAT(cluster.Drain(5).text(), HasSubstr("there is no server 5"));
  ASSERT_TRUE(cluster.Drain(1).ok());
  EXPECT_THAT(cluster.Drain(2).text(), HasSubstr("drain-server 1 is under way, and waits for "));
  cluster.Run(seconds(5));
  EXPECT_THAT(cluster.Drain(1).text(), HasSubstr("there is no server 1; there are 0, 2"));
}

// One copy of one shard is missing at a time.
TEST(Elastic, OneShardMovesAfterTheOther) {
  ElasticCluster cluster(3);
  ASSERT_TRUE(cluster.Drain(1).ok());
  cluster.Run(seconds(3), /*start_missing=*/false);
  int missing = 0;
  for (const Member& member : cluster.coordinator_.membership().all()) missing += member.registered() ? 0 : 1;
  EXPECT_EQ(missing, 1);
  EXPECT_THAT(*cluster.coordinator_.ChangeWaitsFor(), HasSubstr("its backup to be built on server"));
}

TEST(Elastic, AShardThatDoesNotConfirmItsStopIsFencedLikeADeadOne) {
  ElasticCluster cluster(3);
  cluster.deaf_.insert(ShardNode(2));
  ASSERT_TRUE(cluster.Drain(1).ok());
  for (int i = 0; i < 10 && !cluster.coordinator_.Leaves(ShardNode(2)); ++i) cluster.Run(milliseconds(250));
  ASSERT_TRUE(cluster.coordinator_.Leaves(ShardNode(2)));
  cluster.silent_.insert(ShardNode(2));
  cluster.Run(seconds(4));
  cluster.silent_.clear(), cluster.deaf_.clear();
  cluster.Run(seconds(4));
  EXPECT_FALSE(cluster.coordinator_.decided()) << cluster.coordinator_.verdict().text();
  EXPECT_EQ(cluster.coordinator_.membership().Find(ShardNode(2))->incarnation, 1u);
}

// Its backup is all that there is when the shard may have stopped.
TEST(Elastic, TheDeathOfABackupThatIsToTakeOverEndsTheRun) {
  ElasticCluster cluster(3);
  cluster.deaf_.insert(ShardNode(2));
  ASSERT_TRUE(cluster.Drain(1).ok());
  for (int i = 0; i < 10 && !cluster.coordinator_.Leaves(ShardNode(2)); ++i) cluster.Run(milliseconds(250));
  ASSERT_TRUE(cluster.coordinator_.Leaves(ShardNode(2)));
  cluster.Die(BackupNode(2));
  EXPECT_TRUE(cluster.coordinator_.decided());
  EXPECT_TRUE(cluster.coordinator_.recoverable());
}

// Another shard dies meanwhile: its backup takes its place, and the drain goes on.
TEST(Elastic, ADeathInBetweenIsMadeUpFor) {
  ElasticCluster cluster(3, true, 5);
  ASSERT_TRUE(cluster.Drain(1).ok());
  cluster.Run(milliseconds(250), /*start_missing=*/false);
  cluster.Die(ShardNode(5));
  cluster.Run(seconds(8));
  EXPECT_FALSE(cluster.coordinator_.decided()) << cluster.coordinator_.verdict().text();
  EXPECT_EQ(cluster.coordinator_.failovers(), 1u);
  EXPECT_FALSE(cluster.coordinator_.ChangeWaitsFor());
  EXPECT_TRUE(cluster.On(1).empty());
}

TEST(Elastic, AServerThatDoesNotComeUpIsGivenUp) {
  ElasticCluster cluster(2);
  ASSERT_TRUE(cluster.Add().ok());
  cluster.Run(seconds(62), /*start_missing=*/false);
  EXPECT_FALSE(cluster.coordinator_.ChangeWaitsFor());
  EXPECT_THAT(cluster.coordinator_.change_verdict().text(),
              HasSubstr("server 2 on host there did not come up"));
  EXPECT_TRUE(cluster.On(2).empty());
  cluster.Run(seconds(5));
  ASSERT_TRUE(cluster.Add().ok()) << "may be asked again";
  cluster.Run(seconds(5));
  EXPECT_EQ(cluster.On(3).size(), 2u);
}

// A server whose process dies gets one again, with the same number and what it lacks.
TEST(Elastic, ADeadServersSeatsStay) {
  ElasticCluster cluster(3, true, 10);
  for (const NodeId node : {ShardNode(2), ShardNode(3), BackupNode(0), BackupNode(1)}) cluster.Die(node);
  cluster.Run(milliseconds(250), /*start_missing=*/false);
  const auto seats = cluster.On(1);
  EXPECT_EQ(seats, (std::vector<NodeId>{BackupNode(0), BackupNode(1), BackupNode(2), BackupNode(3)}));
}

}  // namespace
}  // namespace cohort::elastic_test
