// RunView and what is made of its state: a folder that grows, tears, starts anew and lacks files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "common/process.h"
#include "launch/cluster_file.h"
#include "launch/watch/file_tail.h"
#include "launch/watch/history.h"
#include "launch/watch/prometheus.h"
#include "launch/watch/run_view.h"
#include "launch/watch/state_json.h"
#include "launch/watch/top_table.h"
#include "scheduler/result.h"
#include "tests/support/subprocess.h"

namespace cohort::watch_test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using testing::TemporaryFolder;
using ::testing::UnorderedElementsAre;

void Append(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::app) << text; }

// A second of a run with two workers and a shard, which began `second` seconds ago.
json Sample(double second) {
  json sample = {{"seconds", second},
                 {"phase", 1},
                 {"kind", "train"},
                 {"epoch", 0},
                 {"split", "train"},
                 {"phase_rows", 1000},
                 {"phase_samples", 100 * second},
                 {"samples_per_second", 100},
                 {"loss", {{"churn", 1 / second}, {"value", nullptr}}},
                 {"lowest_clock", 2 * second},
                 {"highest_clock", 2 * second + 3},
                 {"queue_depth", 5},
                 {"bytes_sent", 1000 * second},
                 {"rows", 40},
                 {"acknowledged", 7 * second},
                 {"recoveries", {{"workers_replaced", 0}, {"checkpoints", 1}}}};
  const auto member = [&](const char* node, int pid) {
    return json{{"node", node},
                {"host", "h"},
                {"pid", pid},
                {"clock", 2 * second},
                {"queue_depth", 5},
                {"memory_bytes", 1 << 20},
                {"busy_seconds", 0.25 * second},
                {"bytes_sent", 500 * second},
                {"refused_peers", 3}};
  };
  for (int i = 0; i < 2; ++i) {
    json worker = member(i == 0 ? "worker 0" : "worker 1", 11 + i);
    worker["samples"] = 50 * second;
    worker["waiting"] = "a <pull>";
    sample["members"].push_back(worker);
  }
  json shard = member("shard 0", 13);
  shard.update({{"server", 0},
                {"rows", 40},
                {"pulls_served", 300 * second},
                {"pushes_acknowledged", 7 * second},
                {"pushes_duplicated", 2},
                {"pulls_parked", 9}});
  sample["members"].push_back(shard);
  json backup = member("backup 1", 13);
  sample["members"].push_back(backup);
  return sample;
}

class RunViewTest : public ::testing::Test {
 protected:
  RunViewTest() { Verdict(KilledStatus()); }
  void Verdict(const Status& status, const RunResult& result = {}) {
    folder_.Write("result.json", ToJson(status, result));
  }
  void Add(const json& sample) { Append(metrics_, sample.dump() + "\n"); }
  RunView View() {
    auto view = RunView::Open(folder_.path());
    EXPECT_TRUE(view) << view.error().text();
    return std::move(*view);
  }
  // As if nothing had happened for a while.
  void Age(const char* file, int seconds) {
    std::filesystem::last_write_time(
        folder_ / file, std::filesystem::file_time_type::clock::now() - std::chrono::seconds(seconds));
  }
  TemporaryFolder folder_;
  const std::string metrics_ = folder_ / "metrics.jsonl";
};

