// Candidates with labels, for a model of several tasks to learn to rank from; and its scores as a source of recommendations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "common/random.h"
#include "lifecycle/candidate_rows.h"
#include "lifecycle/ranker_scores.h"
#include "lifecycle/recommend.h"
#include "prepare/csv_reader.h"
#include "tests/support/subprocess.h"

namespace cohort::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Table = std::vector<std::map<std::string, std::string>>;

Table TableOf(const std::string& path) {
  Table table;
  const auto csv = CsvReader::Open(path, CsvOptions{});
  EXPECT_TRUE(csv && *(*csv)->Next()) << path;
  const std::vector<std::string> header((*csv)->cells().begin(), (*csv)->cells().end());
  for (auto more = (*csv)->Next(); more && *more; more = (*csv)->Next()) {
    EXPECT_EQ((*csv)->cells().size(), header.size());
    auto& row = table.emplace_back();
    for (std::size_t i = 0; i < header.size(); ++i) row[header[i]] = (*csv)->cells()[i];
  }
  return table;
}

// Two users and three items, the last of them with a comma in its name.
ShopHistory TwoUsers() {
  ShopHistory history;
  history.schema.path = "shop.toml";
  history.schema.items.emplace();
  history.users = {"u0", "u1"};
  history.user_since = {0, 0};
  history.acts = {{1, 0, EventKind::kView},      {5, 0, EventKind::kPurchase}, {10, 1, EventKind::kPurchase},
                  {12, 1, EventKind::kView},     {15, 0, EventKind::kReturn},  {19, 2, EventKind::kCart},
                  {20, 0, EventKind::kPurchase}, {3, 1, EventKind::kView}};
  history.first_act = {0, 7, 8};
  history.items = {{.name = "a", .category = "even", .brand = "", .text = "", .tags = {"x", "y"}},
                   {.name = "b", .category = "odd", .brand = "", .text = "", .tags = {}},
                   {.name = "c,d", .category = "even", .brand = "new", .text = "", .tags = {}}};
  history.item_since = {kNoTime, 3, kNoTime};
  history.prices = {5 * kMoneyUnit, 7 * kMoneyUnit, kNoMoney};
  history.price_since = {kNoTime, 10, kNoTime};
  return history;
}

