// `cohort prepare SHOP.toml` from files to a dataset: what is counted, what is refused, and with which words.
#include "lifecycle/prepare_shop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "common/random.h"
#include "common/secret_key.h"
#include "lifecycle/shop_schema.h"

namespace cohort::prepare_shop_test {
namespace {

using ::testing::HasSubstr;

constexpr const char* kShop = R"([shop]
until = "2020-12-01"
[events]
files = ["events.csv"]
user = "user"
time = "time"
kind = "kind"
item = "item"
quantity = "quantity"
price = "price"
[users]
files = ["users.csv"]
user = "user"
sign_up = "joined"
[snapshots]
train = ["2020-03-01"]
valid = "2020-05-01"
test = "2020-10-01"
[labels.purchase]
horizon_days = 30
[labels.churn]
horizon_days = 60
)";
constexpr const char* kEvents = R"(user,time,kind,item,quantity,price
a,2020-01-05 10:00:00,purchase,x,2,10
a,2020-02-01 10:00:00,view,y,,
a,2020-02-07 10:00:00,return,x,1,
a,2020-03-20,purchase,y,1,5.5
b,2020-02-02T08:00:00Z,visit,,,
b,2020-04-29 23:59:59,purchase,x,1,9
a,2020-10-09,purchase,y,1,5
)";
constexpr const char* kUsers = "user,joined\na,2020-01-01\nb,2020-02-02\n";

class PrepareShopTest : public ::testing::Test {
 protected:
  PrepareShopTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("cohort_shop_test." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~PrepareShopTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ / name; }
  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
  }
  Result<PrepareReport> Run(const std::string& events = kEvents, const std::string& users = kUsers,
                            const std::string& shop = kShop, bool strict = false) const {
    Write("shop.toml", shop);
    Write("events.csv", events);
    Write("users.csv", users);
    return PrepareShop(
        {.schema = Path("shop.toml"), .output = Path("shop.h5"), .overwrite = true, .strict = strict});
  }
  // The error of a run, which must be the input's.
  std::string ErrorOf(const Result<PrepareReport>& report) const {
    EXPECT_FALSE(report);
    if (report) return "";
    EXPECT_EQ(report.error().code(), ErrorCode::kInvalidInput);
    return report.error().text();
  }
  // One more line of events: counted under `kind` with its place, and an error under strict.
  void ExpectFinding(const std::string& line, FindingKind kind, const std::string& place) const {
    const Result<PrepareReport> report = Run(std::string(kEvents) + line + "\n");
    ASSERT_TRUE(report) << report.error().text();
    EXPECT_EQ(report->Count(kind), 1u) << line;
    EXPECT_THAT(report->ToText(), HasSubstr(place)) << line;
    const std::string error = ErrorOf(Run(std::string(kEvents) + line + "\n", kUsers, kShop, true));
    EXPECT_THAT(error, HasSubstr(place));
    EXPECT_THAT(error, HasSubstr("run without --strict"));
  }
  std::string SchemaError(const std::string& from, const std::string& to) const {
    std::string text = kShop;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const Result<ShopSchema> schema = ParseShopSchema(text, "shop.toml", "");
    EXPECT_FALSE(schema);
    return schema ? "" : schema.error().text();
  }

  std::filesystem::path directory_;
};