TEST(FileTailTest, GivesEachWholeLineOnceAndKnowsAFileThatBeginsAnew) {
  TemporaryFolder folder;
  const std::string path = folder / "lines";
  FileTail tail(path);
  EXPECT_TRUE(tail.Read(1 << 20).lines.empty());  // not there yet
  Append(path, "one\ntw");
  EXPECT_THAT(tail.Read(1 << 20).lines, ElementsAre("one"));
  EXPECT_TRUE(tail.Read(1 << 20).lines.empty());
  Append(path, "o\n\nthree\n");
  FileTail::News news = tail.Read(1 << 20);
  EXPECT_THAT(news.lines, ElementsAre("two", "", "three"));
  EXPECT_FALSE(news.anew);
  // Emptied, and written again to more than it had before: only its beginning tells.
  std::ofstream(path, std::ios::trunc) << "ONE\ntwo\n\nthree\nfour\n";
  news = tail.Read(1 << 20);
  EXPECT_TRUE(news.anew);
  EXPECT_THAT(news.lines, ElementsAre("ONE", "two", "", "three", "four"));
  // Emptied, shorter.
  std::ofstream(path, std::ios::trunc) << "ONE\n";
  EXPECT_TRUE(tail.Read(1 << 20).anew);
  // Replaced by another of the same beginning.
  folder.Write("other", "ONE\n2\n");
  std::filesystem::rename(folder / "other", path);
  news = tail.Read(1 << 20);
  EXPECT_TRUE(news.anew);
  EXPECT_THAT(news.lines, ElementsAre("ONE", "2"));
}

TEST(FileTailTest, ReadsNoMoreThanItMayAndLeavesEndlessLinesOut) {
  TemporaryFolder folder;
  const std::string path = folder / "lines";
  Append(path, std::string(100, 'a') + "\n" + std::string(100, 'b') + "\n");
  FileTail tail(path);
  FileTail::News news = tail.Read(150);
  EXPECT_TRUE(news.more);
  EXPECT_THAT(news.lines, ElementsAre(std::string(100, 'a')));
  news = tail.Read(150);
  EXPECT_FALSE(news.more);
  EXPECT_THAT(news.lines, ElementsAre(std::string(100, 'b')));
  Append(path, std::string(FileTail::kMaxLineBytes + 1, 'c'));
  Append(path, std::string(10, 'c') + "\nnext\n");
  EXPECT_THAT(tail.Read(64 << 20).lines, ElementsAre("next"));
}

TEST(HistoryTest, MakesNeighboursOneWhenThereAreTooMany) {
  History history;
  const int samples = 5 * static_cast<int>(History::kMostPoints);
  for (int i = 0; i < samples; ++i) {
    std::map<std::string, double> values = {{"x", 2.0 * i}};
    if (i % 2 == 0) values["even"] = 7;
    if (i == 3) values["nothing"] = std::nan("");
    history.Add(i, values);
  }
  EXPECT_LE(history.seconds().size(), History::kMostPoints);
  EXPECT_GE(history.seconds().size(), History::kMostPoints / 2);
  EXPECT_EQ(history.series().size(), 2u);
  for (std::size_t i = 0; i < history.seconds().size(); ++i) {
    EXPECT_NEAR(history.series().at("x")[i], 2 * history.seconds()[i], 1e-6) << i;
    EXPECT_TRUE(i == 0 || history.seconds()[i] > history.seconds()[i - 1]) << i;
    EXPECT_DOUBLE_EQ(history.series().at("even")[i], 7);
  }
}

