#include "server/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "common/random.h"
#include "tests/server/shard_harness.h"

namespace cohort::shard_test {
namespace {

TableSpec Embeddings(OptimizerKind kind = OptimizerKind::kSgd, float rate = 1.0f) {
  TableSpec spec;
  spec.id = 1;
  spec.name = "embedding";
  spec.dim = 3;
  spec.optimizer.kind = kind;
  spec.optimizer.learning_rate = rate;
  spec.init = {{0, 0.0f, 0.1f}};
  return spec;
}
TableSpec Dense() {
  TableSpec spec;
  spec.id = 0;
  spec.name = "dense";
  spec.kind = TableKind::kDense;
  spec.dim = 4;
  spec.row_count = 50;
  spec.optimizer.kind = OptimizerKind::kAdam;
  spec.init = {{0, 0.0f, 0.3f}};
  return spec;
}
std::vector<float> Floats(const Buffer& buffer) {
  const auto span = buffer.As<float>();
  return {span.begin(), span.end()};
}
bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// ---------------------------------------------------------------- bsp

// The gradient of slice `slice` at `clock`: sparse rows, and all dense rows. A function of its arguments
// alone.
Gradients SliceGradient(const TableSpec& table, std::uint32_t slice, Clock clock) {
  RandomStream random(RandomBits(1, slice, static_cast<std::uint64_t>(clock)), table.id);
  Gradients gradients;
  if (slice == 5 && clock == 1) return gradients;  // a slice without rows
  const auto add = [&](Key key) {
    std::vector<float> values(table.dim);
    for (float& value : values) {
      value = static_cast<float>((random.Uniform() - 0.5) *
                                 std::pow(10.0, static_cast<double>(random.Below(8)) - 4));
    }
    gradients[key] = values;
  };
  if (table.kind == TableKind::kDense) {
    for (Key key = 0; key < table.row_count; ++key) add(key);
  } else {
    for (int i = 0; i < 40; ++i) add(random.Below(100) * 0x9e3779b97f4a7c15ull);
  }
  return gradients;
}

// The definition: the value of a tree node for one key.
bool NodeSum(const std::vector<Gradients>& slices, std::uint32_t node, Key key, std::vector<float>* out) {
  if (node >= slices.size()) {
    const auto it = slices[node - slices.size()].find(key);
    if (it == slices[node - slices.size()].end()) return false;
    *out = it->second;
    return true;
  }
  std::vector<float> left, right;
  const bool has_left = NodeSum(slices, 2 * node, key, &left),
             has_right = NodeSum(slices, 2 * node + 1, key, &right);
  if (has_left && has_right) {
    for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
  }
  if (has_left || has_right) *out = has_left ? left : right;
  return has_left || has_right;
}

// All keys of a node's slices, summed.
Gradients NodeGradient(const std::vector<Gradients>& slices, std::uint16_t node) {
  Gradients result;
  for (const Gradients& slice : slices) {
    for (const auto& [key, values] : slice) {
      std::vector<float> sum;
      if (!result.contains(key) && NodeSum(slices, node, key, &sum)) result[key] = sum;
    }
  }
  return result;
}

using State = std::map<std::pair<TableId, Key>, std::vector<float>>;

constexpr std::uint32_t kSlices = 8;
constexpr Clock kClocks = 4;

// One process, one row after the other.
State ReferenceRun(const std::vector<TableSpec>& tables, std::uint64_t seed) {
  State state;
  for (const TableSpec& table : tables) {
    const Optimizer optimizer(table.optimizer, table.dim);
    const auto row_of = [&](Key key) -> std::vector<float>& {
      auto [it, fresh] = state.try_emplace({table.id, key});
      if (fresh) {
        it->second.resize(optimizer.row_floats());
        InitializeRow(table, seed, key, it->second.data());
        optimizer.InitState(it->second.data());
      }
      return it->second;
    };
    if (table.kind == TableKind::kDense) {
      for (Key key = 0; key < table.row_count; ++key) row_of(key);
    }
    for (Clock clock = 0; clock < kClocks; ++clock) {
      std::vector<Gradients> slices;
      for (std::uint32_t s = 0; s < kSlices; ++s) slices.push_back(SliceGradient(table, s, clock));
      for (const auto& [key, values] : NodeGradient(slices, 1))
        optimizer.Step(values.data(), row_of(key).data());
    }
  }
  return state;
}

TEST(ShardBsp, SameBitsForAnyNumberOfWorkersAndAnyArrival) {
  const std::vector<TableSpec> tables = {Dense(), Embeddings(OptimizerKind::kAdagrad, 0.05f)};
  const State expected = ReferenceRun(tables, 5);
  for (const std::uint32_t workers : {1u, 2u, 3u, 4u, 5u, 8u, 11u}) {
    ShardHarness harness(tables, workers, Consistency::kBsp, kSlices);
    harness.Begin();
    RandomStream random(workers);
    RequestId id = 1;
    std::uint64_t parts = 0, duplicates = 0;
    for (Clock clock = 0; clock < kClocks; ++clock) {
      std::vector<std::pair<std::uint32_t, PushRequest>> pushes;
      for (const TableSpec& table : tables) {
        std::vector<Gradients> slices;
        for (std::uint32_t s = 0; s < kSlices; ++s) slices.push_back(SliceGradient(table, s, clock));
        for (std::uint32_t worker = 0; worker < workers; ++worker) {
          const SliceRange mine = SlicesOfWorker(kSlices, workers, worker);
          for (const std::uint16_t node : MaximalNodes(kSlices, mine.begin, mine.end)) {
            const Gradients sum = NodeGradient(slices, node);
            if (sum.empty()) continue;
            // Two messages: whole groups each.
            Gradients low, high;
            for (const auto& [key, values] : sum) (RingPosition(table, key) >> 63 ? high : low)[key] = values;
            for (const Gradients* half : {&low, &high}) {
              if (!half->empty()) pushes.emplace_back(worker, MakePush(table, *half, clock, node, id++));
            }
          }
        }
      }
      for (const auto& push : pushes) parts += push.second.runs.As<GroupRun>().size();
      const std::size_t once = pushes.size();
      for (std::size_t i = 0; i < once; i += 3) {
        pushes.push_back(pushes[i]);  // some arrive twice
        duplicates += pushes[i].second.runs.As<GroupRun>().size();
      }
      std::shuffle(pushes.begin(), pushes.end(), random);
      const State before = harness.Rows();
      for (const auto& [worker, push] : pushes) {
        const auto reply = Only<PushReply>(harness.Worker(worker, push));
        EXPECT_EQ(reply.request_id, push.request_id);
        EXPECT_EQ(reply.applied_parts + reply.duplicate_parts, push.runs.As<GroupRun>().size());
      }
      EXPECT_EQ(harness.Rows(), before) << "bsp applies nothing on arrival";
      for (std::uint32_t worker = 0; worker < workers; ++worker)
        harness.Worker(worker, MakeClose(clock, id++));
    }
    const State state = harness.Rows();
    ASSERT_EQ(state.size(), expected.size());
    for (const auto& [name, row] : expected) {
      ASSERT_TRUE(SameBits(state.at(name), row))
          << "table " << name.first << " key " << name.second << ", " << workers;
    }
    EXPECT_EQ(harness.shard->counters().pushes_acknowledged, parts);
    EXPECT_EQ(harness.shard->counters().pushes_duplicated, duplicates);
    EXPECT_EQ(harness.shard->count(ShardEvent::kClockApplied), static_cast<std::uint64_t>(kClocks));
    EXPECT_EQ(harness.shard->counters().queue_depth, 0u);
  }
}

TEST(ShardBsp, APushAfterItsCloseIsADuplicate) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 1, Consistency::kBsp);
  harness.Begin();
  const PushRequest push = MakePush(table, {{7, {1, 2, 3}}}, 0, 1, 1);
  EXPECT_EQ(Only<PushReply>(harness.Worker(0, push)).applied_parts, 1u);
  Only<CloseReply>(harness.Worker(0, MakeClose(0, 2)));
  const std::vector<float> row = harness.Row(1, 7);
  EXPECT_EQ(Only<PushReply>(harness.Worker(0, push)).duplicate_parts, 1u);
  Only<CloseReply>(harness.Worker(0, MakeClose(0, 2)));
  Only<CloseReply>(harness.Worker(0, MakeClose(1, 3)));
  EXPECT_TRUE(SameBits(harness.Row(1, 7), row));
  EXPECT_EQ(harness.shard->count(ShardEvent::kCloseRepeated), 1u);
}

