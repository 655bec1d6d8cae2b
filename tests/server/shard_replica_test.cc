// A shard and its backup, driven with messages: the test is scheduler, worker and the network between the two.
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/shard_harness.h"

namespace cohort::shard_replica_test {
namespace {

using std::chrono::milliseconds;

TableSpec Sparse() {
  TableSpec spec;
  spec.id = 1;
  spec.name = "embeddings";
  spec.dim = 2;
  spec.optimizer.kind = OptimizerKind::kAdagrad;
  spec.init = {{0, 0.0f, 0.3f}};
  return spec;
}
TableSpec Dense() {
  TableSpec spec;
  spec.id = 0;
  spec.name = "dense";
  spec.kind = TableKind::kDense;
  spec.dim = 3;
  spec.row_count = 20;
  spec.optimizer.kind = OptimizerKind::kAdam;
  spec.init = {{0, 0.0f, 0.3f}};
  return spec;
}
Gradients SomeGradients(std::uint32_t seed) {
  return {{seed * 7919, {0.5f, -1.0f}}, {seed * 7919 + 1, {0.25f, static_cast<float>(seed)}}};
}

class ShardReplica : public ::testing::Test {
 protected:
  void Begin(Consistency consistency, std::uint32_t workers) {
    primary_.emplace(std::vector{Dense(), Sparse()}, workers, consistency, 2);
    primary_->Begin();
    NewBackup(0);
  }
  // The newest backup is the one that messages reach.
  void NewBackup(std::uint32_t incarnation) {
    ShardOptions options;
    options.scheduler.incarnation = incarnation;
    backup_.emplace(std::vector{Dense(), Sparse()}, primary_->welcome.worker_count,
                    primary_->welcome.consistency, 2, 0, 1, 0, options, /*backup=*/true);
    backup_->Scheduler(backup_->welcome);
    Take(primary_->Scheduler(BackupOrder{next_id_++, "sim:b", incarnation}), ShardNode(0), 0);
  }
  // Messages between the two go into `wire_`; what others are told, into `told_`.
  void Take(std::vector<Outgoing> messages, NodeId from, std::uint32_t incarnation) {
    for (Outgoing& each : messages) {
      Stamp stamp;
      stamp.sender = from;
      stamp.run_id = kTestRun;
      stamp.incarnation = incarnation;
      if (each.to == BackupNode(0) || (from == BackupNode(0) && each.to == ShardNode(0))) {
        wire_.emplace_back(stamp, std::move(each));
      } else {
        told_.push_back(std::move(each));
      }
    }
  }
  void Tick() {
    for (ShardHarness* each : {&*primary_, &*backup_}) {
      Outbox out;
      each->now += milliseconds(1);
      each->shard->OnTimer(each->now, out);
      Take(out.Take(), each->shard->stamp().sender, each->shard->stamp().incarnation);
    }
  }
  // Until nothing is on the wire any more.
  void Settle() {
    for (int i = 0; i < 20 || !wire_.empty(); ++i) {
      Tick();
      while (!wire_.empty()) {
        auto [stamp, message] = std::move(wire_.front());
        wire_.pop_front();
        ShardHarness& to = message.to == BackupNode(0) ? *backup_ : *primary_;
        Take(to.Deliver(stamp, std::move(message.message)), message.to, to.shard->stamp().incarnation);
      }
    }
  }
  void Worker(std::uint32_t worker, Message message) {
    Take(primary_->Worker(worker, std::move(message)), ShardNode(0), 0);
  }
  template <typename T>
  int Told() const {
    int count = 0;
    for (const Outgoing& each : told_) count += std::holds_alternative<T>(each.message);
    return count;
  }

