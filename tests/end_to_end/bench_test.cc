// `cohort bench` with tiny parameters: the JSON that it promises, and no process left behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/processes.h"

namespace cohort::testing {
namespace {

Words Command(const std::string& name, const Words& more) {
  Words command = {Program(), "bench", name, "--repetitions", "3", "--seconds", "0.02"};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

const Words kSmall = {"--rows", "5000", "--batch", "500", "--dim", "4"};

// Runs it, and checks what every benchmark promises: one object on stdout; each figure the median of the single
// values.
nlohmann::json RunBench(const std::string& name, const Words& more, const Words& figures) {
  Words command = Command(name, more);
  command.emplace_back("--json");
  const Outcome outcome = RunProgram(command);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  const nlohmann::json json = nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(json.is_object()) << outcome.out;
  if (!json.is_object()) return {};
  EXPECT_EQ(json.value("benchmark", ""), name);
  EXPECT_EQ(json["repetitions"].size(), 3u);
  for (const std::string& figure : figures) {
    std::vector<double> values;
    for (const auto& repetition : json["repetitions"]) values.push_back(repetition.value(figure, -1.0));
    std::sort(values.begin(), values.end());
    EXPECT_GT(values.front(), 0) << figure;
    EXPECT_EQ(json.value(figure, -1.0), values[1]) << figure;
  }
  return json;
}

const Words kDataPlane = {
    "rows_per_second", "ceiling_rows_per_second", "share_of_ceiling",     "bytes_per_second", "p50_us",
    "p99_us",          "server_cpu_s_per_mrow",   "worker_cpu_s_per_mrow"};

class BenchDataPlane : public ::testing::TestWithParam<std::string> {};

TEST_P(BenchDataPlane, TellsWhatItPromises) {
  const nlohmann::json json = RunBench(GetParam(), kSmall, kDataPlane);
  EXPECT_TRUE(json.contains("bytes_per_row_overhead"));
  EXPECT_EQ(json["options"].value("dim", 0), 4);
  EXPECT_LE(json.value("p50_us", 0.0), json.value("p99_us", 0.0));
}
INSTANTIATE_TEST_SUITE_P(Bench, BenchDataPlane, ::testing::Values("pull", "push", "pull-push"));

TEST(Bench, WorksForEveryClusterAndConsistency) {
  const std::vector<Words> clusters = {
      {"--servers", "2", "--shards", "2", "--workers", "3", "--consistency", "bsp"},
      {"--workers", "2", "--consistency", "ssp", "--staleness", "0", "--transport", "ipc"},
      {"--zipf", "1.1", "--optimizer", "adam", "--window", "1"}};
  for (Words cluster : clusters) {
    cluster.insert(cluster.end(), kSmall.begin(), kSmall.end());
    RunBench("pull-push", cluster, kDataPlane);
  }
}

TEST(Bench, Transport) {
  RunBench("transport", kSmall,
           {"pull_rows_per_second", "push_rows_per_second", "pull_push_rows_per_second", "pull_p99_us"});
}

TEST(Bench, Table) {
  Words options = kSmall;
  options.insert(options.end(), {"--grow-to", "20000", "--request-rows", "500"});
  const nlohmann::json json =
      RunBench("table", options,
               {"rows_per_second", "ceiling_rows_per_second", "share_of_ceiling", "additions_per_second",
                "additions_share_of_ceiling", "p50_us", "p99_us"});
  for (const char* name : {"bytes_per_row_overhead", "grown_bytes_per_row_overhead"})
    EXPECT_TRUE(json.contains(name)) << name;
  EXPECT_GE(json.value("growth_longest_over_median", 0.0), 1.0);
}

TEST(Bench, Memory) {
  const nlohmann::json json = RunBench(
      "memory", kSmall,
      {"rows_per_second", "bytes_per_second", "small_pages_rows_per_second", "memcpy_bytes_per_second"});
  EXPECT_GT(json.value("first_touch_us", 0.0), 0);
}

TEST(Bench, Checkpoint) {
  const nlohmann::json json =
      RunBench("checkpoint", {"--rows", "30000", "--batch", "500", "--optimizer", "adagrad"},
               {"part_bytes", "dd_bytes_per_second", "idle_bytes_per_second", "idle_share_of_dd",
                "push_rows_per_second", "push_rows_per_second_beside", "push_share_beside", "steps_beside",
                "step_p50_us_beside", "step_p999_us_beside", "step_p999_over_p50_beside"});
  EXPECT_GT(json.value("part_bytes", 0.0), 30000 * (8 + 128));
}

TEST(Bench, Step) {
  const nlohmann::json json = RunBench("step", {"--batch", "64", "--dim", "4"},
                                       {"samples_per_second", "floor_samples_per_second", "share_of_floor",
                                        "gemm_gflops", "cpu_s_per_msample"});
  EXPECT_GT(json.value("peak_memory_bytes", 0.0), 0);
}

TEST(Bench, ATableForPeople) {
  Words options = kSmall;
  const Outcome outcome = RunProgram(Command("memory", options));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_NE(outcome.out.find("rows_per_second"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("median"), std::string::npos) << outcome.out;
}

// A benchmark that would take minutes, told apart from others by its seed, is ended while it measures.
class ProcessesOfBench : public ::testing::Test {
 protected:
  void Start(const std::string& seed) {
    mark_ = "--seed " + seed;
    Words command = {Program(), "bench",  "pull", "--rows",    "5000", "--batch",
                     "500",     "--seed", seed,   "--seconds", "60"};
    bench_ = std::make_unique<Subprocess>(command);
    // Itself, two bare processes, scheduler, server, worker.
    ASSERT_TRUE(Within(std::chrono::seconds(30), [&] { return ProcessesWith(mark_).size() == 6; }));
  }
  void ExpectNothingLeft() {
    EXPECT_TRUE(Within(std::chrono::seconds(5), [&] { return ProcessesWith(mark_).empty(); }));
    for (const FoundProcess& process : ProcessesWith(mark_)) ADD_FAILURE() << process.command;
  }
  std::string mark_;
  std::unique_ptr<Subprocess> bench_;
};

TEST_F(ProcessesOfBench, CtrlCLeavesNone) {
  Start("8230001");
  bench_->Signal(SIGINT);
  const Outcome outcome = bench_->Wait(std::chrono::seconds(5));
  EXPECT_EQ(outcome.exit_code, 1) << outcome.all();
  EXPECT_NE(outcome.err.find("interrupt"), std::string::npos) << outcome.err;
  ExpectNothingLeft();
}

TEST_F(ProcessesOfBench, AKilledParentLeavesNone) {
  Start("8230002");
  bench_->Signal(SIGKILL);
  bench_->Wait(std::chrono::seconds(5));
  ExpectNothingLeft();
}

TEST_F(ProcessesOfBench, ADeadChildEndsItWithItsName) {
  Start("8230003");
  // Children are forks with the same words; the youngest is the worker.
  pid_t youngest = 0;
  for (const FoundProcess& process : ProcessesWith(mark_)) youngest = std::max(youngest, process.pid);
  ASSERT_GT(youngest, bench_->pid());
  ASSERT_EQ(kill(youngest, SIGKILL), 0);
  const Outcome outcome = bench_->Wait(std::chrono::seconds(10));
  EXPECT_EQ(outcome.exit_code, 1) << outcome.all();
  EXPECT_NE(outcome.err.find("worker 0"), std::string::npos) << outcome.err;
  ExpectNothingLeft();
}

}  // namespace
}  // namespace cohort::testing
