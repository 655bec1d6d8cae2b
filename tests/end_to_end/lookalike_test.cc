// From a shop and an outside list to scores: generate --shop, half of its users as the customers, the other half as strangers of whom only
// attributes are known, and what became of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/csv_lines.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using LookalikeCells = std::vector<std::string>;

class Lookalike : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    const std::string shop = *folder_ / "shop";
    const Outcome made = RunProgram({Program(), "generate", "--shop", "--out", shop, "--users", "12000",
                                     "--items", "96", "--days", "300", "--seed", "5"});
    ASSERT_EQ(made.exit_code, 0) << made.all();
    // Users of odd numbers become strangers.
    const auto is_stranger = [](const std::string& user) { return (user.back() - '0') % 2 == 1; };
    for (const std::string file : {"users.csv", "events.csv", "campaigns.csv"}) {
      const std::string text = ReadFile(shop + "/" + file);
      std::string kept;
      for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = text.find('\n', begin) + 1;
        const std::string line = text.substr(begin, end - begin);
        const std::string user = line.substr(0, line.find(','));
        begin = end;
        if (kept.empty() || !is_stranger(user)) {
          kept += line;
          continue;
        }
        const LookalikeCells cells = CsvLines(line).front();
        if (file == "users.csv") strangers_[user] = cells;
        if (file == "events.csv" && cells[2] == "purchase")
          spent_[user] += std::stod(cells[4]) * std::stod(cells[5]);
      }
      folder_->Write("shop/" + file, kept);
    }
    const Outcome prepared =
        RunProgram({Program(), "prepare", shop + "/shop.toml", "--out", *folder_ / "shop.h5"});
    ASSERT_EQ(prepared.exit_code, 0) << prepared.all();
    std::string list = Header();
    for (const auto& [user, cells] : strangers_) list += Line(user);
    folder_->Write("list.csv", list);
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
    strangers_.clear(), spent_.clear();
  }

  // What somebody outside has: no sign-up, no cost; a column of behaviour, and one that is nobody's business.
  static std::string Header() { return "id,channel,region,device,age,gender,income,orders,phone\n"; }
  static std::string Line(const std::string& user) {
    const LookalikeCells& of = strangers_.at(user);
    return user + "," + of[2] + "," + of[4] + "," + of[5] + "," + of[6] + "," + of[7] + "," + of[8] +
           ",7,1\n";
  }
  static Outcome Score(const std::vector<std::string>& more, const std::string& out = "scored.csv",
                       const std::string& list = "list.csv") {
    std::vector<std::string> words = {Program(),       "lookalike", *folder_ / "shop.h5", "--prospects",
                                      *folder_ / list, "--out",     *folder_ / out,       "--overwrite",
                                      "--draws",       "200"};
    words.insert(words.end(), more.begin(), more.end());
    return RunProgram(words);
  }
  static std::string ErrorOf(const std::vector<std::string>& more, const std::string& list = "list.csv") {
    const Outcome outcome = Score(more, "refused.csv", list);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_FALSE(std::filesystem::exists(*folder_ / "refused.csv"));
    return outcome.err;
  }

  static TemporaryFolder* folder_;
  static inline std::map<std::string, LookalikeCells> strangers_;
  static inline std::map<std::string, double> spent_;
};
TemporaryFolder* Lookalike::folder_ = nullptr;