TEST_F(RunViewTest, FollowsARunFromItsFirstSampleOn) {
  RunView view = View();
  view.Refresh();
  EXPECT_EQ(view.state().stage, RunStage::kStarting);
  EXPECT_TRUE(std::isnan(view.state().samples_per_second));
  Add(Sample(1));
  view.Refresh();
  EXPECT_EQ(view.state().stage, RunStage::kRunning);
  EXPECT_TRUE(std::isnan(view.state().rows_per_second));  // of one sample there is no rate
  const std::string next = Sample(3).dump() + "\n";
  Append(metrics_, next.substr(0, 200));
  view.Refresh();
  EXPECT_EQ(view.state().seconds, 1);  // a line that is half there says nothing
  Append(metrics_, next.substr(200));
  view.Refresh();
  const RunState& state = view.state();
  EXPECT_EQ(state.seconds, 3);
  EXPECT_EQ(state.clock_spread, 3);
  EXPECT_EQ(state.rows_per_second, 300);
  EXPECT_EQ(state.bytes_per_second, 1000);
  EXPECT_EQ(state.memory_bytes, 3 << 20);  // shard and backup are one process
  EXPECT_EQ(state.duplicated, 2);
  EXPECT_EQ(state.refused_peers, 12);  // of four members
  ASSERT_EQ(state.members.size(), 4u);
  EXPECT_EQ(state.members[1].samples_per_second, 50);
  EXPECT_EQ(state.members[2].load, 0.25);
  EXPECT_EQ(state.recoveries.at("checkpoints"), 1);
  ASSERT_EQ(state.tasks.size(), 2u);
  EXPECT_DOUBLE_EQ(state.tasks[0].loss, 1.0 / 3);
  EXPECT_TRUE(std::isnan(state.tasks[1].loss));
  EXPECT_THAT(state.history.seconds(), ElementsAre(1, 3));
  EXPECT_THAT(state.history.series().at("loss/churn"), ElementsAre(1, 1.0 / 3));
  EXPECT_TRUE(state.problems.empty());
  // A last sample that comes a moment later is no base for a rate.
  Add(Sample(3.001));
  view.Refresh();
  EXPECT_NEAR(state.rows_per_second, 300, 1e-6);
}

TEST_F(RunViewTest, AnotherRunInTheFolderAndARestartOfThisOne) {
  RunView view = View();
  for (const double second : {1, 2, 3}) Add(Sample(second));
  folder_.Write("log.txt", "12:00:00.000 scheduler: shard 0 (pid 1 on host h) died: its process is gone\n");
  view.Refresh();
  EXPECT_EQ(view.state().events.size(), 1u);
  // It goes on from a checkpoint: the file goes on, its seconds do not.
  Add(Sample(1.5));
  view.Refresh();
  EXPECT_EQ(view.state().seconds, 1.5);
  EXPECT_THAT(view.state().history.seconds(), ElementsAre(1, 2, 3, 4.5));
  // It starts from its beginning: the file is emptied.
  std::ofstream(metrics_, std::ios::trunc) << Sample(0.75).dump() << "\n" << Sample(1.75).dump() << "\n";
  view.Refresh();
  EXPECT_THAT(view.state().history.seconds(), ElementsAre(0.75, 1.75));
  EXPECT_EQ(view.state().events.size(), 1u);  // the log goes on
  std::filesystem::remove(metrics_);
  view.Refresh();
  EXPECT_TRUE(view.state().members.empty());
  EXPECT_TRUE(std::isnan(view.state().seconds));
}

TEST_F(RunViewTest, SaysWhatTheEvaluationsSaidAndAtTheEndWhatTheResultSays) {
  json sample = Sample(1);
  sample["evaluations"] = json::parse(R"([{"split":"valid","epoch":0,"tasks":{"churn":{"auc":0.5,"rows":10}}},
                                          {"split":"valid","epoch":1,"tasks":{"churn":{"auc":0.75,"rows":10}}}])");
  Add(sample);
  RunView view = View();
  view.Refresh();
  const RunState& state = view.state();
  ASSERT_EQ(state.tasks[0].judged.size(), 1u);
  EXPECT_EQ(state.tasks[0].judged[0].epoch, 1);
  EXPECT_EQ(state.tasks[0].judged[0].metrics.at("auc"), 0.75);
  EXPECT_EQ(state.tasks[0].valid.size(), 2u);
  EXPECT_TRUE(state.result.empty());

  json result = json::parse(ToJson(Status(), RunResult{}));
  result["tasks"] = json::parse(
      R"({"churn": {"valid": {"auc": 0.75, "lift": [1, 2], "r2": null}, "test": {"auc": 0.625}}})");
  result["pushes"]["acknowledged"] = 123;
  result["recoveries"]["workers_replaced"] = 2;
  folder_.Write("result.json", result.dump());
  view.Refresh();
  EXPECT_EQ(state.stage, RunStage::kDone);
  ASSERT_EQ(state.tasks[0].judged.size(), 2u);
  EXPECT_EQ(state.tasks[0].judged[0].epoch, 1);
  EXPECT_EQ(state.tasks[0].judged[1].split, "test");
  EXPECT_EQ(state.tasks[0].judged[1].metrics.at("auc"), 0.625);
  EXPECT_EQ(state.Result("pushes.acknowledged"), 123);
  EXPECT_EQ(state.recoveries.at("workers_replaced"), 2);
  EXPECT_EQ(state.members[0].presence, "ended");
}

