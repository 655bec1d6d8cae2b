// Pushes that name their rows by a pull: what the shard makes of them, and what it refuses.
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <vector>

#include "server/kept_pulls.h"
#include "tests/server/shard_harness.h"

namespace cohort::pushed_rows_test {
namespace {

TableSpec Embeddings() {
  TableSpec spec;
  spec.id = 1;
  spec.name = "embedding";
  spec.dim = 3;
  spec.optimizer.kind = OptimizerKind::kAdagrad;
  spec.optimizer.learning_rate = 0.1f;
  spec.init = {{0, 0.0f, 0.1f}};
  return spec;
}

std::vector<Key> ManyKeys(std::size_t n) {
  std::vector<Key> keys(n);
  std::iota(keys.begin(), keys.end(), Key{100});
  return keys;
}
Gradients GradientsOf(const std::vector<Key>& keys) {
  Gradients gradients;
  for (const Key key : keys) gradients[key] = {static_cast<float>(key) / 100, -1.0f, 0.5f};
  return gradients;
}
PullRequest KeptPullOf(const TableSpec& table, const std::vector<Key>& keys, Clock clock, RequestId id) {
  PullRequest pull = MakePull(table, keys, clock, id);
  pull.keep = true;
  return pull;
}
// The same push with rows in place of keys. REQUIRES: the pull has all its keys.
PushRequest ByRows(PushRequest push, const PullRequest& pull) {
  const auto pulled = pull.keys.As<Key>();
  std::vector<std::uint32_t> rows;
  for (const Key key : push.keys.As<Key>()) {
    rows.push_back(static_cast<std::uint32_t>(std::find(pulled.begin(), pulled.end(), key) - pulled.begin()));
  }
  push.pull = pull.request_id;
  push.keys = Buffer();
  if (rows.size() < pulled.size()) push.rows = Buffer::Own(std::move(rows));
  return push;
}

// Some rows present, some not, at the time of the pull; all rows pushed, and only some.
TEST(PushedRows, ByPositionsIsTheSameAsByKeys) {
  const TableSpec table = Embeddings();
  for (const Consistency consistency : {Consistency::kBsp, Consistency::kSsp, Consistency::kAsp}) {
    for (const std::uint32_t workers : {1u, 2u}) {
      ShardHarness by_keys({table}, workers, consistency, 2), by_rows({table}, workers, consistency, 2);
      by_keys.Begin();
      by_rows.Begin();
      RequestId id = 1;
      for (Clock clock = 0; clock < 4; ++clock) {
        for (std::uint32_t worker = 0; worker < workers; ++worker) {
          std::vector<Key> keys = ManyKeys(50 + 40 * static_cast<std::size_t>(clock));
          const PullRequest pull = KeptPullOf(table, keys, clock, id++);
          Only<PullReply>(by_rows.Worker(worker, pull));
          if (clock % 2 == 1) std::erase_if(keys, [&](Key key) { return key % 3 == worker; });
          const auto node =
              static_cast<std::uint16_t>(consistency == Consistency::kBsp && workers == 2 ? 2 + worker : 1);
          const PushRequest push = MakePush(table, GradientsOf(keys), clock, node, id++);
          const PushRequest short_push = ByRows(push, pull);
          EXPECT_EQ(short_push.rows.empty(), clock % 2 == 0);
          const auto reply = Only<PushReply>(by_rows.Worker(worker, short_push));
          EXPECT_EQ(reply.applied_parts, push.runs.As<GroupRun>().size());
          EXPECT_EQ(Only<PushReply>(by_rows.Worker(worker, short_push)).applied_parts, 0u);
          Only<PushReply>(by_keys.Worker(worker, push));
        }
        for (std::uint32_t worker = 0; worker < workers; ++worker) {
          by_keys.Worker(worker, MakeClose(clock, id));
          by_rows.Worker(worker, MakeClose(clock, id++));
        }
      }
      EXPECT_EQ(by_rows.Rows(), by_keys.Rows());
      EXPECT_EQ(by_rows.Rows().size(), workers == 1 ? 157u : 170u);  // the last clock leaves out every third
      EXPECT_EQ(by_rows.shard->count(ShardEvent::kPushByRows), 8u * workers);
    }
  }
}

// A row that another push made after the pull was answered is found, not made again.
TEST(PushedRows, ARowMadeSinceThePullIsFound) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 2, Consistency::kAsp);
  harness.Begin();
  const PullRequest pull = KeptPullOf(table, {7, 8}, 0, 1);
  EXPECT_EQ(Only<PullReply>(harness.Worker(0, pull)).absent_rows, 2u);
  Only<PushReply>(harness.Worker(1, MakePush(table, GradientsOf({7}), 0, 1, 2)));
  const std::vector<float> once = harness.Row(1, 7);
  Only<PushReply>(harness.Worker(0, ByRows(MakePush(table, GradientsOf({7, 8}), 0, 1, 3), pull)));
  EXPECT_NE(harness.Row(1, 7), once);
  EXPECT_EQ(harness.shard->table(1)->size(), 2u);
}

