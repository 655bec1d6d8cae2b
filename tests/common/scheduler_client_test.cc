#include "common/scheduler_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cohort::scheduler_client_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class SchedulerClientTest : public ::testing::Test {
 protected:
  static SchedulerClient::Options MakeOptions() {
    SchedulerClient::Options options;
    options.dead_after = seconds(10);
    options.startup = seconds(30);
    options.run_id = 7;
    return options;
  }
  void Receive(Message message, std::uint64_t run_id = 7, std::uint32_t term = 1) {
    Stamp stamp;
    stamp.sender = kSchedulerNode;
    stamp.run_id = run_id;
    stamp.term = term;
    EXPECT_TRUE(client.OnMessage(stamp, message, now, out));
  }
  void Run(Duration duration) {
    const TimePoint end = now + duration;
    while (client.NextTimer() <= end) {
      now = client.NextTimer();
      client.OnTimer(now, out);
    }
    now = end;
  }
  template <typename T>
  std::vector<T> Sent() {
    std::vector<T> found;
    for (Outgoing& each : out.Take()) {
      EXPECT_EQ(each.to, kSchedulerNode);
      if (T* body = std::get_if<T>(&each.message)) found.push_back(std::move(*body));
    }
    return found;
  }
  void BeWelcome(RequestId orders_from = 0) {
    client.Start(now, out);
    Welcome welcome;
    welcome.request_id = 1;
    welcome.term = 1;
    welcome.slot_map = SlotMap::Even(2);
    welcome.orders_from = orders_from;
    Receive(welcome);
    out.Take();
  }

  TimePoint now{};
  Outbox out;
  SchedulerClient client{WorkerNode(3), Register{}, MakeOptions()};
};

TEST_F(SchedulerClientTest, RegistersUntilWelcome) {
  client.Start(now, out);
  EXPECT_EQ(Sent<Register>().size(), 1u);
  Run(seconds(3));
  EXPECT_EQ(Sent<Register>().size(), 3u);
  EXPECT_EQ(client.welcome(), nullptr);
  Welcome welcome;
  welcome.request_id = 1;
  welcome.term = 1;
  Receive(welcome, /*run_id=*/8);
  EXPECT_EQ(client.welcome(), nullptr) << "of another run";
  welcome.request_id = 2;
  Receive(welcome);
  EXPECT_EQ(client.welcome(), nullptr) << "for an earlier life of this node";
  welcome.request_id = 1;
  Receive(welcome);
  ASSERT_NE(client.welcome(), nullptr);
  EXPECT_EQ(client.stamp().term, 1u);
  EXPECT_EQ(Sent<Heartbeat>().size(), 1u);
  for (int i = 0; i < 4; ++i) Run(milliseconds(500)), Receive(HeartbeatReply{});
  EXPECT_EQ(Sent<Heartbeat>().size(), 4u);
}

TEST_F(SchedulerClientTest, OrdersForAnEarlierLifeAreIgnored) {
  BeWelcome(/*orders_from=*/10);
  PhaseOrder order;
  order.request_id = 9;
  order.phase = 1;
  order.first_clock = order.resume_clock = 5;
  Receive(order);
  EXPECT_FALSE(client.TakePhaseOrder());
  Receive(SnapshotOrder{9, "model"});
  EXPECT_FALSE(client.TakeSnapshotOrder());
  order.request_id = 10;
  order.resume_clock = 7;
  Receive(order);
  ASSERT_EQ(client.TakePhaseOrder()->resume_clock, 7);
}

TEST_F(SchedulerClientTest, StartUpLimitNamesWhoIsMissing) {
  client.Start(now, out);
  Receive(RegisterPending{1, "shard 1, worker 0"});
  Run(seconds(31));
  EXPECT_EQ(client.failure().code(), ErrorCode::kTimeout);
  EXPECT_THAT(client.failure().text(), HasSubstr("waits for shard 1, worker 0"));
  EXPECT_EQ(client.NextTimer(), kNever);
}

TEST_F(SchedulerClientTest, SchedulerSilenceIsAFailure) {
  BeWelcome();
  Run(seconds(9));
  Receive(HeartbeatReply{});
  Run(seconds(9));
  EXPECT_TRUE(client.failure().ok());
  Run(seconds(2));
  EXPECT_THAT(client.failure().text(), HasSubstr("the scheduler has been silent for 10.0 s"));
}

TEST_F(SchedulerClientTest, ForgivesSilenceDuringItsOwnPause) {
  BeWelcome();
  Run(seconds(1));
  now += seconds(60);
  client.OnTimer(now, out);
  EXPECT_TRUE(client.failure().ok());
}

TEST_F(SchedulerClientTest, RefusedRegistrationIsAFailure) {
  client.Start(now, out);
  Receive(ErrorReply{1, ErrorReason::kStaleIncarnation, "worker 3 has registered already"});
  EXPECT_THAT(client.failure().text(), HasSubstr("has registered already"));
}