TEST(ShardBsp, PullsWaitForTheSlowestAndSeeAllPushes) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 3, Consistency::kBsp, 4);
  harness.Begin();
  // Clock 0 needs nobody. A key without a row shows its initial values and makes none.
  const PullReply initial = Only<PullReply>(harness.Worker(0, MakePull(table, {7, 9}, 0, 1)));
  EXPECT_EQ(initial.absent_rows, 2u);
  EXPECT_EQ(harness.shard->table(1)->size(), 0u);
  PullRequest zeros = MakePull(table, {7}, 0, 2);
  zeros.absent = AbsentRow::kZero;
  EXPECT_EQ(Floats(Only<PullReply>(harness.Worker(0, zeros)).values), (std::vector<float>{0, 0, 0}));

  // Slices 0..3: worker 0 has slice 0, worker 1 slice 1, worker 2 slices 2 and 3.
  harness.Worker(0, MakePush(table, {{7, {1, 1, 1}}}, 0, 4, 3));
  harness.Worker(2, MakePush(table, {{7, {4, 4, 4}}}, 0, 3, 1));
  harness.Worker(2, MakeClose(0, 2));
  harness.Worker(0, MakeClose(0, 4));
  const PullRequest next = MakePull(table, {7}, 1, 5);
  const PullParked parked = Only<PullParked>(harness.Worker(0, next));
  EXPECT_EQ(parked.waiting_for, 1u);
  EXPECT_EQ(parked.its_closed, -1);
  Only<PullParked>(harness.Worker(0, next));  // again: told again, parked once
  EXPECT_EQ(harness.shard->counters().queue_depth, 1u + 2u);
  EXPECT_EQ(harness.shard->count(ShardEvent::kPullParkedAgain), 1u);
  harness.Worker(1, MakePush(table, {{7, {2, 2, 2}}}, 0, 5, 1));
  const auto released = harness.Worker(1, MakeClose(0, 2));
  ASSERT_EQ(released.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<CloseReply>(released[0].message));
  EXPECT_EQ(released[1].to, WorkerNode(0));
  const auto& reply = std::get<PullReply>(released[1].message);
  EXPECT_EQ(reply.request_id, 5u);
  const std::vector<float> first = Floats(initial.values);
  const std::size_t at = OnRing(table, {7, 9})[0].second == 7 ? 0 : 3;
  EXPECT_EQ(Floats(reply.values)[0], first[at] - 7.0f);
  EXPECT_EQ(harness.shard->counters().queue_depth, 0u);
}

