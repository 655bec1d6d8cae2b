// Runs whose features have embedding dimensions and optimizers of their own, from the run file to scores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Four tables: the usual one, "channel"'s, "referrer"'s, and "age"'s bins.
const Words kMixed = {"feature.channel.embedding_dim=4", "feature.referrer.embedding_dim=12",
                      "feature.referrer.optimizer.kind=adam", "feature.referrer.optimizer.learning_rate=0.01",
                      "feature.age.optimizer.learning_rate=0.2"};

std::string MixedHash(const std::string& out, int servers, int workers, const Words& options) {
  Words all = kMixed;
  all.insert(all.end(), options.begin(), options.end());
  return HashOf(out, servers, workers, Set(all));
}

Outcome RunCohort(Words command) {
  command.insert(command.begin(), Program());
  return RunProgram(command, std::chrono::seconds(120));
}

TEST(MixedTables, TheModelIsTheSameHoweverItIsSpread) {
  const ShopRun& shop = ShopRun::Get();
  const Words chance = {"model.dropout=0.1", "model.embedding_dropout=0.1", "train.clip_norm=0.5",
                        "train.epochs=2"};
  const std::string one = MixedHash("mixed11", 1, 1, chance);
  EXPECT_GT(shop.Result("mixed11")["counts"]["clipped_gradients"], 0);
  for (const int workers : {1, 2, 4}) {
    for (const int servers : {1, 2, 3}) {
      if (workers * servers == 1) continue;
      const std::string name = "mixed" + std::to_string(workers) + std::to_string(servers);
      EXPECT_EQ(MixedHash(name, servers, workers, chance), one) << name;
    }
  }
  const std::string disk = shop.folder() / "mixed-disk";
  std::filesystem::create_directory(disk);
  Words tier = chance;
  tier.insert(tier.end(), {"tier.path=" + disk, "tier.max_bytes=8192"});
  EXPECT_EQ(MixedHash("mixed-tier", 1, 2, tier), one);
  Words other = chance;
  other.push_back("feature.age.optimizer.learning_rate=0.1");
  EXPECT_NE(MixedHash("mixed-rate", 1, 2, other), one);
}

TEST(MixedTables, AModelIsVerifiedExportedEvaluatedAndStartedFrom) {
  const ShopRun& shop = ShopRun::Get();
  const std::string hash = MixedHash("mixed", 2, 2, {}), run = shop.folder() / "mixed";
  const auto result = shop.Result("mixed");
  EXPECT_GT(result["tasks"]["purchased"]["test"]["auc"].get<double>(), 0.55);

  const auto verified = nlohmann::json::parse(RunCohort({"verify", run, "--json"}).out, nullptr, false);
  EXPECT_EQ(verified["hash"], hash);
  Words names;
  std::vector<int> dims;
  for (const auto& table : verified["tables"]) names.push_back(table["name"]), dims.push_back(table["dim"]);
  EXPECT_EQ(names.size(), 5u) << verified;
  EXPECT_EQ(names[1], "embedding");
  EXPECT_EQ(dims[1], 8);

  const std::string csv = shop.folder() / "referrer.csv";
  const Outcome whole = RunCohort({"export", run, "--out", csv});
  EXPECT_EQ(whole.exit_code, 2) << whole.all();
  EXPECT_THAT(whole.all(), HasSubstr("embedding.referrer"));
  const Outcome exported = RunCohort({"export", run, "--out", csv, "--table", "embedding.referrer"});
  EXPECT_EQ(exported.exit_code, 0) << exported.all();

  const Outcome evaluated =
      RunCohort({"evaluate", run, "--data", shop.dataset(), "--split", "test", "--json"});
  EXPECT_EQ(evaluated.exit_code, 0) << evaluated.all();
  const auto tasks = nlohmann::json::parse(evaluated.out, nullptr, false)["tasks"];
  EXPECT_EQ(tasks["purchased"]["test"]["auc"], result["tasks"]["purchased"]["test"]["auc"]);
  const Outcome changed =
      RunCohort({"evaluate", run, "--data", shop.dataset(), "--set", "feature.channel.embedding_dim=5"});
  EXPECT_EQ(changed.exit_code, 2) << changed.all();
  EXPECT_THAT(changed.all(), HasSubstr("[feature.NAME]: not what the model was trained with"));

  // Nothing changed, and a rate: the former model to begin with.
  const Words from = {"--from", run, "--set", "train.epochs=0"};
  Words same = Set(kMixed);
  same.insert(same.end(), from.begin(), from.end());
  EXPECT_EQ(shop.Train("mixed-again", 1, 1, same).exit_code, 0);
  EXPECT_EQ(shop.Result("mixed-again")["model_hash"], hash);
  same.insert(same.end(), {"--set", "feature.channel.embedding_dim=5"});
  const Outcome wider = shop.Train("mixed-wider", 1, 1, same);
  EXPECT_EQ(wider.exit_code, 2) << wider.all();
  EXPECT_THAT(wider.all(), HasSubstr("feature.channel.embedding_dim is 5, but 4 in the model to start from"));
}

TEST(MixedTables, TowersTakeOptimizersButNoWidths) {
  const ShopRun& shop = ShopRun::Get();
  Words towers = {"model.kind=two_tower",
                  "two_tower.item=['referrer', 'channel']",
                  "two_tower.user_layers=[16, 8]",
                  "two_tower.item_layers=[8]",
                  "two_tower.negatives=3",
                  "train.epochs=1",
                  "feature.channel.optimizer.learning_rate=0.3"};
  for (const std::string task : {"acquisition_cost", "activation", "value"})
    towers.push_back("task." + task + ".enabled=false");
  std::string hash;
  for (const int workers : {1, 3}) {
    const std::string name = "mixed-towers" + std::to_string(workers);
    const Outcome outcome = shop.Train(name, workers, workers, Set(towers));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
    if (hash.empty()) hash = shop.Result(name)["model_hash"];
    EXPECT_EQ(shop.Result(name)["model_hash"], hash);
  }
  towers.push_back("feature.age.embedding_dim=4");
  const Outcome refused = shop.Train("mixed-towers", 1, 1, Set(towers));
  EXPECT_EQ(refused.exit_code, 2) << refused.all();
  EXPECT_THAT(refused.all(), HasSubstr("feature.age.embedding_dim is 4 and model.embedding_dim 8"));
}

TEST(MixedTables, BadSectionsAreRefusedBeforeAnythingStarts) {
  const ShopRun& shop = ShopRun::Get();
  const auto refused = [&](const std::string& option) {
    const Outcome outcome = shop.Train("mixed-bad", 1, 1, Set({option}));
    EXPECT_EQ(outcome.exit_code, 2) << option << outcome.all();
    return outcome.all();
  };
  EXPECT_THAT(refused("feature.chanel.embedding_dim=4"),
              HasSubstr("[feature.chanel]: the dataset has no such feature; did you mean \"channel\"?"));
  EXPECT_THAT(refused("feature.channel.embedding_dim=0"),
              HasSubstr("expected a whole number from 1 to 1024"));
  EXPECT_THAT(refused("feature.channel.embedding_dim=65537"),
              HasSubstr("expected a whole number from 1 to 1024"));
  EXPECT_THAT(refused("feature.sessions.embedding_dim=4"),
              HasSubstr("[feature.sessions]: it is a number without bins, which has no embedding"));
  EXPECT_THAT(refused("feature.channel.optimizer.kind=adma"), HasSubstr("did you mean \"adam\"?"));
}

}  // namespace
}  // namespace cohort::testing
