#include "scheduler/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "scheduler/metrics_json.h"

namespace cohort::result_test {
namespace {

using nlohmann::json;

TEST(Result, CarriesTheContract) {
  RunResult result;
  result.job = "train";
  result.tasks = {"income"};
  result.model_hash = "abc";
  result.epochs = {EpochResult{0, 1.5, 100, 3, {std::nan("")}, {}}};
  MetricsSample last;
  MemberSample shard, worker;
  shard.node = ShardNode(3), shard.server = 1;
  shard.counters.pushes_acknowledged = 10, shard.counters.pushes_duplicated = 2,
  shard.counters.peak_memory_bytes = 5;
  worker.node = WorkerNode(0);
  worker.counters.clipped_gradients = 4, worker.counters.absent_rows = 7, worker.counters.retries = 1;
  last.members = {shard, worker};
  AddCounters(last, &result);
  const json done = json::parse(ToJson(Status(), result));
  for (const char* field : {"tasks", "samples_per_second", "seconds", "steps", "model_hash", "pushes",
                            "counts", "traffic_bytes", "peak_memory_bytes"}) {
    EXPECT_TRUE(done.contains(field)) << field;
  }
  EXPECT_EQ(done["status"], "done");
  EXPECT_FALSE(done.contains("reason"));
  EXPECT_EQ(done["pushes"], json::parse(R"({"acknowledged":10,"lost":0,"duplicated":2,"rolled_back":0})"));
  EXPECT_EQ(done["counts"]["defaulted_rows"], 7);
  EXPECT_EQ(done["counts"]["clipped_gradients"], 4);
  EXPECT_EQ(done["peak_memory_bytes"]["server 1"], 5);
  EXPECT_TRUE(done["epochs"][0]["loss"]["income"].is_null());
  EXPECT_FALSE(done.contains("early_stopping"));
  result.early_stopping = EarlyStoppingResult{"loss", 2, 4, 0.5, "2 epochs without improvement"};
  EXPECT_EQ(json::parse(ToJson(Status(), result))["early_stopping"],
            json::parse(R"({"metric":"loss","patience":2,"best_epoch":4,"best":0.5,)"
                        R"("ended":"2 epochs without improvement"})"));

  const json failed = json::parse(ToJson(KilledStatus(), result));
  EXPECT_EQ(failed["status"], "failed");
  EXPECT_EQ(failed["reason"], "the scheduler was killed before it reached a verdict");
}

TEST(Result, PushesOfARunWithoutAModelAreLost) {
  RunResult result;
  MetricsSample last;
  MemberSample shard;
  shard.node = ShardNode(0);
  shard.counters.pushes_acknowledged = 10;
  last.members = {shard};
  AddCounters(last, &result);
  EXPECT_EQ(result.pushes_lost, 10u);
}

TEST(Result, VerdictsAreReadAndReplaced) {
  const std::string text = ToJson(KilledStatus(), RunResult{});
  auto verdict = VerdictFromJson(text, "result.json");
  ASSERT_TRUE(verdict);
  EXPECT_FALSE(verdict->done);
  EXPECT_EQ(verdict->status().exit_code(), 1);
  const std::string other = ReplaceVerdict(text, Status(ErrorCode::kInvalidInput, "line\n\"two\""));
  verdict = VerdictFromJson(other, "result.json");
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->reason, "line\n\"two\"");
  EXPECT_EQ(verdict->status().exit_code(), 2);
  EXPECT_TRUE(VerdictFromJson(ReplaceVerdict(other, Status()), "")->done);
  for (const char* broken : {"", "{", "[]", "{\"status\": 3}", "{\"status\": \"great\"}"}) {
    EXPECT_FALSE(VerdictFromJson(broken, "result.json")) << broken;
  }
}

TEST(Metrics, ALinePerSampleAndWhatATerminalShowsOfIt) {
  MetricsSample sample;
  sample.epoch = 1, sample.phase_rows = 1000, sample.phase_samples = 450, sample.samples_per_second = 12300;
  sample.loss = {0.25, std::nan("")};
  MemberSample worker;
  worker.node = WorkerNode(2);
  worker.counters.step_seconds = {1, 2, 3, 4, 5, 6};
  sample.members = {worker};
  RunResult so_far;
  so_far.tasks = {"income", "married"};
  so_far.restarts = 2, so_far.checkpoints = 3;
  TaskMetrics income;
  income.name = "income";
  income.values = {{"auc", 0.75}, {"rows", 12}};
  const std::string line = ToJsonLine(sample, so_far, {{4, {"valid", {income}}}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const json parsed = json::parse(line);
  EXPECT_EQ(parsed["loss"]["income"], 0.25);
  EXPECT_TRUE(parsed["loss"]["married"].is_null());
  EXPECT_EQ(parsed["members"][0]["node"], "worker 2");
  EXPECT_EQ(parsed["recoveries"], json::parse(ToJson(Status(), so_far))["recoveries"]);
  EXPECT_EQ(parsed["recoveries"]["restarts"], 2);
  EXPECT_EQ(parsed["evaluations"],
            json::parse(R"([{"split":"valid","epoch":4,"tasks":{"income":{"auc":0.75,"rows":12.0}}}])"));
  EXPECT_FALSE(json::parse(ToJsonLine(sample, so_far)).contains("evaluations"));
  EXPECT_EQ(parsed["members"][0]["step_seconds"],
            json::parse(R"({"read":1,"distinct":2,"pull_wait":3,"forward":4,"backward":5,"push_wait":6})"));
  EXPECT_EQ(ProgressText(line), "epoch 2: 45 %, 12.3 k samples/s, loss income 0.25");
  EXPECT_EQ(ProgressText("{\"kind\": 3}"), "");
  EXPECT_EQ(ProgressText("{broken"), "");
}

}  // namespace
}  // namespace cohort::result_test
