// `cohort watch` and `cohort top` on a real run, which loses a worker: live, and against result.json when it is over.
//
// COHORT_PICTURES: a folder for pictures of the page, taken while the run goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/browser.h"
#include "tests/support/processes.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Whether a text as people read it ("1,234,567", "0.9870", "1.5 MiB", "2 min 05 s") is the number, to its last digit.
bool Says(std::string text, double value) {
  if (text.empty() || (text[0] != '-' && (text[0] < '0' || text[0] > '9'))) return false;
  std::erase(text, ',');
  char* end = nullptr;
  double read = std::strtod(text.c_str(), &end);
  const std::string digits = text.substr(0, static_cast<std::size_t>(end - text.c_str())), unit = end;
  const std::size_t dot = digits.find('.'), exponent = digits.find('e');
  double step = dot == std::string::npos
                    ? 1
                    : std::pow(10, -static_cast<double>(std::min(exponent, digits.size()) - dot - 1));
  if (exponent != std::string::npos)
    step *= std::pow(10, std::strtod(digits.c_str() + exponent + 1, nullptr));
  double scale = 1;
  for (const char* name : {" B", " KiB", " MiB", " GiB"}) {
    if (unit == name) read *= scale, step *= scale;
    scale *= 1024;
  }
  if (unit.starts_with(" min ")) read = 60 * read + std::strtod(unit.c_str() + 5, nullptr);
  return std::abs(read - value) <= 0.501 * step + 1e-9 * std::abs(value);
}

// The numbers of result.json by dotted path, and the metrics as "task.split.metric".
void Flatten(const json& value, const std::string& path, std::map<std::string, double>* numbers) {
  if (value.is_number()) (*numbers)[path] = value;
  if (!value.is_object()) return;
  for (const auto& [name, each] : value.items())
    Flatten(each, path.empty() ? name : path + "." + name, numbers);
}

class Watch : public ::testing::Test {
 protected:
  static std::string Folder(const std::string& run) { return ShopRun::Get().folder() / run; }

  // Starts `cohort watch` and waits for the address that it prints.
  std::string Begin(const std::string& run, const std::vector<std::string>& more = {}) {
    std::vector<std::string> command = {Program(), "watch", Folder(run), "--json"};
    command.insert(command.end(), more.begin(), more.end());
    watcher_ = std::make_unique<Subprocess>(command);
    json printed;
    EXPECT_TRUE(Within(seconds(20), [&] {
      printed = json::parse(watcher_->Out(), nullptr, false);
      return printed.is_object() || !watcher_->Running();
    }));
    return printed.is_object() ? printed.value("url", "") : "";
  }
  // Of the page, by data-name.
  static std::map<std::string, std::string> Shown(Browser& browser) {
    const json all = browser.Evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-name]')].map(n => [n.dataset.name, "
        "n.textContent]))");
    return all.is_object() ? all.get<std::map<std::string, std::string>>()
                           : std::map<std::string, std::string>();
  }
  std::unique_ptr<Subprocess> watcher_;
};

// Every number of the page that result.json has, too: how many were the same.
int Compare(const std::map<std::string, std::string>& shown, const std::map<std::string, double>& result) {
  int same = 0;
  for (const auto& [name, text] : shown) {
    const auto found = result.find(name.starts_with("result.") ? name.substr(7) : name);
    if (found == result.end()) continue;
    EXPECT_TRUE(Says(text, found->second)) << name << " is " << found->second << ", shown as " << text;
    if (Says(text, found->second)) ++same;
  }
  return same;
}

// From the first thing that can be used, Tab reaches all others, in the order in which they stand.
void ExpectAllByKeyboard(Browser& browser) {
  const json reachable = browser.Evaluate(R"js(
    document.querySelector('details:not([open]) summary')?.click();
    window.toReach = [...document.querySelectorAll('a[href],button,summary,[tabindex="0"]')].filter(n => n.checkVisibility());
    // What scrolls, or can be used, and is not among them.
    window.left = [...document.querySelectorAll('main *')].filter(n => n.checkVisibility() && n.scrollWidth > n.clientWidth + 1 &&
      ['auto', 'scroll'].includes(getComputedStyle(n).overflowX) && !toReach.includes(n)).map(n => n.outerHTML.slice(0, 80));
    [toReach.length, left])js");
  ASSERT_TRUE(reachable.is_array()) << reachable;
  EXPECT_TRUE(reachable[1].empty()) << reachable[1];
  const int count = reachable[0];
  EXPECT_GT(count, 20);
  browser.Evaluate("toReach[0].focus()");
  for (int i = 1; i < count; ++i) {
    browser.Press("Tab", 9);
    const json place = browser.Evaluate("toReach.indexOf(document.activeElement)");
    ASSERT_EQ(place, i) << browser.Evaluate("document.activeElement.outerHTML.slice(0, 120)");
    const json seen = browser.Evaluate("getComputedStyle(document.activeElement).outlineStyle");
    EXPECT_NE(seen, "none") << i;  // one sees where one is
  }
}

