// From the logs of a generated shop to lists: pairs, a factorisation on the servers, and what the lists are truly bought with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(Recommendations, BlendedTheyBeatEachRecommender) {
  const TemporaryFolder folder;
  const std::string shop = folder / "shop",
                    examples = std::string(COHORT_SOURCE_DIR) + "/launch/examples/recommend/";
  const Outcome made = RunProgram({Program(), "generate", "--shop", "--out", shop, "--users", "3000",
                                   "--items", "480", "--days", "300", "--seed", "4"});
  ASSERT_EQ(made.exit_code, 0) << made.all();
  for (const std::string at : {"valid", "test"}) {
    std::filesystem::create_directory(folder / at);
    const std::string pairs = (folder / at) + "/pairs.csv", data = (folder / at) + "/pairs.h5";
    const Outcome written = RunProgram(
        {Program(), "recommend", shop + "/shop.toml", "--at", at, "--write-pairs", pairs, "--json"});
    ASSERT_EQ(written.exit_code, 0) << written.all();
    EXPECT_GT(json::parse(written.out)["pairs"].get<int>(), 10'000);
    const Outcome prepared =
        RunProgram({Program(), "prepare", examples + "pairs.toml", "--data-dir", folder / at, "--out", data});
    ASSERT_EQ(prepared.exit_code, 0) << prepared.all();
    const Outcome trained =
        RunProgram({Program(), "train", examples + "factors.toml", "--set", "data=" + data, "--set",
                    "train.epochs=4", "--out", (folder / at) + "/run"},
                   std::chrono::seconds(300));
    ASSERT_EQ(trained.exit_code, 0) << trained.all();
  }
  const auto recommend = [&](const std::string& out, const Words& more) {
    Words words = {Program(),
                   "recommend",
                   shop + "/shop.toml",
                   "--at",
                   "test",
                   "--out",
                   folder / out,
                   "--model",
                   (folder / "test") + "/run",
                   "--learn-model",
                   (folder / "valid") + "/run",
                   "--segment",
                   "gender,age,income",
                   "--truth",
                   shop + "/truth",
                   "--diversity",
                   "0.05",
                   "--exposure",
                   "0.02",
                   "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return RunProgram(words, std::chrono::seconds(120));
  };
  const Outcome first = recommend("a.csv", {});
  ASSERT_EQ(first.exit_code, 0) << first.all();
  const json report = json::parse(first.out), &quality = report["quality"];
  for (const char* single : {"similar items", "factors", "content", "popular"}) {
    EXPECT_GT(quality["blended"]["share_of_oracle"], quality[single]["share_of_oracle"]) << single;
    EXPECT_GT(quality["blended"]["share_of_oracle_tastes"], quality[single]["share_of_oracle_tastes"])
        << single;
  }
  EXPECT_GT(quality["blended"]["share_of_oracle_tastes"].get<double>(), 0.7);
  EXPECT_LE(quality["blended"]["share_of_oracle_tastes"].get<double>(), 1.0);
  EXPECT_GE(quality["re-ranked"]["exposure"].get<double>(), 0.02);
  EXPECT_GT(quality["re-ranked"]["distance"].get<double>(), quality["blended"]["distance"].get<double>());
  const Outcome again = recommend("b.csv", {});
  ASSERT_EQ(again.exit_code, 0) << again.all();
  EXPECT_EQ(ReadFile(folder / "a.csv"), ReadFile(folder / "b.csv"));
  EXPECT_TRUE(report["recall"].empty());
  // By approximate search the lists are as good, and the same bytes with any number of workers.
  const Outcome searched = recommend("searched.csv", {"--exact-items", "0"});
  ASSERT_EQ(searched.exit_code, 0) << searched.all();
  json searched_report = json::parse(searched.out);
  for (const char* list : {"similar items", "factors", "content", "popular", "blended"}) {
    EXPECT_GT(searched_report["recall"][list].get<double>(), 0.95) << list;
    EXPECT_NEAR(searched_report["quality"][list]["share_of_oracle"].get<double>(),
                quality[list]["share_of_oracle"].get<double>(), 0.01)
        << list;
  }
  searched_report.erase("seconds");
  for (const std::string workers : {"1", "2", "4"}) {
    const std::string out = "searched" + workers + ".csv";
    const Outcome by_workers = recommend(out, {"--exact-items", "0", "--workers", workers});
    ASSERT_EQ(by_workers.exit_code, 0) << by_workers.all();
    EXPECT_EQ(ReadFile(folder / out), ReadFile(folder / "searched.csv")) << workers;
    json by_workers_report = json::parse(by_workers.out);
    by_workers_report.erase("seconds");
    EXPECT_EQ(by_workers_report, searched_report) << workers;
  }
  const auto refused = [&](const std::vector<std::string>& options, const std::string& text) {
    std::vector<std::string> command = {Program(), "recommend", shop + "/shop.toml"};
    command.insert(command.end(), options.begin(), options.end());
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(text));
  };
  refused({}, "--out FILE.csv is missing");
  refused({"--out", folder / "a.csv"}, "a.csv exists; choose another file");
  refused({"--out", (folder / "none") + "/a.csv"}, "its folder does not exist");
  refused({"--write-pairs", folder / "a.csv"}, "a.csv exists");
  refused({"--write-pairs", folder / "c.csv", "--out", folder / "c.csv"}, "--out excludes --write-pairs");
  refused({"--write-pairs", folder / "c.csv", "--diversity", "0.1"}, "--diversity excludes --write-pairs");
  refused({"--out", folder / "c.csv", "--top", "0"}, "--top must be a whole number from 1 to 1000");
  refused({"--out", folder / "c.csv", "--at", "yesterday"}, "yesterday not in");
  refused({"--out", folder / "c.csv", "--model", shop, "--learn-model", folder / "test"}, folder / "test");
}

