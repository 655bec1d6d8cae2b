#include "prepare/prepare.h"
#include "prepare/name_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "common/atomic_file.h"
#include "common/random.h"

namespace cohort::prepare_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kSmallSchema = R"(
[source]
files = ["a.csv"]
missing = ["?", ""]
[[feature]]
name = "age"
type = "numeric"
bins = 4
[[feature]]
name = "city"
type = "categorical"
[[feature]]
name = "tags"
type = "bag"
[[task]]
name = "buy"
type = "binary"
[[task]]
name = "kind"
type = "multiclass"
[[task]]
name = "spend"
type = "value"
[[task]]
name = "cost"
type = "regression"
[weight]
column = "w"
[id]
column = "id"
)";
constexpr const char* kSmallData =
    "id,age,city,tags,buy,kind,spend,cost,w\n"
    "u1,10,Paris,a|b,1,red,0,-1.5,1\n"
    "u2,?,Rome,,0,blue,2,,2\n"
    "\"u,3\",30,?,b | c|,true,red,8,3,1\n"
    "u4,abc,Paris,a,no,green,,2,0.5\n"   // age is no number
    "u5,inf,Paris,a,maybe,?,-3,nan,1\n"  // nothing of it is a label
    "u6,50,Oslo,a,1,red,1,1,0\n"         // no weight
    "u7,60,Oslo,a,1,red\n"               // cells are missing
    "u8,20,Paris,a,0,blue,0,0,1\n";

class PrepareTest : public ::testing::Test {
 protected:
  PrepareTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("cohort_prepare_test." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~PrepareTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ / name; }
  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
  }
  PrepareOptions Options() const { return {.schema = Path("schema.toml"), .output = Path("out.h5")}; }
  Result<PrepareReport> Run(const std::string& schema, PrepareOptions options) const {
    Write("schema.toml", schema);
    return Prepare(options);
  }
  Result<PrepareReport> Run(const std::string& schema) const { return Run(schema, Options()); }
  RowBlock Read(Split split) const {
    auto reader = DatasetReader::Open(Path("out.h5"));
    EXPECT_TRUE(reader) << reader.error().text();
    RowBlock block;
    const auto rows = (*reader)->info().rows[static_cast<std::size_t>(split)];
    EXPECT_TRUE((*reader)->Read(split, 0, static_cast<std::uint32_t>(rows), true, &block).ok());
    return block;
  }

  std::filesystem::path directory_;
};