TEST_F(Lookalike, FindsStrangersWhoWillSpendMost) {
  const Outcome outcome = Score({"--seed-by", "revenue", "--cost", "acquisition_cost", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = json::parse(outcome.out);
  EXPECT_TRUE(result["distinguishes"].get<bool>());
  EXPECT_NEAR(result["wanted"]["share"].get<double>(), 0.1, 0.002);
  EXPECT_EQ(result["prospects"]["scored"], strangers_.size());
  EXPECT_EQ(result["prospects"]["customers"], 0);
  EXPECT_EQ(result["attributes"].size(), 6u);
  // By the shop's laws it is the channel and the income that matter.
  std::set<std::string> first_two;
  for (std::size_t i = 0; i < 2; ++i) {
    first_two.insert(result["attributes"][i]["column"].get<std::string>());
    EXPECT_GT(result["attributes"][i]["auc_lost"]["low"], 0);
  }
  EXPECT_EQ(first_two, (std::set<std::string>{"channel", "income"}));

  const std::vector<LookalikeCells> lines = CsvLines(ReadFile(*folder_ / "scored.csv"));
  ASSERT_EQ(lines.size(), strangers_.size() + 1);
  EXPECT_EQ(std::vector<std::string>(lines[0].begin(), lines[0].end() - 1),
            (LookalikeCells{"id", "score", "expected_value", "cost", "net", "rank", "decile"}));
  // First come those who are expected to be worth most less what they cost.
  double sum = 0, before = 1e300;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i][5], std::to_string(i));
    const double net = std::stod(lines[i][4]);
    EXPECT_NEAR(net, std::stod(lines[i][2]) - std::stod(lines[i][3]), 1e-4);
    EXPECT_LE(net, before + 1e-4);
    before = net, sum += std::stod(lines[i][1]);
  }
  EXPECT_NEAR(sum / static_cast<double>(strangers_.size()), 0.1, 0.015);
  EXPECT_EQ(lines[1][6], "1");
  EXPECT_EQ(lines.back()[6], "10");
  const json& by_net = result["best_tenth_by_net"];
  EXPECT_GT(by_net["net"]["low"].get<double>(), by_net["net_of_all"].get<double>());
  EXPECT_THAT(ReadFile(*folder_ / "scored.csv"), HasSubstr("raised by channel = referral (odds x "));
  // A friend's word costs less than an advertisement and brings more.
  const json& groups = result["by"]["groups"];
  ASSERT_EQ(groups.size(), 5u);
  EXPECT_EQ(groups[0]["name"], "referral");
  for (const json& group : groups) {
    EXPECT_NEAR(group["net"].get<double>(),
                group["expected_value"].get<double>() - group["cost"].get<double>(), 1e-6);
    if (group["name"] == "ads") {
      EXPECT_GT(group["cost"], groups[0]["cost"].get<double>() + 8);
    }
  }
  // Behaviour is not looked at, and all that is not used is named.
  const std::string warnings = result["warnings"].dump();
  EXPECT_THAT(warnings, HasSubstr("not used unless --attributes names them: orders"));
  EXPECT_THAT(warnings, HasSubstr("columns that are not used: phone"));

  // Words for people.
  const Outcome words = Score({"--seed-by", "revenue", "--report", *folder_ / "words.html"}, "words.csv");
  ASSERT_EQ(words.exit_code, 0) << words.all();
  for (const char* text : {"of them wanted (10.0 %): revenue of ", "on users that the model has not seen",
                           "wanted in the best tenth", "AUC lost when an attribute is not known:",
                           "by channel", "0 are customers already"})
    EXPECT_THAT(words.out, HasSubstr(text));
  EXPECT_THAT(words.out, Not(HasSubstr("worth their cost")));
  // Without costs they are in the order of their scores. What became of them: the first ones spend more, about as is said of users that
  // the model has not seen.
  const std::vector<LookalikeCells> by_score = CsvLines(ReadFile(*folder_ / "words.csv"));
  ASSERT_EQ(by_score.size(), strangers_.size() + 1);
  std::vector<double> truth;
  for (const auto& [user, cells] : strangers_) truth.push_back(spent_[user]);
  std::sort(truth.begin(), truth.end(), std::greater<>());
  const double least = truth[truth.size() / 10];
  double wanted_above = 0, others = 0, wanted_in_tenth = 0, wanted = 0, score_below = 0;
  for (std::size_t i = by_score.size() - 1; i >= 1; --i) {
    const bool is_wanted = spent_[by_score[i][0]] >= least;
    if (is_wanted) wanted_above += others, ++wanted;
    others += !is_wanted;
    wanted_in_tenth += is_wanted && by_score[i][4] == "1";
    const double score = std::stod(by_score[i][1]);
    EXPECT_GE(score, score_below - 1e-9);
    score_below = score;
  }
  const double auc = wanted_above / (wanted * others), said = result["auc"]["value"];
  EXPECT_GT(said, 0.57);
  EXPECT_NEAR(auc, said, 0.05);
  EXPECT_GT(wanted_in_tenth / static_cast<double>(strangers_.size() / 10), 0.13);
  const std::string page = ReadFile(*folder_ / "words.html");
  for (const char* text :
       {"<svg", "Wanted users", "revenue per user", "What it comes from", "<th>channel</th>"})
    EXPECT_THAT(page, HasSubstr(text));
}