TEST(ShardBsp, AWorkerWithoutDataClosesAtInfinity) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 2, Consistency::kBsp);
  harness.Begin();
  harness.Worker(0, MakeClose(kClockInfinity, 1));
  for (Clock clock = 0; clock < 3; ++clock) {
    Only<PullReply>(harness.Worker(1, MakePull(table, {1}, clock, 10)));
    harness.Worker(1, MakePush(table, {{1, {1, 0, 0}}}, clock, 3, 11));
    harness.Worker(1, MakeClose(clock, 12));
  }
  EXPECT_EQ(harness.shard->count(ShardEvent::kClockApplied), 3u);
}

// ---------------------------------------------------------------- ssp, asp

TEST(ShardSsp, AppliesOnArrivalOnceAndBoundsTheSpread) {
  const TableSpec table = Embeddings();
  for (const Consistency consistency : {Consistency::kSsp, Consistency::kAsp}) {
    ShardHarness harness({table}, 2, consistency, 8, /*staleness=*/2);
    harness.Begin();
    float start[3];
    InitializeRow(table, 5, 7, start);
    for (Clock clock = 0; clock < 3; ++clock) {
      Only<PullReply>(harness.Worker(0, MakePull(table, {7}, clock, 1)));
      const PushRequest push = MakePush(table, {{7, {1, 2, 3}}}, clock, 1, 2);
      EXPECT_EQ(Only<PushReply>(harness.Worker(0, push)).applied_parts, 1u);
      EXPECT_EQ(Only<PushReply>(harness.Worker(0, push)).duplicate_parts, 1u);
      harness.Worker(0, MakeClose(clock, 3));
    }
    EXPECT_EQ(harness.Row(1, 7)[0], ((start[0] - 1) - 1) - 1);
    const auto ahead = harness.Worker(0, MakePull(table, {7}, 3, 9));
    if (consistency == Consistency::kAsp) {
      Only<PullReply>(ahead);
    } else {
      EXPECT_EQ(Only<PullParked>(ahead).waiting_for, 1u);
      EXPECT_EQ(harness.Worker(1, MakeClose(0, 1)).size(), 2u);
    }
  }
}

// Slices go by the place among those who take part; nobody waits for, or listens to, others.
TEST(ShardBsp, EachPhaseHasItsWorkers) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 2, Consistency::kBsp);
  harness.Begin();
  for (const std::uint32_t worker : {0, 1}) harness.Worker(worker, MakeClose(0, 1));
  harness.Phase(2, PhaseKind::kTrain, 1, {1, 4});
  const auto push = [&](std::uint32_t worker, std::uint16_t node) {
    PushRequest request = MakePush(table, {{1, {1, 1, 1}}}, 1, node, 1);
    request.phase = 2;
    return harness.Worker(worker, request);
  };
  EXPECT_EQ(Only<ErrorReply>(push(0, 2)).reason, ErrorReason::kMalformed) << "it has left";
  EXPECT_EQ(Only<ErrorReply>(push(2, 2)).reason, ErrorReason::kMalformed) << "it has never been here";
  EXPECT_EQ(Only<ErrorReply>(push(4, 2)).reason, ErrorReason::kMalformed) << "that is worker 1's half";
  EXPECT_EQ(Only<PushReply>(push(1, 2)).applied_parts, 1u);
  EXPECT_EQ(Only<PushReply>(push(4, 3)).applied_parts, 1u);
  for (const std::uint32_t worker : {1, 4}) {
    EXPECT_EQ(harness.shard->count(ShardEvent::kClockApplied), 0u);
    CloseRequest close = MakeClose(1, 2);
    close.phase = 2;
    harness.Worker(worker, close);
  }
  EXPECT_EQ(harness.shard->count(ShardEvent::kClockApplied), 1u);
}

TEST(ShardSsp, AWorkerMayComeInTheMiddleOfAPhase) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 2, Consistency::kSsp, 8, /*staleness=*/2);
  harness.Begin();
  harness.Worker(0, MakeClose(5, 1));
  harness.Worker(1, MakeClose(3, 1));
  EXPECT_TRUE(harness.Scheduler(FenceOrder{40, 2, 0, 9, -1}).empty()) << "another phase";
  EXPECT_EQ(Only<FenceDone>(harness.Scheduler(FenceOrder{41, 2, 0, 1, -1})).closed, 3);
  EXPECT_EQ(Only<FenceDone>(harness.Scheduler(FenceOrder{42, 2, 0, 1, 5})).closed, 5);
  EXPECT_EQ(Only<FenceDone>(harness.Scheduler(FenceOrder{42, 2, 0, 1, 5})).closed, 5);
  EXPECT_EQ(harness.shard->count(ShardEvent::kJoin), 1u);
  EXPECT_EQ(harness.shard->clocks().lowest(), 3) << "it holds nobody up";
  const PushRequest push = MakePush(table, {{7, {1, 2, 3}}}, 6, 1, 2);
  EXPECT_EQ(Only<PushReply>(harness.Worker(2, push)).applied_parts, 1u);
  harness.Worker(0, MakeClose(kClockInfinity, 3));
  harness.Worker(1, MakeClose(kClockInfinity, 3));
  EXPECT_EQ(harness.shard->clocks().lowest(), 5) << "and is waited for like all";
}

