// From a shop's campaign to decisions: generate --shop, prepare campaign.toml, uplift, strategy; limits that hold in actions.csv, and what is
// said of bad input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/csv_lines.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Cells = std::vector<std::string>;

class Strategy : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    const std::string shop = *folder_ / "shop";
    const Outcome made = RunProgram({Program(), "generate", "--shop", "--out", shop, "--users", "3000",
                                     "--items", "96", "--days", "300", "--seed", "4"});
    ASSERT_EQ(made.exit_code, 0) << made.all();
    const Outcome prepared = RunProgram(
        {Program(), "prepare", shop + "/campaign.toml", "--out", *folder_ / "campaign.h5", "--strict"});
    ASSERT_EQ(prepared.exit_code, 0) << prepared.all();
    // What the shop's files do not have: stages, consent and contacts, by the user's place in the file.
    std::string people = "user,stage,email_ok,region\n", contacts = "user,time,arm\n";
    const std::vector<Cells> users = CsvLines(ReadFile(shop + "/users.csv"));
    for (std::size_t i = 1; i < users.size(); ++i) {
      people += users[i][0] + "," + (i % 3 == 0 ? "new" : "active") + "," + (i % 4 == 0 ? "no" : "yes") +
                "," + users[i][4] + "\n";
      if (i % 10 == 0) contacts += users[i][0] + ",2024-09-20,email\n" + users[i][0] + ",2024-09-25,coupon\n";
      if (i % 10 == 1)
        contacts +=
            users[i][0] + ",2024-08-01,email\n" + users[i][0] + ",2024-09-25,coupon\n";  // one is too old
      if (i % 10 == 2) contacts += users[i][0] + ",2024-09-25,none\n" + users[i][0] + ",2024-09-26,none\n";
      people_[users[i][0]] = i;
      regions_[users[i][0]] = users[i][4];
    }
    folder_->Write("people.csv", people);
    folder_->Write("contacts.csv", contacts);
    folder_->Write("strategy.key", "nobody guesses this one\n");
    folder_->Write("other.key", "and nobody guesses that one\n");
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static std::string Actions() {
    return R"(data = "campaign.h5"
budget = 160
holdout = 0.1
exploration = 0.05
key_file = "strategy.key"
seed = 1
[experiment]
arm = "campaign_arm"
control = "none"
outcome = "campaign_outcome"
without = ["contacts", "contacts_7d", "contacts_30d", "contacts_90d", "contact_recency_days", "last_arm"]
[users]
file = "people.csv"
id = "user"
stage = "stage"
group = "region"
[fairness]
least_ratio = 0.9
[contacts]
file = "contacts.csv"
user = "user"
time = "time"
arm = "arm"
ignore = ["none"]
now = "2024-09-27"
within_days = 14
most = 2
[[action]]
name = "email"
cost = 0.1
consent = "email_ok"
[[action]]
name = "coupon"
cost = 1.5
cap = 60
stages = ["active"]
[[action]]
name = "present"
arm = "gift"
cost = 3
cap = 9
)";
  }
  // With each pair's first text replaced by its second one.
  static std::string Changed(std::string text,
                             const std::vector<std::pair<std::string, std::string>>& changes) {
    for (const auto& [from, to] : changes) {
      const std::size_t at = text.find(from);
      EXPECT_NE(at, text.npos) << from;
      if (at != text.npos) text.replace(at, from.size(), to);
    }
    return text;
  }
  static Outcome Decide(const std::string& actions, const std::string& out,
                        const std::map<std::string, std::string>& environment = {}) {
    return RunProgram({Program(), "strategy", folder_->Write("actions.toml", actions), "--out",
                       *folder_ / out, "--overwrite", "--json"},
                      std::chrono::seconds(120), environment);
  }
  // Users by a word with which their reason begins.
  static std::set<std::string> Those(const std::vector<Cells>& lines, const std::string& word) {
    std::set<std::string> users;
    for (const Cells& line : lines) {
      if (line.at(4).rfind(word, 0) == 0) users.insert(line[0]);
    }
    return users;
  }

  static TemporaryFolder* folder_;
  static inline std::map<std::string, std::size_t> people_;
  static inline std::map<std::string, std::string> regions_;
};
TemporaryFolder* Strategy::folder_ = nullptr;