TEST(CandidateRows, AreTheWorkedExample) {
  const ShopHistory history = TwoUsers();
  UserSegments segments;
  segments.of_user = {1, 0};
  segments.count = 2;
  const auto quiet = [](const std::string&) {};
  const auto recommender = Recommender::Make(history, 10, segments, EventKind::kPurchase, "", nullptr,
                                             {false, false, false}, quiet);
  ASSERT_TRUE(recommender);
  const auto rows = CandidateRows::Make(history, **recommender, segments, 20);
  ASSERT_TRUE(rows);
  EXPECT_THAT(rows->labels(), ElementsAre(EventKind::kPurchase, EventKind::kCart, EventKind::kView));
  const Recommender::Scored scored = (*recommender)->Score(0, {0, 1, 2});
  std::string lines = rows->Header();
  std::vector<std::uint64_t> positives(3);
  rows->Append(0, scored, &lines, &positives);
  EXPECT_THAT(positives, ElementsAre(1, 1, 1));
  const TemporaryFolder folder;
  Table table = TableOf(folder.Write("candidates.csv", lines));
  ASSERT_EQ(table.size(), 3u);
  const std::vector<std::string>& features = (*recommender)->features();
  EXPECT_THAT(features, ::testing::Contains("popular by purchase"));
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t f = 0; f < features.size(); ++f) {
      std::string column = "score_" + features[f];
      std::replace(column.begin(), column.end(), ' ', '_');
      ASSERT_TRUE(table[i].contains(column)) << column;
      EXPECT_NEAR(std::stof(table[i][column]), scored.scores[f * 3 + i], 1e-6);
      table[i].erase(column);
    }
  }
  using Row = std::map<std::string, std::string>;
  EXPECT_NEAR(std::stof(table[0]["taken"]), std::log2(6.0f), 1e-6);  // a view and a purchase
  table[0].erase("taken");
  EXPECT_EQ(table[0], (Row{{"id", "u0\ta"},
                           {"user", "u0"},
                           {"item", "a"},
                           {"user_items", "1"},
                           {"item_users", "1"},
                           {"category", "even"},
                           {"brand", ""},
                           {"tags", "x|y"},
                           {"price", "5"},
                           {"segment", "1"},
                           {"purchase", "0"},  // that at 20 is too late, that at 5 too early
                           {"cart", "0"},
                           {"view", "0"}}));
  EXPECT_EQ(table[1], (Row{{"id", "u0\tb"},
                           {"user", "u0"},
                           {"item", "b"},
                           {"taken", "0"},
                           {"user_items", "1"},
                           {"item_users", "1"},
                           {"category", "odd"},
                           {"brand", ""},
                           {"tags", ""},
                           {"price", ""},  // known from 10 on
                           {"segment", "1"},
                           {"purchase", "1"},  // at the moment itself
                           {"cart", "0"},
                           {"view", "1"}}));
  EXPECT_EQ(table[2], (Row{{"id", "u0\tc,d"},
                           {"user", "u0"},
                           {"item", "c,d"},
                           {"taken", "0"},
                           {"user_items", "1"},
                           {"item_users", "0"},
                           {"category", "even"},
                           {"brand", "new"},
                           {"tags", ""},
                           {"price", ""},
                           {"segment", "1"},
                           {"purchase", "0"},
                           {"cart", "1"},
                           {"view", "0"}}));
  // Nothing is known yet.
  const auto unknown = CandidateRows::Make(history, **recommender, segments, 10);
  std::string line;
  unknown->Append(0, (*recommender)->Score(0, {1}), &line, &positives);
  EXPECT_THAT(line, ::testing::EndsWith(",1,,,\n"));
  EXPECT_THAT(positives, ElementsAre(1, 1, 1));
}

TEST(CandidateRows, ATabInANameIsRefused) {
  ShopHistory history = TwoUsers();
  history.items[1].name = "b\tb";
  UserSegments segments;
  segments.of_user = {0, 0};
  const auto recommender = Recommender::Make(history, 10, segments, EventKind::kPurchase, "", nullptr,
                                             {false, false, false}, [](const std::string&) {});
  ASSERT_TRUE(recommender);
  const auto rows = CandidateRows::Make(history, **recommender, segments, 20);
  ASSERT_FALSE(rows);
  EXPECT_THAT(rows.error().text(), HasSubstr("shop.toml: the item \"b\tb\" has a tab"));
}

