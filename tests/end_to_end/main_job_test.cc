// The main job as a user runs it: train under mpirun, evaluate, score, verify, export, report.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include "common/random.h"
#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

using nlohmann::json;

// Trained once for all tests of this file.
const json& TrainedResult() {
  static const json result = [] {
    const ShopRun& shop = ShopRun::Get();
    const Outcome outcome = shop.Train("run", 2, 2, {"--json"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    EXPECT_FALSE(json::parse(outcome.out, nullptr, false).is_discarded())
        << "stdout is not one JSON object: " << outcome.out;
    return shop.Result("run");
  }();
  return result;
}

TEST(MainJob, TrainWritesItsResult) {
  const json& result = TrainedResult();
  ASSERT_TRUE(result.is_object());
  EXPECT_EQ(result.value("status", ""), "done");
  for (const char* field : {"tasks", "samples_per_second", "seconds", "steps", "model_hash", "pushes",
                            "counts", "traffic_bytes", "peak_memory_bytes"}) {
    EXPECT_TRUE(result.contains(field)) << field;
  }
  EXPECT_EQ(result["pushes"]["lost"], 0);
  EXPECT_EQ(result["pushes"]["rolled_back"], 0);
  EXPECT_GT(result["pushes"]["acknowledged"], 0);
  EXPECT_EQ(result["tasks"].size(), 4u);  // churned is left out
  EXPECT_FALSE(result["tasks"].contains("churned"));
  for (const char* metric : {"auc", "logloss", "accuracy", "precision", "recall", "f1", "ece", "rows"}) {
    EXPECT_TRUE(result["tasks"]["purchased"]["test"].contains(metric)) << metric;
  }
  for (const char* metric : {"mse", "mae", "r2", "spearman", "gini", "total_ratio", "rows"}) {
    EXPECT_TRUE(result["tasks"]["value"]["valid"].contains(metric)) << metric;
  }
  EXPECT_GT(result["tasks"]["purchased"]["test"]["auc"].get<double>(),
            0.55);  // it learned something in one epoch
  EXPECT_TRUE(std::filesystem::exists((ShopRun::Get().folder() / "run") + "/metrics.jsonl"));
}

TEST(MainJob, EvaluateAgreesWithTrain) {
  const json& trained = TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  const Outcome outcome = RunProgram(
      {Program(), "evaluate", shop.folder() / "run", "--data", shop.dataset(), "--split", "test", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json evaluated = json::parse(outcome.out);
  for (const auto& [task, splits] : trained["tasks"].items()) {
    EXPECT_EQ(evaluated["tasks"][task]["test"], splits["test"]) << task;
  }
}

TEST(MainJob, ScoresAreInInputOrderAndTheSameBytesForAnyNumberOfWorkers) {
  TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  std::string first;
  for (const char* workers : {"1", "2", "4"}) {
    for (const std::string format : {"csv", "h5"}) {
      const std::string out = shop.folder() / ("scores-" + std::string(workers) + "." + format);
      const Outcome outcome = RunProgram({Program(), "score", shop.folder() / "run", "--data", shop.dataset(),
                                          "--out", out, "--split", "test", "--workers", workers});
      ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
      if (std::string(workers) != "1") {
        EXPECT_EQ(ReadFile(out), ReadFile(shop.folder() / ("scores-1." + format)))
            << workers << " workers, " << format;
      }
    }
  }
  const std::string csv = ReadFile(shop.folder() / "scores-1.csv");
  std::istringstream lines(csv);
  std::string header, line;
  std::getline(lines, header);
  EXPECT_EQ(header.rfind("id,", 0), 0u) << header;
  EXPECT_NE(header.find("purchased"), std::string::npos);
  EXPECT_NE(header.find("activation."), std::string::npos) << "a column per class: " << header;
  std::vector<std::string> ids;
  while (std::getline(lines, line)) ids.push_back(line.substr(0, line.find(',')));
  EXPECT_EQ(static_cast<std::uint64_t>(ids.size()), TrainedResult()["tasks"]["purchased"]["test"]["rows"]);
  // Input order: the ids of the source file, less those of other splits.
  std::istringstream source(ReadFile((shop.folder() / "data") + "/customers.csv"));
  std::getline(source, header);
  std::size_t at = 0;
  while (std::getline(source, line) && at < ids.size()) at += line.substr(0, line.find(',')) == ids[at];
  EXPECT_EQ(at, ids.size()) << "ids are not in input order";
}

// Impressions of users, some of whose rows lie in the leases of two workers.
TEST(MainJob, GroupsAreRankedTheSameForAnyNumberOfWorkers) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, std::uint64_t seed, int users) {
    std::string text = "user,item,x,click\n";
    RandomStream random(seed);
    for (int user = 0; user < users; ++user) {
      const auto rows = 1 + random.Below(20);
      for (std::uint64_t i = 0; i < rows; ++i) {
        const std::uint64_t item = random.Below(30);
        const double x = random.Uniform();
        const bool click = random.Uniform() < 0.1 + 0.3 * x + (item % 5 == 0 ? 0.3 : 0);
        text += "u" + std::to_string(user) + ",i" + std::to_string(item) + "," + std::to_string(x) + "," +
                (click ? "1" : "0") + "\n";
      }
    }
    folder.Write(name, text);
  };
  write("train.csv", 1, 500), write("valid.csv", 2, 300), write("test.csv", 3, 600);
  folder.Write("schema.toml", R"([source]
files = ["train.csv"]
[split]
valid_files = ["valid.csv"]
test_files = ["test.csv"]
[group]
column = "user"
[[feature]]
name = "item"
type = "categorical"
[[feature]]
name = "x"
type = "numeric"
[[task]]
name = "click"
type = "binary"
)");
  folder.Write("run.toml", R"(data = "d.h5"
[model]
embedding_dim = 4
expert_layers = [8]
tower_layers = [8]
[train]
epochs = 10
batch_size = 256
[optimizer.dense]
learning_rate = 0.01
[evaluation]
top = [3]
)");
  Outcome outcome = RunProgram({Program(), "prepare", folder / "schema.toml", "--out", folder / "d.h5"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  json first;
  for (const std::string workers : {"1", "2", "4"}) {
    outcome = RunProgram({Program(), "train", folder / "run.toml", "--out", folder / ("run" + workers),
                          "--workers", workers, "--json"},
                         std::chrono::seconds(180));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
    const json tasks = json::parse(outcome.out)["tasks"];
    if (first.is_null()) first = tasks;
    EXPECT_EQ(tasks, first) << workers << " workers";
  }
  const json& test = first["click"]["test"];
  EXPECT_EQ(test["groups"], 600);
  EXPECT_GT(test["gauc"], 0.55);
  EXPECT_FALSE(first["click"]["train"].contains("gauc"));
  // The valid split's threshold, applied to all.
  EXPECT_EQ(test["best_threshold"], first["click"]["valid"]["best_threshold"]);
  EXPECT_GE(first["click"]["valid"]["f1_best"], first["click"]["valid"]["f1"]);

  // HR@3 and MRR from the scores, as the definitions say.
  outcome = RunProgram({Program(), "score", folder / "run2", "--data", folder / "d.h5", "--split", "test", "--out",
                        folder / "scores.csv"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  std::istringstream scores(ReadFile(folder / "scores.csv")), rows(ReadFile(folder / "test.csv"));
  std::string score, row;
  std::getline(scores, score), std::getline(rows, row);
  std::map<std::string, std::vector<std::pair<double, int>>> users;
  while (std::getline(scores, score) && std::getline(rows, row)) {
    users[row.substr(0, row.find(','))].emplace_back(-std::stod(score.substr(score.find(',') + 1)),
                                                     row.back() == '1');
  }
  EXPECT_EQ(users.size(), 600u);
  double hits = 0, reciprocal = 0, judged = 0;
  for (auto& [user, impressions] : users) {
    std::sort(impressions.begin(), impressions.end());  // of equal scores the negatives first
    const auto clicked = [](const std::pair<double, int>& impression) { return impression.second != 0; };
    if (std::all_of(impressions.begin(), impressions.end(), clicked)) continue;  // nothing to order
    for (std::size_t i = 0; i < impressions.size(); ++i) {
      if (impressions[i].second == 0) continue;
      hits += i < 3;
      reciprocal += 1 / static_cast<double>(i + 1);
      judged += 1;
      break;
    }
  }
  EXPECT_NEAR(test["hr@3"].get<double>(), hits / judged, 1e-12);
  EXPECT_NEAR(test["mrr"].get<double>(), reciprocal / judged, 1e-12);

  // `evaluate` takes the threshold from the model.
  outcome = RunProgram({Program(), "evaluate", folder / "run4", "--data", folder / "d.h5", "--split", "test",
                        "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["tasks"]["click"]["test"], test);

  outcome = RunProgram({Program(), "report", folder / "run2", "--out", folder / "report.html"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const std::string page = ReadFile(folder / "report.html");
  for (const char* part : {"GAUC", "ndcg@3", "Lift by decile", "At the threshold of the best F1"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
}

TEST(MainJob, AModelIsJudgedAsTheKindThatItIs) {
  TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  for (const std::string other : {"model.kind=single", "model.experts=2", "task.purchased.enabled=false"}) {
    const Outcome outcome =
        RunProgram({Program(), "evaluate", shop.folder() / "run", "--data", shop.dataset(), "--set", other});
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_NE(outcome.err.find("not what the model was trained with"), std::string::npos) << outcome.all();
  }
}

TEST(MainJob, VerifyTellsTheHashOfTheRun) {
  const json& trained = TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  const Outcome outcome = RunProgram({Program(), "verify", (shop.folder() / "run") + "/model", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json verified = json::parse(outcome.out);
  EXPECT_EQ(verified["hash"], trained["model_hash"]);
  EXPECT_GT(verified["rows"], 0);
}

TEST(MainJob, InspectAndDiffTellOfTheModel) {
  const json& trained = TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  const std::string run = shop.folder() / "run";
  Outcome outcome = RunProgram({Program(), "inspect", run, "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json model = json::parse(outcome.out);
  EXPECT_EQ(model["kind"], "model");
  EXPECT_EQ(model["hash"], trained["model_hash"]);
  std::uint64_t rows = 0;
  for (const json& table : model["tables"]) rows += table["rows"].get<std::uint64_t>();
  EXPECT_EQ(model["rows"], rows);
  for (const json& part : model["parts"]) EXPECT_EQ(part["check"], "ok");
  outcome = RunProgram({Program(), "inspect", run, "--table", "dense", "--key", "0", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["weights"].size(), 256u);
  EXPECT_EQ(json::parse(outcome.out)["state"]["m"].size(), 256u);
  outcome = RunProgram({Program(), "diff", run, run + "/model"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
}

TEST(MainJob, VerifyFindsAFlippedBit) {
  TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  const std::string copy = shop.folder() / "damaged-model";
  std::filesystem::copy((shop.folder() / "run") + "/model", copy, std::filesystem::copy_options::recursive);
  for (const auto& entry : std::filesystem::directory_iterator(copy)) {
    if (entry.path().extension() != ".h5") continue;
    std::string bytes = ReadFile(entry.path());
    bytes[bytes.size() * 3 / 4] ^= 1;
    std::ofstream(entry.path(), std::ios::binary) << bytes;
    const Outcome outcome = RunProgram({Program(), "verify", copy});
    EXPECT_EQ(outcome.exit_code, 1) << outcome.all();
    EXPECT_NE(outcome.all().find(entry.path().filename().string()), std::string::npos) << outcome.all();
    bytes[bytes.size() * 3 / 4] ^= 1;
    std::ofstream(entry.path(), std::ios::binary) << bytes;
  }
}

TEST(MainJob, ExportWritesTablesAndDenseWeights) {
  TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  for (const auto& [name, table] :
       {std::pair("all.h5", ""), std::pair("dense.csv", "dense"), std::pair("rows.csv", "embedding")}) {
    const std::string out = shop.folder() / name;
    std::vector<std::string> command = {Program(), "export", shop.folder() / "run", "--out", out};
    if (*table != '\0') command.insert(command.end(), {"--table", table});
    const Outcome outcome = RunProgram(command);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
    EXPECT_GT(std::filesystem::file_size(out), 1000u) << name;
  }
}

// The rows of raw values are found by the values' names.
TEST(MainJob, ExportFindsNamedValues) {
  TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  const std::string values =
      shop.folder().Write("values.csv", "feature,value\nchannel,search\nchannel,nobody has this\n");
  const std::string out = shop.folder() / "named.csv";
  const Outcome outcome = RunProgram(
      {Program(), "export", shop.folder() / "run", "--out", out, "--table", "embedding", "--values", values});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_NE(ReadFile(out).find("search"), std::string::npos) << ReadFile(out);
  const Outcome again = RunProgram({Program(), "export", shop.folder() / "run", "--out", out});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.err.find("--overwrite"), std::string::npos) << again.err;
}

TEST(MainJob, ReportIsOneSelfContainedPage) {
  TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  const std::string page = shop.folder() / "report.html";
  const Outcome outcome = RunProgram({Program(), "report", shop.folder() / "run", "--out", page});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const std::string html = ReadFile(page);
  EXPECT_NE(html.find("<svg"), std::string::npos);
  EXPECT_EQ(html.find("src=\"http"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  const Outcome again = RunProgram({Program(), "report", shop.folder() / "run", "--out", page});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.err.find("--overwrite"), std::string::npos) << again.err;
}

TEST(MainJob, ARunFolderThatExistsIsRefused) {
  TrainedResult();
  const Outcome outcome = ShopRun::Get().Train("run", 1, 1);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.err.find("--overwrite"), std::string::npos) << outcome.err;
}

TEST(MainJob, TheModelRestoresOntoAnyNumberOfServers) {
  const json& trained = TrainedResult();
  const ShopRun& shop = ShopRun::Get();
  for (const char* servers : {"1", "3"}) {
    const Outcome outcome = RunProgram({Program(), "evaluate", shop.folder() / "run", "--data",
                                        shop.dataset(), "--split", "test", "--servers", servers, "--json"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
    const json evaluated = json::parse(outcome.out);
    EXPECT_EQ(evaluated["tasks"]["value"]["test"], trained["tasks"]["value"]["test"]) << servers;
    EXPECT_EQ(evaluated["model_hash"], trained["model_hash"]);
    EXPECT_EQ(evaluated["model_rows"], trained["model_rows"]);
    EXPECT_NE(outcome.all().find("counts: "), std::string::npos) << outcome.all();
  }
}

}  // namespace
}  // namespace cohort::testing