  std::optional<ShardHarness> primary_, backup_;
  std::deque<std::pair<Stamp, Outgoing>> wire_;
  std::vector<Outgoing> told_;
  RequestId next_id_ = 1000;
};

TEST_F(ShardReplica, ABackupGetsWhatWasThereAndWhatCame) {
  Begin(Consistency::kAsp, 1);
  for (std::uint32_t i = 0; i < 5; ++i) Worker(0, MakePush(Sparse(), SomeGradients(i), 0, 1, 10 + i));
  EXPECT_FALSE(backup_->shard->count(ShardEvent::kBackupWhole));
  Settle();
  EXPECT_EQ(backup_->shard->count(ShardEvent::kBackupWhole), 1u);
  EXPECT_EQ(Told<BackupReady>(), 1);
  EXPECT_EQ(backup_->Rows(), primary_->Rows());
  Worker(0, MakePush(Sparse(), SomeGradients(9), 1, 1, 20));
  Worker(0, MakeClose(0, 21));
  Settle();
  EXPECT_EQ(backup_->Rows(), primary_->Rows());
  EXPECT_EQ(backup_->shard->clocks().closed(0), 0);
  EXPECT_EQ(backup_->shard->counters().pushes_acknowledged, primary_->shard->counters().pushes_acknowledged);
}

TEST_F(ShardReplica, NobodyIsToldBeforeTheBackupHasIt) {
  Begin(Consistency::kAsp, 1);
  Settle();
  told_.clear();
  Worker(0, MakePush(Sparse(), SomeGradients(1), 0, 1, 10));
  Worker(0, MakePush(Sparse(), SomeGradients(1), 0, 1, 10));  // repeated: it is not there yet either
  Worker(0, MakeClose(0, 11));
  EXPECT_EQ(Told<PushReply>() + Told<CloseReply>(), 0);
  Settle();
  EXPECT_EQ(Told<PushReply>(), 2);
  EXPECT_EQ(Told<CloseReply>(), 1);
  // Without a backup there is nobody to wait for, and what waited goes.
  told_.clear();
  Worker(0, MakePush(Sparse(), SomeGradients(2), 1, 1, 12));
  Take(primary_->Scheduler(BackupOrder{next_id_++, "", 0}), ShardNode(0), 0);
  Worker(0, MakePush(Sparse(), SomeGradients(3), 2, 1, 13));
  EXPECT_EQ(Told<PushReply>(), 2);
}

TEST_F(ShardReplica, APhaseIsConfirmedWhenTheBackupIsInIt) {
  Begin(Consistency::kAsp, 1);
  Settle();
  Worker(0, MakeClose(kClockInfinity, 10));
  Settle();
  told_.clear();
  Take(primary_->Phase(2, PhaseKind::kScore, 3), ShardNode(0), 0);
  EXPECT_EQ(Told<PhaseReply>(), 0);
  Settle();
  EXPECT_EQ(Told<PhaseReply>(), 1);
  EXPECT_EQ(backup_->shard->phase().phase, 2u);
}

// bsp, in the middle of a clock: what is held, and who has closed, is carried over.
TEST_F(ShardReplica, AnotherBackupBeginsInTheMiddleOfAClock) {
  Begin(Consistency::kBsp, 2);
  Settle();
  Worker(0, MakePush(Sparse(), SomeGradients(1), 0, 2, 10));
  Worker(0, MakeClose(0, 11));
  Settle();
  NewBackup(3);
  Worker(1, MakePush(Sparse(), SomeGradients(2), 0, 3, 12));
  Settle();
  EXPECT_EQ(backup_->shard->count(ShardEvent::kBackupWhole), 1u);
  Worker(1, MakeClose(0, 13));
  Settle();
  EXPECT_EQ(primary_->shard->count(ShardEvent::kClockApplied), 1u);
  EXPECT_EQ(backup_->shard->count(ShardEvent::kClockApplied), 1u);
  EXPECT_EQ(backup_->Rows(), primary_->Rows());
}

TEST_F(ShardReplica, APromotedBackupGoesOnWhereItsShardWas) {
  Begin(Consistency::kBsp, 1);
  Settle();
  Worker(0, MakePush(Sparse(), SomeGradients(1), 0, 1, 10));
  Settle();
  const auto rows = primary_->Rows();
  EXPECT_EQ(backup_->Worker(0, MakeClose(0, 9)).size(), 1u);  // it serves nobody yet
  EXPECT_EQ(backup_->shard->clocks().closed(0), -1);
  const auto messages = backup_->Scheduler(PromoteOrder{next_id_++, 1});
  EXPECT_EQ(backup_->shard->stamp().sender, ShardNode(0));
  EXPECT_EQ(backup_->shard->stamp().incarnation, 1u);
  Welcome welcome = backup_->welcome;
  bool registers = false;
  for (const Outgoing& each : messages) {
    if (const auto* registration = std::get_if<Register>(&each.message)) {
      registers = true;
      welcome.request_id = registration->request_id;
    }
  }
  ASSERT_TRUE(registers);
  backup_->Scheduler(welcome);
  // What was not acknowledged comes again; what was, is a repetition.
  const auto again = backup_->Worker(0, MakePush(Sparse(), SomeGradients(1), 0, 1, 10));
  EXPECT_EQ(Only<PushReply>(again).applied_parts, 0u);
  EXPECT_GT(Only<PushReply>(again).duplicate_parts, 0u);
  EXPECT_EQ(backup_->Rows(), rows);
  Only<CloseReply>(backup_->Worker(0, MakeClose(0, 11)));
  Worker(0, MakeClose(0, 11));
  EXPECT_EQ(backup_->Rows(), primary_->Rows());
  // The shard that it was the backup of has nothing to say to it any more.
  const auto events = backup_->shard->count(ShardEvent::kUnexpected);
  while (!wire_.empty()) {
    auto [stamp, message] = std::move(wire_.front());
    wire_.pop_front();
    EXPECT_TRUE(backup_->Deliver(stamp, std::move(message.message)).empty());
  }
  EXPECT_GT(backup_->shard->count(ShardEvent::kUnexpected), events);
}

// Numbers say for which of the backups of a shard a message is.
TEST_F(ShardReplica, WhatWasForAnEarlierBackupIsNotForThisOne) {
  Begin(Consistency::kAsp, 1);
  Settle();
  Worker(0, MakePush(Sparse(), SomeGradients(1), 0, 1, 10));
  const auto late = wire_;
  wire_.clear();
  NewBackup(1);
  for (const auto& each : late) wire_.push_front(each);
  Settle();
  EXPECT_EQ(backup_->shard->failure().text(), "");
  EXPECT_EQ(backup_->Rows(), primary_->Rows());
}

TEST_F(ShardReplica, WhatDoesNotFitEndsABackup) {
  Begin(Consistency::kAsp, 1);
  Settle();
  Stamp stamp;
  stamp.sender = ShardNode(0);
  stamp.run_id = kTestRun;
  ReplicaRows rows;
  rows.request_id = FirstNumber(0) + 1000;
  rows.table = 7;
  EXPECT_EQ(Only<ReplicaAck>(backup_->Deliver(stamp, rows)).request_id, FirstNumber(0) + 2)
      << "rows far ahead wait for what is before them";
  rows.request_id = FirstNumber(0) + 3;
  backup_->Deliver(stamp, rows);
  EXPECT_NE(backup_->shard->failure().text().find("as backup of shard 0: rows of table 7 that do not fit"),
            std::string::npos)
      << backup_->shard->failure().text();
}

// Who takes part: with the phase, and in the middle of it; a new backup learns it from the state.
TEST_F(ShardReplica, ABackupHearsWhichWorkersComeAndGo) {
  Begin(Consistency::kSsp, 2);
  Settle();
  const auto expect_same = [&](const std::vector<std::uint32_t>& workers) {
    Settle();
    EXPECT_EQ(primary_->shard->phase().workers, workers);
    EXPECT_EQ(backup_->shard->phase().workers, workers);
    for (std::uint32_t worker = 0; worker < 5; ++worker)
      EXPECT_EQ(backup_->shard->clocks().closed(worker), primary_->shard->clocks().closed(worker)) << worker;
    EXPECT_TRUE(backup_->shard->failure().ok()) << backup_->shard->failure().text();
  };
  Worker(0, MakeClose(2, 1));
  Worker(1, MakeClose(4, 1));
  Take(primary_->Scheduler(FenceOrder{next_id_++, 2, 0, 1, -1}), ShardNode(0), 0);
  expect_same({0, 1, 2});
  EXPECT_EQ(backup_->shard->clocks().closed(2), 2);
  Take(primary_->Scheduler(FenceOrder{next_id_++, 2, 0, 1, 4}), ShardNode(0), 0);
  Worker(2, MakePush(Sparse(), SomeGradients(1), 5, 1, 2));
  expect_same({0, 1, 2});
  EXPECT_EQ(backup_->shard->clocks().closed(2), 4);
  NewBackup(1);
  expect_same({0, 1, 2});
  EXPECT_EQ(backup_->shard->count(ShardEvent::kBackupWhole), 1u);
  for (const std::uint32_t worker : {0, 1, 2}) Worker(worker, MakeClose(kClockInfinity, 3));
  Take(primary_->Phase(2, PhaseKind::kTrain, 6, {2, 4}), ShardNode(0), 0);
  expect_same({2, 4});
  NewBackup(2);
  expect_same({2, 4});
  EXPECT_EQ(backup_->shard->count(ShardEvent::kBackupWhole), 1u);
}

}  // namespace
}  // namespace cohort::shard_replica_test
