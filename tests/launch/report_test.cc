// The report of a run that a fixture describes: its texts, its charts, and (when Debian's chromium is here)
// what a real browser draws of it.
#include "launch/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "common/random.h"
#include "launch/report/best_reachable.h"
#include "launch/report/chart.h"
#include "launch/report/html.h"
#include "launch/report/lifecycle_page.h"
#include "scheduler/evaluation.h"

namespace cohort::report_test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

void Write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
std::string Content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}
std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TaskInfo Task(const std::string& name, TaskType type, std::vector<std::string> classes = {}) {
  TaskInfo task;
  task.name = name;
  task.type = type;
  task.classes = std::move(classes);
  return task;
}

// A split of a run with a task of each kind; `noise` 0 is the best predictor.
std::vector<TaskMetrics> EvaluateFixture(double noise, std::uint64_t seed, bool constant = false) {
  const std::vector<TaskInfo> tasks = {
      Task("purchased", TaskType::kBinary),
      Task("activation", TaskType::kMulticlass, {"wishlist", "review", "app", "none"}),
      Task("acquisition_cost", TaskType::kRegression), Task("value", TaskType::kValue)};
  RandomStream random(seed);
  std::vector<float> predictions, labels;
  constexpr std::size_t kRows = 3000;
  for (std::size_t i = 0; i < kRows; ++i) {
    const double z = 3 * (random.Uniform() + random.Uniform() - 1), error = noise * (random.Uniform() - 0.5);
    const double seen = constant ? 0 : z + error;
    auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    predictions.push_back(static_cast<float>(sigmoid(1.5 * seen)));
    labels.push_back(random.Uniform() < sigmoid(1.5 * z) ? 1.0f : 0.0f);
    double total = 0, true_total = 0;
    std::array<double, 4> shown, truth;
    for (int c = 0; c < 4; ++c) {
      total += shown[c] = std::exp((c - 1.5) * seen + 0.2 * c);
      true_total += truth[c] = std::exp((c - 1.5) * z + 0.2 * c);
    }
    for (double p : shown) predictions.push_back(static_cast<float>(p / total));
    double left = random.Uniform() * true_total;
    int drawn = 0;
    while (drawn < 3 && (left -= truth[drawn]) > 0) ++drawn;
    labels.push_back(static_cast<float>(drawn));
    predictions.push_back(static_cast<float>(24 + 4 * seen));
    labels.push_back(static_cast<float>(24 + 4 * z + 6 * (random.Uniform() - 0.5)));
    predictions.push_back(static_cast<float>(20 * std::exp(0.5 * seen)));
    labels.push_back(
        random.Uniform() < 0.4 ? 0.0f : static_cast<float>(33 * std::exp(0.5 * z + random.Uniform() - 0.5)));
  }
  EvaluationSums sums(tasks);
  sums.Add(0, predictions, labels, {}, {}, kRows);
  sums.Finish();
  return MetricsOf(sums);
}

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() : directory_(fs::temp_directory_path() / ("cohort-report-" + std::to_string(::getpid()))) {
    fs::remove_all(directory_);
    fs::create_directories(run());
  }
  ~ReportTest() override { fs::remove_all(directory_); }
  fs::path run() const { return directory_ / "run"; }

  void WriteFixture() const {
    Write(run() / "result.json",
          R"({"status":"done","tasks":{},"samples_per_second":31250.5,"seconds":42.3,"steps":940,
"model_hash":"5f1c09aa3be2d4c7781e0b6b2f9d3a10","pushes":{"acknowledged":481280,"lost":0,"duplicated":3,"rolled_back":0},
"epochs":[{"epoch":0,"loss":{"purchased":0.52},"valid":{"purchased":{"auc":0.8,"logloss":0.51},"value":{"mse":760.5}}},
{"epoch":1,"loss":{"purchased":0.49},"valid":{"purchased":{"auc":0.83,"logloss":0.492},"value":{"mse":722.5}}},
{"epoch":2,"loss":{"purchased":0.48},"valid":{"purchased":{"auc":0.84,"logloss":0.486},"value":{"mse":null}}}],
"counts":{"defaulted":412,"nan_gradients":0},"traffic_bytes":734003200,
"peak_memory_bytes":{"server 0":91226112,"worker 0":134217728}})");
    Write(run() / "evaluation.json",
          EvaluationToJson({{"valid", EvaluateFixture(1, 5)}, {"test", EvaluateFixture(1, 6)}}));
    const BestReachable reachable{{{"valid", EvaluateFixture(0, 5)}, {"test", EvaluateFixture(0, 6)}},
                                  {{"test", EvaluateFixture(0, 6, true)}}};
    Write(run() / kBestReachableFile, ToJson(reachable));
    Write(run() / "run.toml", "data = \"shop.h5\"\n# <script>alert(1)</script> & more\n");
    std::string lines;
    RandomStream random(1);
    for (int second = 1; second <= 40; ++second) {
      const double decay = std::exp(-second / 8.0);
      auto noise = [&] { return 0.04 * (random.Uniform() - 0.5); };
      lines += Format(
          R"({"seconds":%d.1,"phase":1,"kind":"train","epoch":%d,"split":"train","samples_per_second":%.1f,)"
          R"("loss":{"purchased":%.4f,"activation":%.4f,"acquisition_cost":%s,"value":%.4f},)"
          R"("lowest_clock":%d,"highest_clock":%d,"bytes_sent":%d,"rows":%d,"queue_depth":%d,"members":[)",
          second, second / 14, 30'000 + 4000 * noise() / 0.04, 0.42 + 0.25 * decay + noise(),
          0.95 + 0.7 * decay + noise(), second == 20 ? "null" : Format("%.4f", 6 + 15 * decay).c_str(),
          2.7 + 0.4 * decay + noise(), second * 23, second * 23 + second % 3, second * 18'350'080,
          2000 + second * 10, second % 5);
      for (int node = 0; node < 2; ++node) {
        lines += Format(
            R"({"node":"worker %d","samples":%d,"bytes_sent":%d,"busy_seconds":%.1f,"step_seconds":{"read":0.1,"pull_wait":%.1f,"forward":9.5,"push_wait":0.4},"peak_memory_bytes":134217728},)",
            node, second * (15'000 + 900 * node), second * 9'175'040, second * 0.9, second * 0.1);
        lines += Format(
            R"({"node":"shard %d","pulls_served":%d,"rows":%d,"bytes_sent":%d,"busy_seconds":%.1f,)"
            R"("peak_memory_bytes":91226112}%s)",
            node, second * 90'000, 1000 + second * 5, second * 9'000'000, second * 0.4, node == 0 ? "," : "");
      }
      lines += "]}\n";
    }
    Write(run() / "metrics.jsonl", lines + "{\"seconds\":41.1,\"pha");  // cut off by a kill
  }

  std::string Page() {
    const auto summary = WriteReport({run().string(), (directory_ / "page.html").string(), "", ""});
    EXPECT_TRUE(summary.has_value()) << summary.error().text();
    return Content(directory_ / "page.html");
  }

  fs::path directory_;
};

TEST_F(ReportTest, ShowsTheRunInNumbersAndCharts) {
  WriteFixture();
  const std::string page = Page();
  for (const char* text :
       {"<!doctype html>", "31,250", "42.3 s", "940", "481,280", "700 MiB", "5f1c09aa", "purchased",
        "activation", "gap closed", "best reachable", "wishlist", "worker 1", "shard 0", "counts.defaulted",
        "1 lines of metrics.jsonl could not be read", "prefers-color-scheme:dark", "@media print"}) {
    EXPECT_THAT(page, HasSubstr(text));
  }
  // 4 losses, 2 with epochs; ROC, calibration, scores and deciles of 2 tasks, without ROC of 2; lift of all but the
  // multiclass one; 5 over time, 7 bars.
  EXPECT_EQ(Count(page, "<svg class=\"chart\""), 4u + 2 + 2 * 4 + 2 * 3 + 3 + 5 + 7);
  EXPECT_EQ(Count(page, "role=\"img\" aria-label=\""), Count(page, "<svg class=\"chart\""));
  EXPECT_EQ(Count(page, "<title>"), Count(page, "<svg class=\"chart\"") + 1);
}

TEST_F(ReportTest, IsSelfContainedAndEscapesWhatFilesSay) {
  WriteFixture();
  const std::string page = Page();
  for (const char* text : {"<script", "http:", "https:", "src=", "<link", "@import", "url("}) {
    EXPECT_THAT(page, Not(HasSubstr(text)));
  }
  EXPECT_FALSE(std::regex_search(page, std::regex("[^a-z](nan|inf)[^a-z_]"))) << "a number that is none";
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"));
  EXPECT_EQ(EscapeHtml("a\"<\x01\xff\xc3\xa4"), "a&quot;&lt;\xef\xbf\xbd\xef\xbf\xbd\xc3\xa4");
}

TEST_F(ReportTest, TellsTheGapThatIsClosed) {
  WriteFixture();
  const auto summary = WriteReport({run().string(), "", "", ""});
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->path, (run() / "report.html").string());
  EXPECT_THAT(summary->table, HasSubstr("gap closed"));
  EXPECT_THAT(summary->table, HasSubstr("task (test)"));
  EXPECT_EQ(Count(summary->table, " %"), 4u);
  const LossComparison loss{"t", "test", "logloss", 0.5, 0.4, 0.6};
  EXPECT_NEAR(loss.GapClosed(), 0.5, 1e-12);
}