// Candidates of three moments, one model of all their labels, its scores among the sources of the lists.
TEST(Recommendations, AModelOfSeveralTasksRanksCandidates) {
  const TemporaryFolder folder;
  const std::string shop = folder / "shop",
                    examples = std::string(COHORT_SOURCE_DIR) + "/launch/examples/recommend/";
  const auto run = [](const Words& words) {
    const Outcome outcome = RunProgram(words, std::chrono::seconds(120));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    return outcome.exit_code == 0 ? outcome.out : "{}";
  };
  run({Program(), "generate", "--shop", "--out", shop, "--users", "900", "--items", "240", "--days", "300",
       "--seed", "4"});
  const auto recommend = [&](const std::string& at, const Words& more) {
    Words words = {Program(), "recommend", shop + "/shop.toml", "--at", at, "--segment", "gender", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return json::parse(run(words));
  };
  for (const std::string at : {"train", "valid", "test"}) {
    const json report = recommend(at, {"--write-candidates", folder / (at + ".csv")});
    EXPECT_GT(report["candidates"].get<int>(), 50'000) << at;
    for (const char* label : {"purchase", "cart", "favourite", "view"})
      EXPECT_GT(report["labels"][label].get<int>(), 20) << at << " " << label;
  }
  // By workers, the same bytes.
  recommend("test", {"--write-candidates", folder / "again.csv", "--workers", "2"});
  EXPECT_TRUE(ReadFile(folder / "again.csv") == ReadFile(folder / "test.csv"));
  run({Program(), "prepare", examples + "candidates.toml", "--data-dir", folder.path(), "--out",
       folder / "candidates.h5"});
  run({Program(), "train", examples + "ranker.toml", "--set", "data=" + (folder / "candidates.h5"), "--set",
       "train.epochs=1", "--out", folder / "run"});
  for (const std::string split : {"valid", "test"})
    run({Program(), "score", folder / "run", "--data", folder / "candidates.h5", "--split", split, "--out",
         folder / (split + ".scores.csv")});
  const json report = recommend(
      "test", {"--ranker", folder / "test.scores.csv", "--learn-ranker", folder / "valid.scores.csv",
               "--truth", shop + "/truth", "--out", folder / "lists.csv"});
  for (const char* task : {"purchase", "cart", "favourite", "view"})
    EXPECT_TRUE(report["features"].contains(std::string("ranker ") + task)) << task;
  const auto share = [&](const char* lists) {
    return report["quality"][lists]["share_of_oracle"].get<double>();
  };
  EXPECT_GT(share("ranker"), share("popular"));
  EXPECT_GT(share("ranker"), share("content"));
  EXPECT_GT(share("blended"), 0.8);
  const auto refused = [&](const Words& options, const std::string& text) {
    Words command = {Program(), "recommend", shop + "/shop.toml"};
    command.insert(command.end(), options.begin(), options.end());
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(text));
  };
  refused({"--write-candidates", folder / "test.csv"}, "test.csv exists");
  refused({"--write-candidates", folder / "a.csv", "--ranker", "b.csv"}, "excludes");
  refused({"--out", folder / "a.csv", "--ranker", folder / "test.csv", "--learn-ranker", folder / "none.csv"},
          "none.csv");
}

}  // namespace
}  // namespace cohort::testing