TEST(ShardSsp, AMessageOfOldAndNewPartsCountsTheNewOnes) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 1, Consistency::kAsp);
  harness.Begin();
  Gradients some, all;
  for (Key key = 0; key < 100; ++key) {
    all[key] = {1, 1, 1};
    if (GroupOf(RingPosition(table, key)) < 128) some[key] = {1, 1, 1};
  }
  const auto first = Only<PushReply>(harness.Worker(0, MakePush(table, some, 0, 1, 1)));
  const auto second = Only<PushReply>(harness.Worker(0, MakePush(table, all, 0, 1, 2)));
  EXPECT_EQ(second.duplicate_parts, first.applied_parts);
  EXPECT_GT(second.applied_parts, 0u);
  for (Key key = 0; key < 100; ++key) {
    float start[3];
    InitializeRow(table, 5, key, start);
    EXPECT_EQ(harness.Row(1, key)[1], start[1] - 1) << key;
  }
}

// ---------------------------------------------------------------- bad messages

struct BadMessage {
  const char* name;
  ErrorReason reason;
  Stamp stamp;
  Message message;
};

std::vector<BadMessage> BadMessages(const ShardHarness& harness, const TableSpec& table,
                                    const TableSpec& dense, Key mine, Key other, Key foreign) {
  const Stamp worker = harness.WorkerStamp(1);
  const Gradients good = {{mine, {1, 1, 1}}, {other, {1, 1, 1}}};
  std::vector<BadMessage> bad;
  const auto add = [&](const char* name, ErrorReason reason, Message message, const auto& change) {
    Stamp stamp = worker;
    change(stamp);
    bad.push_back({name, reason, stamp, std::move(message)});
  };
  const auto nothing = [](Stamp&) {};
  const auto push = [&](const char* name, const auto& change, ErrorReason reason = ErrorReason::kMalformed) {
    PushRequest request = MakePush(table, good, 0, 3, 1);
    change(request);
    add(name, reason, request, nothing);
  };
  const auto pull = [&](const char* name, const auto& change, ErrorReason reason = ErrorReason::kMalformed) {
    PullRequest request = MakePull(table, {mine, other}, 0, 1);
    change(request);
    add(name, reason, request, nothing);
  };
  const PushRequest sane = MakePush(table, good, 0, 3, 1);
  const std::vector<Key> keys(sane.keys.As<Key>().begin(), sane.keys.As<Key>().end());
  const std::vector<GroupRun> runs(sane.runs.As<GroupRun>().begin(), sane.runs.As<GroupRun>().end());
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

  // Who speaks, and how new what it knows is.
  add("another run", ErrorReason::kWrongRun, sane, [](Stamp& s) { s.run_id = 1; });
  add("a shard", ErrorReason::kMalformed, sane, [](Stamp& s) { s.sender = ShardNode(1); });
  add("worker that is no member", ErrorReason::kMalformed, sane, [](Stamp& s) { s.sender = WorkerNode(2); });
  add("old slot map", ErrorReason::kStaleGeneration, sane, [](Stamp& s) { s.generation = 0; });
  add("slot map not heard of", ErrorReason::kNotReady, sane, [](Stamp& s) { s.generation = 9; });
  push(
      "old phase", [](PushRequest& r) { r.phase = 0; }, ErrorReason::kStalePhase);
  push(
      "future phase", [](PushRequest& r) { r.phase = 2; }, ErrorReason::kFuturePhase);
  pull(
      "old phase, pull", [](PullRequest& r) { r.phase = 0; }, ErrorReason::kStalePhase);
  add("future phase, close", ErrorReason::kFuturePhase, CloseRequest{1, 2, 0}, nothing);
  // Pulls.
  pull(
      "unknown table", [](PullRequest& r) { r.table = 9; }, ErrorReason::kUnknownTable);
  pull(
      "foreign key",
      [&](PullRequest& r) {
        r.keys = MakePull(table, {mine, foreign}, 0, 1).keys;
      },
      ErrorReason::kWrongShard);
  pull("descending keys", [&](PullRequest& r) { r.keys = Buffer::Own(std::vector<Key>{keys[1], keys[0]}); });
  pull("half a key", [&](PullRequest& r) { r.keys = Buffer::Own(std::vector<std::uint32_t>{1, 2, 3}); });
  pull("dense row that is not",
       [&](PullRequest& r) { r.table = dense.id, r.keys = Buffer::Own(std::vector<Key>{50}); });
  pull("another absent", [](PullRequest& r) { r.absent = static_cast<AbsentRow>(7); });
  // Pushes.
  push(
      "unknown table, push", [](PushRequest& r) { r.table = 9; }, ErrorReason::kUnknownTable);
  push(
      "foreign key, push",
      [&](PushRequest& r) {
        r = MakePush(table, {{foreign, {1, 1, 1}}}, 0, 3, 1);
      },
      ErrorReason::kWrongShard);
  push("another dim", [](PushRequest& r) { r.dim = 4; });
  push("values too short", [](PushRequest& r) { r.values = Buffer::Own(std::vector<float>(5)); });
  push("values too long", [](PushRequest& r) { r.values = Buffer::Own(std::vector<float>(7)); });
  push("a byte of values", [](PushRequest& r) { r.values = Buffer::Own(std::vector<std::uint8_t>(23)); });
  push("no values", [](PushRequest& r) { r.values = {}; });
  push("descending keys, push", [&](PushRequest& r) {
    r.keys = Buffer::Own(std::vector<Key>{keys[1], keys[0]});
  });
  push("a key twice", [&](PushRequest& r) { r.keys = Buffer::Own(std::vector<Key>{keys[0], keys[0]}); });
  push("no runs", [](PushRequest& r) { r.runs = {}; });
  push("half a run", [](PushRequest& r) { r.runs = Buffer::Own(std::vector<std::uint32_t>{1, 1, 1}); });
  push("runs too short", [&](PushRequest& r) { r.runs = Buffer::Own(std::vector<GroupRun>{runs[0]}); });
  push("run too long", [&](PushRequest& r) {
    r.runs = Buffer::Own(std::vector<GroupRun>{runs[0], {runs[1].group, 2}});
  });
  push("run of nothing", [&](PushRequest& r) {
    r.runs = Buffer::Own(std::vector<GroupRun>{runs[0], {runs[0].group + 1, 0}, runs[1]});
  });
  push("run with 2^32 - 1 rows", [&](PushRequest& r) {
    r.runs = Buffer::Own(std::vector<GroupRun>{{runs[0].group, 0xffffffffu}, {runs[1].group, 3}});
  });
  push("runs descend", [&](PushRequest& r) {
    r.runs = Buffer::Own(std::vector<GroupRun>{runs[1], runs[0]});
  });
  push("run of another group", [&](PushRequest& r) {
    r.runs = Buffer::Own(std::vector<GroupRun>{{runs[0].group, 2}});
  });
  push("group beyond the last", [&](PushRequest& r) {
    r.runs = Buffer::Own(std::vector<GroupRun>{runs[0], {256, 1}});
  });
  push("node of another worker", [](PushRequest& r) { r.node = 2; });
  push("node below what it owns", [](PushRequest& r) { r.node = 6; });
  push("the root", [](PushRequest& r) { r.node = 1; });
  push("node 0", [](PushRequest& r) { r.node = 0; });
  push("node beyond the leaves", [](PushRequest& r) { r.node = 65535; });
  push("clock far ahead", [](PushRequest& r) { r.clock = 1 << 20; });
  push("clock at infinity", [](PushRequest& r) { r.clock = kClockInfinity; });
  push("negative clock", [](PushRequest& r) { r.clock = std::numeric_limits<Clock>::min(); });
  push("a NaN", [&](PushRequest& r) { r.values = Buffer::Own(std::vector<float>{1, 2, 3, 4, 5, nan}); });
  push("infinities", [&](PushRequest& r) {
    r.values = Buffer::Own(std::vector<float>{inf, -inf, 3, 4, 5, 6});
  });
  // Closes.
  add("close far ahead", ErrorReason::kMalformed, CloseRequest{1, 1, 1 << 20}, nothing);
  add("close of a negative clock", ErrorReason::kMalformed,
      CloseRequest{1, 1, std::numeric_limits<Clock>::min()}, nothing);
  return bad;
}

