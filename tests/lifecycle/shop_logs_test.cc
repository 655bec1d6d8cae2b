// The generated shop: its truth against what happens in it, in the lives themselves and in the labels that prepare makes of the logs.
#include "lifecycle/shop_logs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "common/atomic_file.h"
#include "common/dataset.h"
#include "lifecycle/prepare_shop.h"
#include "lifecycle/user_life.h"
#include "lifecycle/user_outlook.h"

namespace cohort::shop_logs_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// What happened less what was expected, summed. Expectations that are right have |z| < 4 but once in 16,000 times.
class Residuals {
 public:
  void Add(const std::string& what, double happened, double expected) {
    Sum& sum = sums_[what];
    sum.difference += happened - expected;
    sum.squares += (happened - expected) * (happened - expected);
    ++sum.count;
  }
  // By halves as well: expectations that are right on the whole only are wrong in both.
  void AddByHalves(const std::string& what, double happened, double expected, double middle) {
    Add(what, happened, expected);
    Add(what + (expected > middle ? ", likely" : ", unlikely"), happened, expected);
  }
  void Expect(std::size_t kinds, int least) const {
    EXPECT_EQ(sums_.size(), kinds);
    for (const auto& [what, sum] : sums_) {
      EXPECT_GE(sum.count, least) << what;
      EXPECT_LT(std::abs(sum.difference), 4 * std::sqrt(sum.squares)) << what << " of " << sum.count;
    }
  }

 private:
  struct Sum {
    double difference = 0, squares = 0;
    int count = 0;
  };
  std::map<std::string, Sum> sums_;
};

class ShopLogsTest : public ::testing::Test {
 protected:
  ShopLogsTest()
      : directory_(fs::temp_directory_path() / ("cohort_shop_logs_test." + std::to_string(::getpid()))) {
    fs::create_directories(directory_);
  }
  ~ShopLogsTest() override { fs::remove_all(directory_); }

  ShopLogsOptions Options(const std::string& name, std::uint64_t users, std::uint64_t seed = 1) const {
    ShopLogsOptions options;
    options.directory = directory_ / name;
    options.users = users;
    options.items = 480;
    options.days = 300;
    options.seed = seed;
    return options;
  }
  std::string Text(const std::string& name) const {
    return ReadFile((directory_ / name).string()).value_or("");
  }

  fs::path directory_;
};

const std::vector<std::string>& AllFiles() {
  static const std::vector<std::string> files = {"users.csv",         "items.csv",
                                                 "events.csv",        "campaigns.csv",
                                                 "shop.toml",         "campaign.toml",
                                                 "actions.toml",      "run.toml",
                                                 "truth/users.csv",   "truth/items.csv",
                                                 "truth/moments.csv", "truth/effects.csv",
                                                 "truth/tastes.csv",  "truth/expectations.csv"};
  return files;
}

TEST_F(ShopLogsTest, TheFilesAreAFunctionOfTheOptions) {
  for (const auto& [name, seed] : std::map<std::string, int>{{"a", 1}, {"b", 1}, {"c", 2}}) {
    const auto summary = GenerateShopLogs(Options(name, 400, static_cast<std::uint64_t>(seed)));
    ASSERT_TRUE(summary) << summary.error().text();
    std::uint64_t bytes = 0;
    for (const std::string& file : AllFiles()) {
      if (file.ends_with(".csv")) bytes += fs::file_size(directory_ / name / file);
    }
    EXPECT_EQ(summary->bytes, bytes);
  }
  for (const std::string& file : AllFiles()) {
    const std::string text = Text("a/" + file);
    EXPECT_TRUE(text == Text("b/" + file)) << file;
    if (file.ends_with(".csv")) {
      EXPECT_TRUE(text != Text("c/" + file)) << file;
    }
  }
  // More users are more rows, not other users.
  ASSERT_TRUE(GenerateShopLogs(Options("d", 200)));
  for (const char* file : {"users.csv", "campaigns.csv", "truth/users.csv", "truth/moments.csv"}) {
    const std::string less = Text(std::string("d/") + file);
    EXPECT_EQ(Text(std::string("a/") + file).substr(0, less.size()), less) << file;
  }
}

