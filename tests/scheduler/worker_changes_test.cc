// Workers that come to a run and go from it: the coordinator, driven with messages; the test plays the members.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/scheduler_client.h"
#include "scheduler/coordinator.h"

namespace cohort::worker_changes_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Workers = std::vector<std::uint32_t>;
using Kind = ClusterChange::Kind;

struct Positions : RunObserver {
  void OnSample(const MetricsSample&) override {}
  void OnPhaseEnd(const PhaseSummary& summary) override { samples.push_back(summary.samples); }
  void OnEvent(const std::string&) override {}
  void OnWarning(const std::string&) override {}
  void OnCheckpoint(const RunPosition& position, const std::vector<CheckpointDone>&,
                    const std::string&) override {
    taken.push_back(position);
  }
  std::vector<RunPosition> taken;
  std::vector<std::uint64_t> samples;  // of phases
};

RunPlan PlanOf(Consistency consistency) {
  RunPlan plan;
  plan.run_id = 7;
  plan.shards = 2;
  plan.workers = 2;
  plan.slices = 4;
  plan.batch_size = 64;
  plan.shuffle_rows = 1024;
  plan.consistency = consistency;
  plan.rows = {40960, 5000, 3000};
  plan.recoveries = 5;
  plan.steps = {PlanStep::Phase(PhaseKind::kTrain, 0, Split::kTrain),
                PlanStep::Phase(PhaseKind::kTrain, 1, Split::kTrain)};
  return plan;
}

// Two shards, and workers 0 and 1, in phase 1.
class Cluster {
 public:
  explicit Cluster(RunPlan plan) : coordinator(std::move(plan), nullptr, &positions) {
    coordinator.Start(now);
    for (std::uint32_t shard = 0; shard < 2; ++shard) Join(ShardNode(shard));
    for (std::uint32_t worker = 0; worker < 2; ++worker) Join(WorkerNode(worker));
    BeginPhase();
  }
  explicit Cluster(Consistency consistency) : Cluster(PlanOf(consistency)) {}

