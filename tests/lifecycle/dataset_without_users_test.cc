#include "lifecycle/dataset_without_users.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "lifecycle/prepare_shop.h"
#include "tests/support/subprocess.h"

namespace cohort::dataset_without_users_test {
namespace {

using ::testing::HasSubstr;
using testing::ReadFile;
using testing::TemporaryFolder;

constexpr const char* kShop = R"([shop]
until = "2020-12-01"
[events]
files = ["events.csv"]
user = "user"
time = "time"
kind = "kind"
item = "item"
price = "price"
[snapshots]
train = ["2020-03-01"]
test = "2020-06-01"
[features]
bins = 4
forecast = true
[labels.purchase]
horizon_days = 30
[labels.orders]
[labels.value]
)";

std::string Events(const std::string& of_bob) {
  std::string events = "user,time,kind,item,price\n";
  for (int day = 1; day <= 28; ++day) {
    const std::string date = (day < 10 ? "-0" : "-") + std::to_string(day);
    events += "ann,2020-01" + date + ",purchase,x," + std::to_string(day) + "\n";
    events += "user" + std::to_string(day) + ",2020-02" + date + ",purchase,x,3\n";
    events += "user" + std::to_string(day) + ",2020-03" + date + ",purchase,z,4\n";
  }
  return events + "ann,2020-01-05,view,only-ann,\n" + of_bob;
}

class WithoutUsersTest : public ::testing::Test {
 protected:
  WithoutUsersTest() {
    folder_.Write("shop.toml", kShop);
    folder_.Write("events.csv", Events("bob,2020-02-01,purchase,x,9\nbob,2020-03-05,purchase,z,9\n"));
    options_.schema = folder_ / "shop.toml";
    options_.output = folder_ / "shop.h5";
    const auto prepared = PrepareShop(options_);
    EXPECT_TRUE(prepared.has_value()) << prepared.error().text();
    options_.output = folder_ / "new.h5";
  }
  Result<DatasetChange> Without(const std::string& user) {
    return PrepareWithoutUsers(options_, {user}, folder_ / "shop.h5");
  }
  TemporaryFolder folder_;
  PrepareOptions options_;
};

TEST_F(WithoutUsersTest, OthersChangeInWhatTheUserHadEnteredAlone) {
  const auto change = Without("ann");
  ASSERT_TRUE(change.has_value()) << change.error().text();
  EXPECT_EQ(change->rows_gone[0], 1u);
  EXPECT_EQ(change->rows_gone[2], 1u);
  EXPECT_EQ(change->rows[0], 29u);
  EXPECT_EQ(change->records_left_out, 29u);
  EXPECT_EQ(change->rows_changed, 58u);  // everyone has bought x
  EXPECT_EQ(change->changed.at("popularity"), 58u);
  for (const auto& [feature, rows] : change->changed)
    EXPECT_TRUE(IsItemStatistic(feature) || IsFittedOnEveryone(feature)) << feature;
  bool only_ann = false;
  for (const FeatureInfo& feature : change->before.features) {
    if (feature.name != "last_items") continue;
    const FeatureKeys keys(feature.vocabulary.empty() ? feature.name : feature.vocabulary);
    only_ann = change->keys_gone.contains(keys.Category("only-ann"));
    EXPECT_FALSE(change->keys_gone.contains(keys.Category("x")));
  }
  EXPECT_TRUE(only_ann);
  // It is the dataset of logs without her.
  std::string events = Events("bob,2020-02-01,purchase,x,9\nbob,2020-03-05,purchase,z,9\n");
  for (std::size_t at; (at = events.find("\nann,")) != events.npos;)
    events.erase(at, events.find('\n', at + 1) - at);
  folder_.Write("events.csv", events);
  options_.output = folder_ / "anew.h5";
  ASSERT_TRUE(PrepareShop(options_).has_value());
  EXPECT_TRUE(ReadFile(folder_ / "anew.h5") == ReadFile(folder_ / "new.h5"));
}

TEST_F(WithoutUsersTest, AnUnknownUserChangesNothing) {
  const auto change = Without("eve");
  ASSERT_TRUE(change.has_value()) << change.error().text();
  EXPECT_EQ(change->rows_changed, 0u);
  EXPECT_TRUE(change->keys_gone.empty());
  EXPECT_TRUE(ReadFile(folder_ / "shop.h5") == ReadFile(folder_ / "new.h5"));
}

TEST_F(WithoutUsersTest, OtherLogsAreRefused) {
  for (const std::string of_bob : {"bob,2020-02-02,purchase,x,9\nbob,2020-03-05,purchase,z,9\n",  // a feature
                                   "bob,2020-02-01,purchase,x,9\nbob,2020-09-05,purchase,z,9\n",  // a label
                                   "bill,2020-02-01,purchase,x,9\n"}) {                           // a row
    folder_.Write("events.csv", Events(of_bob));
    const auto change = Without("ann");
    ASSERT_FALSE(change.has_value()) << of_bob;
    EXPECT_EQ(change.error().code(), ErrorCode::kInvalidInput);
    EXPECT_THAT(change.error().text(), HasSubstr("prepare it again"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "new.h5"));
  }
}

}  // namespace
}  // namespace cohort::dataset_without_users_test