TEST_F(PrepareShopTest, WritesARowPerUserAndSnapshot) {
  const Result<PrepareReport> report = Run();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_TRUE(report->findings.empty()) << report->ToText();
  auto reader = DatasetReader::Open(Path("shop.h5"));
  ASSERT_TRUE(reader) << reader.error().text();
  for (const Split split : {Split::kTrain, Split::kValid, Split::kTest})
    ASSERT_EQ((*reader)->info().rows[static_cast<std::size_t>(split)], 2u);
  std::vector<std::string> tasks;
  for (const TaskInfo& task : (*reader)->info().tasks) tasks.push_back(task.name);
  EXPECT_THAT(tasks, ::testing::ElementsAre("churn", "purchase"));
  const auto label = [&](Split split, const std::string& user, std::size_t task) {
    RowBlock block;
    EXPECT_TRUE((*reader)->Read(split, 0, 2, true, &block).ok());
    return block.labels[(block.ids[0] == user ? 0 : 1) * 2 + task];
  };
  EXPECT_EQ(label(Split::kTrain, "a", 0), 0);  // bought on the 20th of March
  EXPECT_EQ(label(Split::kTrain, "a", 1), 1);
  EXPECT_EQ(label(Split::kTrain, "b", 0), 0);  // in the last second of the horizon
  EXPECT_EQ(label(Split::kTrain, "b", 1), 0);
  EXPECT_EQ(label(Split::kValid, "b", 0), 1);
  EXPECT_TRUE(
      std::isnan(label(Split::kTest, "a", 0)));  // gone for longer than the horizon: in the stage no more
  EXPECT_EQ(label(Split::kTest, "a", 1), 1);
  const auto json = nlohmann::json::parse(report->ToJson());
  EXPECT_EQ(json["counts"]["returns_matched"], 1);
  EXPECT_EQ(json["counts"]["events"], 7);
  EXPECT_EQ(json["counts"]["users"], 2);
}

TEST_F(PrepareShopTest, PseudonymsTakeThePlaceOfIds) {
  ASSERT_TRUE(Run());
  const auto rows_of = [&](const std::string& user) {
    auto reader = DatasetReader::Open(Path("shop.h5"));
    EXPECT_TRUE(reader) << reader.error().text();
    std::vector<std::vector<float>> rows;
    for (std::size_t split = 0; split < kSplitCount; ++split) {
      RowBlock block;
      EXPECT_TRUE((*reader)->Read(static_cast<Split>(split), 0, 2, true, &block).ok());
      const std::size_t width = block.numeric.size() / 2;
      for (std::size_t row = 0; row < 2; ++row) {
        if (block.ids[row] == user)
          rows.emplace_back(block.numeric.begin() + static_cast<std::ptrdiff_t>(row * width),
                            block.numeric.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
      }
    }
    return rows;
  };
  const auto a = rows_of("a"), b = rows_of("b");
  ASSERT_EQ(a.size(), 3u);

  std::string shop = kShop;
  shop.insert(shop.find("[events]"), "user_key = \"users.key\"\n");
  ASSERT_FALSE(std::filesystem::exists(Path("users.key")));
  const auto report = Run(kEvents, kUsers, shop);
  ASSERT_TRUE(report) << report.error().text();
  const auto key = SecretKey::Read(Path("users.key"));
  ASSERT_TRUE(key) << key.error().text();
  EXPECT_EQ(rows_of("a").size(), 0u);
  const auto same = [](const auto& left, const auto& right) {  // bits: numbers may be missing
    return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](const auto& x, const auto& y) {
      return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
    });
  };
  EXPECT_TRUE(same(rows_of(ToHex(key->Digest("a"))), a));
  EXPECT_TRUE(same(rows_of(ToHex(key->Digest("b"))), b));

  // Who is not to read the key is told of it, and nothing is written.
  std::filesystem::permissions(Path("users.key"), std::filesystem::perms::group_read,
                               std::filesystem::perm_options::add);
  EXPECT_THAT(ErrorOf(Run(kEvents, kUsers, shop)), HasSubstr("chmod 600"));
  EXPECT_THAT(SchemaError("[events]", "user_key = \"\"\n[events]"), HasSubstr("names no file"));
}