  void Send(NodeId from, Message message) {
    Stamp stamp;
    stamp.sender = from;
    stamp.incarnation = incarnations[from];
    stamp.run_id = 7;
    Outbox out;
    coordinator.OnMessage(stamp, std::move(message), now, out);
    Collect(out);
  }
  void Join(NodeId node, std::uint32_t incarnation = 0) {
    incarnations[node] = incarnation;
    Register registration;
    registration.request_id = ++id;
    registration.host = "x";
    registration.pid = 1000 + id;
    registration.kernels = "avx2";
    registration.endpoint = "tcp://h:" + ToString(node);
    Send(node, registration);
  }
  void Collect(Outbox& out) {
    for (Outgoing& each : out.Take()) inbox[each.to].push_back(std::move(each.message));
  }
  // The newest message of a kind that `node` has received since the last look; removes all.
  template <typename T>
  std::optional<T> Take(NodeId node) {
    std::optional<T> found;
    for (Message& message : inbox[node]) {
      if (T* body = std::get_if<T>(&message)) found = std::move(*body);
    }
    inbox[node].clear();
    return found;
  }
  std::optional<PhaseOrder> Confirm(NodeId node) {
    const auto order = Take<PhaseOrder>(node);
    if (order) Send(node, PhaseReply{order->request_id});
    return order;
  }
  // Shards, and then workers, confirm the phase; who takes part, as all of them were told.
  Workers BeginPhase() {
    const auto order = Confirm(ShardNode(0)), other = Confirm(ShardNode(1));
    if (!order || !other) return {};
    phase = order->phase;
    EXPECT_EQ(order->workers, other->workers);
    for (const std::uint32_t worker : order->workers) {
      const auto same = Confirm(WorkerNode(worker));
      if (coordinator.membership().Find(WorkerNode(worker))->registered()) {
        EXPECT_TRUE(same && same->workers == order->workers) << "worker " << worker;
      }
    }
    return order->workers;
  }
  Status Ask(Kind kind, std::uint32_t index = 0) {
    Outbox out;
    Status status = coordinator.BeginChange({kind, index, "there"}, now, out);
    Collect(out);
    return status;
  }
  void Finish(std::uint32_t worker, Clock next_clock = 640) {
    Send(WorkerNode(worker), PhaseDone{++id, phase, next_clock, {}, {}});
  }
  LeaseReply Lease(std::uint32_t worker, Clock next_clock = 0) {
    Send(WorkerNode(worker), LeaseRequest{++id, phase, next_clock});
    return Take<LeaseReply>(WorkerNode(worker)).value_or(LeaseReply{});
  }
  void Die(NodeId node) {
    Outbox out;
    coordinator.OnProcessDeath(node, now, out);
    Collect(out);
  }
  // The fence that both shards have been told of; they answer.
  FenceOrder Fence(Clock at_0, Clock at_1) {
    const auto order = Take<FenceOrder>(ShardNode(0));
    if (!order || !Take<FenceOrder>(ShardNode(1))) return {};
    Send(ShardNode(0), FenceDone{order->request_id, at_0});
    Send(ShardNode(1), FenceDone{order->request_id, at_1});
    return *order;
  }
  // Time goes on; who is there says so.
  void Run(Duration duration) {
    for (const TimePoint end = now + duration; now < end;) {
      now += milliseconds(250);
      for (const auto& [node, incarnation] : incarnations) Send(node, Heartbeat{++id, phase, {}, {}});
      if (now < coordinator.NextTimer()) continue;
      Outbox out;
      coordinator.OnTimer(now, out);
      Collect(out);
    }
  }
  std::string WaitsFor() const { return coordinator.ChangeWaitsFor().value_or("nothing"); }
  // The stop that is for this worker alone.
  bool IsToldToLeave(std::uint32_t worker) {
    const auto order = Confirm(WorkerNode(worker));
    return order && order->kind == PhaseKind::kStop && order->phase == kPhaseOfLeaving;
  }

  TimePoint now{};
  Positions positions;
  Coordinator coordinator;
  std::uint32_t phase = 0;
  RequestId id = 0;
  std::map<NodeId, std::uint32_t> incarnations;
  std::map<NodeId, std::vector<Message>> inbox;
};

TEST(WorkerChanges, InBspOneThatComesTakesPartFromTheNextPhaseOn) {
  Cluster cluster(Consistency::kBsp);
  ASSERT_TRUE(cluster.Ask(Kind::kAddWorker).ok());
  EXPECT_EQ(cluster.WaitsFor(), "worker 2 to start on host there");
  cluster.Join(WorkerNode(2));
  EXPECT_TRUE(cluster.Take<Welcome>(WorkerNode(2))) << "it may open its data meanwhile";
  EXPECT_EQ(cluster.WaitsFor(),
            "phase 1 (train, epoch 0) to end; worker 2 takes part from the next phase on");
  cluster.Run(seconds(5));
  EXPECT_FALSE(cluster.Take<PhaseOrder>(WorkerNode(2)));
  cluster.Finish(0), cluster.Finish(1);
  EXPECT_EQ(cluster.coordinator.next_clock(), 640) << "nobody has waited for it";
  EXPECT_THAT(cluster.BeginPhase(), ElementsAre(0, 1, 2));
  EXPECT_EQ(cluster.WaitsFor(), "nothing");
  EXPECT_TRUE(cluster.coordinator.change_verdict().ok());
  cluster.Finish(0), cluster.Finish(1);
  EXPECT_FALSE(cluster.coordinator.decided()) << "and now all wait for it";
  cluster.Finish(2);
  EXPECT_TRUE(cluster.coordinator.decided());
  EXPECT_TRUE(cluster.coordinator.verdict().ok());
}