TEST_F(ReportTest, AFailedRunWithoutMetricsHasAPageToo) {
  Write(run() / "result.json", R"({"status":"failed","reason":"worker 1 <on host-2> died at clock 17"})");
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("worker 1 &lt;on host-2&gt; died at clock 17"));
  const auto summary = WriteReport({run().string(), "", "", ""});
  EXPECT_EQ(summary->run_status, "failed");
  EXPECT_EQ(summary->reason, "worker 1 <on host-2> died at clock 17");
  EXPECT_THAT(page, HasSubstr("status failed"));
}

TEST_F(ReportTest, WhatIsNoRunIsAnError) {
  auto error = [&] {
    const auto summary = WriteReport({run().string(), "", "", ""});
    return summary ? Status() : summary.error();
  };
  EXPECT_EQ(error().code(), ErrorCode::kInvalidInput);
  EXPECT_THAT(error().text(), HasSubstr("result.json"));
  Write(run() / "result.json", "[1]");
  EXPECT_EQ(error().code(), ErrorCode::kCorrupt);
  Write(run() / "result.json", "{}");
  Write(run() / "evaluation.json", "{\"format\":1}");
  EXPECT_THAT(error().text(), HasSubstr("evaluation.json"));
  EXPECT_FALSE(fs::exists(run() / "report.html"));
  EXPECT_EQ(WriteReport({run().string(), "", "truth", ""}).error().code(), ErrorCode::kInvalidInput);
}