TEST_F(PrepareTest, SmallFileEndToEnd) {
  Write("a.csv", kSmallData);
  auto report = Run(kSmallSchema);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->records, 8u);
  EXPECT_THAT(report->info.rows, ElementsAre(5, 0, 0));
  EXPECT_EQ(report->passes, 2) << "classes must be found first";

  const RowBlock block = Read(Split::kTrain);
  ASSERT_EQ(block.rows, 5u);
  EXPECT_THAT(block.ids, ElementsAre("u1", "u2", "u,3", "u4", "u8"));
  EXPECT_THAT(block.input_rows, ElementsAre(0, 1, 2, 3, 7));
  EXPECT_THAT(block.weights, ElementsAre(1, 2, 1, 0.5, 1));
  EXPECT_EQ(block.numeric[0], 10);
  EXPECT_TRUE(std::isnan(block.numeric[1]));
  EXPECT_TRUE(std::isnan(block.numeric[3]));
  EXPECT_EQ(block.categorical[0], CategoryKey("city", "Paris"));
  EXPECT_EQ(block.categorical[2], MissingKey("city"));
  EXPECT_THAT(block.bag_offsets[0], ElementsAre(0, 2, 2, 4, 5, 6));
  EXPECT_EQ(block.bag_keys[0][2], CategoryKey("tags", "b"));
  EXPECT_EQ(block.bag_keys[0][3], CategoryKey("tags", "c"));
  auto reader = DatasetReader::Open(Options().output);
  ASSERT_TRUE(reader) << reader.error().text();
  EXPECT_THAT(*(*reader)->ReadNames(), ::testing::Contains(std::pair(CategoryKey("city", "Paris"), std::string("Paris"))));
  EXPECT_EQ((*reader)->ReadNames()->count(CategoryKey("tags", "b")), 0u) << "of categorical features only";
  const float missing = -77;
  std::vector<float> labels = block.labels;
  for (float& label : labels) label = std::isnan(label) ? missing : label;
  EXPECT_THAT(labels, ElementsAre(1, 2, 0, -1.5, /**/ 0, 0, 2, missing, /**/ 1, 2, 8, 3, /**/ 0, 1, missing,
                                  2, /**/ 0, 0, 0, 0));

  // Statistics against hand work.
  const FeatureInfo& age = report->info.features[0];
  EXPECT_EQ(age.missing, 2u);
  EXPECT_DOUBLE_EQ(age.mean, 20);
  EXPECT_DOUBLE_EQ(age.deviation, std::sqrt(200.0 / 3));
  EXPECT_EQ(age.minimum, 10);
  EXPECT_EQ(age.maximum, 30);
  EXPECT_THAT(age.bin_edges, ElementsAre(20, 30));
  EXPECT_EQ(report->info.features[1].missing, 1u);
  EXPECT_EQ(std::round(report->info.features[1].distinct), 2);
  EXPECT_EQ(report->info.features[2].missing, 1u);
  EXPECT_EQ(std::round(report->info.features[2].distinct), 3);
  const auto& tasks = report->info.tasks;
  EXPECT_DOUBLE_EQ(tasks[0].mean, 2 / 5.5);
  EXPECT_THAT(tasks[1].classes, ElementsAre("blue", "green", "red"));
  EXPECT_DOUBLE_EQ(tasks[1].class_rates[0], 3 / 5.5);
  EXPECT_EQ(tasks[2].labelled, 4u);
  EXPECT_DOUBLE_EQ(tasks[2].mean, 12.0 / 5);
  EXPECT_DOUBLE_EQ(tasks[2].positive_share, 3.0 / 5);
  EXPECT_DOUBLE_EQ(tasks[2].log_mean, (2 * std::log(2.0) + std::log(8.0)) / 3);
  EXPECT_EQ(tasks[3].labelled, 4u);

  const auto count = [&](FindingKind kind, const char* name) { return report->findings[{kind, name}].count; };
  EXPECT_EQ(count(FindingKind::kWrongCellCount, ""), 1u);
  EXPECT_EQ(count(FindingKind::kBadWeight, ""), 1u);
  EXPECT_EQ(count(FindingKind::kNoLabel, ""), 1u);
  EXPECT_EQ(count(FindingKind::kNotANumber, "age"), 1u);
  EXPECT_EQ(report->Count(FindingKind::kNotFinite), 0u)
      << "the row was dropped before its features were read";
  EXPECT_EQ(count(FindingKind::kLabelUnknown, "buy"), 1u);
  EXPECT_EQ(count(FindingKind::kLabelNegative, "spend"), 1u);
  EXPECT_EQ(count(FindingKind::kLabelNotFinite, "cost"), 1u);
  EXPECT_THAT(report->ToText(),
              HasSubstr(Path("a.csv") + ":5:4: \"abc\" of numeric feature \"age\" is not a number"));
  EXPECT_THAT(report->ToText(), HasSubstr(Path("a.csv") + ":8: 6 cells, where the header has 9"));

  auto json = nlohmann::json::parse(report->ToJson());
  EXPECT_EQ(json["rows"]["train"], 5);
  EXPECT_EQ(json["dropped"]["bad_weight"], 1);
  EXPECT_EQ(json["masked"]["spend"]["label_negative"], 1);
  EXPECT_EQ(json["defaulted"]["age"]["not_a_number"], 1);
  EXPECT_EQ(json["tasks"]["buy"]["train"]["labelled"], 5);
  EXPECT_EQ(json["duplicates"]["train"], 0);
  EXPECT_EQ(json["status"], "done");
}

constexpr const char* kHazardSchema = R"([source]
files = ["a.csv"]
[[feature]]
name = "x"
type = "numeric"
[[task]]
name = "churn"
type = "hazard"
column = "months"
event = "left"
periods = 3
[[task]]
name = "always"
type = "binary"
)";