TEST(RankerScores, AreLogOddsAndAFloor) {
  const TemporaryFolder folder;
  const ShopHistory history = TwoUsers();
  const std::string path = folder.Write("scores.csv",
                                        "id,view,other,purchase\n"
                                        "u0\ta,0.5,x,0.25\n"
                                        "\"u0\tc,d\",0.75,x,0\n"
                                        "u00\ta,0.5,x,0.5\n"
                                        "u1\ta,0.125,x,1\n"
                                        "u1\tnone,0.5,x,0.5\n"
                                        "u1\tzero,0.5,x,0.5\n");
  std::vector<std::string> warnings;
  const auto scores = RankerScores::Read(path, history, &warnings);
  ASSERT_TRUE(scores) << scores.error().text();
  EXPECT_THAT(warnings, ElementsAre(path + ": 1 of 6 rows are of users that are not of this shop",
                                    path + ": 2 of 6 rows are of items that are not of this shop"));
  EXPECT_THAT((*scores)->features(), ElementsAre("ranker purchase", "ranker view"));
  const float least = std::log(1e-7f), low = std::log(0.125f / 0.875f);
  const std::vector<std::uint32_t> items = {0, 1, 2};
  std::vector<float> of_user(6);
  (*scores)->Score(0, items, of_user);
  EXPECT_THAT(of_user, ::testing::Pointwise(::testing::FloatNear(1e-4f),
                                            {std::log(1.0f / 3), least, least, 0.0f, low, std::log(3.0f)}));
  (*scores)->Score(1, items, of_user);
  EXPECT_THAT(of_user,
              ::testing::Pointwise(::testing::FloatNear(1e-4f), {-least, least, least, low, low, low}));
  EXPECT_THAT((*scores)->Retrieve(0, 1), ElementsAre(0, 2));
  EXPECT_TRUE((*scores)->Has(0, 2));
  EXPECT_FALSE((*scores)->Has(0, 1));
  EXPECT_EQ((*scores)->Reason(0, 0, 0), "customers like you buy such next");
  EXPECT_EQ((*scores)->Reason(0, 0, 1), "customers like you look at such next");
  // A change of any pair is seen.
  const std::string other = folder.Write("other.csv",
                                         "id,view,other,purchase\n"
                                         "u0\ta,0.5,x,0.25\n"
                                         "\"u0\tc,d\",0.75,x,0\n"
                                         "u1\ta,0.25,x,1\n");
  const auto others = RankerScores::Read(other, history, &warnings);
  ASSERT_TRUE(others);
  EXPECT_NE((*others)->Fingerprint(), (*scores)->Fingerprint());
  EXPECT_EQ((*RankerScores::Read(other, history, &warnings))->Fingerprint(), (*others)->Fingerprint());
}

TEST(RankerScores, WrongFilesAreNamed) {
  const TemporaryFolder folder;
  const ShopHistory history = TwoUsers();
  const auto refused = [&](const std::string& text, const std::string& place, const std::string& words) {
    std::vector<std::string> warnings;
    const auto scores = RankerScores::Read(folder.Write("scores.csv", text), history, &warnings);
    ASSERT_FALSE(scores) << text;
    EXPECT_EQ(scores.error().code(), ErrorCode::kInvalidInput);
    EXPECT_THAT(scores.error().text(), HasSubstr("scores.csv" + place + ": ")) << text;
    EXPECT_THAT(scores.error().text(), HasSubstr(words)) << text;
  };
  refused("", ":1", "expected a header with the column \"id\"");
  refused("user,purchase\nu0,0.5\n", ":1", "expected a header with the column \"id\"");
  refused("id,churn\nu0\ta,0.5\n", ":1", "one or more of \"purchase\", \"cart\", \"favourite\", \"view\"");
  refused("id,user,item,score_similar,purchase\nu0\ta,u0,a,1,0\n", ":1", "these are candidates");
  refused("id;purchase\nu0\ta;0.5\n", ":1", "seem to be separated");
  refused("id,purchase\nu0\ta,0.5\nu0\tb\n", ":3", "1 cells, where the header has 2");
  refused("id,purchase\nu0,0.5\n", ":2:1", "\"u0\" is no pair");
  refused("id,purchase\nu0\ta,nan\n", ":2:6", "\"nan\" is no probability");
  refused("id,purchase\nu0\ta,\n", ":2:6", "\"\" is no probability");
  refused("id,purchase\nu0\ta,1.5\n", ":2:6", "\"1.5\" is no probability");
  refused("id,purchase\nu0\ta,0.5\nu0\ta,0.5\n", ":3:1", "user \"u0\" with item \"a\" is there twice");
  refused("id,purchase\nu0\tb,0.5\nu0\ta,0.5\n", ":3:1", "is not in its place, or there twice");
  refused("id,purchase\nu0\ta,0.5\nu1\ta,0.5\nu0\tb,0.5\n", ":4:1", "is not in its place, or there twice");
  refused("id,purchase\nu7\ta,0.5\n", "", "none of its 1 rows is of a user and an item of shop.toml");
}