TEST_F(Lookalike, SaysThatNothingDistinguishes) {
  // Only the region is known, and no law of the shop looks at it.
  std::string list = "id,region\n";
  for (const auto& [user, cells] : strangers_) list += user + "," + cells[4] + "\n";
  folder_->Write("region.csv", list);
  const Outcome outcome = Score({"--seed-by", "revenue", "--json"}, "region_scored.csv", "region.csv");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = json::parse(outcome.out);
  EXPECT_NEAR(result["auc"]["value"].get<double>(), 0.5, 0.04);
  EXPECT_FALSE(result["distinguishes"].get<bool>());
  EXPECT_THAT(result["warnings"].dump(),
              HasSubstr("nothing distinguishes the wanted users from others by these attributes"));
}

TEST_F(Lookalike, GivesTheSameBytesForAnyOrderAndKnowsItsCustomers) {
  // The list the other way round, with customers, repetitions, gaps and values of its own.
  std::vector<std::string> lines;
  for (const auto& [user, cells] : strangers_) {
    if (lines.size() == 3000) break;
    lines.push_back(Line(user));
  }
  lines.push_back(lines[5]);
  lines.push_back("n1,,north,app,,f,low,,\n");
  lines.push_back("n2,Referral,north,app,120,f,low,,\n");
  lines.push_back("n2,ads,north,app,120,f,low,,\n");        // "Referral" comes before it and stays
  lines.push_back("u00000002,ads,north,app,30,f,low,,\n");  // a customer
  lines.push_back(",ads,north,app,30,f,low,,\n");
  const auto score = [&](const std::string& name) {
    std::string list = Header();
    for (const std::string& line : lines) list += line;
    folder_->Write(name + ".in.csv", list);
    return Score({"--seed-by", "revenue", "--json"}, name, name + ".in.csv");
  };
  const Outcome first = score("first.csv");
  std::reverse(lines.begin(), lines.end());
  const Outcome second = score("second.csv");
  ASSERT_EQ(first.exit_code, 0) << first.all();
  ASSERT_EQ(second.exit_code, 0) << second.all();
  const std::string scored = ReadFile(*folder_ / "first.csv");
  EXPECT_EQ(scored == ReadFile(*folder_ / "second.csv"), true);
  json one = json::parse(first.out), two = json::parse(second.out);
  one.erase("out"), two.erase("out");
  EXPECT_EQ(one, two);
  EXPECT_EQ(one["prospects"]["records"], 3006);
  EXPECT_EQ(one["prospects"]["scored"], 3002);
  EXPECT_EQ(one["prospects"]["customers"], 1);
  EXPECT_EQ(one["prospects"]["repeated"], 2);
  EXPECT_EQ(one["prospects"]["contradicted"], 1);
  EXPECT_EQ(one["prospects"]["without_id"], 1);
  EXPECT_THAT(scored, Not(HasSubstr("\nu00000002,")));
  EXPECT_THAT(scored, HasSubstr("; not known: age, channel\""));
  const std::string warnings = one["warnings"].dump();
  EXPECT_THAT(warnings,
              HasSubstr(R"(channel: 1 prospects have a value that no user has, most often \"Referral\"; )"
                        R"(did you mean \"referral\"?)"));
  EXPECT_THAT(warnings, HasSubstr("channel: not known of 1 prospects"));
  EXPECT_THAT(warnings, HasSubstr("1 records repeat an id with other attributes"));
  EXPECT_THAT(warnings, HasSubstr(R"(the first such id is \"n2\")"));
  EXPECT_THAT(warnings, HasSubstr("age: 1 prospects are below or above all users (18 to "));
}