TEST_F(RunViewTest, TellsSilenceDeathAndFailureApart) {
  RunView view = View();
  Age("result.json", 100);
  view.Refresh();
  EXPECT_EQ(view.state().stage, RunStage::kSilent);
  Add(Sample(1));
  view.Refresh();
  EXPECT_EQ(view.state().stage, RunStage::kRunning);
  Age("metrics.jsonl", 60);
  view.Refresh();
  EXPECT_EQ(view.state().stage, RunStage::kSilent);
  EXPECT_NEAR(view.state().age_seconds, 60, 5);
  // Its scheduler is another host's, lives here, or is gone.
  ClusterFile cluster;
  cluster.members = {{.node = WorkerNode(0), .missing = true, .host = "h"},
                     {.node = ShardNode(0), .host = "h", .pid = 13}};
  const std::pair<std::string, std::uint64_t> cases[] = {
      {"elsewhere", 1u << 30}, {HostName(), static_cast<std::uint64_t>(getpid())}, {HostName(), 1u << 30}};
  for (const auto& [host, pid] : cases) {
    cluster.scheduler_host = host, cluster.scheduler_pid = pid;
    folder_.Write("cluster.json", ToJson(cluster));
    view.Refresh();
    EXPECT_EQ(view.state().stage, host == HostName() && pid == 1u << 30 ? RunStage::kDied : RunStage::kSilent)
        << host << pid;
  }
  EXPECT_EQ(view.state().members[0].presence, "missing");
  EXPECT_EQ(view.state().members[1].presence, "gone");
  EXPECT_EQ(view.state().members[2].presence, "alive");
  Verdict(Status(ErrorCode::kUnavailable, "worker 0 died"));
  view.Refresh();
  EXPECT_EQ(view.state().stage, RunStage::kFailed);
  EXPECT_EQ(view.state().reason, "worker 0 died");
  // It is started again.
  Verdict(KilledStatus());
  Add(Sample(1));
  view.Refresh();
  EXPECT_EQ(view.state().stage, RunStage::kRunning);
  EXPECT_EQ(view.state().reason, "");
}

TEST_F(RunViewTest, SortsTheLogAndFindsCheckpointsAndHangReports) {
  folder_.Write(
      "log.txt",
      "12:00:00.100 scheduler: phase 1 (train, epoch 0) begins at clock 0\n"
      "[host:1] PMIX ERROR: BAD-PARAM\n"
      "12:00:01.100 scheduler: checkpoint 200 is written: 0 MB, all 153 rows\n"
      "12:00:02.100 scheduler: worker 1 (pid 2 on host h) died: its process is gone; it will be replaced\n"
      "12:00:03.100 scheduler: worker 1 takes part again, from clock 7 on\n"
      "12:00:04.100 scheduler: warning: a disk is full\n"
      "12:00:05.100 worker 0: error: half a li");
  for (const char* folder : {"checkpoints/0000000200", "checkpoints/0000000400", "checkpoints/other"})
    std::filesystem::create_directories(folder_ / folder);
  folder_.Write("checkpoints/0000000200/manifest.json", "{}");
  folder_.Write("hang_report.md", "## After 1 s: one\n\ntext\n\n## After 2 s: two\n\n| who |\n");
  RunView view = View();
  view.Refresh();
  const RunState& state = view.state();
  std::vector<std::string> kinds;
  for (const RunEvent& event : state.events) kinds.push_back(EventKindName(event.kind));
  EXPECT_THAT(kinds, ElementsAre("progress", "progress", "checkpoint", "fault", "recovery", "warning"));
  EXPECT_EQ(state.events[2].time, "12:00:01");
  EXPECT_EQ(state.events[2].who, "scheduler");
  EXPECT_EQ(state.events[1].text, "[host:1] PMIX ERROR: BAD-PARAM");
  EXPECT_THAT(state.checkpoints, ElementsAre(200u));
  EXPECT_EQ(state.hang_reports, 2);
  EXPECT_EQ(state.hang_report, "## After 2 s: two\n\n| who |\n");
}