TEST(Chart, TicksAreRoundAndCoverTheData) {
  EXPECT_THAT(RoundTicks(0, 1, 5), ElementsAre(0, 0.2, ::testing::DoubleNear(0.4, 1e-12),
                                               ::testing::DoubleNear(0.6, 1e-12), 0.8, 1));
  EXPECT_THAT(RoundTicks(3, 97, 5), ElementsAre(0, 20, 40, 60, 80, 100));
  EXPECT_THAT(RoundTicks(1, 4, 6, true), ElementsAre(1, 2, 3, 4));
  for (const auto& [low, high] :
       {std::pair{-7e-9, 3e-9}, {5.0, 5.0}, {0.0, 0.0}, {-1e300, 1e300}, {1e9, 1e9 + 1}}) {
    const auto ticks = RoundTicks(low, high, 5);
    ASSERT_GE(ticks.size(), 2u);
    ASSERT_LE(ticks.size(), 12u);
    EXPECT_LE(ticks.front(), low);
    EXPECT_GE(ticks.back(), high);
  }
}

TEST(Chart, DrawsGapsPointsAndNothing) {
  Chart chart;
  chart.title = "A <chart>";
  chart.series = {{"", Mark::kLine, {{0, 1}, {1, 2}, {2, std::nan("")}, {3, 4}, {4, 5}}}};
  const std::string svg = RenderChart(chart);
  EXPECT_THAT(svg, HasSubstr("A &lt;chart&gt;"));
  std::smatch path;
  ASSERT_TRUE(std::regex_search(svg, path, std::regex("class=\"line s0\" d=\"([^\"]*)\"")));
  EXPECT_EQ(Count(path[1], "M"), 2u);  // the gap lifts the pen
  chart.series = {{"", Mark::kLine, {{1, 1}}}};
  EXPECT_THAT(RenderChart(chart), HasSubstr("<circle"));
  chart.series = {{"", Mark::kLine, {{1, std::nan("")}}}};
  EXPECT_THAT(RenderChart(chart), HasSubstr("nothing to draw"));
  EXPECT_THAT(RenderBars({"t", "d", {}}), HasSubstr("nothing to draw"));
  EXPECT_THAT(RenderBars({"t", "d", {{"a", 0, "0"}}}), HasSubstr("width=\"0.0\""));
}