TEST_F(PrepareTest, AHazardsTimeAndEventAreOneLabel) {
  Write("a.csv",
        "x,months,left,always\n"
        "1,1,1,1\n1,2,yes,1\n1,3,true,1\n"    // events
        "1,1,0,1\n1,2.0,no,1\n1,3,false,1\n"  // censored
        "1,4,1,1\n1,7,0,1\n"                  // beyond the last period
        "1,,1,1\n1,2,,1\n1,0,0,1\n"           // missing, or seen for no period
        "1,-1,0,1\n1,1.5,1,1\n1,0,1,1\n1,x,1,1\n1,inf,0,1\n1,2,maybe,1\n");
  auto report = Run(kHazardSchema);
  ASSERT_TRUE(report) << report.error().text();
  const RowBlock block = Read(Split::kTrain);
  std::vector<float> labels;
  for (std::size_t i = 0; i < block.rows; ++i)
    labels.push_back(std::isnan(block.labels[2 * i]) ? 0 : block.labels[2 * i]);
  EXPECT_THAT(labels, ElementsAre(1, 2, 3, -1, -2, -3, -3, -3, 0, 0, 0, 0, 0, 0, 0, 0, 0));

  const TaskInfo& task = report->info.tasks[0];
  EXPECT_EQ(task.periods, 3u);
  EXPECT_EQ(task.labelled, 8u);
  EXPECT_THAT(task.at_risk, ElementsAre(1, 6.0 / 8, 4.0 / 8));
  EXPECT_THAT(task.hazards, ElementsAre(1.0 / 8, 1.0 / 6, 1.0 / 4));
  EXPECT_DOUBLE_EQ(task.mean, 1 - 7.0 / 8 * 5 / 6 * 3 / 4);
  const auto count = [&](FindingKind kind) { return report->findings[{kind, "churn"}].count; };
  EXPECT_EQ(count(FindingKind::kCensored), 2u);
  EXPECT_EQ(count(FindingKind::kLabelUnseen), 1u);
  EXPECT_EQ(count(FindingKind::kLabelBadPeriod), 3u);
  EXPECT_EQ(count(FindingKind::kLabelNotANumber), 1u);
  EXPECT_EQ(count(FindingKind::kLabelNotFinite), 1u);
  EXPECT_EQ(count(FindingKind::kLabelUnknown), 1u);
  const std::string text = report->ToText();
  EXPECT_THAT(text, HasSubstr(Path("a.csv") + ":13:3: the label \"-1\" of task \"churn\" is no period"));
  EXPECT_THAT(text, HasSubstr(Path("a.csv") + ":15:3: the label \"0\" of task \"churn\" has an event, yet"));
  EXPECT_THAT(text, HasSubstr(Path("a.csv") + ":18:5: the event \"maybe\" of task \"churn\" is neither 1/0"));
  EXPECT_THAT(text, HasSubstr("37.50 % with the event, 25.00 % censored before period 3 ended"));
  const auto json = nlohmann::json::parse(report->ToJson());
  EXPECT_EQ(json["masked"]["churn"]["label_bad_period"], 3);
  EXPECT_EQ(json["masked"]["churn"]["label_unseen"], 1);
  EXPECT_EQ(json["clipped"]["churn"]["censored"], 2);

  const auto read = DatasetInfoFromJson(ToJson(report->info));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->tasks[0].hazards, task.hazards);
  EXPECT_EQ(read->tasks[0].at_risk, task.at_risk);
}

TEST_F(PrepareTest, PeriodsThatNobodyIsSeenInAreTold) {
  Write("a.csv", "x,months,left,always\n1,1,0,1\n1,2,0,1\n");
  PrepareOptions options = Options();
  options.strict = true;  // what the schema asks for is no finding
  auto report = Run(kHazardSchema, options);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->ToText(), HasSubstr("task \"churn\": the event happens in no training row"));
  EXPECT_THAT(report->ToText(), HasSubstr("task \"churn\": no training row is seen in period 3, so nothing"));
}