TEST_F(PrepareShopTest, CountsLifecyclesForAPage) {
  ASSERT_TRUE(Run());
  PrepareOptions options{
      .schema = Path("shop.toml"), .output = Path("shop.h5"), .report = Path("page.html"), .overwrite = true};
  LifecycleCounts counts;
  const auto before = ReadFile(Path("shop.h5"));
  const Result<PrepareReport> report = PrepareShop(options, &counts);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->passes, 4);
  EXPECT_EQ(*ReadFile(Path("shop.h5")), *before);
  ASSERT_EQ(counts.funnel.size(), 5u);
  EXPECT_EQ(counts.funnel[3].reached, 2u);  // both bought
  EXPECT_EQ(counts.funnel[4].reached, 1u);
  ASSERT_TRUE(counts.moves);
  EXPECT_EQ(TimeText(counts.moves->from), "2020-05-01");
  EXPECT_EQ(TimeText(counts.moves->to), "2020-10-01");
  // The page must not take the place of what was read.
  options.report = Path("events.csv");
  EXPECT_THAT(ErrorOf(PrepareShop(options, &counts)), HasSubstr("one of the inputs"));
  EXPECT_EQ(*ReadFile(Path("events.csv")), kEvents);
}

// What a job's coordinator hands over.
using HandedOver = std::map<std::string, std::string>;

class WorkerSide : public Partitions {
 public:
  explicit WorkerSide(const HandedOver& files) : files_(files) {}
  Result<std::string> Once(const std::string& name, const std::function<Result<std::string>()>&) override {
    return files_.at(name);
  }
  Status Run(const PartitionedWork& work) override {
    fingerprint = work.fingerprint;
    // In any order, some twice.
    for (const std::uint64_t step : {std::uint64_t{2}, std::uint64_t{1}}) {
      for (std::uint64_t part = work.parts(); part-- > 0;) {
        if (part % step != 0) continue;
        const std::uint64_t first = part * work.size;
        COHORT_ASSIGN_OR_RETURN(parts[part], work.make(first, std::min(first + work.size, work.count)));
      }
    }
    return {ErrorCode::kUnavailable, "over"};
  }
  std::uint64_t fingerprint = 0;
  std::map<std::uint64_t, std::string> parts;

 private:
  const HandedOver& files_;
};

// A job whose one worker is another PrepareShop of the same options.
class CoordinatorSide : public Partitions {
 public:
  explicit CoordinatorSide(const PrepareOptions& options) : options_(options) {}
  Result<std::string> Once(const std::string& name,
                           const std::function<Result<std::string>()>& compute) override {
    COHORT_ASSIGN_OR_RETURN(files[name], compute());
    return files[name];
  }
  Status Run(const PartitionedWork& work) override {
    if (damage) damage(&files);
    WorkerSide worker(files);
    worker_said = PrepareShop(options_, nullptr, &worker).error();
    if (worker.parts.size() < work.parts()) return worker_said;
    EXPECT_EQ(worker.fingerprint, work.fingerprint);
    for (const auto& [number, part] : worker.parts) COHORT_RETURN_IF_ERROR(work.take(part));
    return {};
  }
  HandedOver files;
  std::function<void(HandedOver*)> damage;
  Status worker_said;

 private:
  const PrepareOptions options_;
};

