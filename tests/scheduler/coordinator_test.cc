// The coordinator, driven with messages in virtual time: members are played by the test.
#include "scheduler/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cohort::coordinator_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Recorder : public ScoreSink, public RunObserver {
 public:
  Status OnPhase(const PhaseOrder& order) override {
    phases.push_back(order.split);
    return {};
  }
  Status OnBlock(const ScoreBlock& block) override {
    first_rows.push_back(block.first_row);
    return block_status;
  }
  Status OnEvaluation(const Buffer& sums) override {
    evaluated += sums.size();
    return block_status;
  }
  Status OnPhaseEnd() override {
    ++ended;
    return {};
  }
  bool BestSoFar() const override { return best; }
  bool TrainedEnough() const override { return enough; }
  void OnSnapshot(const std::string& directory, const std::vector<SnapshotDone>& parts,
                  const std::string& kernels) override {
    snapshots.push_back(directory + ": " + parts[0].file + ", " + parts[1].file + ", " + kernels);
  }
  void OnSample(const MetricsSample& sample) override { samples.push_back(sample); }
  void OnPhaseEnd(const PhaseSummary& summary) override { summaries.push_back(summary); }
  void OnHang(const std::string& page) override { pages.push_back(page); }
  void OnEvent(const std::string& text) override { events.push_back(text); }
  void OnWarning(const std::string& text) override { warnings.push_back(text); }

  std::vector<Split> phases;
  std::vector<std::uint64_t> first_rows;
  Status block_status;
  std::uint64_t evaluated = 0;  // bytes
  int ended = 0;
  bool best = true, enough = false;
  std::vector<std::string> snapshots;
  std::vector<MetricsSample> samples;
  std::vector<PhaseSummary> summaries;
  std::vector<std::string> events, warnings, pages;
};

// How many ends of phases are written down.
struct PhaseEnds : RunJournal {
  void Append(const JournalEntry& entry) override {
    count += std::holds_alternative<PhaseDone>(entry.message);
  }
  int count = 0;
};

RunPlan SmallPlan() {
  RunPlan plan;
  plan.run_id = 7;
  plan.shards = 2;
  plan.workers = 2;
  plan.batch_size = 64;
  plan.shuffle_rows = 65536;
  plan.rows = {20000, 5000, 3000};
  plan.prediction_columns = 1;
  plan.steps = {PlanStep::Phase(PhaseKind::kTrain, 0, Split::kTrain)};
  return plan;
}

class Cluster {
 public:
  explicit Cluster(RunPlan plan) : plan_(plan), coordinator(plan, &recorder, &recorder) {
    coordinator.Start(now);
    for (std::uint32_t i = 0; i < plan.shards; ++i) nodes.push_back(ShardNode(i));
    for (std::uint32_t i = 0; i < plan.workers; ++i) nodes.push_back(WorkerNode(i));
  }

  void Send(NodeId from, Message message) {
    Stamp stamp;
    stamp.sender = from;
    stamp.incarnation = incarnations[from];
    stamp.run_id = plan_.run_id;
    Outbox out;
    coordinator.OnMessage(stamp, std::move(message), now, out);
    Collect(out);
  }
  void Collect(Outbox& out) {
    for (Outgoing& each : out.Take()) inbox[each.to].push_back(std::move(each.message));
  }
  // Moves time on in steps, as the driver does; those in `beating` send heartbeats.
  void Run(Duration duration, const std::vector<NodeId>& beating) {
    const TimePoint end = now + duration;
    while (now < end) {
      now += milliseconds(250);
      for (NodeId node : beating) Send(node, Heartbeat{NextId(), phase, counters[node], {}});
      if (now >= coordinator.NextTimer()) {
        Outbox out;
        coordinator.OnTimer(now, out);
        Collect(out);
      }
    }
  }
  void RegisterAll() {
    for (NodeId node : nodes) Send(node, RegistrationOf(node));
  }
  Register RegistrationOf(NodeId node) {
    Register registration;
    registration.request_id = NextId();
    registration.host = "x";
    registration.pid = 1000 + node.index + (node.role == Role::kWorker ? 100 : 0);
    registration.kernels = node == WorkerNode(1) ? "avx2" : "avx512";
    if (node.role == Role::kShard) registration.endpoint = "tcp://h:" + std::to_string(node.index);
    return registration;
  }
  // The newest message of a kind that `node` has received; removes all.
  template <typename T>
  std::optional<T> Take(NodeId node) {
    std::optional<T> found;
    for (Message& message : inbox[node]) {
      if (T* body = std::get_if<T>(&message)) found = std::move(*body);
    }
    inbox[node].clear();
    return found;
  }
  // Confirms the newest order of each.
  std::optional<PhaseOrder> Confirm(NodeId node) {
    auto order = Take<PhaseOrder>(node);
    if (order) {
      phase = order->phase;
      Send(node, PhaseReply{order->request_id});
    }
    return order;
  }
  void BeginPhase() {
    Confirm(ShardNode(0)), Confirm(ShardNode(1));
    Confirm(WorkerNode(0)), Confirm(WorkerNode(1));
  }
  void Done(std::uint32_t worker, Clock next_clock) {
    Send(WorkerNode(worker), PhaseDone{NextId(), phase, next_clock, counters[WorkerNode(worker)]});
  }
  LeaseReply Lease(std::uint32_t worker) {
    Send(WorkerNode(worker), LeaseRequest{NextId(), phase, 0});
    return Take<LeaseReply>(WorkerNode(worker)).value_or(LeaseReply{});
  }
  ScoreBlock Block(const LeaseReply& lease, std::uint64_t first, std::uint32_t rows) {
    ScoreBlock block;
    block.request_id = NextId();
    block.phase = phase;
    block.lease = lease.lease;
    block.first_row = first;
    block.rows = rows;
    block.prediction_columns = 1;
    block.predictions = Buffer::Own(std::vector<float>(rows, 0.5f));
    return block;
  }
  RequestId NextId() { return next_id_++; }