TEST_F(PrepareTest, StrictNamesTheFirstFindingAndLeavesNothing) {
  Write("a.csv", kSmallData);
  PrepareOptions options = Options();
  options.strict = true;
  auto report = Run(kSmallSchema, options);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().exit_code(), 2);
  EXPECT_THAT(report.error().text(), HasSubstr("a.csv:5:4: \"abc\""));
  EXPECT_FALSE(std::filesystem::exists(Path("out.h5")));
  EXPECT_FALSE(std::filesystem::exists(Path("out.h5.tmp")));
  Write("a.csv",
        "id,age,city,tags,buy,kind,spend,cost,w\nu1,10,Paris,a|b,1,red,0,-1.5,1\nu8,20,?,,0,blue,,0,1\n");
  EXPECT_TRUE(Run(kSmallSchema, options)) << "missing cells are no fault";
}

TEST_F(PrepareTest, RefusesAnExistingOutput) {
  Write("a.csv", kSmallData);
  ASSERT_TRUE(Run(kSmallSchema));
  const std::string first = *ReadFile(Path("out.h5"));
  auto again = Run(kSmallSchema);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().exit_code(), 2);
  EXPECT_THAT(again.error().text(), HasSubstr("--overwrite"));
  PrepareOptions options = Options();
  options.overwrite = true;
  EXPECT_TRUE(Run(kSmallSchema, options));
  EXPECT_TRUE(*ReadFile(Path("out.h5")) == first) << "equal input, equal bytes";
  options.output = Path("a.csv");
  EXPECT_THAT(Run(kSmallSchema, options).error().text(), HasSubstr("one of the inputs"));
  // A failing run leaves the old file alone.
  Write("a.csv", "id,age,city,tags,buy,kind,spend,cost,w\n\"u1");
  EXPECT_FALSE(Run(kSmallSchema, options));
  EXPECT_TRUE(*ReadFile(Path("out.h5")) == first);
  EXPECT_FALSE(std::filesystem::exists(Path("out.h5.tmp")));
}

// n rows: x = row number, user = row / 4, t = row, y = row % 2.
std::string Numbered(int rows, int from = 0) {
  std::string text = "x,user,t,day,y\n";
  for (int i = from; i < from + rows; ++i) {
    char line[80];
    std::snprintf(line, sizeof line, "%d,%d,%d,2011-%02d-%02d,%d\n", i, i / 4, i, 1 + i / 28 % 12, 1 + i % 28,
                  i % 2);
    text += line;
  }
  return text;
}
std::string NumberedSchema(const std::string& split, const std::string& feature = "") {
  return "[source]\nfiles = [\"a.csv\"]\n[split]\n" + split + "[id]\ncolumn = \"user\"\n" +
         "[[feature]]\nname = \"x\"\ntype = \"numeric\"\n" + feature +
         "[[task]]\nname = \"y\"\ntype = \"binary\"\n";
}

TEST_F(PrepareTest, SplitByHashKeepsUsersTogether) {
  Write("a.csv", Numbered(20000));
  auto report = Run(NumberedSchema("hash_of = \"user\"\ntest = 0.2\nvalid = 0.1\n"));
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_NEAR(static_cast<double>(report->info.rows[2]), 4000, 300);
  EXPECT_NEAR(static_cast<double>(report->info.rows[1]), 2000, 250);
  std::map<std::string, int> split_of;
  for (int split = 0; split < kSplitCount; ++split) {
    for (const std::string& id : Read(static_cast<Split>(split)).ids) {
      EXPECT_EQ(split_of.emplace(id, split).first->second, split) << id;
    }
  }
  EXPECT_EQ(split_of.size(), 5000u);
}

TEST_F(PrepareTest, SplitByRowHashKeepsEqualRowsTogether) {
  Write("a.csv", Numbered(3000) + Numbered(3000).substr(15));
  auto report = Run(NumberedSchema("test = 0.2\n"));
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_NEAR(static_cast<double>(report->info.rows[2]), 1200, 200);
  EXPECT_EQ(report->duplicates.within[0] * 2, report->info.rows[0]);
  EXPECT_EQ(report->duplicates.across, 0u);
}

TEST_F(PrepareTest, SplitByTime) {
  Write("a.csv", Numbered(300));
  auto report = Run(NumberedSchema("time = \"t\"\ntest_from = 250\nvalid_from = 200\n"));
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->info.rows, ElementsAre(200, 50, 50));
  EXPECT_EQ(Read(Split::kTest).input_rows[0], 250u);

  PrepareOptions options = Options();
  options.overwrite = true;
  report = Run(NumberedSchema("time = \"day\"\ntest_from = \"2011-10-01\"\nvalid = 0.1\n"), options);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->info.rows[2], 300u - 9 * 28);
  EXPECT_GT(report->info.rows[1], 5u);

  report = Run(NumberedSchema("time = \"x\"\ntest_from = \"2011-10-01\"\n"), options);
  ASSERT_FALSE(report) << "every row is dropped";
  EXPECT_THAT(report.error().text(), HasSubstr("300 dropped (no usable time"));
}