// From files.
class RankerFiles : public ::testing::Test {
 protected:
  RankerFiles() {
    std::string items = "i,c\n";
    for (int item = 0; item < 12; ++item)
      items += "i" + std::to_string(item) + "," + (item % 2 == 0 ? "clothes" : "tools") + "\n";
    folder_.Write("items.csv", items);
    folder_.Write("shop.toml", R"(
[shop]
until = "2024-05-01"
[events]
files = ["events.csv"]
user = "u"
time = "t"
kind = "k"
item = "i"
[items]
files = ["items.csv"]
item = "i"
category = "c"
[snapshots]
train = ["2024-02-01"]
valid = "2024-03-01"
test = "2024-04-01"
[labels.purchase]
horizon_days = 20
)");
    options_.shop = folder_ / "shop.toml";
    options_.out = folder_ / "lists.csv";
    options_.top = 3;
    WriteEvents(1);
  }
  // January to April; March and April by the seed `later`.
  void WriteEvents(std::uint64_t later) {
    std::ostringstream events;
    RandomStream before(11), after(later);
    const char* kinds[] = {"purchase", "view", "cart"};
    events << "u,t,k,i\n";
    for (int user = 0; user < 40; ++user) {
      for (int i = 0; i < 12; ++i) {
        RandomStream& random = i < 6 ? before : after;
        const int item =
            2 * static_cast<int>(random.Below(6)) + (random.Below(5) == 0 ? 1 - user % 2 : user % 2);
        events << "u" << user << ",2024-0" << 1 + i / 3 << "-" << 10 + random.Below(18) << ","
               << kinds[random.Below(3)] << ",i" << item << "\n";
      }
    }
    folder_.Write("events.csv", events.str());
  }
  // What users do with items in a month: "u1 i2 view".
  std::set<std::string> Done(const std::string& month) const {
    std::set<std::string> done;
    for (auto row : TableOf(folder_ / "events.csv")) {
      if (row["t"].starts_with(month)) done.insert(row["u"] + " " + row["i"] + " " + row["k"]);
    }
    return done;
  }
  Table Candidates(RecommendAt at) {
    options_.at = at;
    PartitionsHere here([](const std::string&) {});
    const auto report =
        WriteCandidates(options_, folder_ / "candidates.csv", here, [](const std::string&) {});
    EXPECT_TRUE(report) << (report ? "" : report.error().text());
    if (report) report_ = *report;
    return TableOf(folder_ / "candidates.csv");
  }
  std::string Refused() {
    PartitionsHere here([](const std::string&) {});
    const auto report = Recommend(options_, here, [](const std::string&) {});
    return report ? "not refused" : report.error().text();
  }
  TemporaryFolder folder_;
  RecommendOptions options_;
  CandidateReport report_;
};

TEST_F(RankerFiles, LabelsAreWhatFollows) {
  for (const bool test : {false, true}) {
    Table table = Candidates(test ? RecommendAt::kTest : RecommendAt::kValid);
    const std::set<std::string> done = Done(test ? "2024-04" : "2024-03");
    EXPECT_EQ(report_.rows, table.size());
    EXPECT_EQ(report_.users, 40u);
    std::map<std::string, std::uint64_t> found;
    std::set<std::string> ids;
    for (auto& row : table) {
      EXPECT_TRUE(ids.insert(row["id"]).second);
      for (const std::string label : {"purchase", "cart", "view"}) {
        const bool is = done.contains(row["user"] + " " + row["item"] + " " + label);
        EXPECT_EQ(row[label], is ? "1" : "0") << row["id"] << " " << label;
        found[label] += is;
      }
      EXPECT_FALSE(row.contains("favourite"));
    }
    for (const auto& [label, count] : report_.labels) EXPECT_EQ(count, found[label]) << label;
    EXPECT_EQ(report_.labels.size(), 3u);
    EXPECT_GT(found["purchase"], 20u);
    EXPECT_EQ(ids.size(), 40u * 12);  // each source names its 100 best of 12 items
  }
  for (auto& row : Candidates(RecommendAt::kEnd)) EXPECT_EQ(row["purchase"] + row["cart"] + row["view"], "");
  EXPECT_EQ(report_.until, report_.at);
}