TEST(WorkerChanges, InBspOneThatGoesFinishesItsShare) {
  Cluster cluster(Consistency::kBsp);
  ASSERT_TRUE(cluster.Ask(Kind::kRemoveWorker, 0).ok());
  EXPECT_EQ(cluster.WaitsFor(), "worker 0 to finish its share of phase 1 (train, epoch 0)");
  cluster.Run(seconds(2));
  EXPECT_FALSE(cluster.IsToldToLeave(0));
  cluster.Finish(0);
  EXPECT_EQ(cluster.WaitsFor(), "worker 0 to stop");
  EXPECT_TRUE(cluster.IsToldToLeave(0));
  EXPECT_EQ(cluster.WaitsFor(), "nothing");
  cluster.Die(WorkerNode(0));  // its process ends
  EXPECT_EQ(cluster.coordinator.replaced(), 0u);
  cluster.Finish(1);
  EXPECT_THAT(cluster.BeginPhase(), ElementsAre(1));
  cluster.Join(WorkerNode(0), 1);
  EXPECT_THAT(cluster.Take<ErrorReply>(WorkerNode(0))->text, HasSubstr("worker 0 has left this run"));
  cluster.Finish(1);
  EXPECT_TRUE(cluster.coordinator.decided() && cluster.coordinator.verdict().ok());
}

TEST(WorkerChanges, OneThatGoesGetsNoLeaseAnyMore) {
  Cluster cluster(Consistency::kAsp);
  EXPECT_TRUE(cluster.Lease(0).granted);
  ASSERT_TRUE(cluster.Ask(Kind::kRemoveWorker, 0).ok());
  EXPECT_EQ(cluster.WaitsFor(), "worker 0 to finish what it has of phase 1 (train, epoch 0)");
  EXPECT_FALSE(cluster.Lease(0, 5).granted);
  EXPECT_TRUE(cluster.Lease(1).granted) << "there is more";
  cluster.Finish(0, 5);
  EXPECT_TRUE(cluster.IsToldToLeave(0)) << "in the middle of the phase";
  EXPECT_EQ(cluster.WaitsFor(), "nothing");
  EXPECT_FALSE(cluster.coordinator.decided());
}

// Its lease is its own, in training; what it had to score may be anyone's, and nobody else may be left.
TEST(WorkerChanges, WhoeverTakesTheDeadLeaversPlaceFinishesItsLease) {
  Cluster training(Consistency::kAsp);
  const LeaseReply lease = training.Lease(0);
  ASSERT_TRUE(training.Ask(Kind::kRemoveWorker, 0).ok());
  training.Die(WorkerNode(0));
  EXPECT_EQ(training.Fence(3, 4).phase, 0u);
  training.Join(WorkerNode(0), 1);
  ASSERT_EQ(training.Confirm(WorkerNode(0))->resume_clock, 4);
  EXPECT_EQ(training.Lease(0, 4).lease, lease.lease);
  EXPECT_FALSE(training.Lease(0, 5).granted);

  RunPlan plan = PlanOf(Consistency::kBsp);
  plan.steps = {PlanStep::Phase(PhaseKind::kScore, 0, Split::kTest)};
  plan.rows[2] = 300;  // one lease
  Cluster scoring(plan);
  const LeaseReply all = scoring.Lease(0);
  EXPECT_TRUE(all.granted);
  EXPECT_FALSE(scoring.Lease(1).granted);
  scoring.Finish(1);
  ASSERT_TRUE(scoring.Ask(Kind::kRemoveWorker, 0).ok());
  scoring.Die(WorkerNode(0));
  scoring.Fence(0, 0);
  scoring.Join(WorkerNode(0), 1);
  EXPECT_EQ(scoring.Lease(0).lease, all.lease);
}