  RunPlan plan_;
  Recorder recorder;
  TimePoint now{};
  Coordinator coordinator;
  std::vector<NodeId> nodes;
  std::map<NodeId, std::vector<Message>> inbox;
  std::map<NodeId, Counters> counters;
  std::map<NodeId, std::uint32_t> incarnations;
  std::uint32_t phase = 0;

 private:
  RequestId next_id_ = 1;
};

TEST(Coordinator, WelcomesEveryoneOnceTheLastHasRegistered) {
  Cluster cluster(SmallPlan());
  for (NodeId node : {ShardNode(1), ShardNode(0), WorkerNode(0)})
    cluster.Send(node, cluster.RegistrationOf(node));
  EXPECT_EQ(cluster.Take<RegisterPending>(WorkerNode(0))->waiting_for, "worker 1");
  EXPECT_FALSE(cluster.Take<Welcome>(ShardNode(0)));
  cluster.Send(WorkerNode(1), cluster.RegistrationOf(WorkerNode(1)));
  for (NodeId node : cluster.nodes) {
    const auto welcome = cluster.Take<Welcome>(node);
    ASSERT_TRUE(welcome) << ToString(node);
    EXPECT_THAT(welcome->shard_endpoints, ElementsAre("tcp://h:0", "tcp://h:1"));
    EXPECT_EQ(welcome->worker_count, 2u);
    EXPECT_EQ(welcome->slot_map->shard_count, 2u);
    EXPECT_EQ(welcome->kernels, "avx2");  // the lowest common path
  }
  // Who asks again (its Welcome was lost) gets it again.
  cluster.Send(WorkerNode(0), cluster.RegistrationOf(WorkerNode(0)));
  EXPECT_TRUE(cluster.Take<Welcome>(WorkerNode(0)));
}

TEST(Coordinator, RefusesASecondProcessUnderTheSameNameAndUnknownNodes) {
  Cluster cluster(SmallPlan());
  cluster.Send(WorkerNode(0), cluster.RegistrationOf(WorkerNode(0)));
  Register other = cluster.RegistrationOf(WorkerNode(0));
  other.pid = 5;
  cluster.Send(WorkerNode(0), other);
  EXPECT_THAT(cluster.Take<ErrorReply>(WorkerNode(0))->text, HasSubstr("has registered already"));
  cluster.Send(WorkerNode(9), cluster.RegistrationOf(WorkerNode(9)));
  EXPECT_THAT(cluster.Take<ErrorReply>(WorkerNode(9))->text, HasSubstr("2 workers"));
}

TEST(Coordinator, FailsWhenSomeoneDoesNotRegisterInTime) {
  Cluster cluster(SmallPlan());
  const std::vector<NodeId> present = {ShardNode(0), WorkerNode(0), WorkerNode(1)};
  for (NodeId node : present) cluster.Send(node, cluster.RegistrationOf(node));
  cluster.Run(seconds(59), present);
  EXPECT_FALSE(cluster.coordinator.decided());
  cluster.Run(seconds(1), present);
  ASSERT_TRUE(cluster.coordinator.decided());
  EXPECT_EQ(cluster.coordinator.verdict().code(), ErrorCode::kTimeout);
  EXPECT_THAT(cluster.coordinator.verdict().text(), HasSubstr("missing shard 1"));
  // Those who are here are told why.
  EXPECT_THAT(cluster.Take<PhaseOrder>(WorkerNode(0))->reason, HasSubstr("missing shard 1"));
}