TEST_F(PrepareShopTest, PartsByOthersHaveTheSameBytes) {
  // Some hundred users, of whom many lack every label at a snapshot.
  std::string events = kEvents, users = kUsers;
  for (int i = 0; i < 300; ++i) {
    const std::string user = "u" + std::to_string(i), month = std::to_string(1 + i % 9);
    for (const char* what : {",view,x,,", ",purchase,y,1,4", ",return,y,2,"})
      events += user + ",2020-0" + month + "-1" + std::to_string(i % 7) + what + "\n";
    if (i % 2 == 0) users += user + ",2020-0" + month + "-02\n";
  }
  const Result<PrepareReport> alone = Run(events, users);
  ASSERT_TRUE(alone) << alone.error().text();
  const auto text = [](const PrepareReport& report) {
    auto json = nlohmann::json::parse(report.ToJson());
    for (const char* of_the_run : {"seconds", "cpu_seconds"}) json.erase(of_the_run);
    return json.dump();
  };
  const std::string bytes = *ReadFile(Path("shop.h5"));
  const PrepareOptions options{
      .schema = Path("shop.toml"), .output = Path("shop.h5"), .overwrite = true, .strict = false};
  PartitionsHere here([](const std::string&) {});
  const Result<PrepareReport> in_parts = PrepareShop(options, nullptr, &here);
  ASSERT_TRUE(in_parts) << in_parts.error().text();
  EXPECT_TRUE(*ReadFile(Path("shop.h5")) == bytes);
  EXPECT_EQ(text(*in_parts), text(*alone));

  CoordinatorSide job(options);
  const Result<PrepareReport> by_another = PrepareShop(options, nullptr, &job);
  ASSERT_TRUE(by_another) << by_another.error().text();
  EXPECT_EQ(job.worker_said.text(), "over");
  EXPECT_TRUE(*ReadFile(Path("shop.h5")) == bytes);
  EXPECT_EQ(text(*by_another), text(*alone));

  // And of a former night's records; the other process has none.
  PrepareOptions since = options;
  since.since = Path("records");
  for (const bool known : {false, true}) {
    CoordinatorSide night(since);
    const Result<PrepareReport> of_a_night = PrepareShop(since, nullptr, &night);
    ASSERT_TRUE(of_a_night) << of_a_night.error().text();
    EXPECT_EQ(of_a_night->since->records_known > 0, known);
    EXPECT_TRUE(*ReadFile(Path("shop.h5")) == bytes);
  }

  // What is handed over and is not what was written is found out.
  for (const std::string name : {"shared", "records0"}) {
    CoordinatorSide damaged(options);
    damaged.damage = [&](HandedOver* files) { files->at(name)[files->at(name).size() / 2] ^= 1; };
    const Result<PrepareReport> refused = PrepareShop(options, nullptr, &damaged);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(damaged.worker_said.code(), ErrorCode::kCorrupt) << damaged.worker_said.text();
  }
}

TEST_F(PrepareShopTest, TheOrderOfTheFilesChangesNoByte) {
  ASSERT_TRUE(Run());
  const auto first = ReadFile(Path("shop.h5"));
  std::vector<std::string> lines;
  std::istringstream text(kEvents);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  std::string reversed = lines[0] + "\n";
  for (std::size_t i = lines.size() - 1; i > 0; --i) reversed += lines[i] + "\n";
  ASSERT_TRUE(Run(reversed));
  const auto second = ReadFile(Path("shop.h5"));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
}

TEST_F(PrepareShopTest, HoldsOutUsers) {
  std::string events = "user,time,kind,item,quantity,price\n";
  for (int user = 0; user < 400; ++user) {
    for (const char* day : {"2020-01-10", "2020-03-05", "2020-09-10"})
      events += std::to_string(user) + "," + day + ",purchase,x,1,1\n";
  }
  std::string shop = kShop;
  shop.replace(shop.find("[labels.purchase]"), 0, "holdout = 0.25\n");
  const Result<PrepareReport> report = Run(events, "user,joined\n", shop);
  ASSERT_TRUE(report) << report.error().text();
  const auto& rows = report->info.rows;
  EXPECT_EQ(rows[0] + rows[2], 400u);
  EXPECT_EQ(rows[1], rows[2]);
  EXPECT_NEAR(static_cast<double>(rows[2]), 100, 30);
}