TEST_F(ShopLogsTest, EventsAreNotSortedByUser) {
  ASSERT_TRUE(GenerateShopLogs(Options("a", 100)));
  std::istringstream lines(Text("a/events.csv"));
  std::string line, last;
  int rises = 0, falls = 0;
  std::getline(lines, line);
  EXPECT_EQ(line, "user,time,kind,item,quantity,price");
  while (std::getline(lines, line)) {
    const std::string user = line.substr(0, line.find(','));
    rises += user > last, falls += user < last;
    last = user;
  }
  EXPECT_GT(rises, 500);
  EXPECT_GT(falls, 500);
}

TEST_F(ShopLogsTest, RefusesWhatItCannotDoAndLeavesNothingBehind) {
  const std::vector<std::pair<void (*)(ShopLogsOptions*), const char*>> changes = {
      {[](ShopLogsOptions* o) { o->users = 0; }, "--users is 0"},
      {[](ShopLogsOptions* o) { o->items = 47; }, "--items is 47, expected a number from 48"},
      {[](ShopLogsOptions* o) { o->days = 209; }, "--days is 209"},
      {[](ShopLogsOptions* o) { o->days = 3651; }, "--days is 3651"},
      {[](ShopLogsOptions* o) { o->directory = ""; }, "--out is empty"},
      {[](ShopLogsOptions* o) { o->directory = "/dev/null/shop"; }, "/dev/null/shop"}};
  for (const auto& [change, words] : changes) {
    ShopLogsOptions options = Options("bad", 10);
    change(&options);
    const auto result = GenerateShopLogs(options);
    ASSERT_FALSE(result) << words;
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalidInput);
    EXPECT_THAT(result.error().text(), HasSubstr(words));
    EXPECT_FALSE(fs::exists(directory_ / "bad"));
  }
  ShopLogsOptions options = Options("a", 10);
  ASSERT_TRUE(GenerateShopLogs(options));
  // Any of its files is somebody's own, who may have changed it.
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory_ / "a")) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  EXPECT_EQ(files.size(), 14u);
  for (const std::string& kept : files) {
    fs::remove_all(directory_ / "b");
    fs::create_directories(directory_ / "b/truth");
    const fs::path copy = directory_ / "b" / fs::relative(kept, directory_ / "a");
    std::ofstream(copy) << "precious";
    ShopLogsOptions again = Options("b", 10);
    const auto refused = GenerateShopLogs(again);
    ASSERT_FALSE(refused) << kept;
    EXPECT_THAT(refused.error().text(), HasSubstr(copy.string() + " exists"));
    EXPECT_EQ(fs::file_size(copy), 8u);
    again.overwrite = true;
    EXPECT_TRUE(GenerateShopLogs(again)) << kept;
    EXPECT_GT(fs::file_size(copy), 8u);
  }
  EXPECT_THAT(GenerateShopLogs(options).error().text(), HasSubstr("--overwrite"));
  options.overwrite = true;
  EXPECT_TRUE(GenerateShopLogs(options));
}

std::uint64_t Asked(const char* variable, std::uint64_t otherwise) {
  const char* asked = std::getenv(variable);
  return asked == nullptr ? otherwise : std::strtoull(asked, nullptr, 10);
}