TEST(Coordinator, LeadsShardsThenWorkersThroughAPhaseAndStops) {
  Cluster cluster(SmallPlan());
  cluster.RegisterAll();
  cluster.Confirm(ShardNode(0));
  EXPECT_FALSE(cluster.Take<PhaseOrder>(WorkerNode(0))) << "before every shard has confirmed";
  const auto order = cluster.Confirm(ShardNode(1));
  EXPECT_EQ(order->kind, PhaseKind::kTrain);
  EXPECT_EQ(order->phase, 1u);
  EXPECT_TRUE(cluster.Confirm(WorkerNode(0)));
  EXPECT_TRUE(cluster.Confirm(WorkerNode(1)));
  // bsp computes its batches from the clock: no leases.
  EXPECT_FALSE(cluster.Lease(0).granted);

  cluster.counters[WorkerNode(0)].samples = 12000;
  cluster.counters[WorkerNode(0)].loss_sum = {30, 0};
  cluster.counters[WorkerNode(0)].loss_weight = {100, 0};
  cluster.counters[WorkerNode(1)].samples = 8000;
  cluster.counters[WorkerNode(1)].loss_sum = {20, 0};
  cluster.counters[WorkerNode(1)].loss_weight = {100, 0};
  cluster.Done(0, 313);
  EXPECT_FALSE(cluster.coordinator.decided());
  cluster.Done(0, 313);  // repeated
  EXPECT_FALSE(cluster.coordinator.decided());
  cluster.Done(1, 312);
  ASSERT_TRUE(cluster.coordinator.decided());
  EXPECT_TRUE(cluster.coordinator.verdict().ok()) << cluster.coordinator.verdict().text();
  EXPECT_EQ(cluster.coordinator.next_clock(), 313);
  ASSERT_EQ(cluster.recorder.summaries.size(), 1u);
  EXPECT_EQ(cluster.recorder.summaries[0].samples, 20000u);
  EXPECT_DOUBLE_EQ(cluster.recorder.summaries[0].loss[0], 0.25);
  EXPECT_TRUE(std::isnan(cluster.recorder.summaries[0].loss[1]));

  EXPECT_FALSE(cluster.coordinator.finished());
  for (NodeId node : cluster.nodes) EXPECT_EQ(cluster.Confirm(node)->kind, PhaseKind::kStop);
  EXPECT_TRUE(cluster.coordinator.finished());
}

TEST(Coordinator, SendsOrdersAgainUntilTheyAreConfirmedAndGivesUpAtTheirLimit) {
  Cluster cluster(SmallPlan());
  cluster.RegisterAll();
  const auto first = cluster.Take<PhaseOrder>(ShardNode(1));
  cluster.Confirm(ShardNode(0));
  cluster.Run(seconds(2), cluster.nodes);
  const auto repeated = cluster.Take<PhaseOrder>(ShardNode(1));
  ASSERT_TRUE(repeated);
  EXPECT_EQ(repeated->request_id, first->request_id);
  cluster.Run(seconds(58), cluster.nodes);
  ASSERT_TRUE(cluster.coordinator.decided());
  EXPECT_THAT(cluster.coordinator.verdict().text(),
              HasSubstr("shard 1 (pid 1001 on host x) has not confirmed phase 1"));
}

TEST(Coordinator, NamesADeadWorkerAndWhatWasWaitedFor) {
  Cluster cluster(SmallPlan());
  cluster.RegisterAll();
  cluster.BeginPhase();
  cluster.Done(0, 10);
  cluster.Run(milliseconds(2750), {ShardNode(0), ShardNode(1), WorkerNode(0)});
  EXPECT_FALSE(cluster.coordinator.decided());
  cluster.Send(ShardNode(1),
               Heartbeat{cluster.NextId(), cluster.phase, {}, "worker 1, which has closed clock 9"});
  cluster.Run(milliseconds(1000), {ShardNode(0), WorkerNode(0)});
  ASSERT_TRUE(cluster.coordinator.decided());
  // Who waits for whom.
  ASSERT_EQ(cluster.recorder.pages.size(), 2u);  // the silence, and the end of the run
  EXPECT_THAT(cluster.recorder.pages[0], HasSubstr(": worker 1 (pid 1101 on host x) is silent for 3."));
  EXPECT_THAT(cluster.recorder.pages[0],
              HasSubstr("In phase 1 (train, epoch 0), waiting for worker 1; the last progress"));
  EXPECT_THAT(
      cluster.recorder.pages[0],
      HasSubstr("| shard 1 | pid 1001 on x | 0.2 s ago | 1 | 0 | at its last heartbeat: worker 1, which has "
                "closed clock 9 |"));
  EXPECT_THAT(cluster.coordinator.verdict().text(),
              HasSubstr("worker 1 (pid 1101 on host x) died: no heartbeat for 3."));
  EXPECT_THAT(cluster.coordinator.verdict().text(),
              HasSubstr("phase 1 (train, epoch 0), waiting for worker 1"));
  // The end does not wait for the dead.
  for (NodeId node : {ShardNode(0), ShardNode(1), WorkerNode(0)}) EXPECT_TRUE(cluster.Confirm(node));
  EXPECT_TRUE(cluster.coordinator.finished());
}

