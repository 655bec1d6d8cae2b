// A hazard task from the shop's customers to their scores: the true probabilities are known (`cohort generate`).
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

// By id: the columns NAME.1, NAME.2, ...
std::map<std::string, std::vector<double>> SharesOf(const std::string& path, const std::string& name) {
  std::istringstream lines(ReadFile(path));
  std::map<std::string, std::vector<double>> shares;
  std::vector<bool> wanted;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    std::string cell, id;
    std::vector<double> values;
    for (std::size_t c = 0; std::getline(cells, cell, ','); ++c) {
      if (c == 0) id = cell;
      if (id == "id") wanted.push_back(cell.rfind(name + ".", 0) == 0);
      if (id != "id" && wanted[c]) values.push_back(std::stod(cell));
    }
    if (id != "id") shares[id] = values;
  }
  return shares;
}

TEST(Hazard, IsLearntScoredAndTheSameHoweverItIsSpread) {
  TemporaryFolder folder;
  const auto run = [&](const Words& words) {
    Words command = {Program()};
    command.insert(command.end(), words.begin(), words.end());
    const Outcome outcome = RunProgram(command, std::chrono::seconds(180));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    return nlohmann::json::parse(outcome.out, nullptr, false);
  };
  const std::string examples = std::string(COHORT_SOURCE_DIR) + "/launch/examples/shop/";
  run({"generate", "--out", folder / "shop", "--users", "20000", "--seed", "3", "--json"});
  const auto prepared = run({"prepare", examples + "lifetime.toml", "--data-dir", folder / "shop", "--out",
                             folder / "lifetime.h5", "--json"});
  EXPECT_EQ(prepared["tasks"]["lifetime"]["train"]["hazards"].size(), 12u);

  const auto train = [&](const std::string& out, int servers, int workers, const Words& more = {}) {
    Words words = {"train",     examples + "run.toml",
                   "--out",     folder / out,
                   "--servers", std::to_string(servers),
                   "--workers", std::to_string(workers),
                   "--set",     "data=" + (folder / "lifetime.h5"),
                   "--set",     "train.epochs=10",
                   "--truth",   folder / "shop/truth",
                   "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  };
  const auto one = train("one", 1, 1);
  for (const auto& [servers, workers] : {std::pair(2, 3), std::pair(3, 4)}) {
    const auto other = train("s" + std::to_string(servers), servers, workers);
    EXPECT_EQ(other["model_hash"], one["model_hash"]) << servers;
    EXPECT_EQ(other["tasks"], one["tasks"]) << servers;
  }
  const auto& metrics = one["tasks"]["lifetime"]["test"];
  EXPECT_EQ(metrics["rows"], 1984) << "every customer is seen for a month at least";
  EXPECT_GT(metrics["auc"], 0.82);
  EXPECT_GT(metrics["c_index"], 0.8);
  EXPECT_EQ(metrics["periods"].size(), 12u);

  const auto evaluated = run({"evaluate", folder / "one", "--data", folder / "lifetime.h5", "--json"});
  EXPECT_EQ(evaluated["tasks"]["lifetime"]["test"], metrics);

  // The predictions of all twelve months lie within 0.075 of the truth on the average; the training shares are off by 0.2.
  run({"score", folder / "one", "--data", folder / "lifetime.h5", "--split", "test", "--out",
       folder / "s.csv", "--json"});
  const auto truth = SharesOf(folder / "shop/truth/expectations.csv", "lifetime"),
             scores = SharesOf(folder / "s.csv", "lifetime");
  ASSERT_EQ(scores.size(), metrics["rows"]);
  double distance = 0, constant = 0;
  const auto& hazards = prepared["tasks"]["lifetime"]["train"]["hazards"];
  for (const auto& [id, shares] : scores) {
    ASSERT_EQ(shares.size(), 12u);
    double left = 0;
    for (std::size_t k = 0; k < 12; ++k) {
      EXPECT_GE(shares[k], k > 0 ? shares[k - 1] : 0.0);
      EXPECT_LE(shares[k], 1);
      left += (1 - left) * hazards[k].get<double>();
      distance += std::fabs(shares[k] - truth.at(id)[k]) / 12 / static_cast<double>(scores.size());
      constant += std::fabs(left - truth.at(id)[k]) / 12 / static_cast<double>(scores.size());
    }
  }
  EXPECT_LT(distance, 0.075);
  EXPECT_GT(constant, 0.2);
  RecordProperty("distance", std::to_string(distance));
  RecordProperty("constant", std::to_string(constant));

  // A run that starts from this one takes the task's weights over; every kind trains it.
  train("warm", 1, 2, {"--from", folder / "one", "--set", "train.epochs=1"});
  for (const std::string kind : {"single", "shared_bottom", "ple"}) {
    const auto other = train(
        kind, 1, 2,
        {"--set", "model.kind=" + kind, "--set", "train.balance=uncertainty", "--set", "train.epochs=1"});
    EXPECT_GT(other["tasks"]["lifetime"]["test"]["auc"], 0.7) << kind;
  }
  const Outcome chain = RunProgram(
      {Program(), "train", examples + "run.toml", "--out", folder / "esmm", "--set",
       "data=" + (folder / "lifetime.h5"), "--set", "model.kind=esmm", "--set", "model.chain=[\"lifetime\"]"},
      std::chrono::seconds(60));
  EXPECT_EQ(chain.exit_code, 2);
  EXPECT_NE(chain.all().find("esmm multiplies the probabilities of binary tasks"), std::string::npos)
      << chain.all();
}

}  // namespace
}  // namespace cohort::testing