TEST_F(PrepareShopTest, CountsWhatItCannotUse) {
  ExpectFinding("a,2020-01-05,wish,x,1,1", FindingKind::kUnknownKind,
                "events.csv:9:14: the kind \"wish\" is none of");
  ExpectFinding("a,1969-12-31 23:59:59,view,x,1,1", FindingKind::kBadEventTime,
                "events.csv:9:3: the time \"1969-12-31");
  ExpectFinding("a,2020-02-30,view,x,1,1", FindingKind::kBadEventTime,
                "is not a time from 1970 on like 2011-10-01");
  ExpectFinding("a,05/01/2020,view,x,1,1", FindingKind::kBadEventTime, "time_format");
  ExpectFinding("a,2020-12-01,view,x,1,1", FindingKind::kBadEventTime,
                "is not before 2020-12-01, `until` of [shop]");
  ExpectFinding("a,2020-01-05,purchase,x,1,-2", FindingKind::kBadPrice,
                "events.csv:9:27: the price \"-2\" is not a number");
  ExpectFinding("a,2020-01-05,purchase,x,1,nan", FindingKind::kBadPrice, "the price \"nan\"");
  ExpectFinding("a,2020-01-05,purchase,x,-1,2", FindingKind::kBadQuantity, "negative_quantity = \"return\"");
  ExpectFinding("a,2020-01-05,purchase,x,0,2", FindingKind::kBadQuantity, "the quantity \"0\"");
  ExpectFinding(",2020-01-05,purchase,x,1,2", FindingKind::kMissingUser, "events.csv:9:1: no user");
  ExpectFinding("a,2020-01-05,purchase,x,1", FindingKind::kWrongCellCount, "events.csv:9: 5 cells");
  ExpectFinding("a,2020-01-05 10:00:00,purchase,x,2,10.0", FindingKind::kDuplicateEvent,
                "user \"a\", 2020-01-05 10:00:00: a purchase is there twice");
}

TEST_F(PrepareShopTest, LabelsWhatCameOfACampaignsContacts) {
  std::string shop = kShop;
  shop.replace(shop.find("[snapshots]"), 0,
               "[campaigns]\nfiles = [\"mails.csv\"]\nuser = \"user\"\ntime = \"time\"\narm = "
               "\"arm\"\nrandomised = \"drawn\"\n"
               "outcome = \"margin\"\n");
  shop += "[labels.campaign]\nhorizon_days = 28\narms = [\"none\", \"mail\"]\n";
  const std::string mails =
      "user,time,arm,drawn,margin\na,2020-03-01,mail,1,-2.5\nb,2020-03-01 12:00:00,none,yes,4\n";
  Write("mails.csv", mails + "b,2020-05-01,mail,maybe,1\na,2020-05-01,mail,1,much\n");
  const Result<PrepareReport> report = Run(kEvents, kUsers, shop);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->Count(FindingKind::kNotANumber), 2u);
  EXPECT_THAT(report->ToText(),
              HasSubstr("mails.csv:4:19: \"maybe\" of \"randomised\" is none of 1, true, yes, 0, false, no"));
  EXPECT_THAT(report->ToText(), HasSubstr("mails.csv:5:21: \"much\" of \"outcome\" is not a number"));
  auto reader = DatasetReader::Open(Path("shop.h5"));
  ASSERT_TRUE(reader) << reader.error().text();
  ASSERT_EQ((*reader)->info().tasks.size(), 4u);
  EXPECT_EQ((*reader)->info().tasks[2].classes, (std::vector<std::string>{"none", "mail"}));
  RowBlock block;
  ASSERT_TRUE((*reader)->Read(Split::kTrain, 0, 2, true, &block).ok());
  const std::size_t a = block.ids[0] == "a" ? 0 : 1;
  EXPECT_EQ(block.labels[a * 4 + 2], 1);
  EXPECT_EQ(block.labels[a * 4 + 3], -2.5f);
  EXPECT_EQ(block.labels[(1 - a) * 4 + 2], 0);
  EXPECT_EQ(block.labels[(1 - a) * 4 + 3], 4);
  ASSERT_TRUE((*reader)->Read(Split::kValid, 0, 2, true, &block).ok());
  for (const std::size_t place : {2, 3, 6, 7}) EXPECT_TRUE(std::isnan(block.labels[place]));
  EXPECT_THAT(
      SchemaError("[labels.purchase]", "[labels.campaign]\narms = [\"none\", \"mail\"]\n[labels.purchase]"),
      HasSubstr("needs the columns arm, randomised and outcome of [campaigns]"));
}