TEST(Coordinator, ForgivesTheSilenceOfItsOwnPause) {
  Cluster cluster(SmallPlan());
  cluster.RegisterAll();
  cluster.BeginPhase();
  cluster.Run(seconds(1), cluster.nodes);
  cluster.now += seconds(30);  // this process was stopped
  cluster.Run(seconds(2), cluster.nodes);
  EXPECT_FALSE(cluster.coordinator.decided()) << cluster.coordinator.verdict().text();
}

TEST(Coordinator, EndsAtOnceWhenAProcessIsGoneOrAFailureArrives) {
  {
    Cluster cluster(SmallPlan());
    cluster.RegisterAll();
    Outbox out;
    cluster.coordinator.OnProcessDeath(ShardNode(1), cluster.now, out);
    EXPECT_THAT(cluster.coordinator.verdict().text(),
                HasSubstr("shard 1 (pid 1001 on host x) died: its process is gone"));
  }
  Cluster cluster(SmallPlan());
  cluster.RegisterAll();
  cluster.BeginPhase();
  cluster.Send(WorkerNode(0), Failure{cluster.NextId(), "dataset.h5: cannot read"});
  EXPECT_TRUE(cluster.Take<PhaseOrder>(ShardNode(0)));
  EXPECT_THAT(cluster.coordinator.verdict().text(),
              HasSubstr("worker 0 (pid 1100 on host x) failed: dataset.h5: cannot read"));
  // A worker that does not confirm the end is waited for a bounded time.
  cluster.Run(seconds(3), {});
  EXPECT_TRUE(cluster.coordinator.finished());
}

// Kills worker 0, fences it at both shards, which say how far it came, and registers another process in its place.
std::optional<PhaseOrder> ReplaceWorker0(Cluster& cluster, Clock closed_at_0, Clock closed_at_1) {
  Outbox out;
  cluster.coordinator.OnProcessDeath(WorkerNode(0), cluster.now, out);
  cluster.Collect(out);
  const auto fence = cluster.Take<FenceOrder>(ShardNode(0));
  EXPECT_TRUE(fence);
  EXPECT_EQ(fence->incarnation, 1u);
  // The dead one may not be quite dead: nobody hears it.
  cluster.Send(WorkerNode(0), Failure{cluster.NextId(), "late"});
  cluster.incarnations[WorkerNode(0)] = 1;
  Register registration = cluster.RegistrationOf(WorkerNode(0));
  registration.pid = 7777;
  cluster.Send(WorkerNode(0), registration);
  EXPECT_TRUE(cluster.Take<RegisterPending>(WorkerNode(0)));
  cluster.Send(ShardNode(0), FenceDone{fence->request_id, closed_at_0});
  EXPECT_FALSE(cluster.Take<Welcome>(WorkerNode(0)));
  cluster.Send(ShardNode(1), FenceDone{fence->request_id, closed_at_1});
  const auto& inbox = cluster.inbox[WorkerNode(0)];
  EXPECT_TRUE(std::any_of(inbox.begin(), inbox.end(), [](const Message& m) { return std::holds_alternative<Welcome>(m); }));
  return cluster.Confirm(WorkerNode(0));
}

TEST(Coordinator, ReplacesADeadWorkerBehindAFence) {
  RunPlan plan = SmallPlan();
  plan.recoveries = 1;
  Cluster cluster(plan);
  cluster.RegisterAll();
  cluster.BeginPhase();
  const auto order = ReplaceWorker0(cluster, 41, 40);
  ASSERT_TRUE(order);
  EXPECT_EQ(order->first_clock, 0);
  EXPECT_EQ(order->resume_clock, 41);
  EXPECT_EQ(cluster.coordinator.replaced(), 1u);
  EXPECT_FALSE(cluster.coordinator.decided());
  // Once more is once too often.
  Outbox out;
  cluster.coordinator.OnProcessDeath(WorkerNode(1), cluster.now, out);
  EXPECT_TRUE(cluster.coordinator.decided());
  EXPECT_TRUE(cluster.coordinator.recoverable());
}