TEST_F(Lookalike, TakesWantedUsersByNameAndByPrediction) {
  // Those who were won by a friend: nothing but the channel tells them.
  std::string named = "user\n";
  std::size_t customers = 0;
  const std::vector<LookalikeCells> users = CsvLines(ReadFile((*folder_ / "shop") + "/users.csv"));
  for (std::size_t i = 1; i < users.size(); ++i) {
    if (users[i][2] != "referral") continue;
    named += users[i][0] + "\n";
    ++customers;
  }
  named += "stranger\n";
  folder_->Write("named.csv", named);
  const Outcome outcome = Score({"--seed-ids", *folder_ / "named.csv", "--json"}, "named.out.csv");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = json::parse(outcome.out);
  EXPECT_GT(result["auc"]["value"], 0.999);
  EXPECT_EQ(result["attributes"][0]["feature"], "user_channel");
  // Some signed up after the test snapshot.
  EXPECT_EQ(result["wanted"]["users"].get<std::size_t>() + result["wanted"]["not_found"].get<std::size_t>(),
            customers + 1);
  const std::vector<LookalikeCells> lines = CsvLines(ReadFile(*folder_ / "named.out.csv"));
  EXPECT_EQ(lines[0], (LookalikeCells{"id", "score", "rank", "decile", "reason"}));
  EXPECT_GT(std::stod(lines[1][1]), 0.95);
  EXPECT_EQ(strangers_.at(lines[1][0])[2], "referral");

  // A prediction of `cohort score`, here of the baseline.
  const Outcome fitted =
      RunProgram({Program(), "baseline", *folder_ / "shop.h5", "--out", *folder_ / "rfm.csv"});
  ASSERT_EQ(fitted.exit_code, 0) << fitted.all();
  const Outcome predicted = Score(
      {"--scores", *folder_ / "rfm.csv", "--seed-by", "value", "--top", "0.2", "--json"}, "predicted.csv");
  ASSERT_EQ(predicted.exit_code, 0) << predicted.all();
  EXPECT_NEAR(json::parse(predicted.out)["wanted"]["share"].get<double>(), 0.2, 0.005);
  EXPECT_THAT(ErrorOf({"--scores", *folder_ / "rfm.csv", "--seed-by", "values"}),
              HasSubstr("rfm.csv has no prediction of this name; did you mean \"value\"?"));
}

TEST_F(Lookalike, KnowsCustomersBehindPseudonyms) {
  const std::string shop = *folder_ / "hidden";
  std::filesystem::copy(*folder_ / "shop", shop, std::filesystem::copy_options::recursive);
  std::string description = ReadFile(shop + "/shop.toml");
  description.insert(description.find("[events]"), "user_key = \"users.key\"\n");
  folder_->Write("hidden/shop.toml", description);
  const Outcome prepared =
      RunProgram({Program(), "prepare", shop + "/shop.toml", "--out", *folder_ / "hidden.h5"});
  ASSERT_EQ(prepared.exit_code, 0) << prepared.all();
  std::string list = Header() + "u00000002,ads,north,app,30,f,low,,\n";
  for (const auto& [user, cells] : strangers_) list += Line(user);
  folder_->Write("hidden.list.csv", list);
  std::vector<std::string> words = {Program(),
                                    "lookalike",
                                    *folder_ / "hidden.h5",
                                    "--prospects",
                                    *folder_ / "hidden.list.csv",
                                    "--seed-by",
                                    "revenue",
                                    "--draws",
                                    "50",
                                    "--out",
                                    *folder_ / "hidden.csv",
                                    "--overwrite",
                                    "--json"};
  const Outcome blind = RunProgram(words);
  ASSERT_EQ(blind.exit_code, 0) << blind.all();
  EXPECT_EQ(json::parse(blind.out)["prospects"]["customers"], 0);
  EXPECT_THAT(json::parse(blind.out)["warnings"].dump(), HasSubstr("the dataset knows users by pseudonyms"));
  words.insert(words.end(), {"--shop", shop + "/shop.toml"});
  const Outcome seeing = RunProgram(words);
  ASSERT_EQ(seeing.exit_code, 0) << seeing.all();
  EXPECT_EQ(json::parse(seeing.out)["prospects"]["customers"], 1);
  EXPECT_THAT(json::parse(seeing.out)["warnings"].dump(), Not(HasSubstr("pseudonyms")));
}

