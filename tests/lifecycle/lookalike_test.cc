// LookalikeModel on worlds whose truth is known, and what ProspectList makes of a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <numeric>
#include <span>

#include "common/random.h"
#include "lifecycle/lookalike_model.h"
#include "lifecycle/prospect_list.h"
#include "lifecycle/user_life.h"

namespace cohort::lookalike_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// How often a positive one is scored above another one; equal scores count one half.
double AucOf(const std::vector<double>& scores, const std::vector<float>& wanted) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return scores[a] < scores[b]; });
  double others = 0, above = 0, positives = 0;
  for (std::size_t first = 0, end = 0; first < order.size(); first = end) {
    double here = 0, others_here = 0;
    for (; end < order.size() && scores[order[end]] == scores[order[first]]; ++end)
      (wanted[order[end]] > 0 ? here : others_here) += 1;
    above += here * (others + others_here / 2);
    positives += here, others += others_here;
  }
  return above / (positives * others);
}
std::vector<double> Wide(const std::vector<float>& scores) { return {scores.begin(), scores.end()}; }
// Of people of whom everything is known.
std::vector<double> LogOdds(const LookalikeModel& model, const LookalikeUsers& people) {
  std::vector<double> log_odds;
  const std::size_t width = people.categorical.size();
  const std::vector<std::uint8_t> unknown(width);
  for (std::size_t first = 0; first < people.inputs.size(); first += width)
    log_odds.push_back(
        double{model.ScoreOf(std::span(people.inputs).subspan(first, width), unknown).log_odds});
  return log_odds;
}

// People with an age of [0, 1), one of three channels, and a number that means nothing. Among those of channel 1 the older they are, the
// likelier they are wanted; of channel 2 the younger.
struct KnownPeople {
  LookalikeUsers users;
  std::vector<double> chances;
};
KnownPeople MakePeople(std::uint32_t count, std::uint64_t seed, double strength) {
  KnownPeople people;
  LookalikeUsers& users = people.users;
  users.categorical = {0, 1, 0};
  RandomStream random(seed);
  for (std::uint32_t i = 0; i < count; ++i) {
    const double age = random.Uniform();
    const auto channel = random.Below(3);
    users.inputs.push_back(static_cast<float>(age));
    users.inputs.push_back(static_cast<float>(channel));
    users.inputs.push_back(static_cast<float>(random.Uniform()));
    const double tilt = channel == 0 ? 0 : channel == 1 ? age - 0.5 : 0.5 - age;
    people.chances.push_back(0.1 + strength * tilt * 0.2);
    users.wanted.push_back(random.Uniform() < people.chances.back() ? 1.0f : 0.0f);
    users.user.push_back(Mix64(1000 * seed + i));
  }
  return people;
}
TEST(LookalikeModel, ComesNearTheBestThatAttributesAllow) {
  const KnownPeople people = MakePeople(20'000, 1, 1), fresh = MakePeople(20'000, 2, 1);
  const LookalikeModel model = LookalikeModel::Fit(people.users, {});
  const std::vector<double> scores = LogOdds(model, fresh.users);
  const double best = AucOf(fresh.chances, fresh.users.wanted);
  const double reached = AucOf(scores, fresh.users.wanted);
  EXPECT_GT(best, 0.63);
  EXPECT_GT(reached, best - 0.01);
  // What users are judged by says how it goes with strangers.
  EXPECT_NEAR(AucOf(Wide(model.held_out()), people.users.wanted), reached, 0.02);
  // Age and channel only work together, and the third says nothing.
  const double all = AucOf(Wide(model.held_out()), people.users.wanted);
  const std::vector<std::vector<float>> without = model.HeldOutWithoutEach();
  EXPECT_GT(all - AucOf(Wide(without[0]), people.users.wanted), 0.08);
  EXPECT_GT(all - AucOf(Wide(without[1]), people.users.wanted), 0.08);
  EXPECT_NEAR(all - AucOf(Wide(without[2]), people.users.wanted), 0, 0.02);
  // The same input, the same bits.
  EXPECT_EQ(LogOdds(LookalikeModel::Fit(people.users, {}), fresh.users), scores);
}