TEST(Coordinator, AReplacementGetsTheLeasesThatMayNotBeDone) {
  RunPlan plan = SmallPlan();
  plan.recoveries = 1;
  plan.consistency = Consistency::kAsp;
  Cluster cluster(plan);
  cluster.RegisterAll();
  cluster.BeginPhase();
  const auto lease = [&](std::uint32_t worker, Clock clock) {
    cluster.Send(WorkerNode(worker), LeaseRequest{cluster.NextId(), cluster.phase, clock});
    return *cluster.Take<LeaseReply>(WorkerNode(worker));
  };
  lease(0, 0);  // of a block in batches of 32: clocks 0 to 31
  const LeaseReply second = lease(0, 32), third = lease(0, 64);
  const LeaseReply other = lease(1, 0);
  const auto order = ReplaceWorker0(cluster, 40, 63);
  EXPECT_EQ(order->resume_clock, 41);
  const LeaseReply again = lease(0, 41);
  EXPECT_EQ(again.lease, second.lease);
  EXPECT_EQ(again.first_clock, 32);
  EXPECT_EQ(lease(0, 64).lease, third.lease);
  EXPECT_EQ(lease(0, 96).lease, other.lease + 1);
}

// Its steps count all the same: the refused request for another lease had told how far it was.
TEST(Coordinator, AReplacementWithNothingLeftToDoDoesNotLoseTheStepsOfTheDeadOne) {
  RunPlan plan = SmallPlan();
  plan.recoveries = 1;
  plan.consistency = Consistency::kAsp;
  plan.rows = {2048, 0, 0};
  Cluster cluster(plan);
  cluster.RegisterAll();
  cluster.BeginPhase();
  const auto granted = [&](std::uint32_t worker, Clock clock) {
    cluster.Send(WorkerNode(worker), LeaseRequest{cluster.NextId(), cluster.phase, clock});
    return cluster.Take<LeaseReply>(WorkerNode(worker))->granted;
  };
  EXPECT_TRUE(granted(0, 0));
  EXPECT_TRUE(granted(1, 0));
  EXPECT_FALSE(granted(0, 32));
  EXPECT_FALSE(granted(1, 31));
  const auto order = ReplaceWorker0(cluster, kClockInfinity, kClockInfinity);
  EXPECT_EQ(order->resume_clock, kClockInfinity);
  cluster.Done(0, 0);
  cluster.Done(1, 31);
  ASSERT_EQ(cluster.recorder.summaries.size(), 1u);
  EXPECT_EQ(cluster.recorder.summaries[0].steps, 63u);
  EXPECT_EQ(cluster.recorder.summaries[0].next_clock, 32);
}

TEST(Coordinator, LeasesOfADeadWorkerAreEvaluatedByWhoeverAsks) {
  RunPlan plan = SmallPlan();
  plan.recoveries = 1;
  plan.steps = {PlanStep::Phase(PhaseKind::kScore, 0, Split::kTest)};
  Cluster cluster(plan);
  cluster.RegisterAll();
  cluster.BeginPhase();
  const LeaseReply a = cluster.Lease(0), b = cluster.Lease(1), c = cluster.Lease(0);
  ASSERT_TRUE(c.granted);
  EXPECT_FALSE(cluster.Lease(1).granted);
  cluster.Send(WorkerNode(0), cluster.Block(a, 0, 1024));
  ReplaceWorker0(cluster, 0, 0);
  EXPECT_EQ(cluster.Lease(1).lease, c.lease);  // a's row were taken already
  EXPECT_FALSE(cluster.Lease(0).granted);
  (void)b;
}

TEST(Coordinator, AWarningIsToldOnceAndTheRunGoesOn) {
  Cluster cluster(SmallPlan());
  cluster.RegisterAll();
  cluster.BeginPhase();
  const Warning warning{cluster.NextId(), "the disk is full"};
  for (int i = 0; i < 3; ++i) {
    cluster.Send(ShardNode(1), warning);
    const auto ack = cluster.Take<Ack>(ShardNode(1));
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->request_id, warning.request_id);
  }
  EXPECT_THAT(cluster.recorder.warnings,
              ::testing::ElementsAre("shard 1 (pid 1001 on host x): the disk is full"));
  EXPECT_FALSE(cluster.coordinator.decided());
}

