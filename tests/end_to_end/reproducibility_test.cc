// BSP runs give the same model, byte for byte, however the work is spread (DESIGN 2.2).
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

std::string HashOf(const std::string& out, int servers, int workers,
                   const std::vector<std::string>& more = {}) {
  const ShopRun& shop = ShopRun::Get();
  const Outcome outcome = shop.Train(out, servers, workers, more);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  const auto result = shop.Result(out);
  return result.is_object() ? result.value("model_hash", "no hash in " + out) : "no result of " + out;
}

TEST(Reproducibility, WorkersAndServersDoNotChangeTheModel) {
  const std::string one = HashOf("one", 1, 1);
  EXPECT_EQ(HashOf("w3s2", 2, 3), one);
  EXPECT_EQ(HashOf("w8s3", 3, 8), one);
  EXPECT_EQ(HashOf("shards", 1, 2, {"--set", "cluster.shards_per_server=3"}), one);
  EXPECT_NE(HashOf("seed", 1, 2, {"--set", "seed=2"}), one);
  EXPECT_NE(HashOf("slices", 1, 2, {"--set", "train.slices=1"}), one);  // another sum
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