// Every expectation against what became of 12,000 users (COHORT_SHOP_USERS, COHORT_SHOP_SEED: others).
TEST_F(ShopLogsTest, TheTruthIsTrue) {
  const ShopWorld world(Asked("COHORT_SHOP_SEED", 3), 480, 300, false);
  const std::uint64_t users = Asked("COHORT_SHOP_USERS", 12'000);
  const ShopCalendar calendar(300);
  const UserOutlook::Laws laws(world);
  Residuals residuals;
  std::array<std::array<int, kShopStages>, 2> stages{};  // all, found from the logs
  std::array<int, kShopArms> arms{};
  for (std::uint64_t user = 0; user < users; ++user) {
    const UserLife life = LiveUser(world, user);
    residuals.Add("acquisition cost", 0.01 * static_cast<double>(life.traits.cost_cents),
                  ShopWorld::AcquisitionCost(life.traits));
    for (const std::optional<Moment>* moment : {&life.campaign, &life.valid, &life.test}) {
      if (!*moment) continue;
      const Observation& seen = (*moment)->seen;
      const auto now = static_cast<Time>(seen.now) * kDay, end = now + ShopCalendar::kHorizonDays * kDay;
      bool bought = false, active = false;
      double value = 0;
      std::map<std::pair<std::uint32_t, Time>, double> paid;  // by item: of the latest line
      int first_activity = kShopActivities - 1;
      std::optional<std::uint32_t> next_item;
      for (const LoggedEvent& event : life.events) {  // returns stand right behind their line
        if (event.time < now || event.time >= end) continue;
        const bool is_return = event.kind == EventKind::kReturn;
        active |= !is_return;
        if (event.kind == EventKind::kView && !next_item) next_item = event.item;
        const double cost =
            event.item == kNoItem ? 0 : 0.01 * static_cast<double>(world.items()[event.item].cost_cents);
        if (event.kind == EventKind::kPurchase) {
          bought = true;
          value += event.quantity * (0.01 * event.cents - cost);
          for (const int days : ShopWorld::kReturnDays)
            paid[{event.item, event.time + days * kDay}] = 0.01 * event.cents - cost;
        }
        if (is_return) {
          const auto line = paid.find({event.item, event.time});
          if (line != paid.end()) value -= event.quantity * line->second;
        }
        if (event.time < now + (kActivationDays * kDay) && first_activity == kShopActivities - 1 &&
            !seen.active &&
            static_cast<double>(event.time) < (seen.sign_up + kActivationDays) * static_cast<double>(kDay)) {
          if (event.kind == EventKind::kFavourite) first_activity = 0;
          if (event.kind == EventKind::kCart) first_activity = 1;
          if (event.kind == EventKind::kPurchase) first_activity = 2;
        }
      }
      const bool campaign = moment == &life.campaign;
      const std::string when = campaign ? "campaign" : moment == &life.valid ? "valid" : "test";
      const UserOutlook outlook(laws, life.traits, seen), knowing(laws, life.traits, **moment, life.nature);
      const Expectations expected = outlook.Expect(campaign), known = knowing.Expect(campaign);
      const std::string who = when + (seen.customer ? ", customers: " : ", prospects: ");
      residuals.AddByHalves(who + "alive", (*moment)->alive, expected.alive, 0.5);
      residuals.AddByHalves(who + "purchase", bought, expected.purchase, 0.1);
      residuals.AddByHalves(who + "churn", !active, expected.churn, 0.5);
      // Of prospects few order, by halves too few for so skewed a number.
      seen.customer ? residuals.AddByHalves(who + "value", value, expected.value, 5)
                    : residuals.Add(who + "value", value, expected.value);
      if ((*moment)->alive) {
        residuals.AddByHalves("known, " + who + "purchase", bought, known.purchase, 0.4);
        residuals.AddByHalves("known, " + who + "value", value, known.value, 12);
      }
      if (expected.activation) {
        for (int i = 0; i < kShopActivities; ++i)
          residuals.Add("activation " + std::to_string(i), first_activity == i,
                        (*expected.activation)[static_cast<std::size_t>(i)]);
      }
      if (next_item) {
        const ShopItem& item = world.items()[*next_item];
        for (int c = 0; c < kShopCategories; ++c)
          residuals.AddByHalves("category", item.category == c,
                                outlook.categories()[static_cast<std::size_t>(c)], 0.1);
        for (int t = 0; t < kShopTiers; ++t)
          residuals.AddByHalves("tier", item.tier == t, outlook.tiers()[static_cast<std::size_t>(t)], 0.3);
      }
      if (moment == &life.test) {
        const auto stage = static_cast<std::size_t>(ShopStage((*moment)->alive, seen.orders));
        ++stages[0][stage];
        stages[1][stage] += ShopStage(expected.alive > 0.5, seen.orders) == static_cast<int>(stage);
      }
      if (!campaign) continue;
      // The contact's outcome, by arm, and among those to whom the arm does good and harm.
      const LoggedContact& contact = life.contacts.back();
      ASSERT_TRUE(contact.randomised);
      ASSERT_EQ(contact.day, calendar.campaign);
      const auto arm = static_cast<std::size_t>(contact.arm);
      ++arms[arm];
      const std::string name = ShopWorld::Arms()[arm];
      for (const auto& [whose, effects] :
           {std::pair{"", outlook.Effects()}, std::pair{"known ", knowing.Effects()}}) {
        const double increment = effects.increment[arm];
        residuals.Add(whose + name, 0.01 * static_cast<double>(contact.outcome_cents),
                      effects.baseline + increment);
        if (seen.customer && arm > 0) {
          residuals.Add(whose + name + (increment > 0 ? " does good" : " does harm or nothing"),
                        0.01 * static_cast<double>(contact.outcome_cents), effects.baseline + increment);
        }
      }
    }
  }
  residuals.Expect(1 + 3 * (2 * 6 * 3 - 2) + kShopActivities + 2 * 3 + 2 * (4 + 3 * 2), 10);
  int contacted = 0;
  for (const int count : arms) contacted += count;
  for (const int count : arms) EXPECT_NEAR(count, contacted / 4.0, 4 * std::sqrt(contacted * 3 / 16.0));
  double recall = 0;
  for (std::size_t stage = 0; stage < kShopStages; ++stage) {
    EXPECT_GT(stages[0][stage], 100) << ShopStageNames()[stage];
    recall += static_cast<double>(stages[1][stage]) / stages[0][stage] / kShopStages;
  }
  EXPECT_GT(recall, 0.88);  // what the logs tell of the stage: balanced accuracy
}

// The counts of repeat orders since the first one, among users on whom no contact had an effect, are those of BG/NBD; so is who has
// dropped out.
TEST_F(ShopLogsTest, OrdersAndDropoutAreThoseOfBgNbd) {
  const ShopWorld world(4, 48, 360, true);
  Residuals residuals;
  for (std::uint64_t user = 0; user < 12'000; ++user) {
    const UserLife life = LiveUser(world, user);
    if (life.first_order < 0) continue;
    for (const int days : {30, 120}) {
      if (life.first_order + days > 360) continue;
      const auto first = static_cast<Time>(life.first_order * static_cast<double>(kDay));
      int orders = -1;
      Time last = -1;
      for (const LoggedEvent& event : life.events) {
        if (event.kind != EventKind::kPurchase || event.time == last || event.time >= first + days * kDay)
          continue;
        last = event.time;
        ++orders;
      }
      const OrderOutlook fresh = OrderOutlook::After(ShopWorld::Repeats(life.traits.channel), 0, 0);
      residuals.Add("orders in " + std::to_string(days), orders, fresh.Expected(days));
      residuals.Add("none in " + std::to_string(days), orders == 0, fresh.None(days));
      const OrderOutlook known = OrderOutlook::Known(life.nature.rate, life.nature.dropout);
      residuals.Add("known orders in " + std::to_string(days), orders, known.Expected(days));
      // Who has left by then: 1 - exp(-rate p t), p times the expected orders.
      const bool left = life.left >= 0 && life.left < life.first_order + days;
      residuals.Add("dropout in " + std::to_string(days), left, life.nature.dropout * known.Expected(days));
    }
  }
  residuals.Expect(8, 1000);
}

// `prepare` makes the labels that the truth is about: each row's label against truth/expectations.csv.
TEST_F(ShopLogsTest, LabelsOfPrepareFollowTheTruth) {
  ASSERT_TRUE(GenerateShopLogs(Options("shop", 6000, 5)));
  const auto report = PrepareShop(
      {.schema = directory_ / "shop/shop.toml", .output = directory_ / "shop.h5", .strict = true});
  ASSERT_TRUE(report) << report.error().text();
  std::map<std::string, std::vector<double>> truth;  // "split/user": the columns behind them
  std::istringstream lines(Text("shop/truth/expectations.csv"));
  std::string line;
  std::getline(lines, line);
  ASSERT_EQ(line,
            "id,split,acquisition_cost,activation.favourite,activation.cart,activation.purchase,activation."
            "none,churn,purchase,value");
  while (std::getline(lines, line)) {
    std::istringstream cells(line);
    std::string id, split, cell;
    std::getline(cells, id, ','), std::getline(cells, split, ',');
    auto& row = truth[split + "/" + id];
    while (std::getline(cells, cell, ',')) row.push_back(std::stod(cell));
  }
  const auto reader = DatasetReader::Open(directory_ / "shop.h5");
  ASSERT_TRUE(reader) << reader.error().text();
  const std::vector<TaskInfo>& tasks = (*reader)->info().tasks;
  ASSERT_EQ(tasks.size(), 5u);
  EXPECT_THAT(tasks[1].classes, ::testing::ElementsAre("favourite", "cart", "purchase", "none"));
  Residuals residuals;
  for (const Split split : {Split::kValid, Split::kTest}) {
    RowBlock block;
    const auto rows = static_cast<std::uint32_t>((*reader)->info().rows[static_cast<std::size_t>(split)]);
    ASSERT_GT(rows, 4000u);
    ASSERT_TRUE((*reader)->Read(split, 0, rows, true, &block).ok());
    for (std::size_t row = 0; row < rows; ++row) {
      const auto found = truth.find(std::string(SplitName(split)) + "/" + block.ids[row]);
      ASSERT_NE(found, truth.end()) << block.ids[row];
      const std::vector<double>& expected = found->second;
      const auto label = [&](std::size_t task) {
        return static_cast<double>(block.labels[row * tasks.size() + task]);
      };
      if (!std::isnan(label(0))) residuals.Add("acquisition_cost", label(0), expected[0]);
      for (std::size_t i = 0; i < kShopActivities && !std::isnan(label(1)); ++i)
        residuals.Add("activation " + std::to_string(i), label(1) == static_cast<double>(i), expected[1 + i]);
      if (!std::isnan(label(2))) residuals.AddByHalves("churn", label(2), expected[5], 0.5);
      residuals.AddByHalves("purchase", label(3), expected[6], 0.2);
      residuals.AddByHalves("value", label(4), expected[7], 8);
    }
  }
  residuals.Expect(1 + kShopActivities + 3 * 3, 100);
}

// A shop that is worth learning: policies that look at spending, however well chosen, leave a quarter of the oracle's gain or more.
TEST_F(ShopLogsTest, SimplePoliciesFallShortOfTheOracle) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    const auto summary = GenerateShopLogs(Options("s" + std::to_string(seed), 4000, seed));
    ASSERT_TRUE(summary) << summary.error().text();
    for (const PolicyValues& values : {summary->policies, summary->under_budget}) {
      EXPECT_GT(values.oracle, 4000);
      for (const double simple : {values.single, values.response, values.rfm}) {
        EXPECT_GE(simple, 0);
        EXPECT_LE(simple, 0.75 * values.oracle) << seed;
      }
    }
    EXPECT_LE(summary->under_budget.oracle_cost, 0.5 * summary->policies.oracle_cost);
  }
}