TEST_F(Strategy, EffectsOfACampaign) {
  const auto uplift = [&](const std::string& out, const std::string& seed) {
    return RunProgram({Program(),
                       "uplift",
                       *folder_ / "campaign.h5",
                       "--arm",
                       "campaign_arm",
                       "--control",
                       "none",
                       "--outcome",
                       "campaign_outcome",
                       "--cost",
                       "email=0.1",
                       "--cost",
                       "coupon=1.5",
                       "--cost",
                       "gift=3",
                       "--target",
                       "coupon=0.3",
                       "--splits",
                       "2",
                       "--draws",
                       "100",
                       "--seed",
                       seed,
                       "--out",
                       *folder_ / out,
                       "--report",
                       *folder_ / (out + ".html"),
                       "--json"});
  };
  const Outcome first = uplift("effects.csv", "1");
  ASSERT_EQ(first.exit_code, 0) << first.all();
  const json result = json::parse(first.out);
  EXPECT_GT(result["rows"].get<int>(), 1000);
  EXPECT_GT(result["left_out"].get<int>(), 1000);  // the rows of the time when actions are chosen
  for (const auto& [name, policy] : result["policies"].items()) {
    for (const char* estimator : {"ips", "snips", "dr"}) {
      const json& value = policy[estimator];
      EXPECT_LT(value["mean_low"], value["mean"]) << name;
      EXPECT_GT(value["mean_high"], value["mean"]) << name;
    }
  }
  EXPECT_EQ(result["policies"]["nobody"]["dr_over_nobody"]["mean"], 0);
  EXPECT_EQ(result["targets"][0]["arm"], "coupon");
  EXPECT_EQ(result["curves"]["gift"]["predicted effect"]["gain_by_percent"].size(), 101u);
  const json& random = result["targets"][0]["random"];
  EXPECT_EQ(result["targets"][0]["comparable"].get<bool>(), 2 * random["above"].get<int>() > 2);
  const std::string page = ReadFile(*folder_ / "effects.csv.html");
  for (const char* text :
       {"<svg", "email, Qini curves", "gift, Qini curves", "at random", "Qini coefficient"})
    EXPECT_THAT(page, HasSubstr(text));
  const std::vector<Cells> lines = CsvLines(ReadFile(*folder_ / "effects.csv"));
  EXPECT_EQ(lines[0], (Cells{"id", "outcome.none", "effect.email", "effect.coupon", "effect.gift"}));
  EXPECT_EQ(lines.size(), result["left_out"].get<std::size_t>() + 1);
  // The same bytes again, and of another seed others.
  const Outcome again = uplift("again.csv", "1");
  EXPECT_EQ(ReadFile(*folder_ / "effects.csv"), ReadFile(*folder_ / "again.csv"));
  const json repeated = json::parse(again.out);
  EXPECT_EQ(repeated["policies"], result["policies"]);
  ASSERT_EQ(uplift("other.csv", "2").exit_code, 0);
  EXPECT_NE(ReadFile(*folder_ / "effects.csv"), ReadFile(*folder_ / "other.csv"));
}