TEST_F(RankerFiles, NothingOfTheFutureIsInACandidate) {
  const Table before = Candidates(RecommendAt::kValid);
  const std::set<std::string> done = Done("2024-03");
  WriteEvents(2);
  const Table after = Candidates(RecommendAt::kValid);
  EXPECT_NE(Done("2024-03"), done);
  ASSERT_EQ(after.size(), before.size());
  std::size_t labels = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    for (const auto& [column, cell] : before[i]) {
      if (column == "purchase" || column == "cart" || column == "view") {
        labels += cell != after[i].at(column);
      } else {
        ASSERT_EQ(cell, after[i].at(column)) << before[i].at("id") << " " << column;
      }
    }
  }
  EXPECT_GT(labels, 50u);
}

TEST_F(RankerFiles, ARankerThatKnowsLeadsTheLists) {
  // Who bought what in the month that follows is likely to, by the scores.
  const auto write = [&](const std::string& name, RecommendAt at, const std::string& month) {
    const std::set<std::string> done = Done(month);
    std::string scores = "id,purchase\n";
    for (auto& row : Candidates(at))
      scores +=
          row["id"] + (done.contains(row["user"] + " " + row["item"] + " purchase") ? ",0.9\n" : ",0.01\n");
    return folder_.Write(name, scores);
  };
  const std::string valid = write("valid.csv", RecommendAt::kValid, "2024-03");
  options_.ranker = write("test.csv", RecommendAt::kTest, "2024-04");
  options_.learn_ranker = valid;
  options_.at = RecommendAt::kTest;
  PartitionsHere here([](const std::string&) {});
  const auto report = Recommend(options_, here, [](const std::string&) {});
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->warnings, ::testing::IsEmpty());
  EXPECT_THAT(report->features, ::testing::Contains("ranker purchase"));
  std::map<std::string, double> gain;
  for (const ListQuality& quality : report->quality) gain[quality.name] = quality.ndcg;
  ASSERT_TRUE(gain.contains("ranker"));
  EXPECT_GT(gain["ranker"], 0.99);
  EXPECT_GT(gain["blended"], 0.95);
  EXPECT_LT(gain["similar items"], 0.8);
  EXPECT_THAT(ReadFile(options_.out), HasSubstr("customers like you buy such next"));
  // Half of the file.
  const std::string whole = ReadFile(options_.ranker);
  folder_.Write("test.csv", whole.substr(0, whole.rfind('\n', whole.size() / 2) + 1));
  const auto half = Recommend(options_, here, [](const std::string&) {});
  ASSERT_TRUE(half) << half.error().text();
  EXPECT_THAT(half->warnings, ElementsAre(HasSubstr("test.csv: has no scores of 2")));
}

TEST_F(RankerFiles, WrongInputIsNamed) {
  options_.at = RecommendAt::kTest;
  options_.ranker = folder_.Write("a.csv", "id,purchase\nu1\ti1,0.5\n");
  EXPECT_THAT(Refused(), HasSubstr("--ranker and --learn-ranker go together"));
  options_.learn_ranker = options_.ranker;
  EXPECT_THAT(Refused(), HasSubstr("name the same file"));
  options_.learn_ranker = folder_.Write("b.csv", "id,purchase\nu1\ti1\n");
  EXPECT_THAT(Refused(), HasSubstr("b.csv:2: 1 cells"));
  options_.learn_ranker = folder_.Write("b.csv", "id,view\nu1\ti1,0.5\n");
  EXPECT_THAT(
      Refused(),
      HasSubstr("only at the moment there are the scores ranker purchase, and only at the snapshot before "
                "(2024-03-01) ranker view"));
  options_.ranker.clear(), options_.learn_ranker.clear();
  options_.at = RecommendAt::kTrain;
  EXPECT_THAT(Refused(), HasSubstr("no snapshot lies before the one recommended for"));
}

}  // namespace
}  // namespace cohort::testing
