#include "server/row_policy.h"
#include "common/gradient_tree.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "common/random.h"
#include "server/shard_table.h"
#include "tests/support/plain_policy.h"

namespace cohort::row_policy_test {
namespace {

constexpr std::uint64_t kSeed = 9;

struct Records : RowLog {
  void Record(const RowRecord& record) override { all.push_back(record); }
  std::vector<RowRecord> all;
};

TableSpec Spec(const RowPolicySpec& policy) {
  TableSpec spec;
  spec.id = 1;
  spec.name = "items";
  spec.dim = 2;
  spec.optimizer.kind = OptimizerKind::kSgd;
  spec.optimizer.learning_rate = 1;
  spec.init = {{0, 3.0f, 0.0f}};
  spec.policy = policy;
  return spec;
}

// key -> occurrences; every gradient is -1.
using Sightings = std::map<Key, std::uint32_t>;
void Apply(ShardTable& table, const Sightings& sightings, Clock clock) {
  std::map<std::uint64_t, Key> ring;
  for (const auto& [key, count] : sightings) ring[RingPosition(table.spec(), key)] = key;
  GradientRows rows;
  std::vector<std::uint32_t> counts;
  for (const auto& [position, key] : ring) {
    rows.keys.push_back(key);
    rows.positions.push_back(position);
    rows.values.insert(rows.values.end(), table.spec().dim, -1.0f);
    counts.push_back(sightings.at(key));
  }
  if (!table.spec().policy.NeedsCounts()) counts.clear();
  table.Apply({rows.keys.size(), rows.keys.data(), rows.positions.data(), nullptr}, rows.values.data(),
              counts, clock);
}
const float* Find(const ShardTable& table, Key key) {
  const std::uint64_t position = RingPosition(table.spec(), key);
  float* row = nullptr;
  table.rows().Find({&position, 1}, {&row, 1});
  return row;
}
// Keys of one slot.
std::vector<Key> KeysOfSlot(const TableSpec& spec, int slot, std::uint64_t n) {
  std::vector<Key> keys;
  for (std::uint64_t i = 0; i < n; ++i)
    keys.push_back(KeyAt(spec, (static_cast<std::uint64_t>(slot) << 50) + (i << 40) + i));
  return keys;
}

TEST(OccurrenceSketch, NeverTooLowAndExactWhenSparse) {
  OccurrenceSketch sparse(4096), crowded(64);
  std::map<std::uint64_t, std::uint32_t> truth;
  RandomStream random(3);
  for (int i = 0; i < 140; ++i) {
    const std::uint64_t position = Mix64(random.Below(50));
    truth[position] += 1;
    sparse.Add(position, 1);
    crowded.Add(position, 1);
  }
  for (const auto& [position, count] : truth) {
    EXPECT_EQ(sparse.Estimate(position), count);
    EXPECT_GE(crowded.Estimate(position), count);
  }
  EXPECT_EQ(sparse.Estimate(Mix64(1000)), 0u);
  EXPECT_EQ(crowded.bytes(), 64u);
  EXPECT_EQ(sparse.Add(5, 1000), 255u) << "counters stay at their highest value";
}

TEST(OccurrenceSketch, AgesByHalves) {
  OccurrenceSketch sketch(64);  // lines of 16 counters: halved after more than 160 sightings
  sketch.Add(7, 160);
  EXPECT_EQ(sketch.Estimate(7), 160u);
  sketch.Add(7, 1);
  EXPECT_EQ(sketch.Estimate(7), 80u);
}

TEST(RowPolicy, AKeyGetsItsRowAtItsNthSighting) {
  Records log;
  RowPolicySpec policy;
  policy.admit = Admission::kCount;
  policy.admit_count = 3;
  ShardTable table(Spec(policy), kSeed, &log);
  Apply(table, {{0, 1}, {~Key{0}, 2}, {5, 3}}, 0);
  EXPECT_EQ(Find(table, 0), nullptr);
  EXPECT_EQ(Find(table, ~Key{0}), nullptr);
  ASSERT_NE(Find(table, 5), nullptr) << "three sightings in one gradient";
  EXPECT_EQ(Find(table, 5)[1], 4.0f) << "the gradient that admits counts";
  Apply(table, {{0, 1}, {~Key{0}, 1}}, 1);
  EXPECT_EQ(Find(table, 0), nullptr);
  ASSERT_NE(Find(table, ~Key{0}), nullptr);
  Apply(table, {{0, 1}}, 2);
  ASSERT_NE(Find(table, 0), nullptr);
  EXPECT_EQ(Find(table, 0)[0], 4.0f) << "gradients before it are dropped";
  EXPECT_EQ(table.policy_counters().not_admitted, 3u);
  ASSERT_EQ(log.all.size(), 3u);
  EXPECT_EQ(log.all[2].fate, RowFate::kNotAdmitted);
  EXPECT_EQ(log.all[2].key, 0u);
  EXPECT_EQ(log.all[2].clock, 1);
  EXPECT_EQ(log.all[2].score, 2u);
}

TEST(RowPolicy, ProbabilityAdmitsThatShare) {
  RowPolicySpec policy;
  policy.admit = Admission::kProbability;
  policy.admit_probability = 0.25f;
  ShardTable once(Spec(policy), kSeed, nullptr), twice(Spec(policy), kSeed, nullptr),
      same(Spec(policy), kSeed, nullptr);
  Sightings one, two;
  for (Key key = 0; key < 20000; ++key) one[key * 7919] = 1, two[key * 7919] = 2;
  Apply(once, one, 4);
  Apply(twice, two, 4);
  Apply(same, one, 4);
  EXPECT_NEAR(static_cast<double>(once.rows().size()), 20000 * 0.25, 300);
  EXPECT_NEAR(static_cast<double>(twice.rows().size()), 20000 * (1 - 0.75 * 0.75), 300);
  EXPECT_EQ(once.policy_counters().not_admitted, 20000 - once.rows().size());
  for (const auto& [key, count] : one) ASSERT_EQ(Find(once, key) == nullptr, Find(same, key) == nullptr);
}

TEST(RowPolicy, IdleRowsGoAndComeBackFresh) {
  Records log;
  RowPolicySpec policy;
  policy.evict_idle_clocks = 12;  // turns of 3 clocks
  ShardTable table(Spec(policy), kSeed, &log);
  Sightings all;
  for (Key key = 0; key < 500; ++key) all[key] = 1;
  Apply(table, all, 0);
  for (Clock clock = 0; clock <= 14; ++clock) {
    if (clock > 0) Apply(table, {{3, 1}}, clock);
    table.EndClock(clock);
    if (clock < 12) {
      EXPECT_EQ(table.rows().size(), 500u) << clock;
    }
  }
  EXPECT_EQ(table.rows().size(), 1u);
  EXPECT_NE(Find(table, 3), nullptr);
  EXPECT_EQ(table.policy_counters().evicted_idle, 499u);
  for (const RowRecord& record : log.all) {
    EXPECT_EQ(record.fate, RowFate::kIdle);
    EXPECT_GE(record.age, 12);
    EXPECT_LE(record.age, 14);
    EXPECT_NE(record.key, 3u);
  }
  Apply(table, {{8, 1}}, 15);
  EXPECT_EQ(Find(table, 8)[0], 4.0f) << "as if it had never been";
}

TEST(RowPolicy, ClocksLeftOutAreMadeUpFor) {
  RowPolicySpec policy;
  policy.evict_idle_clocks = 40;  // turns of 10 clocks
  ShardTable stepwise(Spec(policy), kSeed, nullptr), leaping(Spec(policy), kSeed, nullptr);
  Sightings all;
  for (Key key = 0; key < 300; ++key) all[key] = 1;
  for (ShardTable* table : {&stepwise, &leaping}) Apply(*table, all, 0);
  for (Clock clock = 0; clock <= 44; ++clock) stepwise.EndClock(clock);
  leaping.EndClock(44);
  EXPECT_GT(stepwise.rows().size(), 0u);
  EXPECT_LT(stepwise.rows().size(), 300u);
  for (const auto& [key, count] : all)
    ASSERT_EQ(Find(stepwise, key) == nullptr, Find(leaping, key) == nullptr);
}

TEST(RowPolicy, ASlotKeepsItsMostFrequentRows) {
  Records log;
  RowPolicySpec policy;
  const TableSpec plain = Spec(policy);
  policy.max_bytes = 3 * kSlotCount * BytesPerRow(plain);
  ShardTable table(Spec(policy), kSeed, &log);
  const auto keys = KeysOfSlot(plain, 77, 6);
  Apply(table, {{keys[0], 5}, {keys[1], 2}, {keys[2], 3}}, 0);
  EXPECT_EQ(table.rows().size(), 3u);
  // A newcomer of this clock stays; the least frequent of the others goes.
  Apply(table, {{keys[3], 1}}, 1);
  EXPECT_EQ(Find(table, keys[1]), nullptr);
  EXPECT_NE(Find(table, keys[3]), nullptr);
  ASSERT_EQ(log.all.size(), 1u);
  EXPECT_EQ(log.all[0].fate, RowFate::kMemory);
  EXPECT_EQ(log.all[0].key, keys[1]);
  EXPECT_EQ(log.all[0].age, 1);
  EXPECT_EQ(log.all[0].score, 2u);
  // More newcomers than there is room for: the lower counts among them go as well.
  Apply(table, {{keys[1], 4}, {keys[4], 1}, {keys[5], 3}, {keys[2], 1}}, 2);
  EXPECT_EQ(table.rows().size(), 3u);
  EXPECT_NE(Find(table, keys[1]), nullptr);
  EXPECT_NE(Find(table, keys[2]), nullptr);
  EXPECT_NE(Find(table, keys[5]), nullptr);
  EXPECT_EQ(table.policy_counters().evicted_memory, 4u);
  // Another slot has a budget of its own.
  for (const Key key : KeysOfSlot(plain, 78, 3)) Apply(table, {{key, 1}}, 3);
  EXPECT_EQ(table.rows().size(), 6u);
}

// Everything at once against the plain policy, long enough for ageing.
TEST(RowPolicy, EqualsThePlainPolicy) {
  for (const Admission admit : {Admission::kAlways, Admission::kCount, Admission::kProbability}) {
    RowPolicySpec policy;
    policy.admit = admit;
    policy.admit_probability = 0.3f;
    policy.sketch_bytes = kSlotCount * 64;
    policy.evict_idle_clocks = 9;
    policy.max_bytes = 4 * kSlotCount * BytesPerRow(Spec({}));
    const TableSpec spec = Spec(policy);
    ShardTable table(spec, kSeed, nullptr);
    PlainPolicy plain(spec, kSeed);
    std::vector<Key> pool;
    for (int slot : {0, 5, 16383}) {
      for (const Key key : KeysOfSlot(spec, slot, 12)) pool.push_back(key);
    }
    std::set<Key> rows;
    RandomStream random(static_cast<std::uint64_t>(admit));
    for (Clock clock = 0; clock < 300; ++clock) {
      Sightings batch;
      for (int i = 0; i < 8; ++i) batch[pool[random.Below(1 + random.Below(pool.size()))]] += 1;
      Apply(table, batch, clock);
      table.EndClock(clock);
      std::map<std::uint64_t, Key> ring;  // the order in which sketches see keys
      for (const auto& [key, count] : batch) ring[RingPosition(spec, key)] = key;
      for (const auto& [position, key] : ring) {
        if (plain.Update(key, batch[key], clock)) rows.insert(key);
      }
      for (const Key key : plain.EndClock(clock)) rows.erase(key);
      for (const Key key : pool)
        ASSERT_EQ(Find(table, key) != nullptr, rows.contains(key)) << "clock " << clock;
    }
    EXPECT_EQ(table.rows().size(), rows.size());
    EXPECT_EQ(table.policy_counters().not_admitted, plain.not_admitted);
    EXPECT_EQ(table.policy_counters().evicted_idle, plain.evicted_idle);
    EXPECT_EQ(table.policy_counters().evicted_memory, plain.evicted_memory);
    EXPECT_EQ(plain.not_admitted > 0, admit != Admission::kAlways);
    EXPECT_GT(plain.evicted_idle, 0u);
    EXPECT_GT(plain.evicted_memory, 0u);
  }
}

}  // namespace
}  // namespace cohort::row_policy_test