TEST_F(RunViewTest, WhatCannotBeReadIsSaidAndHarmsNothing) {
  Append(metrics_,
         "{\"seconds\": 1, \"members\": [3, {\"node\": 4}, null], \"loss\": [], \"evaluations\": [1, "
         "{\"tasks\": 2}]}\n");
  Append(metrics_, "{broken\n[]\n{\"seconds\": \"2\"}\n");
  folder_.Write("result.json", "{");
  folder_.Write("cluster.json", "[]");
  RunView view = View();
  view.Refresh();
  EXPECT_EQ(view.state().seconds, 1);
  EXPECT_EQ(view.state().stage, RunStage::kRunning);
  ASSERT_EQ(view.state().problems.size(), 3u);
  EXPECT_THAT(view.state().problems[0], HasSubstr("3 lines of metrics.jsonl"));
  EXPECT_THAT(view.state().problems[1], HasSubstr("result.json"));
  EXPECT_THAT(view.state().problems[2], HasSubstr("cluster.json"));
  EXPECT_TRUE(json::accept(StateToJson(view.state())));
  EXPECT_FALSE(TopTable(view.state(), 80).empty());
}

TEST(RunViewOpen, NamesWhatIsNoRun) {
  TemporaryFolder folder;
  EXPECT_THAT(RunView::Open(folder / "none").error().text(), HasSubstr("there is no such folder"));
  EXPECT_THAT(RunView::Open(folder.Write("file", "")).error().text(), HasSubstr("is no folder"));
  const auto other = RunView::Open(folder.path());
  EXPECT_THAT(other.error().text(), HasSubstr("holds no run"));
  EXPECT_EQ(other.error().exit_code(), 2);
}

TEST_F(RunViewTest, AsJsonForPageAndPrograms) {
  Add(Sample(1));
  json endless = Sample(2);
  endless["members"][0]["clock"] = std::numeric_limits<std::int64_t>::max();
  endless["samples_per_second"] = nullptr;
  Add(endless);
  RunView view = View();
  view.Refresh();
  const json state = json::parse(StateToJson(view.state()));
  EXPECT_EQ(state["stage"], "running");
  EXPECT_TRUE(state["samples_per_second"].is_null());
  EXPECT_EQ(state["members"][0]["clock"], "end");
  EXPECT_EQ(state["members"][2]["rows_per_second"], 300);
  EXPECT_EQ(state["history"]["series"]["samples_per_second/worker 1"], json::parse("[null, 50]"));
  EXPECT_EQ(state["history"]["series"]["loss/churn"], json::parse("[1, 0.5]"));
}

TEST_F(RunViewTest, InATerminalNothingMovesTheCursorAndNothingIsTooWide) {
  json sample = Sample(1);
  sample["members"][0]["waiting"] =
      "evil \x1b[2J \xc2\x9b"
      "31m \x7f and long long long long long long long long long long";
  Add(sample);
  RunView view = View();
  view.Refresh();
  const std::string wide = TopTable(view.state(), 0);
  EXPECT_THAT(wide, HasSubstr("samples/s 100"));
  EXPECT_THAT(wide, HasSubstr("clocks 2 to 5 (spread 3)"));
  EXPECT_THAT(wide, HasSubstr("evil ?[2J ?31m ? and"));
  EXPECT_THAT(wide, HasSubstr("churn"));
  std::istringstream lines(TopTable(view.state(), 60));
  for (std::string line; std::getline(lines, line);) {
    const auto characters =
        std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; });
    EXPECT_LE(characters, 60) << line;
  }
}