// What it pushes must be new at every shard, and its first clock must hold nobody up.
TEST(WorkerChanges, WithLeasesOneThatComesIsCountedInAtOnce) {
  Cluster cluster(Consistency::kSsp);
  ASSERT_TRUE(cluster.Ask(Kind::kAddWorker).ok());
  cluster.Join(WorkerNode(2));
  EXPECT_FALSE(cluster.Take<PhaseOrder>(WorkerNode(2)));
  EXPECT_EQ(cluster.WaitsFor(), "the shards to count worker 2 in");
  const FenceOrder first = cluster.Fence(3, 7);
  EXPECT_EQ(first.worker, 2u);
  EXPECT_EQ(first.phase, 1u);
  EXPECT_EQ(first.closed, -1);
  const FenceOrder second = cluster.Fence(7, 7);
  EXPECT_EQ(second.phase, 1u);
  EXPECT_EQ(second.closed, 7);
  const auto order = cluster.Confirm(WorkerNode(2));
  ASSERT_TRUE(order);
  EXPECT_EQ(order->resume_clock, 8);
  EXPECT_EQ(cluster.WaitsFor(), "nothing");
  EXPECT_TRUE(cluster.Lease(2, 8).granted);
  cluster.Finish(0), cluster.Finish(1);
  EXPECT_FALSE(cluster.Take<PhaseOrder>(ShardNode(0))) << "the phase waits for it";
  cluster.Finish(2);
  EXPECT_THAT(cluster.BeginPhase(), ElementsAre(0, 1, 2));
}

TEST(WorkerChanges, OneThatDiesWhileItIsCountedInIsReplaced) {
  Cluster cluster(Consistency::kSsp);
  ASSERT_TRUE(cluster.Ask(Kind::kAddWorker).ok());
  cluster.Join(WorkerNode(2));
  cluster.Die(WorkerNode(2));
  cluster.Join(WorkerNode(2), 1);
  const FenceOrder again = cluster.Fence(3, 7);
  EXPECT_EQ(again.phase, 1u) << "the first one may not have arrived";
  EXPECT_EQ(again.incarnation, 1u);
  EXPECT_EQ(cluster.Fence(7, 7).closed, 7);
  EXPECT_EQ(cluster.Confirm(WorkerNode(2))->resume_clock, 8);
  EXPECT_EQ(cluster.coordinator.replaced(), 1u);
}

TEST(WorkerChanges, TheDeathOfOneThatTakesNoPartYetIsNoLoss) {
  Cluster cluster(Consistency::kBsp);
  ASSERT_TRUE(cluster.Ask(Kind::kAddWorker).ok());
  cluster.Join(WorkerNode(2));
  cluster.Die(WorkerNode(2));
  EXPECT_THAT(cluster.coordinator.change_verdict().text(), HasSubstr("died before it took part"));
  ASSERT_TRUE(cluster.Ask(Kind::kAddWorker).ok());
  cluster.Join(WorkerNode(3));
  cluster.Send(WorkerNode(3), Failure{++cluster.id, "no such file"});
  EXPECT_THAT(cluster.coordinator.change_verdict().text(), HasSubstr("took part: no such file"));
  cluster.Join(WorkerNode(3), 1);
  EXPECT_TRUE(cluster.Take<ErrorReply>(WorkerNode(3)));
  ASSERT_TRUE(cluster.Ask(Kind::kAddWorker).ok());
  cluster.Run(seconds(61));
  EXPECT_THAT(cluster.coordinator.change_verdict().text(),
              HasSubstr("worker 4 did not come up on host there"));
  EXPECT_FALSE(cluster.coordinator.decided());
  EXPECT_EQ(cluster.coordinator.replaced(), 0u);
  cluster.Finish(0), cluster.Finish(1);
  EXPECT_THAT(cluster.BeginPhase(), ElementsAre(0, 1));
}