TEST_F(PrepareTest, SplitByFiles) {
  Write("a.csv", Numbered(100));
  Write("t.csv", Numbered(50, 90));
  auto report = Run(NumberedSchema("test_files = [\"t.csv\"]\nvalid_rows_of_test = \"even\"\n"));
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->info.rows, ElementsAre(100, 25, 25));
  EXPECT_EQ(Read(Split::kValid).input_rows[1], 2u);
  EXPECT_EQ(Read(Split::kTest).input_rows[1], 3u);
  EXPECT_EQ(report->duplicates.across, 10u) << "rows 90 to 99 are in both files";

  // Test rows need no labels: a header without the task's column is enough.
  Write("t.csv", "x,user\n1,2\n3,4\n");
  PrepareOptions options = Options();
  options.overwrite = true;
  report = Run(NumberedSchema("test_files = [\"t.csv\"]\n"), options);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->info.rows, ElementsAre(100, 0, 2));
  EXPECT_TRUE(std::isnan(Read(Split::kTest).labels[0]));
}

TEST_F(PrepareTest, NumbersTheGroupsOfTheEvaluationSplits) {
  // Training rows may come in any order.
  Write("a.csv", "x,user,y\n1,a,0\n2,b,1\n3,a,0\n");
  Write("t.csv", "x,user,y\n1,b,0\n2,b,1\n3,,0\n4,b,1\n5,a,1\n");
  const std::string schema = NumberedSchema("test_files = [\"t.csv\"]\n") + "[group]\ncolumn = \"user\"\n";
  auto report = Run(schema);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_TRUE(report->info.has_group);
  EXPECT_THAT(Read(Split::kTest).groups, ElementsAre(0, 0, kNoGroup, 0, 1));
  EXPECT_TRUE(Read(Split::kTrain).groups.empty());

  Write("t.csv", "x,user,y\n1,b,0\n2,a,1\n3,b,0\n");
  PrepareOptions options = Options();
  options.overwrite = true;
  report = Run(schema, options);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().exit_code(), 2);
  EXPECT_THAT(report.error().text(), HasSubstr("t.csv:4:3: group \"b\" of the test split had rows before"));
  EXPECT_THAT(report.error().text(), HasSubstr("sort the file by column \"user\""));
}

TEST_F(PrepareTest, ClipsAtQuantilesWhenAsked) {
  Write("a.csv", Numbered(1000));
  auto report = Run(NumberedSchema("", "clip = [0.1, 0.9]\n"));
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->info.features[0].minimum, 99);
  EXPECT_EQ(report->info.features[0].maximum, 899);
  EXPECT_EQ(report->Count(FindingKind::kClipped), 99u + 100u);
  EXPECT_EQ(Read(Split::kTrain).numeric[999], 899);
  PrepareOptions options = Options();
  options.overwrite = options.strict = true;
  EXPECT_TRUE(Run(NumberedSchema("", "clip = [0.1, 0.9]\n"), options)) << "clipping was asked for";
}