TEST(Shard, BadMessagesAreRefusedWholeAndChangeNothing) {
  TableSpec table = Embeddings(), dense = Dense();
  ShardHarness harness({dense, table}, 2, Consistency::kBsp, 4, 0, /*shards=*/2);
  harness.Begin();
  // Two keys of this shard in two groups, and one of the other shard.
  std::vector<Key> mine;
  Key foreign = 0;
  for (Key key = 1; mine.size() < 2 || foreign == 0; ++key) {
    const int group = GroupOf(RingPosition(table, key));
    if (group >= 128) foreign = key;
    if (group < 127 &&
        (mine.empty() || (mine.size() == 1 && group != GroupOf(RingPosition(table, mine[0]))))) {
      mine.push_back(key);
    }
  }
  const auto before = harness.Rows();
  std::uint64_t refused = 0;
  for (const BadMessage& bad : BadMessages(harness, table, dense, mine[0], mine[1], foreign)) {
    const auto replies = harness.Deliver(bad.stamp, bad.message);
    ASSERT_EQ(replies.size(), 1u) << bad.name;
    ASSERT_TRUE(std::holds_alternative<ErrorReply>(replies[0].message)) << bad.name;
    const auto& error = std::get<ErrorReply>(replies[0].message);
    EXPECT_EQ(error.reason, bad.reason) << bad.name << ": " << error.text;
    EXPECT_EQ(error.request_id, 1u) << bad.name;
    EXPECT_FALSE(error.text.empty()) << bad.name;
    EXPECT_EQ(replies[0].to, bad.stamp.sender) << bad.name;
    ++refused;
  }
  EXPECT_GE(refused, 40u);
  EXPECT_EQ(harness.shard->counters().nan_gradients, 3u);
  EXPECT_EQ(harness.shard->counters().queue_depth, 0u);
  EXPECT_EQ(harness.shard->counters().pushes_acknowledged, 0u);
  EXPECT_EQ(harness.shard->count(ShardEvent::kNonFinite), 2u);
  EXPECT_GT(harness.shard->counters().bad_frames, 20u);
  // The good one still counts as new, and nothing of the bad ones was remembered.
  const Gradients good = {{mine[0], {1, 1, 1}}, {mine[1], {1, 1, 1}}};
  EXPECT_EQ(Only<PushReply>(harness.Worker(1, MakePush(table, good, 0, 3, 1))).applied_parts, 2u);
  EXPECT_EQ(harness.Rows(), before);
}

