// What training offers beside the plain loop: clipping, early stopping, warm starts; through the programs.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

using nlohmann::json;

json Trained(const std::string& out, int servers, int workers, const Words& more) {
  const ShopRun& shop = ShopRun::Get();
  const Outcome outcome = shop.Train(out, servers, workers, more);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  return shop.Result(out);
}

std::string VerifiedHash(const std::string& run) {
  const Outcome outcome =
      RunProgram({Program(), "verify", ShopRun::Get().folder() / run, "--json"}, std::chrono::seconds(60));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  return json::parse(outcome.out, nullptr, false).value("hash", "none");
}

TEST(Training, ClipsTheSameSlicesHoweverTheWorkIsSpread) {
  const Words more = Set({"train.clip_norm=0.5", "train.epochs=1"});
  const json one = Trained("clip11", 1, 1, more), other = Trained("clip23", 2, 3, more);
  EXPECT_GT(one["counts"]["clipped_gradients"], 0);
  EXPECT_EQ(one["counts"]["clipped_gradients"], other["counts"]["clipped_gradients"]);
  EXPECT_EQ(one["model_hash"], other["model_hash"]);
  EXPECT_EQ(Trained("unclipped", 1, 2, Set({"train.epochs=1"}))["counts"]["clipped_gradients"], 0);
}

// The kept model is the very model of a run that ends after the best epoch.
TEST(Training, EarlyStoppingKeepsTheModelOfTheBestEpoch) {
  const Words fast = {"optimizer.dense.learning_rate=0.05", "optimizer.embedding.learning_rate=0.5"};
  Words options = fast;
  options.insert(options.end(), {"train.epochs=20", "train.early_stopping=2"});
  const json result = Trained("stopped", 2, 2, Set(options));
  ASSERT_TRUE(result.contains("early_stopping")) << result.dump();
  const json& stopping = result["early_stopping"];
  const std::size_t best = stopping["best_epoch"];
  ASSERT_LT(result["epochs"].size(), 20u) << "it overfits long before";
  EXPECT_EQ(result["epochs"].size(), best + 3);
  EXPECT_EQ(stopping["ended"], "2 epochs without improvement");
  for (const auto& [task, metrics] : result["tasks"].items()) {
    for (const auto& [metric, value] : result["epochs"].at(best).at("valid").at(task).items())
      EXPECT_EQ(metrics.at("valid").at(metric), value) << task << " " << metric;
    EXPECT_TRUE(metrics.contains("test"));
  }
  EXPECT_EQ(VerifiedHash("stopped"), result["model_hash"]);
  Words plain = fast;
  plain.push_back("train.epochs=" + std::to_string(best + 1));
  const json same = Trained("best", 1, 3, Set(plain));
  EXPECT_EQ(same["model_hash"], result["model_hash"]);
  EXPECT_EQ(same["tasks"], result["tasks"]);
}

TEST(Training, AWarmStartContinuesWhereTheFormerRunEnded) {
  const ShopRun& shop = ShopRun::Get();
  const json former = Trained("former", 2, 1, {});
  Words still = Set({"train.epochs=0"});
  still.insert(still.end(), {"--from", shop.folder() / "former"});
  const json same = Trained("still", 1, 2, still);
  EXPECT_EQ(same["model_hash"], former["model_hash"]);
  EXPECT_EQ(same["tasks"], former["tasks"]);
  EXPECT_FALSE(std::filesystem::exists(shop.folder() / "still/warm"));

  Words on = Set({"train.epochs=1", "task.churned.enabled=true"});  // a task comes
  on.insert(on.end(), {"--from", shop.folder() / "former/model"});
  const json one = Trained("on11", 1, 1, on), other = Trained("on23", 2, 3, on);
  EXPECT_EQ(one["model_hash"], other["model_hash"]);
  EXPECT_NE(one["model_hash"], former["model_hash"]);
  EXPECT_TRUE(one["tasks"].contains("churned"));
}

TEST(Training, AWarmStartThatDoesNotFitSaysWhy) {
  const ShopRun& shop = ShopRun::Get();
  Trained("short", 1, 1, Set({"train.epochs=0"}));
  const auto refused = [&](const std::string& out, Words more, const std::string& why) {
    more.insert(more.end(), {"--from", shop.folder() / "short"});
    const Outcome outcome = shop.Train(out, 1, 1, more);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_NE(outcome.all().find(why), std::string::npos) << outcome.all();
  };
  refused("narrow", Set({"model.embedding_dim=4"}),
          "model.embedding_dim is 4, but 8 in the model to start from");
  refused("short", {"--overwrite"}, "which this run replaces");
  EXPECT_EQ(VerifiedHash("short").size(), 32u) << "the former model is still there";
}

TEST(Training, ARunReplacesNothingThatItReads) {
  const ShopRun& shop = ShopRun::Get();
  const Words fast = Set({"train.epochs=0"});
  Trained("own", 1, 1, fast);
  const std::string run = shop.folder() / "own", inner = run + "/model/d.h5";
  std::filesystem::copy_file(shop.dataset(), inner);
  Words words = Set({"train.epochs=0", "data=" + inner});
  words.push_back("--overwrite");
  const Outcome refused = shop.Train("own", 1, 1, words);
  EXPECT_EQ(refused.exit_code, 2) << refused.all();
  EXPECT_NE(refused.err.find(inner + " would be removed"), std::string::npos) << refused.err;
  EXPECT_TRUE(std::filesystem::exists(inner));

  // Its own run file is kept as somebody has written it.
  std::string text = ReadFile(shop.run_file());
  text = "# mine\n" + text.replace(text.find("shop.h5"), 7, "../shop.h5");
  shop.folder().Write("own/run.toml", text);
  words = {Program(),   "train", run + "/run.toml", "--out", run, "--overwrite",
           "--servers", "1",     "--workers",       "1"};
  words.insert(words.end(), fast.begin(), fast.end());
  for (const bool again : {false, true}) {
    const Outcome outcome = RunProgram(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    EXPECT_EQ(outcome.err.find("run.toml is kept as " + run + "/run.toml.1") == std::string::npos, again)
        << outcome.err;
    EXPECT_EQ(ReadFile(run + "/run.toml.1"), text);
    EXPECT_EQ(ReadFile(run + "/run.toml").find("# mine"), std::string::npos);
  }
}

TEST(Training, EarlyStoppingNeedsAnEvaluationOfEachEpoch) {
  const Outcome outcome =
      ShopRun::Get().Train("blind", 1, 1, Set({"train.early_stopping=1", "train.evaluate_each_epoch=false"}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.all().find("train.evaluate_each_epoch is false"), std::string::npos) << outcome.all();
}

}  // namespace
}  // namespace cohort::testing
