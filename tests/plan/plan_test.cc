// The parts of a plan that can be worked out by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/random.h"
#include "launch/plan/distinct_count.h"
#include "launch/plan/plan.h"
#include "launch/plan/table_memory.h"
#include "tests/support/slowdown.h"

namespace cohort::plan_parts_test {

TEST(DistinctCount, IsExactUntilItMustSample) {
  DistinctCount few(1000);
  std::vector<Key> keys;
  for (Key key = 0; key < 1000; ++key) keys.push_back(key * 7919);
  for (int again = 0; again < 5; ++again) few.Add(keys);
  EXPECT_EQ(few.Count(), 1000);
  EXPECT_TRUE(few.exact());
}

TEST(DistinctCount, BeyondThatItsErrorIsThatOfItsSample) {
  constexpr double kKeys = 300000;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    DistinctCount many(10000);
    for (int again = 0; again < 2; ++again)
      for (std::uint64_t i = 0; i < kKeys; ++i) {
        const Key key = RandomBits(seed, i);
        many.Add({&key, 1});
      }
    EXPECT_FALSE(many.exact());
    EXPECT_NEAR(many.Count() / kKeys, 1, 4 / std::sqrt(5000.0)) << seed;
  }
}

TableSpec Rows(std::uint32_t dim, OptimizerKind kind) {
  TableSpec table;
  table.id = kEmbeddingTable;
  table.dim = dim;
  table.optimizer.kind = kind;
  return table;
}

TEST(TableMemory, CountsRowsUntilSlabsAreWhole) {
  const TableSpec table = Rows(16, OptimizerKind::kAdagrad);  // 128 bytes a row, 16,384 rows a slab
  const TableMemory small = PlanTable(table, 10000, 500);
  EXPECT_EQ(small.rows, 10000 * 128);
  EXPECT_EQ(small.spare, 0);
  EXPECT_EQ(small.index, 500);
  const TableMemory large = PlanTable(table, 10 * 16384 + 1, 500);
  EXPECT_EQ(large.rows, 11 * (2 << 20));
  EXPECT_EQ(large.spare, 2 * (2 << 20));
  EXPECT_EQ(FileBytes(table, 1000), 1000 * (8 + 128));
}

TEST(TableMemory, AnIndexTakesAboutThirteenBytesARowAndWhatTheAllocatorAdds) {
  if (testing::kSlowdown > 1) GTEST_SKIP() << "a sanitizer's allocator adds more";
  const Result<double> small = RehearseIndex(200000, /*statistics=*/false);
  ASSERT_TRUE(small) << small.error().text();
  EXPECT_GT(*small / 200000, 13);
  EXPECT_LT(*small / 200000, 40);  // 12 rows a slot: little arrays
  const Result<double> large = RehearseIndex(2e8, /*statistics=*/false);
  ASSERT_TRUE(large) << large.error().text();
  EXPECT_GT(*large / 2e8, 12);
  EXPECT_LT(*large / 2e8, 20);  // resident memory: what its pages add is the machine's
  EXPECT_EQ(RehearseIndex(0, false).value_or(-1), 0);
}

// A run of 100 steps of 1,000 rows, by two workers and one server of one shard.
struct SomeRun {
  SomeRun() {
    inputs.config.cluster.servers = 1;
    plan.workers = 2, plan.shards = 1, plan.batch_size = 1000, plan.slices = 8;
    plan.rows[0] = 100000;
    plan.steps = {PlanStep::Phase(PhaseKind::kTrain, 0, Split::kTrain)};
    traffic.steps = 100;
    traffic.step_messages = 40;
    traffic.workers = {{1e6, 2e6}, {1e6, 2e6}};
    traffic.servers = {{4e6, 2e6}};
    costs.worker_sample = 10e-6, costs.worker_request = costs.server_request = 100e-6;
    costs.worker_byte = costs.server_byte = 1e-9, costs.round_trip = 1e-3;
    sample.kinds.resize(1);
    memory.checkpoint_bytes = memory.model_bytes = 1e9;
  }
  StepTime Time() const { return PlanStepTime(inputs, plan, sample, traffic, memory, costs); }
  RunInputs inputs;
  RunPlan plan;
  SampledRun sample;
  Traffic traffic;
  MemoryPlan memory;
  StepCosts costs;
};