// The text format: "# HELP", "# TYPE", then samples of that name, each with the run's label.
TEST_F(RunViewTest, AsPrometheusReadsIt) {
  Add(Sample(1));
  json sample = Sample(2);
  sample["evaluations"] = json::parse(R"([{"split":"test","epoch":0,"tasks":{"a\"b\\c\nd":{"auc":0.5}}}])");
  Add(sample);
  folder_.Write("hang_report.md", "## After 1 s: one\n");
  RunView view = View();
  view.Refresh();
  const std::string text = PrometheusText(view.state());
  const std::string run = "run=\"" + view.state().name + "\"";
  for (const std::string& line :
       {"cohort_samples_per_second{" + run + "} 100", "cohort_loss{" + run + ",task=\"churn\"} 0.5",
        "cohort_run_stage{" + run + ",stage=\"running\"} 1", "cohort_run_stage{" + run + ",stage=\"died\"} 0",
        "cohort_task_metric{" + run + R"(,task="a\"b\\c\nd",split="test",metric="auc"} 0.5)",
        "cohort_worker_samples_total{" + run + ",worker=\"1\",host=\"h\"} 100",
        "cohort_shard_rows{" + run + ",shard=\"0\",host=\"h\",server=\"0\"} 40",
        "cohort_recoveries_total{" + run + ",kind=\"workers_replaced\"} 0",
        "cohort_checkpoints_total{" + run + "} 1", "cohort_clock_spread{" + run + "} 3",
        "cohort_hang_reports_total{" + run + "} 1"})
    EXPECT_THAT(text, HasSubstr(line + "\n"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
  const std::regex form(R"(^([a-z_]+)\{([a-z]+="([^"\\]|\\.)*",?)+\} (-?[0-9.e+-]+)$)");
  std::set<std::string> seen;
  std::istringstream lines(text);
  std::string family, type;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      std::istringstream words(line.substr(7));
      words >> family >> type;
      EXPECT_TRUE(seen.insert(family).second) << "twice: " << family;
      EXPECT_EQ(type == "counter", family.ends_with("_total")) << family;
      continue;
    }
    std::smatch parts;
    ASSERT_TRUE(std::regex_match(line, parts, form)) << line;
    EXPECT_EQ(parts[1], family);
  }
  // All there can be, of a run that has everything.
  const std::vector<std::string> names = PrometheusNames();
  EXPECT_EQ(seen, std::set<std::string>(names.begin(), names.end()));
}

TEST(GrafanaDashboard, AsksForNothingThatIsNotExported) {
  const std::string text =
      testing::ReadFile(std::string(COHORT_SOURCE_DIR) + "/launch/examples/grafana/cohort.json");
  const json dashboard = json::parse(text, nullptr, false);
  ASSERT_TRUE(dashboard.is_object());
  const std::vector<std::string> list = PrometheusNames();
  const std::set<std::string> names(list.begin(), list.end());
  std::set<std::string> asked;
  const std::regex name("\\bcohort_[a-z_]+\\b");
  for (std::sregex_iterator found(text.begin(), text.end(), name), end; found != end; ++found)
    asked.insert(found->str());
  for (const std::string& each : asked) EXPECT_TRUE(names.contains(each)) << each;
  EXPECT_GT(asked.size(), 15u);
  int queries = 0;
  for (const json& panel : dashboard["panels"]) {
    for (const json& target : panel.value("targets", json::array())) {
      ++queries;
      EXPECT_THAT(target["expr"].get<std::string>(), HasSubstr("run=\"$run\"")) << panel["title"];
    }
  }
  EXPECT_GT(queries, 12);
}

}  // namespace
}  // namespace cohort::watch_test