TEST(PushedRows, APullIsKnownToItsWorkerUntilItsClockIsClosed) {
  const TableSpec table = Embeddings();
  ShardHarness harness({table}, 2, Consistency::kAsp);
  harness.Begin();
  const auto expect_unknown = [&](std::uint32_t worker, const PushRequest& push) {
    EXPECT_EQ(Only<ErrorReply>(harness.Worker(worker, push)).reason, ErrorReason::kUnknownPull);
  };
  const PullRequest pull = KeptPullOf(table, {7, 8}, 0, 1);
  const PushRequest push = ByRows(MakePush(table, GradientsOf({7}), 0, 1, 2), pull);
  expect_unknown(0, push);  // before it has come
  Only<PullReply>(harness.Worker(0, pull));
  expect_unknown(1, push);  // another worker's
  EXPECT_EQ(harness.shard->table(1)->size(), 0u);
  Only<PushReply>(harness.Worker(0, push));
  harness.Worker(0, MakeClose(0, 3));
  expect_unknown(0, push);
  Only<PullReply>(harness.Worker(0, pull));  // a repetition that comes too late
  expect_unknown(0, push);
  Only<PullReply>(harness.Worker(0, MakePull(table, {7}, 1, 4)));  // not asked to be kept
  PushRequest other = MakePush(table, GradientsOf({7}), 1, 1, 5);
  other.pull = 4;
  other.keys = Buffer();
  expect_unknown(0, other);
  const PullRequest last = KeptPullOf(table, {7, 8}, 2, 6);
  Only<PullReply>(harness.Worker(0, last));
  harness.Worker(0, MakeClose(kClockInfinity, 7));
  harness.Worker(1, MakeClose(kClockInfinity, 7));
  harness.Phase(2, PhaseKind::kTrain, 3);
  PushRequest of_old_phase = ByRows(MakePush(table, GradientsOf({7}), 3, 1, 8), last);
  of_old_phase.phase = 2;
  expect_unknown(0, of_old_phase);
  EXPECT_EQ(harness.shard->count(ShardEvent::kUnknownPull), 6u);
}