TEST(Shard, MessagesBeforeWelcomeOfReplacedWorkersAndOfNoKind) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 1, Consistency::kBsp);
  EXPECT_EQ(Only<ErrorReply>(harness.Worker(0, MakePull(table, {1}, 0, 1))).reason, ErrorReason::kNotReady);
  harness.Scheduler(harness.welcome);
  EXPECT_EQ(Only<ErrorReply>(harness.Worker(0, MakePull(table, {1}, 0, 1))).reason,
            ErrorReason::kFuturePhase);
  harness.Phase(1, PhaseKind::kTrain, 0);
  Stamp replacement = harness.WorkerStamp(0);
  replacement.incarnation = 2;
  Only<PullReply>(harness.Deliver(replacement, MakePull(table, {1}, 0, 1)));
  EXPECT_EQ(Only<ErrorReply>(harness.Worker(0, MakePull(table, {1}, 0, 1))).reason,
            ErrorReason::kStaleIncarnation);
  EXPECT_TRUE(harness.Worker(0, PushReply{}).empty());
  EXPECT_EQ(harness.shard->count(ShardEvent::kUnexpected), 1u);
}

// ---------------------------------------------------------------- phases, snapshots, the end

TEST(Shard, APhaseWaitsForTheClosesBeforeIt) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 2, Consistency::kBsp);
  harness.Begin();
  harness.Worker(0, MakePush(table, {{1, {1, 1, 1}}}, 0, 2, 1));
  harness.Worker(0, MakeClose(kClockInfinity, 2));
  EXPECT_TRUE(harness.Phase(2, PhaseKind::kEvaluate, 1).empty()) << "worker 1 has not closed clock 0";
  EXPECT_EQ(harness.shard->count(ShardEvent::kPhaseDelayed), 1u);
  EXPECT_EQ(harness.shard->phase().phase, 1u);
  bool confirmed = false;
  for (const Outgoing& out : harness.Worker(1, MakeClose(0, 1))) {
    confirmed |= std::holds_alternative<PhaseReply>(out.message);
  }
  EXPECT_TRUE(confirmed);
  EXPECT_FALSE(harness.Row(1, 1).empty()) << "what was held is applied";
  // Evaluation: pulls never wait, absent rows are counted, pushes are refused.
  PullRequest pull = MakePull(table, {1, 2}, 40, 1);
  pull.phase = 2;
  pull.absent = AbsentRow::kZero;
  EXPECT_EQ(Only<PullReply>(harness.Worker(0, pull)).absent_rows, 1u);
  EXPECT_EQ(harness.shard->counters().absent_rows, 1u);
  PushRequest push = MakePush(table, {{1, {1, 1, 1}}}, 1, 2, 1);
  push.phase = 2;
  EXPECT_EQ(Only<ErrorReply>(harness.Worker(0, push)).reason, ErrorReason::kMalformed);
  // Training again: closes begin anew.
  harness.Phase(3, PhaseKind::kTrain, 1);
  EXPECT_EQ(harness.shard->clocks().lowest(), 0);
  pull.phase = 3;
  pull.clock = 2;
  Only<PullParked>(harness.Worker(0, pull));
}

TEST(Shard, SnapshotsGoThroughTheStore) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 1, Consistency::kAsp);
  harness.Begin();
  harness.Worker(0, MakePush(table, {{1, {1, 1, 1}}, {2, {1, 1, 1}}}, 0, 1, 1));
  SnapshotOrder order;
  order.request_id = 50;
  order.directory = "somewhere";
  std::uint64_t rows = 0;
  for (const Outgoing& out : harness.Scheduler(order)) {
    if (const auto* done = std::get_if<SnapshotDone>(&out.message)) rows = done->rows;
  }
  EXPECT_EQ(rows, 2u);
  EXPECT_EQ(harness.store.written, std::vector<std::string>{"somewhere"});
  harness.Scheduler(order);
  EXPECT_EQ(harness.store.written.size(), 1u) << "an order that comes again is not obeyed again";
}

