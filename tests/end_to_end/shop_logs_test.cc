// A generated shop's logs all the way: generate --shop, prepare, train with the truth beside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/csv_lines.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// Profiles of the users of a trained shop: stages beside the true ones, tiers that stay, predictions with intervals.
void Profile(const std::string& shop, const std::string& run) {
  for (const std::string split : {"test", "valid"}) {
    const Outcome scored = RunProgram({Program(), "score", run, "--data", shop + "/shop.h5", "--split", split,
                                       "--out", shop + "/" + split + ".csv"});
    ASSERT_EQ(scored.exit_code, 0) << scored.all();
  }
  const auto profile = [&](const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> command = {Program(), "profile",        shop + "/shop.h5",
                                        "--out",   shop + "/" + out, "--json"};
    command.insert(command.end(), more.begin(), more.end());
    return RunProgram(command);
  };
  const Outcome made =
      profile("profiles.csv", {"--scores", shop + "/test.csv", "--calibrate", shop + "/valid.csv",
                               "--tier-by", "value", "--tiers", "gold=40,silver=10"});
  ASSERT_EQ(made.exit_code, 0) << made.all();
  const json result = json::parse(made.out);
  EXPECT_EQ(result["segments"].size(), 6u);
  EXPECT_GT(result["calibrated"]["churn"].get<int>(), 1000);
  const std::vector<std::vector<std::string>> lines = CsvLines(ReadFile(shop + "/profiles.csv"));
  const auto column = [&](const char* name) {
    return static_cast<std::size_t>(std::find(lines[0].begin(), lines[0].end(), name) - lines[0].begin());
  };
  const std::size_t stage = column("stage"), tier = column("tier"), value = column("value"),
                    low = column("churn.low"), churn = column("churn"), high = column("churn.high"),
                    channel = column("user_channel");
  ASSERT_LT(channel, lines[0].size());
  std::map<std::string, std::string> truth;
  for (const std::vector<std::string>& line : CsvLines(ReadFile(shop + "/truth/moments.csv")))
    truth[line[0]] = line[2];                        // the latest is that of the test snapshot
  std::map<std::string, std::pair<int, int>> found;  // by true stage: found right, all
  std::set<std::string> channels;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string>& line = lines[i];
    auto& [right, all] = found[truth.at(line[0])];
    right += line[stage] == truth.at(line[0]), ++all;
    channels.insert(line[channel]);
    EXPECT_LE(std::stod(line[low]), std::stod(line[churn]));
    EXPECT_LE(std::stod(line[churn]), std::stod(line[high]));
    const double worth = std::stod(line[value]);
    EXPECT_EQ(line[tier], worth >= 40 ? "gold" : worth >= 10 ? "silver" : "") << worth;
  }
  double balanced = 0;
  for (const auto& [name, counts] : found) balanced += 1.0 * counts.first / counts.second / found.size();
  EXPECT_EQ(found.size(), 4u);
  EXPECT_GE(balanced, 0.85);
  EXPECT_THAT(channels, ::testing::Contains("search"));
  const Outcome grouped =
      profile("grouped.csv", {"--scores", shop + "/test.csv", "--calibrate", shop + "/valid.csv", "--groups",
                              "user_channel,user_gender", "--report", shop + "/profiles.html"});
  ASSERT_EQ(grouped.exit_code, 0) << grouped.all();
  const json groups = json::parse(grouped.out)["groups"]["user_channel"];
  EXPECT_EQ(groups.size(), 5u);
  std::size_t users = 0;
  for (const json& group : groups) {
    users += group["users"].get<std::size_t>();
    const json& off = group["came_minus_expected"]["purchase"];
    EXPECT_NEAR(off[0].get<double>(), 0, 5 * (off[2].get<double>() - off[0].get<double>())) << group;
  }
  EXPECT_EQ(users, lines.size() - 1);
  const std::string page = ReadFile(shop + "/profiles.html");
  for (const char* text : {"stages of life", "segment 6", "user_gender", "came less expected", "search"})
    EXPECT_THAT(page, HasSubstr(text));
  // Two users on the page, with what the other commands say of them.
  const std::string user = lines[1][0], other = lines[2][0];
  const Outcome explained = RunProgram({Program(), "explain", run, "--data", shop + "/shop.h5", "--user",
                                        user + "," + other, "--out", shop + "/shares.csv"});
  ASSERT_EQ(explained.exit_code, 0) << explained.all();
  std::ofstream(shop + "/lists.csv") << "user,rank,item,score,reason\n"
                                     << user << ",1,a<b,0.5,\"as \"\"x\"\", bought\"\n";
  std::ofstream(shop + "/acts.csv") << "id,action,expected_gain,cost,reason\n"
                                    << user << ",gift,3.25,1,adds 4.25 to 2\n";
  const std::vector<std::string> show = {
      "--scores", shop + "/test.csv",      "--calibrate", shop + "/valid.csv", "--overwrite",
      "--report", shop + "/profiles.html", "--show",      user + "," + other};
  std::vector<std::string> files = show;
  files.insert(files.end(), {"--reasons", shop + "/shares.csv", "--lists", shop + "/lists.csv", "--actions",
                             shop + "/acts.csv"});
  const Outcome shown = profile("shown.csv", files);
  ASSERT_EQ(shown.exit_code, 0) << shown.all();
  const std::string users_page = ReadFile(shop + "/profiles.html");
  for (const std::string& text :
       {"<h3>" + user + "</h3>", "<h3>" + other + "</h3>", "<b>" + lines[1][stage] + "</b><span>stage</span>",
        std::string("where the average input has"), std::string("a&lt;b"),
        std::string("as &quot;x&quot;, bought"), std::string("adds 4.25 to 2"),
        std::string("<td class=\"words\">gift</td>")})
    EXPECT_THAT(users_page, HasSubstr(text));
  EXPECT_THAT(json::parse(shown.out)["warnings"].dump(), HasSubstr("acts.csv has no line of user"));

  // The night after: who was gold stays so a little below.
  const Outcome later =
      profile("later.csv", {"--scores", shop + "/test.csv", "--calibrate", shop + "/valid.csv", "--tier-by",
                            "value", "--tiers", "gold=42,silver=10", "--former", shop + "/profiles.csv"});
  ASSERT_EQ(later.exit_code, 0) << later.all();
  EXPECT_EQ(json::parse(later.out)["tiers"]["gold"], result["tiers"]["gold"]);

  const auto refused = [&](const std::vector<std::string>& more, const std::string& words) {
    const Outcome outcome = profile("refused.csv", more);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(words));
  };
  refused({"--scores", shop + "/valid.csv"}, "score the same dataset with --split test");
  refused({"--tier-by", "value"}, "--tier-by and --tiers go together");
  refused({"--tier-by", "revenu", "--tiers", "gold=5"}, "did you mean \"revenue\"");
  refused({"--tier-by", "revenue", "--tiers", "gold"}, "NAME=NUMBER");
  refused({"--by", "order"}, "did you mean \"orders\"");
  refused({"--calibrate", shop + "/valid.csv"}, "--scores");
  refused({"--tier-by", "revenue", "--tiers", "gold=5", "--former", shop + "/test.csv"},
          "no column \"tier\"");
  refused({"--groups", "user_chanel"}, "did you mean \"user_channel\"");
  refused({"--split", "tset"}, "tset");
  refused({"--show", user}, "--show is for --report");
  refused({"--lists", shop + "/lists.csv"}, "for the users of --show");
  refused({"--report", shop + "/refused.html", "--show", "nobody"}, "--show nobody: the test split of");
  refused({"--report", shop + "/refused.html", "--show", user, "--lists", shop + "/acts.csv"},
          "no column \"user\"");
  EXPECT_FALSE(std::filesystem::exists(shop + "/refused.csv"));
}

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
  const Outcome prepared = RunProgram({Program(), "prepare", shop + "/shop.toml", "--out", shop + "/shop.h5",
                                       "--report", shop + "/life.html", "--strict", "--json"});
  ASSERT_EQ(prepared.exit_code, 0) << prepared.all();
  const json life = json::parse(prepared.out)["lifecycle"];
  ASSERT_EQ(life["funnel"].size(), 5u);
  EXPECT_EQ(life["funnel"][0]["users"], 6000);
  EXPECT_GT(life["funnel"][3]["users"], life["funnel"][4]["users"]);
  EXPECT_GT(life["moves"]["users"]["active"]["lost"], 0);
  const std::string page = ReadFile(shop + "/life.html");
  for (const char* text : {"How far users came", "Who stayed", "Who moved", "not there yet", "6,000"})
    EXPECT_THAT(page, HasSubstr(text));
  const auto refused = [&](const std::vector<std::string>& more, const std::string& words) {
    std::vector<std::string> command = {Program(), "prepare", shop + "/shop.toml", "--out",
                                        shop + "/again.h5"};
    command.insert(command.end(), more.begin(), more.end());
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(words));
    EXPECT_FALSE(std::filesystem::exists(shop + "/again.h5"));
  };
  refused({"--report", shop + "/life.html"}, "exists");
  refused({"--report", shop + "/again.h5"}, "are the same file");
  refused({"--report", shop + "/events.csv", "--overwrite"}, "one of the inputs");
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
  Profile(shop, folder / "run");
  const Outcome again = RunProgram({Program(), "generate", "--shop", "--out", shop, "--users", "10"});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_THAT(again.err, HasSubstr("--overwrite"));
  const Outcome table = RunProgram({Program(), "generate", "--null-effects", "--out", folder / "table"});
  EXPECT_EQ(table.exit_code, 2);
  EXPECT_THAT(table.err, HasSubstr("--shop"));
}

}  // namespace
}  // namespace cohort::testing