TEST(Chart, HeatMapsShadeByShareAndFlowsKeepTheirCounts) {
  HeatMap map{.title = "t", .description = "d", .rows = {"a", "b<"}, .columns = {"1", "2"}};
  map.cells = {{{0.25, "25"}, {0.5, "50"}}, {{0, "0"}}};
  const std::string svg = RenderHeatMap(map);
  EXPECT_EQ(Count(svg, "class=\"heat\""), 3u);
  for (const char* text :
       {"fill-opacity=\"0.520\"", "fill-opacity=\"1.000\"", "fill-opacity=\"0.040\"", ">b&lt;<", ">50<"})
    EXPECT_THAT(svg, HasSubstr(text));
  map.cells = {{}, {}};
  EXPECT_THAT(RenderHeatMap(map), HasSubstr("nothing to draw"));

  // Ribbons of 30 and 10 of 40 leave the left node one below the other; who is nowhere has no node.
  Flows flows{.title = "t", .description = "d", .from = {"new", "old"}, .to = {"a", "b", "c"}};
  flows.counts = {{30, 0, 10}, {0, 0, 0}};
  const std::string ribbons = RenderFlows(flows);
  EXPECT_EQ(Count(ribbons, "class=\"flow s0\""), 2u);
  EXPECT_EQ(Count(ribbons, "class=\"flow"), 2u);
  for (const char* text : {">new 40<", ">a 30<", ">c 10<", "v187.50C", "v62.50C"})
    EXPECT_THAT(ribbons, HasSubstr(text));
  EXPECT_THAT(ribbons, Not(HasSubstr(">old")));
  flows.counts = {{0, 0, 0}, {0, 0, 0}};
  EXPECT_THAT(RenderFlows(flows), HasSubstr("nothing to draw"));
}

