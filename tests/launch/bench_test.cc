// The parts of `cohort bench` that can be wrong without anybody noticing: what is drawn, what is sent, what is
// told.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <vector>

#include "common/table_spec.h"
#include "common/wire.h"
#include "launch/bench/frame_plan.h"
#include "launch/bench/keys.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"
#include "launch/bench/round.h"
#include "launch/bench/row_array.h"
#include "launch/bench/switch_cost.h"

namespace cohort::bench {
namespace {

Options Small() {
  Options options;
  options.rows = 3000;
  options.batch = 500;
  options.dim = 4;
  return options;
}

bool AscendingByRing(std::span<const Key> keys) {
  for (std::size_t i = 1; i < keys.size(); ++i) {
    if (RingPosition(TableKind::kSparse, 0, keys[i - 1]) >= RingPosition(TableKind::kSparse, 0, keys[i]))
      return false;
  }
  return true;
}

TEST(BenchKeys, UniformBatchesHoldDistinctKeysOfTheTable) {
  const Options options = Small();
  const KeyBatches batches(options, 0);
  std::set<Key> seen;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const auto keys = batches[i].As<Key>();
    EXPECT_EQ(keys.size(), options.batch);
    EXPECT_TRUE(AscendingByRing(keys));  // so they are distinct, too
    for (const Key key : keys) {
      EXPECT_LT(key, options.rows);
      seen.insert(key);
    }
  }
  EXPECT_GT(seen.size(), options.rows / 2);
  const KeyBatches same(options, 0), other(options, 1);
  EXPECT_EQ(same[0].As<Key>()[0], batches[0].As<Key>()[0]);
  EXPECT_FALSE(
      std::equal(other[0].As<Key>().begin(), other[0].As<Key>().end(), batches[0].As<Key>().begin()));
}

TEST(BenchKeys, ABatchMayTakeTheWholeTable) {
  Options options = Small();
  options.batch = static_cast<std::uint32_t>(options.rows);
  EXPECT_EQ(KeyBatches(options, 0)[0].As<Key>().size(), options.rows);
}

TEST(BenchKeys, ZipfDrawsFollowTheirLaw) {
  for (const double s : {0.5, 1.0, 1.1, 2.0}) {
    constexpr std::uint64_t kRanks = 50;
    constexpr int kDraws = 200'000;
    const ZipfSampler sampler(kRanks, s);
    RandomStream random(1);
    std::vector<int> counts(kRanks);
    for (int i = 0; i < kDraws; ++i) ++counts.at(sampler.Draw(random));
    double total = 0;
    for (std::uint64_t k = 0; k < kRanks; ++k) total += std::pow(k + 1.0, -s);
    for (std::uint64_t k = 0; k < kRanks; ++k) {
      const double expected = kDraws * std::pow(k + 1.0, -s) / total;
      EXPECT_NEAR(counts[k], expected, 5 * std::sqrt(expected) + 1) << "s " << s << ", rank " << k;
    }
  }
}

TEST(BenchKeys, FillingMakesEveryRowOnce) {
  Options options = Small();
  options.rows = 3001;
  options.workers = 3;
  std::vector<int> made(options.rows);
  for (std::uint32_t worker = 0; worker < options.workers; ++worker) {
    for (std::uint64_t i = 0; i < FillBatches(options); ++i) {
      const Buffer batch = FillBatch(options, worker, i);
      EXPECT_LE(batch.size(), options.batch * sizeof(Key));
      EXPECT_TRUE(AscendingByRing(batch.As<Key>()));
      for (const Key key : batch.As<Key>()) ++made.at(key);
    }
    EXPECT_TRUE(FillBatch(options, worker, FillBatches(options)).empty());
  }
  EXPECT_TRUE(std::all_of(made.begin(), made.end(), [](int n) { return n == 1; }));
}

// The ceiling moves what a batch really takes: its keys and values, once each way, and headers.
TEST(BenchFramePlan, HoldsABatchsKeysAndValues) {
  Options options = Small();
  options.servers = 2;
  options.request_rows = 100;
  const Buffer batch = KeyBatches(options, 0)[0];
  const FramePlan plan = PlanFrames(options, batch);
  EXPECT_EQ(plan.rows, options.batch);
  std::size_t keys = 0, values = 0, pushed = 0;
  std::set<std::uint32_t> shards;
  for (const PlannedExchange& pull : plan.pulls) {
    shards.insert(pull.shard);
    EXPECT_GE(pull.request.front(), kHeaderBytes);
    keys += std::accumulate(pull.request.begin() + 1, pull.request.end(), std::size_t{0});
    values += std::accumulate(pull.reply.begin() + 1, pull.reply.end(), std::size_t{0});
  }
  EXPECT_EQ(shards.size(), 2u);
  EXPECT_GE(plan.pulls.size(), 5u);
  EXPECT_EQ(keys, options.batch * sizeof(Key));
  EXPECT_EQ(values, options.batch * options.dim * sizeof(float));
  for (const PlannedExchange& push : plan.pushes)
    pushed += std::accumulate(push.request.begin() + 1, push.request.end(), std::size_t{0});
  EXPECT_GE(pushed, values);  // rows are named by their pull
  EXPECT_LT(pushed, keys + values);
  EXPECT_GT(plan.PullBytes(), keys + values);
  EXPECT_GT(plan.PushBytes(), pushed);
  options.push_rows = PushRowNames::kKeys;
  EXPECT_GE(PlanFrames(options, batch).PushBytes(), plan.PushBytes() + keys);
  const FramePlan wide = PlanFrames(options, batch);
  options.pull_values = FloatType::kBfloat16;
  options.push_values = FloatType::kFloat16;
  const FramePlan narrow = PlanFrames(options, batch);
  EXPECT_EQ(narrow.PullBytes(), wide.PullBytes() - values / 2);
  EXPECT_EQ(narrow.PushBytes(), wide.PushBytes() - values / 2);
}

TEST(BenchFramePlan, WideRowsTravelInMessagesOfAsManyBytes) {
  Options options = Small();
  options.request_rows = 100;
  options.dim = 16;
  const Buffer batch = KeyBatches(options, 0)[0];
  const std::size_t narrow = PlanFrames(options, batch).pulls.size();
  options.dim = 64;
  const FramePlan wide = PlanFrames(options, batch);
  EXPECT_GE(wide.pulls.size(), 3 * narrow);
  EXPECT_LE(wide.pulls.size(), 6 * narrow);
  EXPECT_EQ(wide.pushes.size(), wide.pulls.size());
}

TEST(BenchReport, TellsMediansAndSingleValues) {
  Report report("example", {{"dim", std::uint32_t{16}}, {"transport", "tcp"}, {"zipf", 1.1}});
  for (const double value : {5.0, 1.0, 2.0})
    report.Add({{"rows_per_second", value * 1e6}, {"p50_us", value}});
  report.Set("bytes", 12.5);
  EXPECT_EQ(report.Median("p50_us"), 2.0);
  const auto json = nlohmann::json::parse(report.ToJson());
  EXPECT_EQ(json["rows_per_second"], 2e6);
  EXPECT_EQ(json["bytes"], 12.5);
  EXPECT_EQ(json["options"]["transport"], "tcp");
  EXPECT_EQ(json["options"]["dim"], 16);
  EXPECT_EQ(json["repetitions"][0]["p50_us"], 5.0);
  const std::string text = report.ToText();
  EXPECT_NE(text.find("2,000,000"), std::string::npos) << text;
  report.Add({{"rows_per_second", 0.0}, {"p50_us", 4.0}});
  EXPECT_EQ(report.Median("p50_us"), 3.0);
}

TEST(BenchRound, LatenciesByRank) {
  Round round;
  for (int i = 0; i <= 100; ++i) round.latency_us.push_back(static_cast<float>(i));
  EXPECT_EQ(round.Latency(0.5), 50);
  EXPECT_EQ(round.Latency(0.99), 99);
  EXPECT_EQ(Round().Latency(0.5), 0);
}

TEST(BenchRound, RoundsAddUp) {
  Round round, other;
  round.seconds = 1, round.rows = 100, round.latency_us = {1, 5};
  other.seconds = 3, other.rows = 700, other.latency_us = {2, 4};
  other.server_cpu_seconds = 0.5, other.worker_cpu_seconds = 0.25;
  round.Append(other);
  EXPECT_EQ(round.RowsPerSecond(), 200);
  EXPECT_EQ(round.CpuSeconds(), 0.75);
  EXPECT_EQ(round.latency_us, (std::vector<float>{1, 2, 4, 5}));
}

TEST(BenchRound, CalibrationFindsTheNumberOfBatches) {
  // A thousand batches a second.
  const auto run = [](std::uint64_t batches) -> Result<Round> {
    Round round;
    round.seconds = static_cast<double>(batches) * 1e-3;
    return round;
  };
  EXPECT_EQ(*Calibrate(2.0, run), 2000u);
  EXPECT_EQ(*Calibrate(0.01, run), 10u);
}

TEST(BenchRowArray, GathersRows) {
  constexpr std::uint32_t kDim = 20;
  const auto array = RowArray::Create(1000, kDim, RowArray::Pages::kHuge);
  ASSERT_TRUE(array);
  std::vector<float> out(3 * kDim, 0.0f);
  const std::vector<std::uint32_t> rows = {999, 0, 999};
  array->Gather(rows, out.data());
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], static_cast<float>(rows[i / kDim]));
}

// Following a chain in a cache takes some time, and a cache that another process has filled takes no less. Had the compiler removed the chain,
// there would be nothing.
TEST(BenchSwitchCost, IsThatOfColdCaches) {
  const auto seconds = SwitchSeconds(3);
  ASSERT_TRUE(seconds.has_value()) << seconds.error().text();
  ASSERT_EQ(seconds->size(), 3u);
  EXPECT_GT(*std::max_element(seconds->begin(), seconds->end()), 1e-6);
  for (const double each : *seconds) EXPECT_LT(each, 1e-2);
}

}  // namespace
}  // namespace cohort::bench
