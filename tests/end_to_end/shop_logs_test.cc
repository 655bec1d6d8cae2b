// A generated shop's logs all the way: generate --shop, prepare, train with the truth beside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(ShopLogs, FromTheLogsToAModelBesideTheTruth) {
  const TemporaryFolder folder;
  const std::string shop = folder / "shop";
  const Outcome made = RunProgram({Program(), "generate", "--shop", "--out", shop, "--users", "6000",
                                   "--items", "480", "--days", "300", "--seed", "2", "--json"});
  ASSERT_EQ(made.exit_code, 0) << made.all();
  const json summary = json::parse(made.out);
  EXPECT_EQ(summary["users"], 6000);
  EXPECT_GT(summary["events_per_second"].get<double>(), 0);
  EXPECT_LE(summary["policies"]["rfm"].get<double>(), 0.75 * summary["policies"]["oracle"].get<double>());
  const Outcome prepared =
      RunProgram({Program(), "prepare", shop + "/shop.toml", "--out", shop + "/shop.h5", "--strict"});
  ASSERT_EQ(prepared.exit_code, 0) << prepared.all();
  const Outcome trained = RunProgram(
      {Program(), "train", shop + "/run.toml", "--out", folder / "run", "--truth", shop + "/truth"},
      std::chrono::seconds(300));
  ASSERT_EQ(trained.exit_code, 0) << trained.all();
  EXPECT_THAT(trained.out, HasSubstr("gap closed"));
  const json reachable = json::parse(ReadFile((folder / "run") + "/best_reachable.json"));
  const json result = json::parse(ReadFile((folder / "run") + "/result.json"));
  EXPECT_EQ(result["status"], "done");
  ASSERT_EQ(result["tasks"].size(), 5u);
  // The model lies between the constant prediction and the best one, which knows the laws of the shop.
  const auto loss = [&](const char* predictor, const std::string& task) {
    for (const json& metrics : reachable[predictor]["splits"]["test"]) {
      if (metrics["name"] == task) return metrics["values"]["logloss"].get<double>();
    }
    ADD_FAILURE() << task;
    return 0.0;
  };
  for (const std::string task : {"churn", "purchase"}) {
    const double model = result["tasks"][task]["test"]["logloss"];
    const double best = loss("best", task), constant = loss("constant", task);
    EXPECT_LT(best, model) << task;
    EXPECT_LT(model, best + 0.4 * (constant - best)) << task;
  }
  const Outcome again = RunProgram({Program(), "generate", "--shop", "--out", shop, "--users", "10"});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_THAT(again.err, HasSubstr("--overwrite"));
  const Outcome table = RunProgram({Program(), "generate", "--null-effects", "--out", folder / "table"});
  EXPECT_EQ(table.exit_code, 2);
  EXPECT_THAT(table.err, HasSubstr("--shop"));
}

}  // namespace
}  // namespace cohort::testing