TEST_F(Lookalike, RefusesWhatItCannotDo) {
  EXPECT_THAT(ErrorOf({}), HasSubstr("who is wanted? give --seed-by COLUMN"));
  EXPECT_THAT(
      ErrorOf({"--seed-by", "revenu"}),
      HasSubstr("--seed-by revenu: the dataset has no label (binary, regression, value or count) and no "
                "numeric feature of this name; did you mean \"revenue\"?"));
  EXPECT_THAT(ErrorOf({"--seed-by", "activation"}),
              HasSubstr("--seed-by activation: the dataset has no label"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue", "--top", "1.5"}),
              HasSubstr("--top 1.5: expected a share between 0 and 1"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue", "--top", "0.99"}),
              HasSubstr("--top 0.99: the best cannot be told by revenue, for only "));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue", "--top", "0.001"}), HasSubstr("expected at least 50 of both"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue", "--by", "user_age"}),
              HasSubstr("--by user_age: no categorical attribute that both sides have"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue", "--by", "channel"}),
              HasSubstr("did you mean \"user_channel\"?"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue", "--cost", "costs"}),
              HasSubstr("--cost costs: the dataset has no label"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue", "--attributes", "revenue,user_age"}),
              HasSubstr("--attributes names revenue, by which --seed-by chooses"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue", "--split", "tests"}),
              HasSubstr("expected train, valid or test"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue", "--data-dir", "."}), HasSubstr("--data-dir is for --shop"));
  EXPECT_THAT(ErrorOf({"--scores", "x.csv", "--seed-ids", "y.csv"}), HasSubstr("--scores is for --seed-by"));
  EXPECT_THAT(ErrorOf({"--seed-ids", folder_->Write("headless.csv", "u00000002\nu00000003\n")}),
              HasSubstr("headless.csv:1: \"u00000002\" is an id, where the header is expected"));
  folder_->Write("nobody.csv", "id\nsomebody\n");
  const std::string nobody = *folder_ / "nobody.csv";
  EXPECT_THAT(ErrorOf({"--seed-ids", nobody}), HasSubstr("0 wanted users and "));
  EXPECT_THAT(ErrorOf({"--seed-ids", nobody}), HasSubstr("(1 ids of the file are not in that split)"));
  EXPECT_THAT(ErrorOf({"--seed-ids", nobody, "--top", "0.1"}), HasSubstr("give one of them"));
  EXPECT_THAT(ErrorOf({"--seed-ids", nobody, "--cost", "acquisition_cost"}),
              HasSubstr("--cost is taken off a value: give --seed-by too"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue"}, "none.csv"),
              HasSubstr("none.csv: cannot open: No such file or directory\n"));
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue"}, "shop.h5"),
              HasSubstr("shop.h5:1:1: the file is HDF5, no text"));
  const std::string separated = "; the cells seem to be separated by \";\"; expected \",\"\n";
  const std::string semicolons = folder_->Write("semicolons.csv", "id;age\n1;20\n");
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue"}, "semicolons.csv"),
              HasSubstr("semicolons.csv:1: no column \"id\"" + separated));
  EXPECT_THAT(ErrorOf({"--seed-ids", semicolons}), HasSubstr("the ids do not stand alone" + separated));
  folder_->Write("bad.csv", "id,age\n1,20\n2,old\n");
  EXPECT_THAT(ErrorOf({"--seed-by", "revenue"}, "bad.csv"),
              HasSubstr("bad.csv:3:3: \"old\" is not a finite number"));
}

}  // namespace
}  // namespace cohort::testing