TEST(Shard, AModelThatCannotBeLoadedEndsTheRun) {
  ShardHarness harness({Embeddings()}, 1, Consistency::kBsp);
  harness.welcome.model_path = "model";
  harness.store.load_result = Status(ErrorCode::kCorrupt, "part-0.h5 is damaged");
  std::string told;
  for (const Outgoing& out : harness.Scheduler(harness.welcome)) {
    if (const auto* failure = std::get_if<Failure>(&out.message)) told = failure->text;
  }
  EXPECT_EQ(told, "shard 0: part-0.h5 is damaged");
  EXPECT_EQ(harness.shard->failure().code(), ErrorCode::kCorrupt);
  EXPECT_EQ(harness.store.loaded, std::vector<std::string>{"model"});
  EXPECT_EQ(Only<ErrorReply>(harness.Worker(0, MakeClose(0, 1))).reason, ErrorReason::kNotReady);
}

TEST(Shard, StopsWhenOrderedEvenInTheMiddle) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 2, Consistency::kBsp);
  harness.Begin();
  harness.Worker(0, MakePush(table, {{1, {1, 1, 1}}}, 0, 2, 1));
  EXPECT_FALSE(harness.shard->stopped());
  PhaseOrder stop;
  stop.request_id = 9;
  stop.phase = 2;
  stop.kind = PhaseKind::kStop;
  stop.reason = "worker 1 is gone";
  harness.Scheduler(stop);
  EXPECT_TRUE(harness.shard->stopped());
  EXPECT_EQ(harness.shard->stop_reason(), "worker 1 is gone");
  EXPECT_EQ(Only<ErrorReply>(harness.Worker(1, MakeClose(0, 1))).reason, ErrorReason::kNotReady)
      << "the worker is not at fault, and hears of the end itself";
}

// While others go on: its backup will be that shard, and what it refuses is sent there.
TEST(Shard, OneThatLeavesTellsWorkersToComeAgain) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 2, Consistency::kBsp);
  harness.Begin();
  PhaseOrder stop;
  stop.request_id = 9;
  stop.phase = kPhaseOfLeaving;
  stop.kind = PhaseKind::kStop;
  harness.Scheduler(stop);
  EXPECT_TRUE(harness.shard->stopped());
  EXPECT_EQ(harness.shard->stop_reason(), "");
  EXPECT_EQ(Only<ErrorReply>(harness.Worker(1, MakeClose(0, 1))).reason, ErrorReason::kNotReady);
}

TEST(Shard, HeartbeatsSayWhoIsWaitedFor) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 2, Consistency::kBsp);
  harness.Begin();
  harness.Worker(0, MakeClose(0, 1));
  harness.Worker(0, MakePull(table, {1}, 1, 2));
  Outbox out;
  harness.now += std::chrono::seconds(2);
  harness.shard->OnTimer(harness.now, out);
  std::string waiting;
  for (const Outgoing& message : out.Take()) {
    if (const auto* heartbeat = std::get_if<Heartbeat>(&message.message)) waiting = heartbeat->waiting;
  }
  EXPECT_EQ(waiting, "worker 1, which has closed clock -1, with 1 pulls waiting for 2.0 s");
}

// ---------------------------------------------------------------- policies (row_policy_test.cc has the rules)

TEST(ShardPolicies, CountsAreCheckedBeforeAnythingIsTouched) {
  TableSpec watched = Embeddings();
  watched.policy.admit = Admission::kCount;
  ShardHarness bsp({Dense(), watched}, 1, Consistency::kBsp, 1);
  bsp.Begin();
  PushRequest without = MakePush(watched, {{7, {1, 1, 1}}}, 0, 1, 1);
  without.counts = {};
  EXPECT_EQ(Only<ErrorReply>(bsp.Worker(0, without)).reason, ErrorReason::kMalformed);
  PushRequest never = MakePush(watched, {{7, {1, 1, 1}}}, 0, 1, 2);
  never.counts = Buffer::Own(std::vector<std::uint32_t>{0});
  EXPECT_EQ(Only<ErrorReply>(bsp.Worker(0, never)).reason, ErrorReason::kMalformed);
  ShardHarness plain({Dense(), Embeddings()}, 1, Consistency::kBsp, 1);
  plain.Begin();
  PushRequest with = MakePush(Embeddings(), {{7, {1, 1, 1}}}, 0, 1, 3);
  with.counts = Buffer::Own(std::vector<std::uint32_t>{1});
  EXPECT_EQ(Only<ErrorReply>(plain.Worker(0, with)).reason, ErrorReason::kMalformed);
  EXPECT_EQ(bsp.shard->counters().pushes_acknowledged + plain.shard->counters().pushes_acknowledged, 0u);
}

TEST(ShardPolicies, AKeyThatIsNotAdmittedAnswersItsInitialValues) {
  TableSpec table = Embeddings();
  table.policy.admit = Admission::kCount;
  table.policy.admit_count = 2;
  ShardHarness harness({Dense(), table}, 1, Consistency::kAsp);
  harness.Begin();
  std::vector<float> initial(3);
  InitializeRow(table, 5, 7, initial.data());
  const PushRequest push = MakePush(table, {{7, {1, 2, 3}}}, 0, 1, 1);
  EXPECT_EQ(Only<PushReply>(harness.Worker(0, push)).applied_parts, 1u);
  EXPECT_EQ(Only<PushReply>(harness.Worker(0, push)).duplicate_parts, 1u) << "a repetition is no sighting";
  const auto answer = harness.Worker(0, MakePull(table, {7}, 1, 2));
  EXPECT_EQ(Only<PullReply>(answer).absent_rows, 1u);
  EXPECT_EQ(Floats(Only<PullReply>(answer).values), initial);
  EXPECT_EQ(harness.shard->counters().not_admitted, 1u);
  EXPECT_EQ(harness.shard->counters().rows, 50u) << "the dense ones";
  ASSERT_EQ(harness.log.all.size(), 1u);
  harness.Worker(0, MakePush(table, {{7, {1, 2, 3}}}, 1, 1, 3));
  const std::vector<float> expected{initial[0] - 1, initial[1] - 2, initial[2] - 3};
  EXPECT_EQ(harness.Row(1, 7), expected);
}