TEST_F(Strategy, EveryLimitHolds) {
  const Outcome decided = Decide(Actions(), "actions.csv", {{"OMP_NUM_THREADS", "1"}});
  ASSERT_EQ(decided.exit_code, 0) << decided.all();
  const json result = json::parse(decided.out);
  std::vector<Cells> lines = CsvLines(ReadFile(*folder_ / "actions.csv"));
  EXPECT_EQ(lines[0], (Cells{"id", "action", "expected_gain", "cost", "reason"}));
  lines.erase(lines.begin());
  ASSERT_EQ(lines.size(), result["users"].get<std::size_t>());

  double cost = 0, gain = 0;
  std::map<std::string, int> counts, of_group, sizes;
  std::set<std::string> seen;
  for (const Cells& line : lines) {
    ASSERT_EQ(line.size(), 5u);
    const std::string &id = line[0], &action = line[1], &reason = line[4];
    EXPECT_TRUE(seen.insert(id).second) << id << " is there twice";
    const std::size_t place = people_.at(id);
    ++sizes[regions_.at(id)];
    cost += std::stod(line[3]);
    if (action.empty()) {
      EXPECT_EQ(line[3], "0");
      continue;
    }
    ++counts[action];
    EXPECT_NE(reason, "control group");
    EXPECT_NE(place % 10, 0u) << id << " was contacted twice already";
    EXPECT_FALSE(action == "email" && place % 4 == 0) << id << " did not agree";
    EXPECT_FALSE(action == "coupon" && place % 3 == 0) << id << " is not in its stage";
    if (reason.rfind("exploration", 0) == 0) continue;
    EXPECT_GT(std::stod(line[2]), -0.005);  // two decimals of something above 0
    gain += std::stod(line[2]);
    ++of_group[regions_.at(id)];
  }
  EXPECT_LE(cost, 160 + 1e-6);
  EXPECT_GT(cost, 80);  // the budget is what is short
  EXPECT_LE(counts["coupon"], 60);
  EXPECT_LE(counts["present"], 9);
  EXPECT_GT(counts["email"], 0);
  EXPECT_NEAR(gain, result["gain"].get<double>(), 0.005 * static_cast<double>(lines.size()));
  EXPECT_LE(result["gain"].get<double>(), result["bound"].get<double>());
  EXPECT_NEAR(cost, result["cost"].get<double>() + result["exploration_cost"].get<double>(), 1e-6);
  // Fair in whole numbers, for every pair of groups.
  ASSERT_EQ(result["groups"].size(), sizes.size());
  for (const auto& [one, size_of_one] : sizes) {
    EXPECT_EQ(result["groups"][one], (json{of_group[one], size_of_one}));
    for (const auto& [other, size_of_other] : sizes)
      EXPECT_GE(of_group[one] * size_of_other, 0.9 * of_group[other] * size_of_one)
          << one << " and " << other;
  }
  EXPECT_TRUE(result["measured"]);
  EXPECT_TRUE(result["evidence"]["the strategy"]["dr"]["over_nobody"].is_array());
  EXPECT_TRUE(result["evidence"]["the strategy"]["snips"]["over_nobody"].is_array());

  // About a tenth is the control group: the same users for ever, whatever is drawn or spent, until the key is another.
  const std::set<std::string> held = Those(lines, "control group"), explored = Those(lines, "exploration");
  EXPECT_EQ(held.size(), result["held"].get<std::size_t>());
  EXPECT_NEAR(static_cast<double>(held.size()) / static_cast<double>(lines.size()), 0.1, 0.025);
  EXPECT_GT(explored.size(), lines.size() / 50);
  const auto decide_otherwise = [&](const std::vector<std::pair<std::string, std::string>>& changes) {
    const Outcome other = Decide(Changed(Actions(), changes), "other_actions.csv");
    EXPECT_EQ(other.exit_code, 0) << other.all();
    return CsvLines(ReadFile(*folder_ / "other_actions.csv"));
  };
  const std::vector<Cells> later =
      decide_otherwise({{"seed = 1", "seed = 2"}, {"budget = 160", "budget = 90"}});
  EXPECT_EQ(Those(later, "control group"), held);
  EXPECT_NE(Those(later, "exploration"), explored);
  EXPECT_NE(Those(decide_otherwise({{"strategy.key", "other.key"}}), "control group"), held);
}

TEST_F(Strategy, TheSameBytesAgain) {
  const Outcome one = Decide(Actions(), "one.csv", {{"OMP_NUM_THREADS", "1"}, {"OPENBLAS_NUM_THREADS", "1"}});
  const Outcome two = Decide(Actions(), "two.csv", {{"OMP_NUM_THREADS", "2"}, {"OPENBLAS_NUM_THREADS", "2"}});
  ASSERT_EQ(one.exit_code, 0) << one.all();
  EXPECT_EQ(one.out, two.out);
  EXPECT_EQ(ReadFile(*folder_ / "one.csv"), ReadFile(*folder_ / "two.csv"));
}

