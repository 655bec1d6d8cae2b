// One message of every type, in the order of the types, with every field set, for tests of whatever carries messages;
// then those that have another form as well.
#ifndef COHORT_TESTS_SUPPORT_SAMPLE_MESSAGES_H_
#define COHORT_TESTS_SUPPORT_SAMPLE_MESSAGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/message.h"

namespace cohort {

inline Stamp SampleStamp() { return {WorkerNode(3), 0x1122334455667788ULL, 1, 2, 3, 4}; }

inline std::vector<Message> SampleMessages() {
  const auto keys = [](std::vector<Key> k) { return Buffer::Own(std::move(k)); };
  const auto floats = [](std::vector<float> f) { return Buffer::Own(std::move(f)); };
  Counters counters;
  counters.clock = 7;
  counters.samples = 4096;
  counters.loss_sum = {1.5, -0.0};
  counters.loss_weight = {2.5, 1e300};
  counters.rows = 9;
  counters.busy_seconds = 0.25;
  counters.step_seconds = {1, 2, 3};
  counters.step_times = {0, 4, 1ull << 40};
  TableSpec dense;
  dense.id = 0;
  dense.name = "dense";
  dense.kind = TableKind::kDense;
  dense.dim = kDenseRowWidth;
  dense.row_count = 10;
  dense.optimizer.kind = OptimizerKind::kAdam;
  dense.init = {{0, 0.0f, 0.1f}, {100, 0.5f, 0.0f}};
  TableSpec sparse;
  sparse.id = 1;
  sparse.name = "embeddings";
  sparse.dim = 2;
  sparse.init = {{0, 0.0f, 0.05f}};
  sparse.dtype = FloatType::kFloat16;
  sparse.pull_values = FloatType::kBfloat16;
  sparse.push_values = FloatType::kFloat16;
  sparse.policy.admit = Admission::kCount;
  sparse.policy.evict_idle_clocks = 100;
  Welcome welcome{.request_id = 11,
                  .term = 1,
                  .worker_count = 4,
                  .seed = 5,
                  .consistency = Consistency::kSsp,
                  .staleness = 3,
                  .slices = 8,
                  .slot_map = SlotMap::Even(2),
                  .shard_endpoints = {"tcp://127.0.0.1:5000", "tcp://127.0.0.1:5001"},
                  .tables = {dense, sparse},
                  .run_config = "seed = 5\n",
                  .model_path = "",
                  .kernels = "avx2",
                  .resume = true,
                  .checkpoint_path = "/tmp/checkpoints",
                  .orders_from = 6,
                  .checkpoint_every = 100};
  return {
      PullRequest{1, 2, 3, 1, AbsentRow::kZero, keys({0, ~0ULL, 7}), true, FloatType::kBfloat16},
      PullReply{2, 1, 2, 1, floats({1.0f, 2.0f, 3.0f, -4.0f}), FloatType::kFloat32, 6},
      PullParked{3, 1, -1},
      PushRequest{4, 2, 3, 1, 5, 2, Buffer::Own(std::vector<GroupRun>{{3, 1}, {255, 1}}), keys({8, 9}),
                  floats({1, 2, 3, 4}), Buffer::Own(std::vector<std::uint32_t>{1, 7})},
      PushReply{5, 2, 1},
      CloseRequest{6, 1, kClockInfinity},
      CloseReply{7},
      ErrorReply{8, ErrorReason::kWrongRun, "another run"},
      Register{9, 1, "tcp://127.0.0.1:4000", "host", 77, "avx512"},
      RegisterPending{10, "shard 1, worker 0"},
      welcome,
      Heartbeat{12, 2, counters, "pull of clock 3 from shard 1"},
      HeartbeatReply{13},
      PhaseOrder{14, 2, PhaseKind::kEvaluate, 1, Split::kTest, 40, "none", 42, {0, 3, 7}},
      PhaseReply{15},
      PhaseDone{16, 2, 41, counters, floats({1.5f})},
      LeaseRequest{17, 2, 41},
      LeaseReply{18, true, 6, 64, 16, 41, 128},
      ScoreBlock{19, 2, 6, true, 100, 2, 1, floats({0.5f, 0.25f})},
      SnapshotOrder{20, "/tmp/model"},
      SnapshotDone{21, "", "shard-0.h5", 1000, 2, 3, 4, 5},
      Failure{22, "no such file"},
      Ack{23},
      Warning{28, "the disk is full"},
      PushRequest{24,
                  2,
                  3,
                  1,
                  5,
                  2,
                  Buffer::Own(std::vector<GroupRun>{{3, 1}, {255, 1}}),
                  {},
                  floats({1, 2, 3, 4}),
                  {},
                  7,
                  Buffer::Own(std::vector<std::uint32_t>{0, 4})},
      PushRequest{25,
                  2,
                  3,
                  1,
                  5,
                  2,
                  Buffer::Own(std::vector<GroupRun>{{3, 1}, {255, 1}}),
                  {},
                  floats({1, 2, 3, 4}),
                  {},
                  7,
                  {}},
      PullReply{26, 1, 2, 1, Buffer::Own(std::vector<std::uint16_t>{1, 2, 3, 4}), FloatType::kFloat16},
      PushRequest{27,
                  2,
                  3,
                  1,
                  5,
                  2,
                  Buffer::Own(std::vector<GroupRun>{{3, 1}, {255, 1}}),
                  keys({8, 9}),
                  Buffer::Own(std::vector<std::uint16_t>{1, 2, 3, 4}),
                  {},
                  0,
                  {},
                  FloatType::kBfloat16},
      FenceOrder{29, 1, 2, 3, 40},
      FenceDone{30, 41},
      CheckpointOrder{31, 4},
      CheckpointDone{32, 4, "", "part-00000.h5", 1000, 2, 3, 4, 5, 2, {41, 40}, {{3, 900, 7}}},
      ReplicaPush{33, 1,
                  PushRequest{27,
                              2,
                              3,
                              1,
                              5,
                              2,
                              Buffer::Own(std::vector<GroupRun>{{3, 1}, {255, 1}}),
                              keys({8, 9}),
                              floats({1, 2, 3, 4}),
                              {}}},
      ReplicaEvent{34, ReplicaEvent::Kind::kPhase, 1, 41, 2,
                   PhaseOrder{35, 2, PhaseKind::kTrain, 1, Split::kTrain, 40, "", 41, {1, 2}}},
      ReplicaRows{36, 1, keys({8, 9}), floats({1, 2, 3, 4}), keys({5, 6})},
      ReplicaState{37, PhaseOrder{35, 2, PhaseKind::kTrain, 1, Split::kTrain, 40, "", 41, {5}},
                   floats({1, 2})},
      ReplicaAck{38},
      BackupOrder{39, "tcp://a:1", 2},
      BackupReady{40},
      PromoteOrder{41, 3},
      ShardMoved{42, 1, "tcp://a:2", 3},
  };
}

}  // namespace cohort

#endif  // COHORT_TESTS_SUPPORT_SAMPLE_MESSAGES_H_