TEST(ShardPolicies, EvictionTouchesNeitherHeldPushesNorParkedPulls) {
  TableSpec table = Embeddings();
  table.policy.evict_idle_clocks = 1;  // what is not updated at a clock goes at its end
  ShardHarness harness({Dense(), table}, 2, Consistency::kBsp, 2);
  harness.Begin();
  RequestId id = 1;
  harness.Worker(0, MakePush(table, {{7, {1, 1, 1}}, {8, {1, 1, 1}}}, 0, 2, id++));
  for (const std::uint32_t worker : {0u, 1u}) harness.Worker(worker, MakeClose(0, id++));
  EXPECT_FALSE(harness.Row(1, 7).empty());
  // At clock 1 key 8 alone is updated; a push of key 7 for clock 2 is held, and a pull of clock 2 parked, meanwhile.
  harness.Worker(0, MakePush(table, {{8, {1, 1, 1}}}, 1, 2, id++));
  harness.Worker(0, MakeClose(1, id++));
  harness.Worker(0, MakePush(table, {{7, {2, 2, 2}}}, 2, 2, id++));
  Only<PullParked>(harness.Worker(0, MakePull(table, {7, 8}, 2, id++)));
  const auto released = harness.Worker(1, MakeClose(1, id++));
  EXPECT_EQ(harness.shard->counters().evicted_idle, 1u);
  ASSERT_EQ(released.size(), 2u);
  EXPECT_EQ(std::get<PullReply>(released[1].message).absent_rows, 1u);
  for (const std::uint32_t worker : {0u, 1u}) harness.Worker(worker, MakeClose(2, id++));
  std::vector<float> fresh(3);
  InitializeRow(table, 5, 7, fresh.data());
  for (float& value : fresh) value -= 2;
  EXPECT_EQ(harness.Row(1, 7), fresh) << "the held push made the row anew";
  EXPECT_TRUE(harness.Row(1, 8).empty());
}

// A disk without room.
class FullDisk : public ColdRows {
 public:
  std::optional<std::uint32_t> Write(std::uint64_t, const float*) override { return std::nullopt; }
  bool WaitForRoom() override { return false; }
  void Free(std::uint32_t) override {}
  void Request(std::span<const std::uint32_t>, TimePoint) override {}
  std::optional<Arrived> Take(TimePoint) override { return std::nullopt; }
  TimePoint NextArrival() const override { return kNever; }
  Status Read(std::span<const std::uint32_t>, float*) override { return {}; }
  std::uint32_t pieces() const override { return 0; }
  void RequestPiece(std::uint32_t, TimePoint) override {}
  bool TakePiece(TimePoint, const std::function<void(const Arrived&)>&) override { return false; }
  const Status& full() const override { return full_; }
  const Status& failure() const override { return ok_; }

 private:
  const Status full_{ErrorCode::kIo, "the disk is full"}, ok_;
};

TEST(Shard, RowsThatAFullDiskDoesNotTakeStayInMemoryAsLongAsThereIsSome) {
  bool is_short = false;
  ShardOptions options;
  options.cold_rows = [](std::uint32_t) -> Result<std::unique_ptr<ColdRows>> {
    return std::make_unique<FullDisk>();
  };
  options.tier_bytes = 1000;
  options.memory_is_short = [&] { return is_short; };
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 1, Consistency::kAsp, 8, 0, 1, 0, options);
  harness.Begin();
  std::vector<std::string> warnings;
  const auto push = [&](int id) {
    Gradients gradients;
    for (Key key = 0; key < 20000; ++key)
      gradients[key + 20000 * static_cast<Key>(id)] = std::vector<float>(table.dim, 1.0f);
    for (const Outgoing& sent :
         harness.Worker(0, MakePush(table, gradients, id, 1, static_cast<RequestId>(id) + 1))) {
      if (const auto* warning = std::get_if<Warning>(&sent.message)) warnings.push_back(warning->text);
      if (const auto* failure = std::get_if<Failure>(&sent.message)) warnings.push_back(failure->text);
    }
  };
  int id = 0;
  for (; id < 40; ++id) push(id);
  EXPECT_EQ(harness.shard->table(table.id)->size(), 800000u);
  EXPECT_TRUE(harness.shard->failure().ok());
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0],
              ::testing::HasSubstr("the disk is full; until there is room, rows stay in memory"));
  is_short = true;
  while (harness.shard->failure().ok() && id < 100) push(id++);
  EXPECT_THAT(harness.shard->failure().text(),
              ::testing::HasSubstr("the memory for rows that stay there is used up"));
  EXPECT_EQ(warnings.back(), harness.shard->failure().text());
}

}  // namespace
}  // namespace cohort::shard_test