TEST_F(Strategy, WithoutAnExperimentEffectsAreAssumedAndSaidToBe) {
  std::string scores = "id,churn,value\n";
  for (const auto& [user, place] : people_) scores += user + ",0.5," + std::to_string(place % 50) + "\n";
  folder_->Write("scores.csv", scores);
  const std::string actions =
      "data = \"campaign.h5\"\n[rules]\nscores = \"scores.csv\"\nrisk = \"churn\"\nvalue = \"value\"\n"
      "[[action]]\nname = \"call\"\ncost = 1\nassumed = 0.2\ncap = 100\n";
  const Outcome decided = Decide(actions, "rules.csv");
  ASSERT_EQ(decided.exit_code, 0) << decided.all();
  EXPECT_FALSE(json::parse(decided.out)["measured"]);
  EXPECT_THAT(decided.err, HasSubstr("ASSUMED, not measured"));
  // The call saves 0.2 x 0.5 x value: above its cost of 1 for values above 10; the highest first.
  std::multiset<double> called, left;
  for (const Cells& line : CsvLines(ReadFile(*folder_ / "rules.csv"))) {
    if (line[0] == "id") continue;
    const double gain = 0.1 * static_cast<double>(people_.at(line[0]) % 50) - 1;
    (line[1].empty() ? left : called).insert(gain);
  }
  EXPECT_EQ(called.size(), 100u);
  EXPECT_GE(*called.begin(), *left.rbegin());
  const Outcome unknown = Decide(Changed(actions, {{"scores.csv", "people.csv"}}), "rules.csv");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, AllOf(HasSubstr("people.csv"), HasSubstr("no column \"id\"")));
}

TEST_F(Strategy, SaysWhatFitsBadly) {
  const std::string all = ReadFile(*folder_ / "people.csv");
  folder_->Write("half.csv", all.substr(0, all.find('\n', all.size() / 2) + 1));
  const Outcome decided =
      Decide(Changed(Actions(), {{"people.csv", "half.csv"}, {"[\"active\"]", "[\"activ\", \"active\"]"}}),
             "warned.csv");
  ASSERT_EQ(decided.exit_code, 0) << decided.all();
  EXPECT_THAT(decided.err, HasSubstr("users are not in"));
  EXPECT_THAT(decided.err, HasSubstr("has the stage \"activ\"; did you mean \"active\"?"));
  EXPECT_EQ(json::parse(decided.out)["warnings"].size(), 2u);
}