TEST(Coordinator, LeasesTrainingBlocksInOrderAndRepeatsAnswers) {
  RunPlan plan = SmallPlan();
  plan.consistency = Consistency::kAsp;
  Cluster cluster(plan);
  cluster.RegisterAll();
  cluster.BeginPhase();
  cluster.Send(WorkerNode(1), LeaseRequest{900, cluster.phase, 17});
  const auto lease = cluster.Take<LeaseReply>(WorkerNode(1));
  ASSERT_TRUE(lease && lease->granted);
  EXPECT_EQ(lease->first_block, 0u);
  EXPECT_EQ(lease->block_count, 1u);  // 20000 rows / (8 x 2 workers) is one block
  EXPECT_EQ(lease->first_clock, 17);
  EXPECT_EQ(lease->batch_rows, 32u);
  cluster.Send(WorkerNode(1), LeaseRequest{900, cluster.phase, 17});
  EXPECT_EQ(cluster.Take<LeaseReply>(WorkerNode(1))->lease, lease->lease);
  std::uint64_t blocks = 1;
  for (LeaseReply next = cluster.Lease(0); next.granted; next = cluster.Lease(0)) {
    EXPECT_EQ(next.first_block, blocks);
    blocks += next.block_count;
  }
  EXPECT_EQ(blocks, 20u);
  EXPECT_EQ(cluster.coordinator.leases().journal().records.size(), 20u);
  // Of another phase: an error, nothing changes.
  cluster.Send(WorkerNode(0), LeaseRequest{901, cluster.phase + 1, 0});
  EXPECT_EQ(cluster.Take<ErrorReply>(WorkerNode(0))->reason, ErrorReason::kFuturePhase);
}

TEST(Coordinator, HandsScoredRowsOnInOrderOnce) {
  RunPlan plan = SmallPlan();
  plan.steps = {PlanStep::Phase(PhaseKind::kScore, 0, Split::kTest)};
  Cluster cluster(plan);
  cluster.RegisterAll();
  cluster.BeginPhase();
  const LeaseReply a = cluster.Lease(0), b = cluster.Lease(1), c = cluster.Lease(0);
  EXPECT_FALSE(cluster.Lease(1).granted);
  ScoreBlock late = cluster.Block(a, 0, 1024);
  cluster.Send(WorkerNode(1), cluster.Block(b, 1024, 1024));
  EXPECT_TRUE(cluster.Take<Ack>(WorkerNode(1)));
  EXPECT_TRUE(cluster.recorder.first_rows.empty());
  cluster.Send(WorkerNode(0), late);
  cluster.Send(WorkerNode(0), late);  // repeated: acknowledged, not counted
  EXPECT_TRUE(cluster.Take<Ack>(WorkerNode(0)));
  EXPECT_THAT(cluster.recorder.first_rows, ElementsAre(0, 1024));

  cluster.Send(WorkerNode(1), cluster.Block(c, 2048, 952));
  EXPECT_THAT(cluster.Take<ErrorReply>(WorkerNode(1))->text, HasSubstr("does not hold"));
  cluster.Send(WorkerNode(0), cluster.Block(c, 2048, 1024));
  EXPECT_THAT(cluster.Take<ErrorReply>(WorkerNode(0))->text, HasSubstr("outside lease"));
  cluster.Send(WorkerNode(0), cluster.Block(c, 2048, 500));
  cluster.Send(WorkerNode(0), cluster.Block(c, 2400, 600));
  EXPECT_THAT(cluster.Take<ErrorReply>(WorkerNode(0))->text, HasSubstr("overlap"));
  cluster.Send(WorkerNode(0), cluster.Block(c, 2548, 452));
  EXPECT_THAT(cluster.recorder.first_rows, ElementsAre(0, 1024, 2048, 2548));
  cluster.Done(0, 0), cluster.Done(1, 0);
  EXPECT_TRUE(cluster.coordinator.decided());
  EXPECT_TRUE(cluster.coordinator.verdict().ok()) << cluster.coordinator.verdict().text();
  EXPECT_EQ(cluster.recorder.ended, 1);
}