// 70,000 rows over many blocks: statistics against direct computation, duplicates through the disk, progress.
TEST_F(PrepareTest, LargerFile) {
  RandomStream random(9);
  std::ofstream out(Path("a.csv"));
  out << "x,user,y\n";
  double sum = 0, squares = 0;
  std::set<std::string> distinct;
  std::uint64_t repeated = 0;
  constexpr int kRows = 70000;
  std::vector<double> values;
  for (int i = 0; i < kRows; ++i) {
    const std::uint64_t x = random.Below(30000);
    const std::string line = std::to_string(x) + "," + std::to_string(x % 700) + "," + std::to_string(x % 2);
    repeated += distinct.insert(line).second ? 0 : 1;
    out << line << "\n";
    values.push_back(static_cast<double>(x));
    sum += values.back();
  }
  out.close();
  for (double value : values) squares += (value - sum / kRows) * (value - sum / kRows);
  PrepareOptions options = Options();
  options.duplicate_memory_rows = 5000;
  int calls = 0;
  PrepareProgress last;
  options.progress = [&](const PrepareProgress& progress) {
    ++calls;
    last = progress;
  };
  auto report = Run(NumberedSchema("", "bins = 16\n"), options);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->duplicates.within[0], repeated);
  const FeatureInfo& x = report->info.features[0];
  EXPECT_NEAR(x.mean, sum / kRows, 1e-6);
  EXPECT_NEAR(x.deviation, std::sqrt(squares / kRows), 1e-6);
  EXPECT_NEAR(x.distinct, static_cast<double>(distinct.size()), 0.05 * static_cast<double>(distinct.size()));
  ASSERT_EQ(x.bin_edges.size(), 15u);
  std::vector<int> counts(16);
  for (double value : values)
    ++counts[static_cast<std::size_t>(BinOf(x.bin_edges, static_cast<float>(value)))];
  for (int count : counts) EXPECT_NEAR(count, kRows / 16, 0.006 * kRows);
  EXPECT_GT(calls, 10);
  EXPECT_LE(last.bytes, last.total_bytes);
  EXPECT_GT(last.rows, 60000u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 3)
      << "schema, data and output only";
}

TEST_F(PrepareTest, ErrorsOfData) {
  struct Case {
    const char* name;
    std::string data;
    std::string schema;
    const char* expected;
  };
  const std::string plain = NumberedSchema("");
  const std::string task = "[[task]]\nname = \"z\"\ncolumn = \"x\"\ntype = ";
  auto with_task = [](const std::string& text) {
    return "[source]\nfiles = [\"a.csv\"]\n[[feature]]\nname = \"x\"\ntype = \"numeric\"\n[[task]]\nname = "
           "\"y\"\n" +
           text;
  };
  const std::vector<Case> cases = {
      {"empty file", "", plain, "a.csv:1: the file is empty"},
      {"only a header", "x,user,t,day,y\n", plain, "no row is left to train on"},
      {"wrong column", "x,user,y2\n1,2,0\n", plain, "did you mean \"y2\"?"},
      {"wrong delimiter", "x;user;y\n1;2;0\n", plain, "is the delimiter right?"},
      {"unterminated quote", "x,user,y\n1,\"2,0\n", plain, "a.csv:2:3: the quote that opens here"},
      {"no labels", "x,user,y\n1,2,\n", plain, "1 dropped (a training row without any label"},
      {"strange labels", "x,user,y\n1,2,maybe\n", plain, "dropped"},
      {"positive misspelt", "x,y\n1,50000+.\n", with_task("type = \"binary\"\npositive = [\"50000+\"]\n"),
       "no cell is \"50000+\""},
      {"one class", "x,y\n1,a\n2,a\n", with_task("type = \"multiclass\"\n"), "fewer than two classes"},
      {"too many classes", Numbered(3000), with_task("type = \"multiclass\"\ncolumn = \"t\"\n"),
       "more than 1024 classes"},
      {"missing file", "", "[source]\nfiles = [\"absent.csv\"]\n" + plain.substr(plain.find("[id]")),
       "absent.csv: cannot open"},
  };
  for (const Case& c : cases) {
    Write("a.csv", c.data);
    auto report = Run(c.schema);
    ASSERT_FALSE(report) << c.name;
    EXPECT_EQ(report.error().exit_code(), 2) << c.name << ": " << report.error().text();
    EXPECT_THAT(report.error().text(), HasSubstr(c.expected)) << c.name;
    EXPECT_FALSE(std::filesystem::exists(Path("out.h5"))) << c.name;
    EXPECT_FALSE(std::filesystem::exists(Path("out.h5.tmp"))) << c.name;
  }
  Write("a.csv", Numbered(10));
  PrepareOptions options = Options();
  options.output = Path("no/such/out.h5");
  EXPECT_EQ(Run(plain, options).error().exit_code(), 2);
}