TEST_F(Watch, PageAndTopShowTheRunLiveAndAtItsEndWhatResultJsonSays) {
  if (!Browser::Installed()) GTEST_SKIP() << Browser::kProgram << " is not installed";
  const ShopRun& shop = ShopRun::Get();
  const std::string run = "watched";
  Subprocess train(
      shop.TrainCommand(run, 2, 2,
                        Set({"train.epochs=20", "train.batch_size=40", "checkpoint.every_steps=500",
                             "cluster.shards_per_server=2", "train.evaluate_train=true"})));
  ASSERT_TRUE(Within(seconds(30), [&] { return std::filesystem::exists(Folder(run) + "/cluster.json"); }));
  const std::string url = Begin(run);
  ASSERT_THAT(url, StartsWith("http://127.0.0.1:"));
  const std::string base = url.substr(0, url.find("?"));

  // Live.
  Browser browser;
  browser.Resize(1440, 900);
  browser.Open(url);
  const auto stage = [&] {
    return browser.Evaluate("document.body ? document.body.dataset.drawn || '' : ''");
  };
  ASSERT_TRUE(Within(seconds(30), [&] { return stage() == "running"; })) << stage();
  // A metric of the first epoch is there long before the run is over.
  ASSERT_TRUE(Within(seconds(30), [&] { return Shown(browser).contains("purchased.valid.auc"); }));
  ASSERT_TRUE(train.Running());
  const json cluster = json::parse(ReadFile(Folder(run) + "/cluster.json"), nullptr, false);
  for (const json& member : cluster["members"]) {
    if (member["role"] != "worker" || member["index"] != 1) continue;
    ASSERT_EQ(kill(member["pid"].get<pid_t>(), SIGKILL), 0);
  }
  // The death, and that it was made good, reach the page by themselves.
  EXPECT_TRUE(Within(seconds(30), [&] { return Shown(browser)["recoveries.workers_replaced"] == "1"; }));
  const std::string events = browser.Evaluate("document.getElementById('event-list').textContent");
  EXPECT_THAT(events, HasSubstr("worker 1 (pid "));
  EXPECT_THAT(events, HasSubstr("takes part again"));
  const int charts = browser.Evaluate("document.querySelectorAll('figure svg.chart path.line').length");
  EXPECT_GT(charts, 10);
  if (const char* pictures = std::getenv("COHORT_PICTURES")) {
    EXPECT_TRUE(Within(seconds(30), [&] { return Says(Shown(browser)["recoveries.checkpoints"], 3); }));
    browser.Picture(std::string(pictures) + "/watch-1440.png", 2400);
    browser.Resize(360, 780, 2);
    EXPECT_TRUE(Within(seconds(10), [&] { return browser.Evaluate("innerWidth") == 360; }));
    browser.Picture(std::string(pictures) + "/watch-360.png", 1500);
    browser.Resize(1440, 900);
  }

  // Over.
  const Outcome trained = train.Wait(seconds(300));
  ASSERT_EQ(trained.exit_code, 0) << trained.all();
  ASSERT_TRUE(Within(seconds(30), [&] { return stage() == "done"; })) << stage();
  const json result = shop.Result(run);
  std::map<std::string, double> numbers;
  Flatten(result, "", &numbers);
  for (const auto& [task, splits] : result["tasks"].items()) Flatten(splits, task, &numbers);
  for (const int width : {1440, 360}) {
    browser.Resize(width, 800);
    ASSERT_TRUE(Within(seconds(10), [&] { return browser.Evaluate("innerWidth") == width; }));
    const auto shown = Shown(browser);
    for (const char* name :
         {"samples_per_second", "steps", "model_rows", "traffic_bytes", "pushes.acknowledged",
          "pushes.duplicated", "counts.refused_peers", "pushes.lost", "pushes.rolled_back",
          "recoveries.workers_replaced", "recoveries.checkpoints", "purchased.test.auc",
          "purchased.valid.logloss", "value.test.mse", "purchased.train.rows", "result.seconds"})
      EXPECT_TRUE(shown.contains(name)) << name;
    const int same = Compare(shown, numbers);
    std::printf("at %d pixels %d numbers of the page are those of result.json\n", width, same);
    EXPECT_GE(same, 40);
    EXPECT_EQ(shown.at("recoveries.workers_replaced"), "1");
    EXPECT_THAT(browser.Evaluate("document.getElementById('line').textContent").get<std::string>(),
                HasSubstr(result["model_hash"].get<std::string>()));
    // Complete: each section has something to see, nothing hangs over the edge, and the page does not scroll sideways.
    const json layout = browser.Evaluate(R"js(({
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      empty: [...document.querySelectorAll('section')].filter(s => s.getBoundingClientRect().height < 60).map(s => s.id),
      over: [...document.querySelectorAll('main *')].filter(n => n.checkVisibility() && !n.closest('.scroll table') &&
        !n.closest('svg') && n.getBoundingClientRect().right > innerWidth + 0.5).map(n => n.outerHTML.slice(0, 80)),
      beside: [...document.querySelectorAll('svg.chart *')].filter(n => { const a = n.getBoundingClientRect(),
        b = n.ownerSVGElement.getBoundingClientRect(); return a.left < b.left - 3 || a.right > b.right + 3; }).length}))js");
    EXPECT_EQ(layout["wide"], 0) << width;
    EXPECT_EQ(layout["empty"], json::array()) << width;
    EXPECT_EQ(layout["over"], json::array()) << width;
    EXPECT_EQ(layout["beside"], 0) << width;
    ExpectAllByKeyboard(browser);
  }
  // A chart is read by arrow keys, and the page stopped by Enter.
  const std::string before = browser.Evaluate(
      "document.querySelector('#loss-charts figure').focus(); document.activeElement.ariaLabel");
  browser.Press("ArrowLeft", 37);
  EXPECT_THAT(browser.Evaluate("document.activeElement.ariaLabel").get<std::string>(), HasSubstr(" at "));
  EXPECT_THAT(before, Not(HasSubstr(" at ")));
  browser.Evaluate("document.getElementById('pause').focus()");
  browser.Press("Enter", 13);
  EXPECT_EQ(browser.Evaluate("document.getElementById('pause').textContent"), "Go on");

  // Nothing was asked for but of the watcher, and the browser had nothing to complain about.
  for (const std::string& request : browser.requests())
    EXPECT_TRUE(request.starts_with(base) || request.starts_with("data:") || request == "about:blank")
        << request;
  EXPECT_GT(browser.requests().size(), 1u);
  for (const std::string& complaint : browser.complaints()) ADD_FAILURE() << complaint;

  // Without the token nothing, and nothing besides.
  EXPECT_EQ(browser.Evaluate("fetch('/state').then(a => a.status)"), 403);
  EXPECT_EQ(browser.Evaluate("fetch('/metrics?token=0').then(a => a.status)"), 403);
  EXPECT_EQ(browser.Evaluate("fetch('/').then(a => a.status)"), 403);
  EXPECT_EQ(browser.Evaluate("fetch('/result.json' + location.search).then(a => a.status)"), 404);
  const json exported = browser.Evaluate("fetch('/metrics' + location.search).then(a => a.text())");
  ASSERT_TRUE(exported.is_string());
  for (const auto& [name, value] : std::map<std::string, json>{
           {"cohort_checkpoints_total{run=\"watched\"}", result["recoveries"]["checkpoints"]},
           {"cohort_recoveries_total{run=\"watched\",kind=\"workers_replaced\"}",
            result["recoveries"]["workers_replaced"]},
           {"cohort_pushes_acknowledged_total{run=\"watched\"}", result["pushes"]["acknowledged"]},
           {"cohort_run_stage{run=\"watched\",stage=\"done\"}", 1}})
    EXPECT_THAT(exported.get<std::string>(), HasSubstr(name + " " + value.dump() + "\n"));

  // `cohort top`: the same in a terminal, and for programs.
  const Outcome top = RunProgram({Program(), "top", Folder(run)});
  ASSERT_EQ(top.exit_code, 0) << top.all();
  EXPECT_THAT(top.out, StartsWith("watched  done"));
  EXPECT_THAT(top.out, HasSubstr("model " + result["model_hash"].get<std::string>()));
  for (const auto& [name, text] : Shown(browser)) {
    if (text == "–") continue;  // of another type of task
    const auto ends = [&name](const char* metric) { return name.ends_with(metric); };
    if (name == "samples_per_second" || name == "model_rows" || name == "steps" ||
        name.starts_with("pushes.") || ends(".rows") || ends(".auc") || ends(".logloss") || ends(".mse") ||
        ends(".spearman")) {
      EXPECT_THAT(top.out, HasSubstr(text)) << name;
    }
  }
  const Outcome printed = RunProgram({Program(), "top", Folder(run), "--json"});
  const json state = json::parse(printed.out, nullptr, false);
  ASSERT_TRUE(state.is_object()) << printed.all();
  int same = 0;
  for (const auto& [name, value] : state["result"].items()) {
    ASSERT_TRUE(numbers.contains(name)) << name;
    EXPECT_EQ(value.get<double>(), numbers[name]) << name;
    ++same;
  }
  EXPECT_GT(same, 30);

  watcher_->Signal(SIGTERM);
  const Outcome watched = watcher_->Wait(seconds(20));
  EXPECT_EQ(watched.exit_code, 0) << watched.all();
  EXPECT_TRUE(json::accept(watched.out)) << watched.out;
}