TEST(WorkerChanges, RefusesWhatCannotBe) {
  Cluster cluster(Consistency::kBsp);
  EXPECT_THAT(cluster.Ask(Kind::kRemoveWorker, 4).text(),
              HasSubstr("there is no worker 4; there are 0, 1 ("));
  ASSERT_TRUE(cluster.Ask(Kind::kRemoveWorker, 1).ok());
  EXPECT_THAT(cluster.Ask(Kind::kAddWorker).text(),
              HasSubstr("remove-worker 1 is under way, and waits for worker 1 to finish its share"));
  cluster.Finish(1);
  EXPECT_TRUE(cluster.IsToldToLeave(1));
  EXPECT_THAT(cluster.Ask(Kind::kRemoveWorker, 0).text(), HasSubstr("worker 0 is the last one"));
  EXPECT_THAT(cluster.Ask(Kind::kRemoveWorker, 1).text(), HasSubstr("there is no worker 1; there are 0 ("));
  cluster.Finish(0);
  EXPECT_THAT(cluster.BeginPhase(), ElementsAre(0));
  EXPECT_THAT(cluster.Ask(Kind::kAddWorker).text(), HasSubstr("nothing is left for it to do"));
  cluster.Finish(0);
  EXPECT_THAT(cluster.Ask(Kind::kRemoveWorker, 0).text(), HasSubstr("the run is over"));

  RunPlan plan = PlanOf(Consistency::kBsp);
  plan.slices = 2;
  EXPECT_THAT(Cluster(plan).Ask(Kind::kAddWorker).text(), HasSubstr("train.slices = 2"));
}

// A part that was written before a worker came knows nothing of it: it had done nothing there.
TEST(WorkerChanges, ACheckpointKnowsOfWorkersThatCameLater) {
  RunPlan plan = PlanOf(Consistency::kAsp);
  plan.checkpoint_path = "checkpoints";
  Cluster cluster(plan);
  ASSERT_TRUE(cluster.Ask(Kind::kAddWorker).ok());
  cluster.Join(WorkerNode(2));
  cluster.Fence(4, 4);
  ASSERT_TRUE(cluster.Confirm(WorkerNode(2)));
  CheckpointDone before, after;
  before.request_id = after.request_id = ++cluster.id;
  before.number = after.number = 3;
  before.phase = after.phase = 1;
  before.closed = {3, 4};
  after.closed = {5, 5, 9};
  cluster.Send(ShardNode(0), before);
  cluster.Send(ShardNode(1), after);
  ASSERT_EQ(cluster.positions.taken.size(), 1u);
  EXPECT_THAT(cluster.positions.taken[0].closed, ElementsAre(3, 4, -1));
  EXPECT_EQ(cluster.positions.taken[0].workers, 2u);
}

// From such a checkpoint: worker 2 had leases, worker 3 was done, or had left.
TEST(WorkerChanges, WhoHasLeasesToFinishIsMissedAfterARollback) {
  RunPlan plan = PlanOf(Consistency::kAsp);
  RunPosition position;
  position.number = 3;
  position.phase = 1;
  position.workers = 2;
  position.closed = {3, 4, 1, kClockInfinity};
  LeaseRecord lease;
  lease.lease = 1;
  lease.worker = 2;
  lease.block_count = 1;
  lease.rows = kBlockRows;
  position.leases.records = {lease};
  plan.resume = position;
  Cluster cluster(plan);
  const Membership& members = cluster.coordinator.membership();
  ASSERT_NE(members.Find(WorkerNode(2)), nullptr);
  EXPECT_FALSE(members.Find(WorkerNode(2))->registered()) << "somebody is to start it";
  EXPECT_EQ(members.Find(WorkerNode(3)), nullptr);
  cluster.Join(WorkerNode(2));
  const auto order = cluster.Confirm(WorkerNode(2));
  ASSERT_TRUE(order);
  EXPECT_THAT(order->workers, ElementsAre(0, 1, 2));
  EXPECT_EQ(order->resume_clock, 2);
  EXPECT_EQ(cluster.Lease(2, 2).lease, 1u);
  ASSERT_TRUE(cluster.Ask(Kind::kAddWorker).ok());
  EXPECT_EQ(cluster.WaitsFor(), "worker 4 to start on host there");
}

}  // namespace
}  // namespace cohort::worker_changes_test