TEST_F(PrepareShopTest, CountsUsersThatAreThereTwice) {
  const std::string users = std::string(kUsers) + "a,2020-02-02\n";
  const Result<PrepareReport> report = Run(kEvents, users);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->Count(FindingKind::kDuplicateUser), 1u);
  EXPECT_THAT(ErrorOf(Run(kEvents, users, kShop, true)), HasSubstr("users.csv:4: user \"a\" is at "));
}

TEST_F(PrepareShopTest, RefusesFilesThatAreNoLogs) {
  EXPECT_THAT(ErrorOf(Run("")), HasSubstr("events.csv:1: the file is empty; expected a header"));
  EXPECT_THAT(ErrorOf(Run("user,at,kind,item,quantity,price\n")),
              HasSubstr("shop.toml:6:8: column \"time\" is not in the header of"));
  EXPECT_THAT(ErrorOf(Run("user,time,kind,item,quantity,price\n")),
              HasSubstr("task \"churn\" has no label in any training row"));
  // UTF-16, as some spreadsheets write it.
  std::string wide = "\xff\xfe";
  for (const char* c = kEvents; *c != '\0'; ++c) wide += std::string(1, *c) + '\0';
  const std::string error = ErrorOf(Run(wide));
  EXPECT_THAT(error, HasSubstr("events.csv:1"));
  EXPECT_THAT(error, HasSubstr("UTF-16"));
  EXPECT_FALSE(std::filesystem::exists(Path("shop.h5")));
}

TEST_F(PrepareShopTest, RefusesADescriptionThatMakesNoSense) {
  EXPECT_THAT(SchemaError("kind = \"kind\"", "kinds_is = \"kind\""),
              HasSubstr("shop.toml:7:1: unknown key \"kinds_is\""));
  EXPECT_THAT(SchemaError("kind = \"kind\"\n", ""), HasSubstr("needs either kind"));
  EXPECT_THAT(SchemaError("time = \"time\"", "time = \"time\"\ntime_format = \"DMY\""),
              HasSubstr("is no form of a time"));
  EXPECT_THAT(SchemaError("\"2020-05-01\"", "\"2020-11-01\""),
              HasSubstr("must lie before the test snapshot"));
  EXPECT_THAT(SchemaError("\"2020-05-01\"", "\"2020-08-15\""),
              HasSubstr("[labels.churn] looks 60 days ahead, and no valid snapshot lies so long before"));
  EXPECT_THAT(SchemaError("\"2020-03-01\"", "\"2020-03-32\""), HasSubstr("is not a date like"));
  EXPECT_THAT(SchemaError("[labels.purchase]", "[labels.acquisition_cost]\n[labels.purchase]"),
              HasSubstr("needs the columns sign_up and acquisition_cost"));
  EXPECT_THAT(SchemaError("[labels.churn]", "[labels.churn]\nactivity = [\"return\", \"buy\"]"),
              HasSubstr("\"buy\" is no kind of event"));
  EXPECT_THAT(SchemaError("until = \"2020-12-01\"", "until = \"2020-10-01\""), HasSubstr("it has no future"));
}