// As many months as there may be, so that the heat map is as wide as it gets.
LifecyclePage LifecycleFixture() {
  LifecyclePage page{.title = "<shop>.toml", .text = "12 & more", .counts = {}};
  page.counts.funnel = {
      {"visited", 1'234'567, 1'000'000}, {"bought", 234'567, 200'000}, {"bought again", 34'567, 34'567}};
  for (int i = 0; i < 24; ++i) {
    LifecycleCounts::Newcomers& of = page.counts.retention.emplace_back();
    of.month = MonthOf(0) + i;
    for (int later = 0; later < 24 - i; ++later)
      of.active.push_back(static_cast<std::uint64_t>(50'000 / (1 + later)));
  }
  page.counts.earlier = 5;
  auto& moves = page.counts.moves.emplace();
  moves.to = 90 * kDay;
  moves.users = {{{100'000, 900, 0, 0},
                  {0, 20'000, 5'000, 9'000},
                  {0, 0, 1'000, 3},
                  {0, 20, 4, 80'000},
                  {40'000, 1, 0, 0}}};
  return page;
}

TEST(LifecyclePageTest, SaysInTablesWhatItDraws) {
  LifecyclePage page = LifecycleFixture();
  const std::string html = RenderLifecyclePage(page);
  for (const char* text :
       {"&lt;shop&gt;.toml", "12 &amp; more", "1,234,567", "19.0 %", "14.7 %", "1970-01 (50,000)",
        "not there yet", "1971-12", "50*", "5 users who came before", "1970-04-01", "<td>80,000</td>"})
    EXPECT_THAT(html, HasSubstr(text));
  EXPECT_EQ(Count(html, "<svg class=\"chart\""), 3u);
  EXPECT_EQ(Count(html, "role=\"img\" aria-label=\""), 3u);
  EXPECT_EQ(Count(html, "<table>"), 3u);
  for (const char* text : {"<script", "http:", "https:", "src=", "<link", "@import", "url("})
    EXPECT_THAT(html, Not(HasSubstr(text)));
  page.counts = {};
  page.counts.last_month_whole = true;
  const std::string empty = RenderLifecyclePage(page);
  EXPECT_EQ(Count(empty, "nothing to draw"), 2u);
  EXPECT_THAT(empty, Not(HasSubstr("Who moved")));
}

TEST(Html, NumbersReadAsPeopleWriteThem) {
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-123), "-123");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatSeconds(125), "2 min 05 s");
  EXPECT_EQ(FormatShort(1250), "1.25k");
  EXPECT_EQ(FormatMetric(std::nan("")), "–");
  EXPECT_EQ(FormatMetric(0.95184), "0.9518");
}

// What a browser lays out: every chart's drawing has an extent, and nothing hangs over the edge of a phone or
// a desk. The probe is added to a copy of the page; the page itself holds no script.
class BrowserTest : public ReportTest, public ::testing::WithParamInterface<int> {
 protected:
  void ExpectDrawn(const char* browser, std::string page) const;
};

TEST_P(BrowserTest, DrawsEveryChartInsideThePage) {
  const char* browser = "/usr/bin/chromium";
  if (!fs::exists(browser)) GTEST_SKIP() << browser << " is not installed";
  WriteFixture();
  ExpectDrawn(browser, Page());
  ExpectDrawn(browser, RenderLifecyclePage(LifecycleFixture()));
}

void BrowserTest::ExpectDrawn(const char* browser, std::string page) const {
  const std::size_t charts = Count(page, "<svg class=\"chart\"");
  const std::string probe = R"(<script>
const wide = document.documentElement.clientWidth; let drawn = 0, over = 0, marks = 0;
for (const svg of document.querySelectorAll("svg.chart")) {
  const box = svg.getBoundingClientRect(); let good = box.width > 200 && box.height > 20;
  let shapes = 0;
  for (const mark of svg.querySelectorAll(".line,.area,.dot,.bar,.heat,.flow")) {
    const b = mark.getBoundingClientRect(); if (b.width + b.height > 2) shapes++;
    if (b.left < box.left - 3 || b.right > box.right + 3 || b.top < box.top - 3 || b.bottom > box.bottom + 3) over++;
  }
  for (const text of svg.querySelectorAll("text")) {
    const b = text.getBoundingClientRect(); if (b.left < box.left - 2 || b.right > box.right + 2) over++;
  }
  marks += shapes; if (good && shapes > 0) drawn++;
}
document.body.innerHTML = "drawn=" + drawn + " over=" + over + " marks=" + marks + " sideways=" +
  (document.documentElement.scrollWidth > wide ? 1 : 0) + " end";
</script></body>)";
  page.replace(page.find("</body>"), 7, probe);
  Write(directory_ / "probe.html", page);
  const std::string command = Format(
      "HOME=%s timeout 60 %s --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
      "--user-data-dir=%s/profile --window-size=%d,900 --dump-dom file://%s/probe.html 2>/dev/null",
      directory_.c_str(), browser, directory_.c_str(), GetParam(), directory_.c_str());
  std::string dom;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  for (char buffer[4096]; std::size_t got = std::fread(buffer, 1, sizeof(buffer), pipe);)
    dom.append(buffer, got);
  ASSERT_EQ(::pclose(pipe), 0) << "the browser failed";
  EXPECT_THAT(dom, HasSubstr(Format("drawn=%zu over=0 ", charts))) << dom.substr(0, 2000);
  EXPECT_THAT(dom, HasSubstr("sideways=0 end"));
}
INSTANTIATE_TEST_SUITE_P(Widths, BrowserTest, ::testing::Values(500, 1280));

}  // namespace
}  // namespace cohort::report_test