TEST(Coordinator, HandsOnWhatEachWorkersRowsComeToOnce) {
  RunPlan plan = SmallPlan();
  plan.steps = {PlanStep::Phase(PhaseKind::kEvaluate, 0, Split::kTest)};
  for (const bool fails : {false, true}) {
    Cluster cluster(plan);
    PhaseEnds journal;
    cluster.coordinator.KeepJournal(&journal);
    cluster.RegisterAll();
    cluster.BeginPhase();
    PhaseDone done{cluster.NextId(), cluster.phase, 0, {}, Buffer::Own(std::vector<float>{1, 2})};
    cluster.Send(WorkerNode(0), done);
    cluster.Send(WorkerNode(0), done);  // repeated
    EXPECT_EQ(cluster.recorder.evaluated, 8u);
    EXPECT_EQ(journal.count, 1);
    if (fails) cluster.recorder.block_status = Status(ErrorCode::kCorrupt, "not the sums of this model");
    cluster.Done(1, 0);
    EXPECT_TRUE(cluster.coordinator.decided());
    EXPECT_EQ(cluster.coordinator.verdict().ok(), !fails);
    EXPECT_EQ(cluster.recorder.ended, fails ? 0 : 1);
    if (fails) {
      EXPECT_THAT(cluster.coordinator.verdict().text(), HasSubstr("not the sums of this model"));
    }
  }
}

TEST(Coordinator, GrantsNoLeaseTooFarAheadOfTheFirstMissingRow) {
  RunPlan plan = SmallPlan();
  plan.rows[2] = 1024 * 1000;
  plan.steps = {PlanStep::Phase(PhaseKind::kScore, 0, Split::kTest)};
  Cluster cluster(plan);
  cluster.RegisterAll();
  cluster.BeginPhase();
  const LeaseReply slow = cluster.Lease(0);
  std::uint64_t granted = 0;
  while (cluster.Lease(1).granted) ++granted;
  EXPECT_EQ(granted, 7u);  // 4 x 2 workers, one of them the slow one's
  for (std::uint64_t block = 0; block < slow.block_count; ++block) {
    cluster.Send(WorkerNode(0), cluster.Block(slow, block * 1024, 1024));
  }
  // The request that was held back is answered.
  EXPECT_TRUE(cluster.Take<LeaseReply>(WorkerNode(1))->granted);
}

TEST(Coordinator, FailsWhenRowsAreMissingOrTheSinkFails) {
  RunPlan plan = SmallPlan();
  plan.steps = {PlanStep::Phase(PhaseKind::kScore, 0, Split::kTest)};
  {
    Cluster cluster(plan);
    cluster.RegisterAll();
    cluster.BeginPhase();
    cluster.Done(0, 0), cluster.Done(1, 0);
    EXPECT_THAT(cluster.coordinator.verdict().text(), HasSubstr("predictions from row 0 on are missing"));
  }
  Cluster cluster(plan);
  cluster.RegisterAll();
  cluster.BeginPhase();
  cluster.recorder.block_status = Status(ErrorCode::kIo, "scores.csv: no space left");
  cluster.Send(WorkerNode(0), cluster.Block(cluster.Lease(0), 0, 1024));
  EXPECT_THAT(cluster.coordinator.verdict().text(),
              HasSubstr("phase 1 (score test): scores.csv: no space left"));
}

TEST(Coordinator, CollectsASnapshotFromEveryShardAndIsPatientWithThem) {
  RunPlan plan = SmallPlan();
  plan.steps = {PlanStep::Snapshot("run/model")};
  Cluster cluster(plan);
  cluster.RegisterAll();
  const auto order = cluster.Take<SnapshotOrder>(ShardNode(0));
  EXPECT_EQ(order->directory, "run/model");
  cluster.Send(ShardNode(0), Ack{order->request_id});
  // Shards that write a file may be silent for longer than usual.
  cluster.Send(WorkerNode(0), PhaseReply{0});
  cluster.Run(seconds(20), {WorkerNode(0), WorkerNode(1)});
  EXPECT_FALSE(cluster.coordinator.decided()) << cluster.coordinator.verdict().text();
  EXPECT_FALSE(cluster.Take<SnapshotOrder>(ShardNode(0))) << "it had acknowledged the order";
  EXPECT_TRUE(cluster.Take<SnapshotOrder>(ShardNode(1))) << "it had not";
  for (std::uint32_t shard = 0; shard < 2; ++shard) {
    SnapshotDone done;
    done.request_id = cluster.NextId();
    done.file = "shard-" + std::to_string(shard);
    cluster.Send(ShardNode(shard), done);
  }
  ASSERT_TRUE(cluster.coordinator.decided());
  EXPECT_TRUE(cluster.coordinator.verdict().ok());
  EXPECT_THAT(cluster.recorder.snapshots, ElementsAre("run/model: shard-0, shard-1, avx2"));
}

