// BSP runs give the same model, byte for byte, however the work is spread (DESIGN 2.2).
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

// The highest value of a member's counter in a run.
std::uint64_t MostOf(const std::string& run, const std::string& counter) {
  std::uint64_t most = 0;
  std::istringstream lines(ReadFile((ShopRun::Get().folder() / run) + "/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto sample = nlohmann::json::parse(line);
    for (const auto& member : sample["members"])
      most = std::max(most, member.value(counter, std::uint64_t{0}));
  }
  return most;
}

TEST(Reproducibility, WorkersAndServersDoNotChangeTheModel) {
  const std::string one = HashOf("one", 1, 1);
  EXPECT_EQ(HashOf("w3s2", 2, 3), one);
  EXPECT_EQ(HashOf("w8s3", 3, 8), one);
  EXPECT_EQ(HashOf("shards", 1, 2, {"--set", "cluster.shards_per_server=3"}), one);
  EXPECT_NE(HashOf("seed", 1, 2, {"--set", "seed=2"}), one);
  EXPECT_NE(HashOf("slices", 1, 2, {"--set", "train.slices=1"}), one);  // another sum
}

// With everything that draws by chance or looks at a gradient's length.
TEST(Reproducibility, EveryStructureGivesTheSameModelHoweverItIsSpread) {
  for (const std::string kind : {"single", "shared_bottom", "mmoe", "ple", "esmm", "aitm"}) {
    const std::string compute = kind == "ple" || kind == "single" ? "bfloat16" : "float32";
    const Words more = Set({"model.kind=" + kind, "model.compute=" + compute, "model.linear=true",
                            "model.dropout=0.1", "model.embedding_dropout=0.1", "train.clip_norm=0.5",
                            "train.epochs=1", "task.churned.enabled=true"});
    const std::string one = HashOf(kind + "11", 1, 1, more);
    EXPECT_GT(ShopRun::Get().Result(kind + "11")["counts"]["clipped_gradients"], 0) << kind;
    EXPECT_EQ(HashOf(kind + "23", 2, 3, more), one) << kind;
    EXPECT_EQ(HashOf(kind + "34", 3, 4, more), one) << kind;
  }
}

TEST(Reproducibility, TowersAndTheirDrawnItemsAreTheSameHoweverTheyAreSpread) {
  for (const std::string loss : {"logistic", "softmax"}) {
    Words more = {"model.kind=two_tower",
                  "two_tower.item=['referrer', 'channel']",
                  "two_tower.loss=" + loss,
                  "two_tower.sampling=" + std::string(loss == "softmax" ? "frequency" : "uniform"),
                  "two_tower.user_layers=[16, 8]",
                  "two_tower.negatives=3",
                  "model.embedding_dropout=0.1",
                  "train.clip_norm=0.5",
                  "train.epochs=1"};
    for (const std::string task : {"acquisition_cost", "activation", "value"})
      more.push_back("task." + task + ".enabled=false");
    const std::string one = HashOf("towers11" + loss, 1, 1, Set(more));
    for (const int workers : {1, 2, 4}) {
      for (const int servers : {1, 2, 3}) {
        if (workers * servers == 1) continue;
        const std::string name = "towers" + std::to_string(workers) + std::to_string(servers) + loss;
        EXPECT_EQ(HashOf(name, servers, workers, Set(more)), one) << name;
      }
    }
    more.push_back("two_tower.skip_own_item=false");
    EXPECT_NE(HashOf("own" + loss, 1, 2, Set(more)), one);
  }
}

// Few rows stay in memory, the others lie on disk; the model does not tell, nor do evaluation and scores.
TEST(Reproducibility, RowsOnDiskDoNotChangeTheModel) {
  const ShopRun& shop = ShopRun::Get();
  const std::string disk = shop.folder() / "disk";
  std::filesystem::create_directory(disk);
  const std::vector<std::string> tier = {"--set", "tier.path=" + disk, "--set", "tier.max_bytes=4096"};
  EXPECT_EQ(HashOf("on-disk", 1, 2, tier), HashOf("in-memory", 2, 1));
  EXPECT_GT(MostOf("on-disk", "rows_read"), 100u);
  const auto evaluate = [&](const std::string& run) {
    const Outcome outcome =
        RunProgram({Program(), "evaluate", shop.folder() / run, "--data", shop.dataset(), "--json"},
                   std::chrono::seconds(120));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    return nlohmann::json::parse(outcome.out, nullptr, false)["tasks"];
  };
  EXPECT_EQ(evaluate("on-disk"), evaluate("in-memory"));
  EXPECT_TRUE(std::filesystem::is_empty(disk));
}

// A disk of one segment takes some of the rows; the others stay in memory. The run says so, and its model has all of them.
TEST(Reproducibility, AFullDiskChangesNothingAndIsTold) {
  const ShopRun& shop = ShopRun::Get();
  const std::vector<std::string> wide = {"--set", "model.embedding_dim=64"};
  std::vector<std::string> tier = wide;
  tier.insert(tier.end(), {"--set", "tier.path=" + (shop.folder() / ""), "--set", "tier.max_bytes=4096",
                           "--set", "tier.max_disk_bytes=1100000"});
  EXPECT_EQ(HashOf("full-disk", 1, 1, tier), HashOf("no-tier", 1, 1, wide));
  const auto result = shop.Result("full-disk");
  EXPECT_EQ(result["pushes"]["lost"], 0);
  EXPECT_GT(MostOf("full-disk", "rows_read"), 100u) << "some rows lay on disk";
  ASSERT_EQ(result["warnings"].size(), 1u) << result["warnings"];
  const std::string warning = result["warnings"][0];
  for (const std::string& part : std::vector<std::string>{"shard 0", "tier.path", shop.folder() / "",
                                                          "tier.max_disk_bytes", "stay in memory"})
    EXPECT_NE(warning.find(part), std::string::npos) << warning;
}

TEST(Reproducibility, LaunchedByHandTheHashIsTheSame) {
  const ShopRun& shop = ShopRun::Get();
  const std::string out = shop.folder() / "by-hand";
  std::vector<std::string> command = {"mpirun", "--enable-recovery", "--oversubscribe", "--bind-to", "none"};
  if (geteuid() == 0) command.push_back("--allow-run-as-root");
  for (const std::string& part :
       {std::string("-np"), std::string("1"), Program("cohort-scheduler"), std::string("--config"),
        shop.run_file(), std::string("--out"), out, std::string(":"), std::string("-np"), std::string("2"),
        Program("cohort-server"), std::string("--config"), shop.run_file(), std::string(":"),
        std::string("-np"), std::string("3"), Program("cohort-worker"), std::string("--config"),
        shop.run_file()}) {
    command.push_back(part);
  }
  const Outcome outcome = RunProgram(command, std::chrono::seconds(120));
  EXPECT_FALSE(outcome.timed_out);
  const auto result = shop.Result("by-hand");
  ASSERT_TRUE(result.is_object()) << outcome.all();
  EXPECT_EQ(result.value("status", ""), "done") << result.dump();
  EXPECT_EQ(result.value("model_hash", ""), HashOf("by-train", 2, 3));
}

TEST(Consistency, TowersTrainInSspAndAsp) {
  const ShopRun& shop = ShopRun::Get();
  for (const std::string consistency : {"ssp", "asp"}) {
    const Outcome outcome = shop.Train(
        "towers-" + consistency, 2, 3,
        Set({"train.consistency=" + consistency, "model.kind=two_tower", "two_tower.item=['referrer']",
             "two_tower.user_layers=[8]", "task.acquisition_cost.enabled=false",
             "task.activation.enabled=false", "task.value.enabled=false"}));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
    EXPECT_EQ(shop.Result("towers-" + consistency)["pushes"]["lost"], 0);
  }
}

TEST(Consistency, SspAndAspTrainToo) {
  const ShopRun& shop = ShopRun::Get();
  for (const std::string consistency : {"ssp", "asp"}) {
    const Outcome outcome = shop.Train(
        consistency, 2, 3, {"--set", "train.consistency=" + consistency, "--set", "train.epochs=6"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
    const auto result = shop.Result(consistency);
    EXPECT_EQ(result["pushes"]["lost"], 0);
    EXPECT_GT(result["tasks"]["purchased"]["test"]["auc"].get<double>(), 0.55);
  }
}

}  // namespace
}  // namespace cohort::testing