TEST_F(SchedulerClientTest, PhaseOrdersAreTakenOnceAndConfirmedAgain) {
  BeWelcome();
  int asked = 0;
  client.SetHeartbeat([&] { return ++asked, Heartbeat{}; });
  PhaseOrder order;
  order.request_id = 11;
  order.phase = 1;
  Receive(order);
  const auto taken = client.TakePhaseOrder();
  ASSERT_TRUE(taken);
  EXPECT_FALSE(client.TakePhaseOrder());
  order.request_id = 11;
  Receive(order);  // repeated before it is confirmed: nothing
  EXPECT_FALSE(client.TakePhaseOrder());
  EXPECT_TRUE(Sent<PhaseReply>().empty());
  client.ConfirmPhase(*taken, now, out);
  EXPECT_EQ(asked, 1) << "a heartbeat goes ahead of the confirmation";
  EXPECT_EQ(Sent<PhaseReply>().at(0).request_id, 11u);
  Receive(order);
  EXPECT_EQ(Sent<PhaseReply>().size(), 1u);
  EXPECT_FALSE(client.TakePhaseOrder());
}

TEST_F(SchedulerClientTest, SnapshotOrdersAreAcknowledgedAndTakenOnce) {
  BeWelcome();
  Receive(SnapshotOrder{21, "model"});
  Receive(SnapshotOrder{21, "model"});
  EXPECT_EQ(Sent<Ack>().size(), 2u);
  EXPECT_EQ(client.TakeSnapshotOrder()->directory, "model");
  EXPECT_FALSE(client.TakeSnapshotOrder());
}

TEST_F(SchedulerClientTest, ReliableRequestsAreSentAgainWithTheSameIdUntilAnswered) {
  BeWelcome();
  const RequestId lease = client.SendReliably(LeaseRequest{0, 1, 5}, now, out);
  const RequestId done = client.SendReliably(PhaseDone{}, now, out);
  EXPECT_EQ(client.outstanding(), 2u);
  Run(seconds(2));
  const auto sent = Sent<LeaseRequest>();
  ASSERT_EQ(sent.size(), 3u);
  for (const auto& each : sent) EXPECT_EQ(each.request_id, lease);
  EXPECT_EQ(client.retries(), 4u);
  LeaseReply reply;
  reply.request_id = lease;
  reply.granted = true;
  Receive(reply);
  Receive(reply);  // a duplicate
  EXPECT_TRUE(client.TakeLease()->granted);
  EXPECT_FALSE(client.TakeLease());
  EXPECT_TRUE(client.Acknowledged(lease));
  EXPECT_FALSE(client.Acknowledged(done));
  Receive(ErrorReply{done, ErrorReason::kFuturePhase, ""});
  EXPECT_FALSE(client.Acknowledged(done));
  Receive(Ack{done});
  EXPECT_TRUE(client.Acknowledged(done));
  EXPECT_EQ(client.outstanding(), 0u);
}

// Megabytes that are on their way, or being merged, are not lost.
TEST_F(SchedulerClientTest, SumsOfAnEvaluationAreSentAgainOnlyAfterTheirTransfer) {
  BeWelcome();
  PhaseDone done;
  done.evaluation = Buffer::Own(std::vector<char>(80'000'000));  // 10 s at 8 MB/s
  client.SendReliably(std::move(done), now, out);
  EXPECT_EQ(Sent<PhaseDone>().size(), 1u);
  for (const int pause : {11, 21, 41}) {
    for (int i = 0; i < pause - 1; ++i) Run(seconds(1)), Receive(HeartbeatReply{});
    EXPECT_TRUE(Sent<PhaseDone>().empty()) << pause;
    Run(seconds(1)), Receive(HeartbeatReply{});
    EXPECT_EQ(Sent<PhaseDone>().size(), 1u) << pause;
  }
}

TEST_F(SchedulerClientTest, AnotherSchedulerSoonGetsTheSumsOfAnEvaluation) {
  BeWelcome();
  PhaseDone done;
  done.evaluation = Buffer::Own(std::vector<char>(80'000'000));
  client.SendReliably(std::move(done), now, out);
  Run(seconds(1)), Receive(HeartbeatReply{}, 7, /*term=*/2);
  out.Take();
  Run(seconds(1));
  EXPECT_EQ(Sent<PhaseDone>().size(), 1u);
}

TEST_F(SchedulerClientTest, LeavesMessagesOfOthersAlone) {
  BeWelcome();
  Stamp stamp;
  stamp.sender = ShardNode(0);
  Message message = Ack{1};
  EXPECT_FALSE(client.OnMessage(stamp, message, now, out));
}

}  // namespace
}  // namespace cohort::scheduler_client_test
