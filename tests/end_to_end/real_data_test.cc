// The examples on real data (label real-data): found through COHORT_DATA_DIR, left out without it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/csv_lines.h"
#include "tests/support/slowdown.h"

namespace cohort::testing {
namespace {

using nlohmann::json;

std::string DataDir(const std::string& name) {
  const char* folder = std::getenv("COHORT_DATA_DIR");
  return folder == nullptr ? "" : std::string(folder) + "/" + name;
}

// Under a sanitizer a step takes longer, and a worker is silent for longer.
std::string Patience() { return "cluster.dead_after_seconds=" + std::to_string(5 * kSlowdown); }

std::string Example(const std::string& name) {
  return std::string(COHORT_SOURCE_DIR) + "/launch/examples/" + name;
}

// Prepares an example's data and trains its run file with `settings`; the result.
json RunExample(const TemporaryFolder& folder, const std::string& example, const std::string& data,
                std::vector<std::string> settings, const std::string& schema = "schema.toml") {
  const std::string source = Example(example);
  const Outcome prepared = RunProgram(
      {Program(), "prepare", source + "/" + schema, "--data-dir", data, "--out", folder / "data.h5"},
      std::chrono::seconds(120));
  EXPECT_EQ(prepared.exit_code, 0) << prepared.all();
  std::vector<std::string> command = {Program(),      "train", source + "/run.toml",           "--out",
                                      folder / "run", "--set", "data=" + (folder / "data.h5"), "--set",
                                      Patience()};
  for (const std::string& setting : settings) command.insert(command.end(), {"--set", setting});
  const Outcome trained = RunProgram(command, std::chrono::seconds(300));
  EXPECT_EQ(trained.exit_code, 0) << trained.all();
  return json::parse(ReadFile((folder / "run") + "/result.json"), nullptr, false);
}

TEST(RealData, CensusLearnsBothTasksInOneEpoch) {
  const std::string data = DataDir("census-income");
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "COHORT_DATA_DIR does not lead to census-income";
  TemporaryFolder folder;
  const json result = RunExample(folder, "census", data, {"train.epochs=1", "train.evaluate_train=false"});
  ASSERT_TRUE(result.is_object());
  EXPECT_EQ(result["tasks"]["income"]["test"]["rows"], 49881);          // the odd rows of the test file
  EXPECT_EQ(result["tasks"]["never_married"]["valid"]["rows"], 49881);  // the even ones
  EXPECT_GT(result["tasks"]["income"]["test"]["auc"].get<double>(), 0.935);
  EXPECT_GT(result["tasks"]["never_married"]["test"]["auc"].get<double>(), 0.990);
  // Scoring gives what evaluation judged.
  const Outcome scored = RunProgram({Program(), "score", folder / "run", "--data", folder / "data.h5",
                                     "--split", "test", "--out", folder / "scores.csv", "--set", Patience()});
  ASSERT_EQ(scored.exit_code, 0) << scored.all();
  const std::string csv = ReadFile(folder / "scores.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 49881 + 1);
}

// The people of the test file, told from those of the training file whose income is known (docs/lookalike.md).
TEST(RealData, CensusLooksAlike) {
  const std::string data = DataDir("census-income");
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "COHORT_DATA_DIR does not lead to census-income";
  TemporaryFolder folder;
  const Outcome prepared = RunProgram({Program(), "prepare", Example("census/schema.toml"), "--data-dir",
                                       data, "--out", folder / "census.h5"});
  ASSERT_EQ(prepared.exit_code, 0) << prepared.all();
  const Outcome made = RunProgram({Example("census/make_list"), data, folder / "list"});
  ASSERT_EQ(made.exit_code, 0) << made.all();
  const std::string list = ReadFile((folder / "list") + "/people.csv");
  const std::size_t second = list.find(',') + 1;
  // 199,523 users of 39 attributes, half as many prospects: it takes 30 s of processor time and 210 MB.
  const std::string limits = kSlowdown == 1 ? "ulimit -v 800000 && ulimit -t 75 && " : "";
  const Outcome outcome = RunProgram({"sh",
                                      "-c",
                                      limits + "exec \"$@\"",
                                      "sh",
                                      Program(),
                                      "lookalike",
                                      folder / "census.h5",
                                      "--split",
                                      "train",
                                      "--seed-by",
                                      "income",
                                      "--top",
                                      "0.06",
                                      "--prospects",
                                      (folder / "list") + "/people.csv",
                                      "--attributes",
                                      list.substr(second, list.find('\n') - second),
                                      "--out",
                                      folder / "scored.csv",
                                      "--json"},
                                     std::chrono::seconds(600));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = json::parse(outcome.out);
  EXPECT_EQ(result["users"], 199523);
  EXPECT_EQ(result["wanted"]["users"], 12382);
  EXPECT_EQ(result["prospects"]["scored"], 99762);
  std::map<std::string, bool> wanted;  // by id
  for (const auto& cells : CsvLines(ReadFile((folder / "list") + "/income.csv")))
    wanted[cells[0]] = cells[1] == "1";
  const auto scored = CsvLines(ReadFile(folder / "scored.csv"));
  ASSERT_EQ(scored.size(), 99762u + 1);
  double above = 0, others = 0, found = 0, in_tenth = 0, expected = 0;
  for (std::size_t i = scored.size() - 1; i >= 1; --i) {
    const bool is_wanted = wanted.at(scored[i][0]);
    (is_wanted ? found : others) += 1;
    above += is_wanted ? others : 0;
    in_tenth += is_wanted && scored[i][4] == "1";
    expected += std::stod(scored[i][1]);
  }
  const double auc = above / (found * others), lift = in_tenth / found * 10;
  std::printf("AUC %.4f, lift %.2f, wanted %.0f, expected %.0f\n", auc, lift, found, expected);
  EXPECT_GT(auc, 0.94);
  EXPECT_NEAR(auc, result["auc"]["value"].get<double>(), 0.005);
  EXPECT_GT(lift, 6.5);
  EXPECT_NEAR(lift, result["best_tenth"]["lift"]["value"].get<double>(), 0.3);
  EXPECT_NEAR(expected, found, 0.05 * found);
}

TEST(RealData, OnlineShoppersLearns) {
  const std::string data = DataDir("online-shoppers");
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "COHORT_DATA_DIR does not lead to online-shoppers";
  TemporaryFolder folder;
  const json result = RunExample(folder, "online-shoppers", data, {});
  ASSERT_TRUE(result.is_object());
  for (const auto& [task, splits] : result["tasks"].items())
    EXPECT_GT(splits["test"]["auc"].get<double>(), 0.88) << task;
}

TEST(RealData, HillstromLearns) {
  const std::string data = DataDir("hillstrom");
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "COHORT_DATA_DIR does not lead to hillstrom";
  TemporaryFolder folder;
  const json result = RunExample(folder, "hillstrom", data, {});
  ASSERT_TRUE(result.is_object());
  EXPECT_GT(result["tasks"]["visit"]["test"]["auc"].get<double>(), 0.58);
}

// From invoice lines to predictions of what comes after 2011-09-10.
TEST(RealData, OnlineRetailKnowsWhoComesBack) {
  const std::string data = DataDir("online-retail");
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "COHORT_DATA_DIR does not lead to online-retail";
  TemporaryFolder folder;
  const json result = RunExample(folder, "online-retail", data, {}, "shop.toml");
  ASSERT_TRUE(result.is_object());
  const json& tasks = result["tasks"];
  EXPECT_EQ(tasks["churn"]["test"]["rows"], 3370);
  EXPECT_GT(tasks["churn"]["test"]["auc"].get<double>(), 0.72);
  EXPECT_GT(tasks["purchase"]["test"]["auc"].get<double>(), 0.70);
  EXPECT_GT(tasks["value"]["test"]["spearman"].get<double>(), 0.48);
  const Outcome evaluated = RunProgram(
      {Program(), "evaluate", folder / "run", "--data", folder / "data.h5", "--json", "--set", Patience()});
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.all();
  EXPECT_EQ(json::parse(evaluated.out)["tasks"]["churn"]["test"]["auc"], tasks["churn"]["test"]["auc"]);

  // Against what recency, frequency and monetary value say alone.
  const std::string scores = folder / "scores.csv", baseline = folder / "baseline.h5";
  const Outcome scored = RunProgram({Program(), "score", folder / "run", "--data", folder / "data.h5",
                                     "--split", "test", "--out", scores, "--set", Patience()});
  ASSERT_EQ(scored.exit_code, 0) << scored.all();
  const Outcome fitted = RunProgram({Program(), "baseline", folder / "data.h5", "--out", baseline});
  ASSERT_EQ(fitted.exit_code, 0) << fitted.all();
  const auto compare = [&](const std::string& split) {
    return RunProgram({Program(), "compare", "model=" + scores, "rfm=" + baseline, "--data",
                       folder / "data.h5", "--split", split, "--draws", "200", "--json"});
  };
  const Outcome compared = compare("test");
  ASSERT_EQ(compared.exit_code, 0) << compared.all();
  const json judged = json::parse(compared.out)["tasks"];
  ASSERT_EQ(judged.size(), 4u);
  for (const auto& [task, metric] :
       {std::pair{"churn", "auc"}, {"purchase", "logloss"}, {"value", "spearman"}}) {
    EXPECT_NEAR(judged[task][metric]["models"]["model"]["value"].get<double>(),
                tasks[task]["test"][metric].get<double>(), 1e-6)
        << task;
  }
  EXPECT_GT(judged["churn"]["auc"]["models"]["rfm"]["value"].get<double>(), 0.72);
  EXPECT_GT(judged["value"]["spearman"]["models"]["rfm"]["value"].get<double>(), 0.5);
  EXPECT_EQ(compare("test").out, compared.out);
  const Outcome other_rows = compare("valid");
  EXPECT_EQ(other_rows.exit_code, 2);
  EXPECT_THAT(other_rows.all(), ::testing::HasSubstr("3412 rows, where the valid split"));
}

// Fitted on weeks 1 to 39 of all customers, judged by weeks 40 to 78 of the 2,357 of the published sample. The figures of seed 1; what
// other seeds have, and which aims are missed: docs/shop.md.
TEST(RealData, CdnowCountsTheOrdersOfTheNextThirtyNineWeeks) {
  const std::string data = DataDir("cdnow");
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "COHORT_DATA_DIR does not lead to cdnow";
  TemporaryFolder folder;
  const Outcome made = RunProgram({Example("cdnow") + "/make_csv", data, folder / "csv"}, std::chrono::seconds(60));
  ASSERT_EQ(made.exit_code, 0) << made.all();
  const json result = RunExample(folder, "cdnow", folder / "csv", {}, "shop.toml");
  ASSERT_TRUE(result.is_object());
  EXPECT_EQ(result["tasks"]["orders"]["test"]["rows"], 23570);
  const std::string scores = folder / "scores.csv", baseline = folder / "baseline.csv";
  const Outcome scored = RunProgram({Program(), "score", folder / "run", "--data", folder / "data.h5",
                                     "--split", "test", "--out", scores, "--set", Patience()});
  ASSERT_EQ(scored.exit_code, 0) << scored.all();
  const Outcome fitted = RunProgram(
      {Program(), "baseline", folder / "data.h5", "--features", "log_expected_orders", "--out", baseline});
  ASSERT_EQ(fitted.exit_code, 0) << fitted.all();
  const auto compare = [&](const std::string& ids) {
    return RunProgram({Program(), "compare", "model=" + scores, "bg_nbd=" + baseline, "--data", folder / "data.h5",
                       "--ids", ids, "--draws", "200", "--json"});
  };
  const Outcome compared = compare(folder / "csv/sample.csv");
  ASSERT_EQ(compared.exit_code, 0) << compared.all();
  const json judged = json::parse(compared.out);
  EXPECT_EQ(judged["users"], 2357);
  const auto metric = [&](const char* task, const char* name, const char* model) {
    return judged["tasks"][task][name]["models"][model]["value"].get<double>();
  };
  EXPECT_LE(metric("orders", "poisson_deviance", "model"), 1.56);  // 1.545
  EXPECT_LE(metric("orders", "rmse", "model"), 1.64);              // 1.613
  EXPECT_NEAR(metric("orders", "total_ratio", "model"), 0.86,
              0.02);                                      // the aim, 0.9, is missed
  EXPECT_GE(metric("value", "spearman", "model"), 0.43);  // 0.441
  EXPECT_NEAR(metric("value", "total_ratio", "model"), 0.82, 0.03);
  EXPECT_NEAR(metric("orders", "poisson_deviance", "bg_nbd"), 1.6, 0.03);

  std::ofstream(folder / "ids.csv") << "customer\n00004\n4\n";
  const Outcome stranger = compare(folder / "ids.csv");
  EXPECT_EQ(stranger.exit_code, 2);
  EXPECT_THAT(stranger.all(), ::testing::HasSubstr("\"4\" is in no row of the test split"));
}

// Three epochs instead of the twenty of docs/results.md: 0.674 and 0.403. The most popular films alone give 0.454 and 0.255.
TEST(RealData, MovieLensFindsTheNextFilm) {
  const std::string data = DataDir("ncf-ml-1m");
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "COHORT_DATA_DIR does not lead to ncf-ml-1m";
  TemporaryFolder folder;
  const Outcome made =
      RunProgram({Example("movielens") + "/make_csv", data, folder / "csv"}, std::chrono::seconds(300));
  ASSERT_EQ(made.exit_code, 0) << made.all();
  const json result = RunExample(folder, "movielens", folder / "csv", {"train.epochs=3"});
  ASSERT_TRUE(result.is_object());
  const json& test = result["tasks"]["seen"]["test"];
  EXPECT_EQ(test["rows"], 604000);
  EXPECT_EQ(test["groups"], 6040);
  EXPECT_GT(test["hr@10"].get<double>(), 0.66);
  EXPECT_GT(test["ndcg@10"].get<double>(), 0.39);
  const Outcome no_folder = RunProgram({Example("movielens") + "/make_csv", folder / "none", folder / "csv"});
  EXPECT_EQ(no_folder.exit_code, 2);
  EXPECT_NE(no_folder.err.find("ml-1m.train.rating.gz is not there"), std::string::npos) << no_folder.all();
}

// Which film of all comes next, without a factorisation (docs/recommend.md has both): re-ranked lists keep 98 % of NDCG@10, their films
// differ more by genre, and the tenth of the films that fewest people rated gets its share of the places.
TEST(RealData, MovieLensListsAreDiverseAndShowRareFilms) {
  const std::string data = DataDir("ncf-ml-1m");
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "COHORT_DATA_DIR does not lead to ncf-ml-1m";
  TemporaryFolder folder;
  const Outcome made =
      RunProgram({Example("movielens") + "/make_shop", data, folder / "shop"}, std::chrono::seconds(300));
  ASSERT_EQ(made.exit_code, 0) << made.all();
  const Outcome recommended =
      RunProgram({Program(), "recommend", Example("movielens") + "/shop.toml", "--data-dir", folder / "shop",
                  "--at", "test", "--skip-bought", "--segment", "gender,age", "--diversity", "0.025",
                  "--exposure", "0.005", "--out", folder / "lists.csv", "--json"},
                 std::chrono::seconds(300));
  ASSERT_EQ(recommended.exit_code, 0) << recommended.all();
  const json report = json::parse(recommended.out), &lists = report["quality"];
  EXPECT_EQ(report["lists"], 6040);
  EXPECT_EQ(report["judged_users"], 6040);
  EXPECT_EQ(report["group_items"], 370);
  const auto of = [&](const char* name, const char* metric) { return lists[name][metric].get<double>(); };
  for (const char* single : {"similar items", "content", "popular"})
    EXPECT_GE(of("blended", "ndcg@10"), of(single, "ndcg@10")) << single;
  EXPECT_GE(of("re-ranked", "ndcg@10"), 0.98 * of("blended", "ndcg@10"));
  EXPECT_GE(of("re-ranked", "distance"), 1.2 * of("blended", "distance"));
  EXPECT_GE(of("re-ranked", "exposure"), 0.005);
}

}  // namespace
}  // namespace cohort::testing