TEST_F(Strategy, SaysWhatIsWrong) {
  const auto refused = [&](const std::vector<std::pair<std::string, std::string>>& changes,
                           const std::vector<std::string>& words) {
    const Outcome outcome = Decide(Changed(Actions(), changes), "refused.csv");
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    for (const std::string& word : words) EXPECT_THAT(outcome.err, HasSubstr(word));
    EXPECT_FALSE(std::filesystem::exists(*folder_ / "refused.csv"));
  };
  refused({{"budget = 160", "budget = -1"}}, {"actions.toml:2:", "\"budget\" must be a number from 0"});
  refused({{"cost = 0.1", "cost = nan"}}, {"actions.toml:", "\"cost\" must be a number from 0", "nan"});
  refused({{"cost = 0.1", "cost = \"little\""}}, {"actions.toml:", "\"cost\" must be a number"});
  refused({{"arm = \"gift\"", "arm = \"gifts\""}},
          {"actions.toml", "\"present\"", "\"gifts\"", "did you mean \"gift\""});
  refused({{"arm = \"gift\"", "arm = \"coupon\""}}, {"\"coupon\" and \"present\"", "the same arm"});
  refused({{"name = \"present\"\narm = \"gift\"", "name = \"email\"\narm = \"gift\""}},
          {"\"email\" is there twice"});
  refused({{"control = \"none\"", "control = \"non\""}}, {"no class \"non\"", "\"none\""});
  refused({{"arm = \"campaign_arm\"", "arm = \"campaign\""}}, {"no task \"campaign\"", "\"campaign_arm\""});
  refused({{"outcome = \"campaign_outcome\"", "outcome = \"campaign_arm\""}},
          {"\"campaign_arm\" is multiclass"});
  refused({{"\"contacts_7d\"", "\"contacts_8d\""}}, {"no feature \"contacts_8d\"", "\"contacts_7d\""});
  refused({{"people.csv", "nobody.csv"}}, {"nobody.csv"});
  refused({{"stage = \"stage\"", "stage = \"stag\""}}, {"people.csv", "no column \"stag\"", "\"stage\""});
  refused({{"consent = \"email_ok\"", "consent = \"email\""}}, {"people.csv", "no column \"email\""});
  refused({{"campaign.h5", "none.h5"}}, {"none.h5"});
  refused({{"time = \"time\"", "time = \"arm\""}}, {"contacts.csv:2", "\"email\" is not"});
  refused({{"now = \"2024-09-27\"", "now = \"today\""}}, {"actions.toml:", "expected"});
  refused({{"strategy.key", "missing.key"}}, {"missing.key"});
  refused({{"key_file = \"strategy.key\"\n", ""}}, {"key_file"});
  refused({{"[experiment]", "[experimen]"}}, {"experimen", "\"experiment\""});
  refused({{"budget = 160", "budgets = 160"}}, {"actions.toml:2:", "budgets", "\"budget\""});
  folder_->Write("maybe.csv", "user,stage,email_ok,region\nu00000001,new,perhaps,north\n");
  refused({{"people.csv", "maybe.csv"}},
          {"maybe.csv: user \"u00000001\": \"perhaps\" in column \"email_ok\"", "1, true or yes"});
  folder_->Write("strangers.csv", "user,stage,email_ok,region\nsomebody,new,yes,north\n");
  refused({{"people.csv", "strangers.csv"}},
          {"strangers.csv: none of the users of", "\"user\"", "\"somebody\""});
  refused({{"arm = \"gift\"", "arm = \"gifts\""}}, {"actions.toml:37:"});
  refused({{"arm = \"campaign_arm\"", "arm = \"campaign\""}}, {"actions.toml:7:"});
  folder_->Write("short.key", "short\n");
  refused({{"strategy.key", "short.key"}}, {"short.key", "5 characters", "16"});
  folder_->Write("twice.csv",
                 "user,stage,email_ok,region\nu00000001,new,yes,north\nu00000001,new,yes,north\n");
  refused({{"people.csv", "twice.csv"}}, {"twice.csv:3", "\"u00000001\" is there already"});
  folder_->Write("ragged.csv", "user,stage,email_ok,region\nu00000001,new\n");
  refused({{"people.csv", "ragged.csv"}}, {"ragged.csv:2", "2 cells, where the header has 4"});
  folder_->Write("empty.csv", "");
  refused({{"people.csv", "empty.csv"}}, {"empty.csv", "empty"});
  // Neither an experiment nor rules.
  const Outcome nothing =
      Decide("data = \"campaign.h5\"\n[[action]]\nname = \"email\"\ncost = 1\n", "refused.csv");
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_THAT(nothing.err, AllOf(HasSubstr("actions.toml"), HasSubstr("[experiment]"), HasSubstr("[rules]")));
  const Outcome absent =
      RunProgram({Program(), "strategy", *folder_ / "absent.toml", "--out", *folder_ / "refused.csv"});
  EXPECT_EQ(absent.exit_code, 2);
  EXPECT_THAT(absent.err, HasSubstr("absent.toml"));

  const auto uplift = [&](const std::string& arm, const std::string& control,
                          const std::vector<std::string>& more, const std::vector<std::string>& words) {
    std::vector<std::string> command = {Program(), "uplift",    *folder_ / "campaign.h5",
                                        "--arm",   arm,         "--control",
                                        control,   "--outcome", "campaign_outcome"};
    command.insert(command.end(), more.begin(), more.end());
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    for (const std::string& word : words) EXPECT_THAT(outcome.err, HasSubstr(word));
  };
  uplift("campaign_amr", "none", {}, {"no task \"campaign_amr\"", "\"campaign_arm\""});
  uplift("campaign_arm", "nobody", {}, {"no class \"nobody\"", "one of: none, email"});
  uplift("campaign_arm", "none", {"--split", "trian", "--out", *folder_ / "e.csv"}, {"trian"});
  uplift("campaign_arm", "none", {"--cost", "email=-1"}, {"email=-1", "0 or more"});
  uplift("campaign_arm", "none", {"--cost", "email=nan"}, {"--cost \"email=nan\"", "ARM=NUMBER"});
  uplift("campaign_arm", "none", {"--cost", "emial=1"}, {"no arm \"emial\"", "\"email\""});
  uplift("campaign_arm", "none", {"--target", "email=1.5"}, {"--target \"email=1.5\"", "between 0 and 1"});
  uplift("campaign_arm", "none", {"--rule", "user_region", "--target", "gift=0.5"},
         {"--rule \"user_region\"", "FEATURE=VALUE"});
  uplift("campaign_arm", "none", {"--link", "logit"}, {"logit link is for binary outcomes"});
  uplift("campaign_arm", "none", {"--out", *folder_ / "none/effects.csv"}, {"folder does not exist"});
}

}  // namespace
}  // namespace cohort::testing