TEST(Coordinator, TakesStepsForTheBestOnlyWhenItIsAndEndsWhenTheSinkHasEnough) {
  RunPlan plan = SmallPlan();
  plan.steps.clear();
  for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
    plan.steps.push_back(PlanStep::Phase(PhaseKind::kTrain, epoch, Split::kTrain));
    plan.steps.push_back(PlanStep::Snapshot("run/model"));
    plan.steps.back().only_if_best = true;
  }
  Cluster cluster(plan);
  cluster.RegisterAll();
  for (std::uint32_t epoch = 0; epoch < 3; ++epoch) {
    const bool best = epoch != 1;
    cluster.recorder.best = best;
    cluster.recorder.enough = epoch == 2;
    cluster.BeginPhase();
    EXPECT_EQ(cluster.coordinator.Sample(cluster.now).epoch, epoch);
    cluster.Done(0, epoch + 1), cluster.Done(1, epoch + 1);
    for (std::uint32_t shard = 0; best && shard < 2; ++shard) {
      EXPECT_FALSE(cluster.coordinator.decided());
      EXPECT_TRUE(cluster.Take<SnapshotOrder>(ShardNode(shard)));
      SnapshotDone done;
      done.request_id = cluster.NextId();
      done.file = std::to_string(epoch) + "-" + std::to_string(shard);
      cluster.Send(ShardNode(shard), done);
    }
  }
  ASSERT_TRUE(cluster.coordinator.decided()) << "before the last epoch";
  EXPECT_TRUE(cluster.coordinator.verdict().ok());
  EXPECT_THAT(cluster.recorder.snapshots,
              ElementsAre("run/model: 0-0, 0-1, avx2", "run/model: 2-0, 2-1, avx2"));
}

TEST(Coordinator, SamplesEverySecondWithDifferences) {
  Cluster cluster(SmallPlan());
  cluster.RegisterAll();
  cluster.BeginPhase();
  Counters& counters = cluster.counters[WorkerNode(0)];
  counters.samples = 1000, counters.clock = 5, counters.loss_sum = {70}, counters.loss_weight = {100};
  cluster.Run(seconds(1), cluster.nodes);
  counters.samples = 3000, counters.clock = 9, counters.loss_sum = {120}, counters.loss_weight = {200};
  cluster.Run(seconds(1), cluster.nodes);
  ASSERT_EQ(cluster.recorder.samples.size(), 2u);
  EXPECT_NEAR(cluster.recorder.samples[0].loss[0], 0.7, 1e-12);
  EXPECT_NEAR(cluster.recorder.samples[1].loss[0], 0.5, 1e-12);
  EXPECT_NEAR(cluster.recorder.samples[1].samples_per_second, 2000, 1e-6);
  EXPECT_EQ(cluster.recorder.samples[1].phase_samples, 3000u);
  EXPECT_EQ(cluster.recorder.samples[1].highest_clock, 9);
  EXPECT_EQ(cluster.recorder.samples[1].lowest_clock, 0);
}

TEST(Coordinator, EndsARunWithoutProgress) {
  RunPlan plan = SmallPlan();
  plan.wait = seconds(20), plan.request = seconds(10);
  Cluster cluster(plan);
  cluster.RegisterAll();
  cluster.BeginPhase();
  cluster.Run(seconds(31), cluster.nodes);
  EXPECT_THAT(
      cluster.coordinator.verdict().text(),
      HasSubstr("no progress for 30.5 s in phase 1 (train, epoch 0), waiting for worker 0, worker 1"));
}

TEST(Coordinator, IgnoresOtherRunsAndEarlierIncarnations) {
  Cluster cluster(SmallPlan());
  cluster.RegisterAll();
  Outbox out;
  Stamp stamp;
  stamp.sender = WorkerNode(0);
  stamp.run_id = 8;
  cluster.coordinator.OnMessage(stamp, Failure{1, "of another run"}, cluster.now, out);
  stamp.run_id = 7;
  stamp.incarnation = 3;
  cluster.coordinator.OnMessage(stamp, Failure{1, "of another process"}, cluster.now, out);
  EXPECT_TRUE(out.empty());
  EXPECT_FALSE(cluster.coordinator.decided());
  EXPECT_EQ(cluster.coordinator.ignored_messages(), 2u);
}

TEST(Leases, TrainingAndScoringSizes) {
  EXPECT_EQ(Leases::TrainingBlocks(1'000'000, 65536, 2), 61u);  // 62500 rows
  EXPECT_EQ(Leases::TrainingBlocks(10'000'000, 65536, 2), 64u);
  EXPECT_EQ(Leases::TrainingBlocks(100, 65536, 8), 1u);
  EXPECT_EQ(Leases::ScoringBlocks(1'000'000, 2), 8u);
  EXPECT_EQ(Leases::ScoringBlocks(20'000, 2), 2u);
  EXPECT_EQ(Leases::ScoringBlocks(1, 4), 1u);
}

}  // namespace
}  // namespace cohort::coordinator_test