TEST(StepTime, InBspComputingAndExchangeTakeTurns) {
  SomeRun run;
  // 500 rows x 10 us; 10 requests x 100 us + 3 MB x 1 ns; 20 x 100 us + 6 MB x 1 ns; 3 x 1 ms.
  EXPECT_NEAR(run.Time().step, 5e-3 + 4e-3 + 8e-3 + 3e-3, 1e-9);
  EXPECT_EQ(run.Time().binds, "servers' CPU");
  EXPECT_NEAR(run.Time().epoch, 2.0, 1e-9);
  run.costs.link_bytes_per_second = 1e8;  // 6 MB in and out of the server
  EXPECT_NEAR(run.Time().step, 5e-3 + 4e-3 + 60e-3 + 3e-3, 1e-9);
  EXPECT_EQ(run.Time().binds, "links");
  // All CPU time: 2 x 5 + 2 x 4 + 8 ms.
  run.costs.link_bytes_per_second = 0;
  run.costs.cores = 1;
  EXPECT_NEAR(run.Time().step, 26e-3, 1e-9);
  EXPECT_EQ(run.Time().binds, "cores");
}

TEST(PlanReport, SaysNumbersAndTheDeadlineAsTheyAre) {
  using ::testing::HasSubstr;
  Forecast forecast;
  ClusterConfig& cluster = forecast.inputs.config.cluster;
  cluster.servers = cluster.shards_per_server = cluster.workers = 1;
  forecast.inputs.config.train.epochs = 1;
  forecast.memory.servers.resize(1), forecast.memory.workers.resize(1);
  forecast.time.cores = 1;
  EXPECT_THAT(ToText(forecast), HasSubstr("1 server of 1 shard, 1 worker, "));
  EXPECT_THAT(ToText(forecast), HasSubstr(" an epoch, 1 epoch\n"));
  EXPECT_THAT(ToText(forecast), HasSubstr(" ms on 1 core, "));
  cluster.servers = cluster.shards_per_server = cluster.workers = 2;
  EXPECT_THAT(ToText(forecast), HasSubstr("2 servers of 2 shards, 2 workers, "));
  EXPECT_EQ(nlohmann::json::parse(ToJson(forecast))["status"], "done");
  forecast.deadline = 0.25;
  forecast.smallest.time.run = 12.34;
  const std::string missed =
      "no cluster of up to 64 workers meets the deadline of 0.25 s: the run takes 12.3 s at least";
  EXPECT_THAT(ToText(forecast), HasSubstr(missed + "\n"));
  EXPECT_EQ(nlohmann::json::parse(ToJson(forecast))["status"], "failed");
  EXPECT_EQ(nlohmann::json::parse(ToJson(forecast))["reason"], missed);
  forecast.smallest.servers = forecast.smallest.workers = 1;
  forecast.smallest.memory = forecast.memory;
  EXPECT_THAT(ToText(forecast), HasSubstr("the smallest cluster within 0.25 s: --servers 1 --workers 1, "));
  EXPECT_EQ(nlohmann::json::parse(ToJson(forecast))["status"], "done");
}

TEST(StepTime, OutsideBspTheSlowestResourceDecides) {
  SomeRun run;
  run.plan.consistency = Consistency::kAsp;
  EXPECT_NEAR(run.Time().step, 9e-3, 1e-9);  // a worker's computing and messages
  run.costs.link_bytes_per_second = 1e8;     // 4 MB out of the server
  EXPECT_NEAR(run.Time().step, 40e-3, 1e-9);
}

TEST(StepTime, ACheckpointWaitsForTheDiskOrForItsShareOfACore) {
  SomeRun run;
  run.inputs.config.checkpoint.core_share = 1;
  run.costs.write_byte = 2e-9;
  EXPECT_NEAR(run.Time().checkpoint, 2, 1e-9);
  run.costs.disk_bytes_per_second = 1e8;
  EXPECT_NEAR(run.Time().checkpoint, 10, 1e-9);
  run.inputs.config.checkpoint.core_share = 0.1;
  EXPECT_NEAR(run.Time().checkpoint, 20, 1e-9);
}

TEST(MemoryPerHost, DealsProcessesOut) {
  MemoryPlan memory;
  memory.scheduler.parts = {{"base", 1}};
  for (const double bytes : {10.0, 20.0}) {
    memory.servers.emplace_back();
    memory.servers.back().parts = {{"base", bytes}};
  }
  memory.workers.emplace_back();
  memory.workers.back().parts = {{"base", 5}};
  EXPECT_EQ(MemoryPerHost(memory, 1), 36);
  EXPECT_EQ(MemoryPerHost(memory, 2), 21);  // scheduler and server 1; server 0 and the worker have 15
  EXPECT_EQ(MemoryPerHost(memory, 8), 20);
}

}  // namespace cohort::plan_parts_test