TEST(PushedRows, WhatDoesNotFitThePullIsRefusedWhole) {
  const TableSpec table = Embeddings();
  TableSpec twin = table;
  twin.id = 2;
  twin.name = "twin";
  ShardHarness harness({table, twin}, 1, Consistency::kAsp);
  harness.Begin();
  const std::vector<Key> keys = ManyKeys(600);
  const PullRequest pull = KeptPullOf(table, keys, 3, 1);
  Only<PullReply>(harness.Worker(0, pull));
  const std::vector<Key> some(keys.begin(), keys.begin() + 300);
  const PushRequest good = ByRows(MakePush(table, GradientsOf(some), 3, 1, 2), pull);
  const auto refused = [&](const char* name, const auto& change) {
    PushRequest push = good;
    change(push);
    const auto error = Only<ErrorReply>(harness.Worker(0, push));
    EXPECT_EQ(error.reason, ErrorReason::kMalformed) << name << ": " << error.text;
  };
  const auto with_row = [&](PushRequest& push, std::size_t at, std::uint32_t row) {
    const auto rows = good.rows.As<std::uint32_t>();
    std::vector<std::uint32_t> changed(rows.begin(), rows.end());
    changed[at] = row;
    push.rows = Buffer::Own(std::move(changed));
  };
  refused("another clock", [](PushRequest& p) { p.clock = 4; });
  refused("another table", [](PushRequest& p) { p.table = 2; });
  refused("keys as well", [&](PushRequest& p) { p.keys = pull.keys; });
  refused("a row beyond the pull", [&](PushRequest& p) { with_row(p, 299, 600); });
  refused("a row twice", [&](PushRequest& p) { with_row(p, 1, good.rows.As<std::uint32_t>()[0]); });
  refused("rows of another group", [&](PushRequest& p) { with_row(p, 299, 599); });
  refused("all rows, values of some", [](PushRequest& p) { p.rows = Buffer(); });
  refused("fewer values", [](PushRequest& p) { p.values = p.values.Slice(0, p.values.size() - 12); });
  refused("fewer runs", [](PushRequest& p) { p.runs = p.runs.Slice(0, p.runs.size() - 8); });
  refused("half a row", [](PushRequest& p) { p.rows = p.rows.Slice(0, p.rows.size() - 2); });
  EXPECT_EQ(harness.shard->table(1)->size(), 0u);
  Only<PushReply>(harness.Worker(0, good));
  EXPECT_EQ(harness.shard->table(1)->size(), 300u);

  // Places in a pull name rows: its keys must be distinct.
  PullRequest twice = KeptPullOf(table, {7, 7}, 3, 9);
  EXPECT_EQ(Only<ErrorReply>(harness.Worker(0, twice)).reason, ErrorReason::kMalformed);
  twice.keep = false;
  Only<PullReply>(harness.Worker(0, twice));
}

std::shared_ptr<KeptPull> ListOf(KeptPulls& pulls, RequestId id, Clock clock, std::size_t rows) {
  auto list = pulls.NewList();
  list->id = id;
  list->clock = clock;
  list->positions.resize(rows);
  list->rows.resize(rows);
  return list;
}

TEST(KeptPulls, TheOldestIsForgottenForWantOfRoom) {
  const std::uint64_t each = [] {
    KeptPulls pulls(1, 1 << 20);
    pulls.Keep(0, ListOf(pulls, 1, 0, 100));
    return pulls.bytes();
  }();
  KeptPulls pulls(2, 3 * each);
  pulls.Keep(1, ListOf(pulls, 1, 0, 100));
  pulls.Keep(0, ListOf(pulls, 2, 0, 100));
  pulls.Keep(0, ListOf(pulls, 2, 0, 100));  // a repetition
  pulls.Keep(1, ListOf(pulls, 3, 1, 100));
  EXPECT_EQ(pulls.bytes(), 3 * each);
  EXPECT_EQ(pulls.forgotten(), 0u);
  const auto held = pulls.Find(1, 1);
  pulls.Keep(0, ListOf(pulls, 4, 1, 100));
  EXPECT_EQ(pulls.forgotten(), 1u);
  EXPECT_EQ(pulls.Find(1, 1), nullptr);
  EXPECT_EQ(held->size(), 100u);  // a held push's own share
  EXPECT_NE(pulls.Find(0, 2), nullptr);
  pulls.Keep(0, ListOf(pulls, 5, 1, 1000));  // larger than all there is
  EXPECT_EQ(pulls.forgotten(), 2u);
  EXPECT_EQ(pulls.bytes(), 3 * each);
  pulls.Forget(0, 0);
  EXPECT_EQ(pulls.Find(0, 2), nullptr);
  EXPECT_NE(pulls.Find(0, 4), nullptr);
  EXPECT_EQ(pulls.bytes(), 2 * each);
  pulls.Clear();
  EXPECT_EQ(pulls.bytes(), 0u);
  EXPECT_EQ(pulls.Find(1, 3), nullptr);
  EXPECT_EQ(pulls.forgotten(), 2u);
}

}  // namespace
}  // namespace cohort::pushed_rows_test