TEST_F(ShopLogsTest, InTheNullWorldNothingHelps) {
  ShopLogsOptions options = Options("null", 500);
  options.null_effects = true;
  const auto summary = GenerateShopLogs(options);
  ASSERT_TRUE(summary) << summary.error().text();
  EXPECT_EQ(summary->policies.oracle, 0);
  EXPECT_EQ(summary->policies.rfm, 0);
  std::istringstream lines(Text("null/truth/effects.csv"));
  std::string line;
  std::getline(lines, line);
  ASSERT_EQ(line, "user,time,baseline,email,coupon,gift,known.baseline,known.email,known.coupon,known.gift");
  int rows = 0, with_baseline = 0;
  while (std::getline(lines, line)) {
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, ',');) cells.push_back(cell);
    ASSERT_EQ(cells.size(), 10u);
    for (const int effect : {3, 4, 5, 7, 8, 9})
      EXPECT_EQ(cells[static_cast<std::size_t>(effect)], "0") << line;
    ++rows, with_baseline += std::stod(cells[2]) > 1;
  }
  EXPECT_GT(rows, 500);
  EXPECT_GT(with_baseline, 50);
}

// By hand: three users, of whom each simple policy sees only a part.
TEST(SimplePolicies, ByHand) {
  std::vector<PolicyUser> users(3);
  users[0].margin = {10, 12, 10, 10};  // an e-mail (0.10) gains 2
  users[1].margin = {20, 17, 25, 20};  // an e-mail loses 3, a coupon (1.50) gains 5
  users[2].margin = {0, 0, 0, 4};      // a gift (3.00) gains 4
  for (PolicyUser& user : users) user.orders = 1;
  const PolicyValues values = ValuesOfPolicies(users);
  EXPECT_NEAR(values.oracle, 1.9 + 3.5 + 1, 1e-5);
  EXPECT_NEAR(values.oracle_cost, 0.1 + 1.5 + 3, 1e-9);
  EXPECT_NEAR(values.single, 5 - 4.5, 1e-5);
  EXPECT_EQ(values.single_arm, 2);
  EXPECT_NEAR(values.response, 3.5, 1e-5);  // the coupon to the first by margin with it
  EXPECT_NEAR(values.rfm, 0.5, 1e-5);       // all in one cell
  const PolicyValues poor = ValuesOfPolicies(users, 1.7);
  EXPECT_NEAR(poor.oracle, 1.9 + 3.5, 1e-5);
  EXPECT_NEAR(poor.single, 0.5 * 1.7 / 4.5, 1e-5);
  EXPECT_NEAR(poor.response, 3.5, 1e-5);
}

}  // namespace
}  // namespace cohort::shop_logs_test