TEST_F(Watch, RefusesWhatItCannotWatchOrListenOn) {
  const ShopRun& shop = ShopRun::Get();
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "other");
  std::filesystem::create_directory(folder / "run");
  folder.Write("run/result.json", R"({"status": "failed", "reason": "<script>alert(1)</script>"})");
  folder.Write("short", "123");
  struct Case {
    std::vector<std::string> arguments;
    const char* expected;
  };
  const Case cases[] = {
      {{"watch", folder / "none"}, "there is no such folder"},
      {{"watch", folder / "other"}, "holds no run"},
      {{"watch", shop.dataset()}, "is no folder"},
      {{"top", folder / "none"}, "there is no such folder"},
      {{"top", folder / "other"}, "holds no run"},
      {{"watch", folder / "run", "--listen", "8080"}, "expected ADDRESS:PORT"},
      {{"watch", folder / "run", "--listen", "192.0.2.1:0"}, "cannot be listened on"},
      {{"watch", folder / "run", "--no-token", "--token-file", folder / "t"}, "exclude each other"},
      {{"watch", folder / "run", "--token-file", folder / "short"}, "short"}};
  for (const Case& each : cases) {
    std::vector<std::string> command = {Program()};
    command.insert(command.end(), each.arguments.begin(), each.arguments.end());
    const Outcome outcome = RunProgram(command, seconds(20));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(each.expected));
  }
  // A token of its own, kept; and a port that is taken.
  const auto begin = [&](const std::vector<std::string>& more) {
    std::vector<std::string> command = {Program(), "watch", folder / "run", "--json"};
    command.insert(command.end(), more.begin(), more.end());
    return std::make_unique<Subprocess>(command);
  };
  const auto url_of = [](Subprocess& watcher) {
    EXPECT_TRUE(Within(seconds(20), [&] { return json::accept(watcher.Out()); }));
    return json::parse(watcher.Out(), nullptr, false).value("url", "");
  };
  const auto first = begin({"--token-file", folder / "token"});
  const std::string url = url_of(*first);
  const auto second = begin({"--token-file", folder / "token"});
  EXPECT_EQ(url.substr(url.find("?token=")), url_of(*second).substr(url_of(*second).find("?token=")));
  EXPECT_EQ("?token=" + ReadFile(folder / "token").substr(0, 32), url.substr(url.find("?token=")));
  struct stat file {};
  ASSERT_EQ(stat((folder / "token").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  const std::string port = url.substr(url.rfind(':') + 1, url.rfind('/') - url.rfind(':') - 1);
  const Outcome taken =
      RunProgram({Program(), "watch", folder / "run", "--listen", "127.0.0.1:" + port}, seconds(20));
  EXPECT_EQ(taken.exit_code, 2) << taken.all();
  EXPECT_THAT(taken.err, HasSubstr("another program listens there"));
  // What a file says is text on the page, whatever it says.
  if (!Browser::Installed()) return;
  Browser browser;
  browser.Open(url);
  EXPECT_TRUE(Within(seconds(20), [&] {
    return browser.Evaluate("document.body ? document.body.dataset.drawn || '' : ''") == "failed";
  }));
  EXPECT_EQ(browser.Evaluate("document.getElementById('reason').textContent"), "<script>alert(1)</script>");
  EXPECT_EQ(browser.Evaluate("document.scripts.length"), 1);
}

}  // namespace
}  // namespace cohort::testing