TEST_F(PrepareTest, WarnsOfUselessColumns) {
  Write("a.csv", "x,c,m,y\n1,a,,0\n1,a,,0\n");
  auto report =
      Run("[source]\nfiles = [\"a.csv\"]\n[split]\ntest = 0.000001\n[[feature]]\nname = \"x\"\ntype = "
          "\"numeric\"\n"
          "[[feature]]\nname = \"c\"\ntype = \"categorical\"\n[[feature]]\nname = \"m\"\ntype = \"bag\"\n"
          "[[task]]\nname = \"y\"\ntype = \"binary\"\n");
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->warnings,
              ElementsAre(HasSubstr("\"x\" has the same value"), HasSubstr("\"c\" has the same value"),
                          HasSubstr("\"m\" is missing in every"), HasSubstr("\"y\" has the same label"),
                          HasSubstr("test split is empty")));
}

TEST_F(PrepareTest, AConstantWithMissingCellsIsTold) {
  Write("a.csv", "x,y\n1,0\n,1\n1,0\n");
  auto report =
      Run("[source]\nfiles = [\"a.csv\"]\n[[feature]]\nname = \"x\"\ntype = \"numeric\"\n"
          "[[task]]\nname = \"y\"\ntype = \"binary\"\n");
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->warnings,
              ElementsAre("feature \"x\" has the same value in every training row that has one"));
}

// Ids are no names: of a feature with many values, or with long ones, no text is kept, wherever in the file the last of them comes.
TEST(NameTable, KeepsFewShortTexts) {
  NameTable table(3);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 1000; ++i) table.Add(0, CategoryKey("a", std::to_string(i)), std::to_string(i));
    for (int i = 0; i < 1001; ++i) table.Add(1, CategoryKey("b", std::to_string(i)), std::to_string(i));
    table.Add(2, CategoryKey("c", "short"), "short");
    table.Add(2, CategoryKey("c", std::string(129, 'x')), std::string(129, 'x'));
  }
  const DatasetNames names = table.Names();
  EXPECT_EQ(names.size(), 1000u);
  EXPECT_EQ(names.at(CategoryKey("a", "999")), "999");
}

TEST_F(PrepareTest, SequencesKeepTheLatestItemsInOrderAndShareAVocabulary) {
  Write("a.csv", "item,seen,y\nc,a|b|c|b,1\n,b,0\nb,,0\na,c | a||b,1\n");
  PrepareOptions options = Options();
  options.strict = true;  // a cut is what the schema asks for
  auto report = Run(R"(
[source]
files = ["a.csv"]
[[feature]]
name = "item"
type = "categorical"
[[feature]]
name = "seen"
type = "sequence"
max_length = 3
vocabulary = "item"
[[feature]]
name = "bag"
column = "seen"
type = "bag"
[[task]]
name = "y"
type = "binary"
)",
                    options);
  ASSERT_TRUE(report) << report.error().text();
  const RowBlock block = Read(Split::kTrain);
  const auto key = [](const char* item) { return CategoryKey("item", item); };
  EXPECT_THAT(block.bag_offsets[0], ElementsAre(0, 3, 4, 4, 7));
  EXPECT_THAT(block.bag_keys[0],
              ElementsAre(key("b"), key("c"), key("b"), key("b"), key("c"), key("a"), key("b")));
  EXPECT_EQ(block.categorical[0], key("c"));
  EXPECT_EQ(block.categorical[1], MissingKey("item"));
  EXPECT_EQ(block.bag_keys[1][0], CategoryKey("bag", "a"));
  EXPECT_EQ(block.bag_keys[1].size(), 8u);
  EXPECT_EQ(report->Count(FindingKind::kShortened), 1u);
  EXPECT_THAT(report->ToText(), HasSubstr("1 cells of \"seen\": cut to the latest max_length items"));
  const auto json = nlohmann::json::parse(report->ToJson());
  EXPECT_EQ(json["clipped"]["seen"]["shortened"], 1);
  EXPECT_EQ(json["features"][1]["vocabulary"], "item");
  auto reader = DatasetReader::Open(Path("out.h5"));
  ASSERT_TRUE(reader);
  EXPECT_TRUE((*reader)->info().features[1].sequence);
  EXPECT_EQ((*reader)->info().features[1].vocabulary, "item");
  EXPECT_EQ((*reader)->info().features[0].vocabulary, "");
}