TEST_F(PrepareShopTest, RefusesForecastsAndWindowsThatMakeNoSense) {
  const auto features = [&](const std::string& text) {
    return SchemaError("[labels.churn]", "[features]\n" + text + "\n[labels.churn]");
  };
  EXPECT_THAT(features("forecast = 1"), HasSubstr("shop.toml:22:12"));
  EXPECT_THAT(features("forecasts = true"), HasSubstr("did you mean \"forecast\""));
  EXPECT_THAT(SchemaError("kind = \"kind\"\nitem = \"item\"\nquantity = \"quantity\"\nprice = \"price\"\n",
                          "kind_is = \"view\"\n[features]\nforecast = true\n"),
              HasSubstr("shop.toml:9:12: [events] has no purchases"));
  const auto orders = [&](const std::string& text) {
    return SchemaError("[labels.purchase]\nhorizon_days = 30", "[labels.orders]\n" + text);
  };
  EXPECT_THAT(orders("horizon_days = 0"), HasSubstr("shop.toml:20:16"));
  EXPECT_THAT(orders("horizon_days = \"a year\""), HasSubstr("shop.toml:20:16"));
  EXPECT_THAT(orders("horizon_days = 30\nshortest_days = 0"), HasSubstr("shop.toml:21:17"));
  EXPECT_THAT(orders("horizon_days = 30\nshortest_days = 31"),
              HasSubstr("shortest_days = 31: expected at most horizon_days, 30"));
  EXPECT_THAT(
      orders("horizon_days = 30\nshortest_days = 20"),
      HasSubstr("set forecast = true in [features], and offset = \"log_expected_orders\" in [task.orders]"));
  EXPECT_THAT(orders("horizon_days = 300"), HasSubstr("[labels.orders] looks 300 days ahead"));
  EXPECT_THAT(SchemaError("[labels.purchase]", "[labels.purchase]\nshortest_days = 20"),
              HasSubstr("unknown key \"shortest_days\""));
}

TEST(ShopSchema, ReadsEveryKey) {
  for (const char* name : {"every-key", "online-retail", "train-list"}) {
    const auto schema =
        LoadShopSchema(std::string(COHORT_SOURCE_DIR) + "/tests/fuzz/corpus/shop/seed-" + name);
    EXPECT_TRUE(schema) << schema.error().text();
  }
}

TEST(EventTime, ReadsWhatItSays) {
  const auto read = [](const char* format, const char* cell) {
    return TimeFormat::Parse(format)->Read(cell);
  };
  EXPECT_EQ(read("iso", "1970-01-02"), kDay);
  EXPECT_EQ(read("iso", "1970-01-02 01:00"), kDay + 3600);
  EXPECT_EQ(read("iso", "1970-01-02T01:00:05.999Z"), kDay + 3605);
  EXPECT_EQ(read("iso", "1970-01-02 01:00:00+01:00"), kDay);
  EXPECT_EQ(read("iso", "2011-12-09 12:50:00"), 1323435000);
  EXPECT_EQ(read("iso", "2012-02-29"), 1330473600);
  EXPECT_EQ(read("iso", "2011-02-29"), std::nullopt);
  EXPECT_EQ(read("iso", "2011-12-09 24:00:00"), std::nullopt);
  EXPECT_EQ(read("iso", "2011-12-09 12:50:00 "), std::nullopt);
  EXPECT_EQ(read("unix", "86400.9"), kDay);
  EXPECT_EQ(read("unix", "-1"), std::nullopt);
  EXPECT_EQ(read("unix_ms", "86400999"), kDay);
  EXPECT_EQ(read("%d/%m/%Y %H:%M", "2/1/1970 1:00"), kDay + 3600);
  EXPECT_EQ(read("%d/%m/%Y %H:%M", "30/2/1970 1:00"), std::nullopt);
  EXPECT_EQ(read("%d/%m/%Y", "2/1/1970 1:00"), std::nullopt);
  EXPECT_EQ(read("%d/%m", "2/1"), std::nullopt);  // no year
  EXPECT_FALSE(TimeFormat::Parse("dmy"));
  EXPECT_EQ(TimeText(kDay), "1970-01-02");
  EXPECT_EQ(TimeText(1323435000), "2011-12-09 12:50:00");
}

}  // namespace
}  // namespace cohort::prepare_shop_test
