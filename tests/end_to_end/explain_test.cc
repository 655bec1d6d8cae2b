// `cohort explain` on a trained model: shares sum to what `cohort score` predicts, and are put down to the features that matter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/csv_lines.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Explain : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const Outcome trained = ShopRun::Get().Train("explained", 2, 2);
    ASSERT_EQ(trained.exit_code, 0) << trained.all();
  }
  const ShopRun& shop_ = ShopRun::Get();
  const std::string run_ = shop_.folder() / "explained";
};

TEST_F(Explain, SharesSumToTheScore) {
  const std::string scores = shop_.folder() / "explained.csv", shares = shop_.folder() / "shares.csv";
  const Outcome scored =
      RunProgram({Program(), "score", run_, "--data", shop_.dataset(), "--split", "test", "--out", scores});
  ASSERT_EQ(scored.exit_code, 0) << scored.all();
  const Outcome explained = RunProgram(
      {Program(), "explain", run_, "--data", shop_.dataset(), "--rows", "24", "--out", shares, "--json"});
  ASSERT_EQ(explained.exit_code, 0) << explained.all();
  const json result = json::parse(explained.out);
  EXPECT_LE(result["furthest_sum"].get<double>(), 1e-3);

  const auto score_lines = CsvLines(ReadFile(scores)), share_lines = CsvLines(ReadFile(shares));
  std::map<std::string, std::map<std::string, double>> predicted;  // id, output
  for (std::size_t i = 1; i < score_lines.size(); ++i) {
    for (std::size_t c = 1; c < score_lines[i].size(); ++c)
      predicted[score_lines[i][0]][score_lines[0][c]] = std::stod(score_lines[i][c]);
  }
  struct Sum {
    double prediction = 0, baseline = 0, shares = 0;
  };
  std::map<std::pair<std::string, std::string>, Sum> sums;
  for (std::size_t i = 1; i < share_lines.size(); ++i) {
    const auto& line = share_lines[i];
    Sum& sum = sums[{line[0], line[2]}];
    sum.prediction = std::stod(line[3]), sum.baseline = std::stod(line[4]), sum.shares += std::stod(line[7]);
  }
  EXPECT_EQ(sums.size(), result["rows_and_outputs"].get<std::size_t>());
  EXPECT_GE(sums.size(), 24u);
  for (const auto& [key, sum] : sums) {
    const double scale = std::max({1.0, std::abs(sum.prediction), std::abs(sum.baseline)});
    EXPECT_NEAR(sum.prediction, predicted.at(key.first).at(key.second), 1e-4 * scale) << key.first;
    EXPECT_NEAR(sum.shares, sum.prediction - sum.baseline, 1e-3 * scale) << key.first << " " << key.second;
  }
}

TEST_F(Explain, ReasonsOfOneUser) {
  const std::string id = CsvLines(ReadFile(shop_.folder() / "explained.csv")).at(1).at(0);
  const Outcome explained =
      RunProgram({Program(), "explain", run_, "--data", shop_.dataset(), "--user", id, "--top", "3"});
  ASSERT_EQ(explained.exit_code, 0) << explained.all();
  EXPECT_THAT(explained.out, HasSubstr(id + ", row 0 of test: "));
  EXPECT_THAT(explained.out, HasSubstr("where the average input has"));
  EXPECT_THAT(explained.out, HasSubstr(" others"));
  // A category in words.
  std::map<std::string, std::string> channels;
  for (const auto& line : CsvLines(ReadFile(shop_.folder() / "shares.csv"))) {
    if (line[5] == "channel") channels[line[6]] = line[0];
  }
  EXPECT_GT(channels.size(), 2u);
  EXPECT_EQ(channels.count(""), 0u);
}

TEST_F(Explain, SaysWhatIsWrong) {
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> command = {Program(), "explain", run_, "--data", shop_.dataset()};
    command.insert(command.end(), more.begin(), more.end());
    return RunProgram(command);
  };
  const Outcome nobody = run({"--user", "nobody"});
  EXPECT_EQ(nobody.exit_code, 2);
  EXPECT_THAT(nobody.err, HasSubstr("nobody"));
  const Outcome output = run({"--output", "purchas"});
  EXPECT_EQ(output.exit_code, 2);
  EXPECT_THAT(output.err, HasSubstr("purchas"));
  const Outcome folder = run({"--out", shop_.folder() / "none/shares.csv"});
  EXPECT_EQ(folder.exit_code, 2);
  EXPECT_THAT(folder.err, HasSubstr("folder"));
  EXPECT_EQ(run({"--split", "tset"}).exit_code, 2);
}

}  // namespace
}  // namespace cohort::testing