constexpr const char* kVectorSchema = R"(
[source]
files = ["a.csv"]
[[feature]]
name = "image"
type = "vector"
length = 3
separator = ";"
[[feature]]
name = "note"
type = "text"
[[task]]
name = "y"
type = "binary"
)";

TEST_F(PrepareTest, VectorsAndTexts) {
  Write("a.csv",
        "image,note,y\n1; 2;-3,Not GOOD,1\n,,0\n1;2,x,1\n1;2;3;4,x,1\n1;b;3,x,1\n1;inf;3,x,1\n4;5;6,!,0\n");
  auto report = Run(kVectorSchema);
  ASSERT_TRUE(report) << report.error().text();
  const RowBlock block = Read(Split::kTrain);
  ASSERT_EQ(block.vectors.size(), 1u);
  ASSERT_EQ(block.vectors[0].size(), 7u * 3);
  EXPECT_THAT(std::vector<float>(block.vectors[0].begin(), block.vectors[0].begin() + 3),
              ElementsAre(1, 2, -3));
  for (std::size_t i = 3; i < 18; ++i) EXPECT_TRUE(std::isnan(block.vectors[0][i])) << i;
  EXPECT_EQ(block.vectors[0][20], 6);
  const FeatureInfo& image = report->info.features[0];
  EXPECT_EQ(image.length, 3u);
  EXPECT_EQ(image.missing, 5u);
  EXPECT_DOUBLE_EQ(image.mean, 2.5);
  EXPECT_DOUBLE_EQ(image.deviation, std::sqrt((2.25 + 0.25 + 30.25 + 2.25 + 6.25 + 12.25) / 6));
  EXPECT_EQ(image.minimum, -3);
  EXPECT_EQ(image.maximum, 6);
  EXPECT_EQ(std::round(image.distinct), 2);
  EXPECT_EQ(report->Count(FindingKind::kWrongLength), 2u);
  EXPECT_EQ(report->Count(FindingKind::kNotANumber), 1u);
  EXPECT_EQ(report->Count(FindingKind::kNotFinite), 1u);
  EXPECT_THAT(report->ToText(), HasSubstr("a.csv:4:1: \"1;2\" of vector \"image\" has 2 numbers, expected 3 "
                                          "(separated by \";\"); it counts as missing"));
  EXPECT_EQ(nlohmann::json::parse(report->ToJson())["defaulted"]["image"]["wrong_length"], 2);

  EXPECT_THAT(block.bag_offsets[0], ElementsAre(0, 3, 3, 4, 5, 6, 7, 7));
  EXPECT_EQ(block.bag_keys[0][0], CategoryKey("note", "not"));
  EXPECT_EQ(block.bag_keys[0][1], CategoryKey("note", "not good"));
  EXPECT_EQ(block.bag_keys[0][2], CategoryKey("note", "good"));

  PrepareOptions strict = Options();
  strict.strict = strict.overwrite = true;
  EXPECT_THAT(Run(kVectorSchema, strict).error().text(), HasSubstr("a.csv:4:1: \"1;2\" of vector"));
}

// The known figures of real data, where it is at hand.
TEST_F(PrepareTest, CensusIncome) {
  const char* data = std::getenv("COHORT_DATA_DIR");
  if (data == nullptr) GTEST_SKIP() << "COHORT_DATA_DIR does not name a directory with census-income/";
  PrepareOptions options{.schema = COHORT_SOURCE_DIR "/launch/examples/census/schema.toml",
                         .output = Path("census.h5"),
                         .data_directory = std::string(data) + "/census-income"};
  options.strict = true;
  auto report = Prepare(options);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->info.rows, ElementsAre(199523, 49881, 49881));
  const auto positives = [&](std::size_t split, std::size_t task) {
    const TaskInfo& info = report->tasks[split][task];
    return std::llround(info.mean * static_cast<double>(info.labelled));
  };
  EXPECT_EQ(positives(0, 0), 12382);
  EXPECT_EQ(positives(0, 1), 86485);
  EXPECT_EQ(positives(1, 0) + positives(2, 0), 6186);
  EXPECT_EQ(positives(1, 1) + positives(2, 1), 43143);
  EXPECT_EQ(report->info.features.size(), 39u);
}

}  // namespace
}  // namespace cohort::prepare_test