TEST(LookalikeModel, KnowsThatItKnowsNothing) {
  // 20 worlds in which nothing matters. The mean of 20 AUCs, each with a deviation of about 0.012, lies within 0.0108 of one half
  // but once in 15,000 times.
  double sum = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const KnownPeople people = MakePeople(6'000, seed, 0);
    const LookalikeModel model = LookalikeModel::Fit(people.users, {});
    sum += AucOf(Wide(model.held_out()), people.users.wanted);
    EXPECT_LT(model.trees(), 20u * LookalikeModel::kFolds) << seed;
  }
  EXPECT_NEAR(sum / 20, 0.5, 0.0108);
}

TEST(LookalikeModel, TakesTheMeanOverUsersForWhatIsNotKnown) {
  const KnownPeople people = MakePeople(20'000, 3, 1);
  const LookalikeModel model = LookalikeModel::Fit(people.users, {});
  const auto score = [&](float age, float channel, const std::vector<std::uint8_t>& unknown) {
    return model.ScoreOf(std::vector<float>{age, channel, 0.5f}, unknown);
  };
  const LookalikeModel::Score old = score(0.95f, 1, {0, 0, 0}), young = score(0.05f, 1, {0, 0, 0});
  EXPECT_GT(old.log_odds, young.log_odds + 1);
  EXPECT_GT(old.shares[0], 0.3f);
  EXPECT_LT(young.shares[0], -0.3f);
  EXPECT_NEAR(old.shares[2], 0, 0.1);
  const LookalikeModel::Score ageless = score(0.95f, 1, {1, 0, 0});
  EXPECT_LT(ageless.log_odds, old.log_odds);
  EXPECT_GT(ageless.log_odds, young.log_odds);
  EXPECT_EQ(ageless.shares[0], 0);
  // What stands in the cell makes no difference then, and a share is what is lost without it, whatever else is not known.
  EXPECT_EQ(score(0.05f, 1, {1, 0, 0}).log_odds, ageless.log_odds);
  for (const std::vector<std::uint8_t>& unknown : std::vector<std::vector<std::uint8_t>>{
           {0, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 0}, {1, 0, 1}, {0, 1, 1}, {1, 1, 0}}) {
    for (std::size_t i = 0; i < 3; ++i) {
      std::vector<std::uint8_t> without = unknown;
      without[i] = 1;
      const LookalikeModel::Score with = score(0.8f, 2, unknown);
      EXPECT_NEAR(with.shares[i], with.log_odds - score(0.8f, 2, without).log_odds, 1e-5) << i;
    }
  }
  // Nobody is known at all: everybody has the same score.
  EXPECT_EQ(score(0.05f, 2, {1, 1, 1}).log_odds, score(0.95f, 1, {1, 1, 1}).log_odds);
}

// The synthetic shop (shop_world.h): users and prospects of one world, told apart by nothing but their numbers.
TEST(LookalikeModel, FindsWhoSpendsMostInTheSyntheticShop) {
  const ShopWorld world(11, 96, 365, true);
  struct Crowd {
    LookalikeUsers users;
    std::vector<float> worth;
    std::vector<double> law;
  };
  const auto live = [&](std::uint64_t first, std::uint64_t count) {
    Crowd crowd;
    crowd.users.categorical = {1, 1, 1, 0, 0, 1};
    for (std::uint64_t user = first; user < first + count; ++user) {
      const UserLife life = LiveUser(world, user);
      if (!life.test) continue;
      const UserTraits& traits = life.traits;
      for (const int value :
           {traits.channel, traits.region, traits.device, traits.age, traits.gender, traits.income})
        crowd.users.inputs.push_back(static_cast<float>(value));
      crowd.users.user.push_back(Mix64(user));
      crowd.worth.push_back(static_cast<float>(life.test->seen.revenue_cents));
      // What the laws let expect of somebody of whom no more is known: that they ever order, how often within 100 days of that, and
      // the margin of an order.
      const ProspectVisit visit = ShopWorld::VisitOfProspect(traits);
      const double orders = visit.order / (visit.order + (1 - visit.order) * visit.leave);
      CategoryShares categories = world.TastePrior(traits);
      TierShares tiers = ShopWorld::TierPrior(traits);
      const auto normalise = [](auto* shares) {
        const double sum = std::accumulate(shares->begin(), shares->end(), 0.0);
        for (double& share : *shares) share /= sum;
      };
      normalise(&categories), normalise(&tiers);
      crowd.law.push_back(orders *
                          (1 + 100 * ShopWorld::kRepeatR / ShopWorld::Repeats(traits.channel).alpha) *
                          world.OrderMargin(categories, tiers));
    }
    std::vector<float> order = crowd.worth;
    std::sort(order.begin(), order.end(), std::greater<>());
    for (const float worth : crowd.worth)
      crowd.users.wanted.push_back(worth >= order[order.size() / 10] ? 1.0f : 0.0f);
    return crowd;
  };
  const Crowd users = live(0, 8'000), prospects = live(100'000, 8'000);
  const LookalikeModel model = LookalikeModel::Fit(users.users, {});
  const double reached = AucOf(LogOdds(model, prospects.users), prospects.users.wanted);
  const double law = AucOf(prospects.law, prospects.users.wanted);
  RecordProperty("auc", std::to_string(reached));
  RecordProperty("auc_of_the_laws", std::to_string(law));
  EXPECT_GT(law, 0.6);
  EXPECT_GT(reached, law - 0.025);
  EXPECT_NEAR(AucOf(Wide(model.held_out()), users.users.wanted), reached, 0.04);
  // Nothing follows from the region but what it costs to win somebody there.
  EXPECT_NEAR(AucOf(Wide(model.held_out()), users.users.wanted) -
                  AucOf(Wide(model.HeldOutWithoutEach()[1]), users.users.wanted),
              0, 0.02);
}

class Prospects : public ::testing::Test {
 protected:
  Prospects() {
    const auto add = [&](const char* name, FeatureType type) {
      FeatureInfo feature;
      feature.name = name, feature.type = type;
      info_.features.push_back(feature);
    };
    add("orders", FeatureType::kNumeric);
    add("user_age", FeatureType::kNumeric);
    add("top_category", FeatureType::kCategorical);
    add("user_channel", FeatureType::kCategorical);
    add("user_region", FeatureType::kCategorical);
  }
  Result<ProspectList> Read(const std::string& csv, std::vector<std::string> attributes = {}) {
    const std::string path = ::testing::TempDir() + "/prospects.csv";
    std::ofstream(path) << csv;
    return ReadProspects({path, "id", std::move(attributes)}, info_,
                         [](const std::string& id) { return id == "known"; });
  }
  std::string ErrorOf(const std::string& csv, std::vector<std::string> attributes = {}) {
    const auto list = Read(csv, std::move(attributes));
    if (list) return "no error";
    EXPECT_EQ(list.error().code(), ErrorCode::kInvalidInput);
    return list.error().text();
  }
  static std::vector<std::string> FeaturesOf(const ProspectList& list) {
    std::vector<std::string> names;
    for (const Attribute& attribute : list.attributes) names.push_back(attribute.feature);
    return names;
  }
  // Row by row.
  static std::vector<std::string> CellsOf(const ProspectList& list) {
    std::vector<std::string> cells;
    for (std::size_t prospect = 0; prospect < list.ids.size(); ++prospect) {
      for (std::size_t i = 0; i < list.attributes.size(); ++i) cells.push_back(list.Cell(prospect, i));
    }
    return cells;
  }
  DatasetInfo info_;
};

TEST_F(Prospects, AreReadInAnyOrderAndCounted) {
  const std::string header = "id,channel,age,orders,phone\n";
  const std::vector<std::string> lines = {"b,ads,30,9,1\n", "known,ads,20,,\n", ",ads,20,,\n",
                                          "a,,41,,\n",      "b,ads,30,9,2\n",   "b,search,30,9,1\n"};
  const auto list = Read(header + lines[0] + lines[1] + lines[2] + lines[3] + lines[4] + lines[5]);
  ASSERT_TRUE(list) << list.error().text();
  EXPECT_THAT(FeaturesOf(*list), ElementsAre("user_age", "user_channel"));
  EXPECT_THAT(list->lacking, ElementsAre("user_region"));
  EXPECT_THAT(list->behaviour, ElementsAre("orders"));  // a behaviour is not taken by itself
  EXPECT_THAT(list->unused, ElementsAre("phone"));
  EXPECT_THAT(list->ids, ElementsAre("a", "b"));
  EXPECT_THAT(CellsOf(*list), ElementsAre("41", "", "30", "ads"));
  EXPECT_EQ(list->records, 6u);
  EXPECT_EQ(list->customers, 1u);
  EXPECT_EQ(list->without_id, 1u);
  EXPECT_EQ(list->repeated, 2u);
  EXPECT_EQ(list->contradicted, 1u);  // "search"; telephones are not looked at
  EXPECT_EQ(list->contradicted_id, "b");
  const auto turned = Read(header + lines[5] + lines[4] + lines[3] + lines[2] + lines[1] + lines[0]);
  ASSERT_TRUE(turned);
  EXPECT_EQ(turned->ids, list->ids);
  EXPECT_EQ(CellsOf(*turned), CellsOf(*list));
}

TEST_F(Prospects, TakeBehaviourOnlyWhenItIsNamed) {
  const auto list = Read("id,orders,user_channel\na,3,ads\n", {"orders"});
  ASSERT_TRUE(list) << list.error().text();
  EXPECT_THAT(FeaturesOf(*list), ElementsAre("orders"));
  EXPECT_THAT(list->behaviour, ElementsAre("user_channel"));
  EXPECT_THAT(list->lacking, IsEmpty());
  // A column in which nobody has anything is none.
  const auto empty = Read("id,age,channel\na,,ads\nknown,30,ads\n");
  ASSERT_TRUE(empty) << empty.error().text();
  EXPECT_THAT(FeaturesOf(*empty), ElementsAre("user_channel"));
  EXPECT_THAT(empty->lacking, ElementsAre("user_region", "user_age"));
  EXPECT_THAT(CellsOf(*empty), ElementsAre("ads"));
}

TEST_F(Prospects, SayWhatIsWrongAndWhere) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("prospects.csv:1: the file is empty"));
  EXPECT_THAT(ErrorOf("ID,age\n1,2\n"), HasSubstr(R"(:1: no column "id"; did you mean "ID"?; --id names)"));
  EXPECT_THAT(ErrorOf("id,age,id\n1,2,3\n"), HasSubstr(":1: more than one column \"id\"; leave one of them"));
  EXPECT_THAT(ErrorOf("id,name\n1,x\n"),
              HasSubstr("no attribute that the dataset's users have too: it has "
                        "user_age, user_channel, user_region, the list has id, name"));
  EXPECT_THAT(ErrorOf("id,age\n1,20\n2,old\n"),
              HasSubstr(R"(:3:3: "old" is not a finite number, as user_age)"));
  EXPECT_THAT(ErrorOf("id,age\n1\n"), HasSubstr(":2: 1 cells, where the header has 2"));
  EXPECT_THAT(ErrorOf("id,age,user_age\n1,2,3\n"),
              HasSubstr(R"(:1: columns "age" and "user_age" are both of the feature user_age)"));
  EXPECT_THAT(ErrorOf("id,age\nknown,3\n,4\n"),
              HasSubstr("nobody to score: of 2 records 1 are customers already and 1 have no id"));
  EXPECT_THAT(ErrorOf("id,age\na,\n"), HasSubstr("nothing is known of anybody on the list"));
  EXPECT_THAT(ErrorOf("id,age\na,1\n", {"user_agr"}),
              HasSubstr("--attributes user_agr: the dataset has no numeric or categorical feature of this "
                        "name; did you mean \"user_age\"?"));
  EXPECT_THAT(ErrorOf("id,age\na,1\n", {"age"}), HasSubstr("of this name; did you mean \"user_age\"?"));
  EXPECT_THAT(ErrorOf("id,age\na,1\n", {"orders"}),
              HasSubstr("no column \"orders\", which --attributes names"));
  EXPECT_THAT(ErrorOf("id,age\na,1\n", {"user_age", "user_age"}), HasSubstr("names user_age twice"));
  info_.features.resize(1);
  EXPECT_THAT(ErrorOf("id,orders\na,1\n"), HasSubstr("the dataset has no feature user_..."));
}

}  // namespace
}  // namespace cohort::lookalike_test
