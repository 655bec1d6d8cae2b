#include "common/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>

#include "common/atomic_file.h"
#include "common/hdf5_file.h"

namespace cohort::dataset_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

DatasetInfo SmallInfo() {
  DatasetInfo info;
  FeatureInfo age{.name = "age", .scale = NumericScale::kLog1p};
  age.mean = 0.1;
  age.deviation = 1.0 / 3;
  age.bin_edges = {-1.5f, 0.1f, 7};
  info.features = {
      age,
      {.name = "city", .type = FeatureType::kCategorical},
      {.name = "bag \"ü\"", .type = FeatureType::kBag, .pooling = Pooling::kSum, .sequence = true},
      {.name = "country", .type = FeatureType::kCategorical},
      {.name = "b2", .type = FeatureType::kBag, .vocabulary = "city", .ngrams = 2},
      {.name = "image", .type = FeatureType::kVector, .scale = NumericScale::kNone, .length = 3}};
  info.tasks = {
      {.name = "buy"},
      {.name = "kind", .type = TaskType::kMulticlass, .classes = {"a", "b"}, .class_rates = {0.25, 0.75}}};
  info.has_weight = true;
  info.has_id = true;
  return info;
}

// Rows whose values follow from their number, so that any part of a split can be checked.
RowBlock MakeBlock(std::uint64_t first, std::uint32_t rows) {
  RowBlock block;
  block.first_row = first;
  block.rows = rows;
  block.bag_offsets.assign(2, {0});
  block.bag_keys.resize(2);
  block.vectors.resize(1);
  for (std::uint64_t row = first; row < first + rows; ++row) {
    const float value = static_cast<float>(row);
    block.numeric.push_back(row % 7 == 0 ? std::numeric_limits<float>::quiet_NaN() : value / 3);
    block.categorical.push_back(row);
    block.categorical.push_back(~row);
    for (std::uint64_t i = 0; i < row % 3; ++i) block.bag_keys[0].push_back(row * 10 + i);
    if (row % 2 == 1) block.bag_keys[1].push_back(row);
    for (std::size_t bag = 0; bag < 2; ++bag) block.bag_offsets[bag].push_back(block.bag_keys[bag].size());
    for (const float part : {0.0f, 0.25f, 0.5f}) block.vectors[0].push_back(value + part);
    block.labels.push_back(static_cast<float>(row % 2));
    block.labels.push_back(value);
    block.weights.push_back(value + 1);
    block.input_rows.push_back(2 * row);
    block.ids.push_back(row % 5 == 0 ? "" : "id" + std::to_string(row));
  }
  return block;
}

bool SameFloats(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
           return x == y || (std::isnan(x) && std::isnan(y));
         });
}

void ExpectSame(const RowBlock& a, const RowBlock& b) {
  EXPECT_EQ(a.first_row, b.first_row);
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_TRUE(SameFloats(a.numeric, b.numeric));
  EXPECT_EQ(a.categorical, b.categorical);
  EXPECT_EQ(a.bag_offsets, b.bag_offsets);
  EXPECT_EQ(a.bag_keys, b.bag_keys);
  EXPECT_EQ(a.vectors, b.vectors);
  EXPECT_TRUE(SameFloats(a.labels, b.labels));
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.input_rows, b.input_rows);
  EXPECT_EQ(a.ids, b.ids);
}

class DatasetTest : public ::testing::Test {
 protected:
  DatasetTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("cohort_dataset_test." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~DatasetTest() override { std::filesystem::remove_all(directory_); }
  std::string Path(const char* name) const { return directory_ / name; }

  // 2600 training rows in uneven appends, 3 test rows, no valid ones.
  void Write(const std::string& path) {
    auto writer = DatasetWriter::Create(path, SmallInfo());
    ASSERT_TRUE(writer) << writer.error().text();
    std::uint64_t first = 0;
    for (std::uint32_t rows : {1024u, 1u, 0u, 1500u, 75u}) {
      ASSERT_TRUE((*writer)->Append(Split::kTrain, MakeBlock(first, rows)).ok());
      first += rows;
    }
    ASSERT_TRUE((*writer)->Append(Split::kTest, MakeBlock(0, 3)).ok());
    EXPECT_FALSE(std::filesystem::exists(path));
    Status status = (*writer)->Finish(SmallInfo());
    ASSERT_TRUE(status.ok()) << status.text();
  }

  std::filesystem::path directory_;
};

TEST_F(DatasetTest, RoundTrip) {
  Write(Path("x.h5"));
  auto reader = DatasetReader::Open(Path("x.h5"));
  ASSERT_TRUE(reader) << reader.error().text();
  EXPECT_THAT((*reader)->info().rows, ElementsAre(2600, 0, 3));
  RowBlock block;
  for (auto [first, count] : std::vector<std::pair<std::uint64_t, std::uint32_t>>{
           {0, 2600}, {0, 1024}, {1024, 1024}, {2048, 552}, {17, 1}, {2600, 0}, {1000, 100}}) {
    ASSERT_TRUE((*reader)->Read(Split::kTrain, first, count, true, &block).ok());
    ExpectSame(block, MakeBlock(first, count));
  }
  ASSERT_TRUE((*reader)->Read(Split::kTest, 1, 2, false, &block).ok());
  EXPECT_TRUE(block.ids.empty());
  ASSERT_TRUE((*reader)->Read(Split::kTest, 0, 3, true, &block).ok());
  ExpectSame(block, MakeBlock(0, 3));
  ASSERT_TRUE((*reader)->Read(Split::kValid, 0, 0, true, &block).ok());
  EXPECT_EQ(block.rows, 0u);
}

TEST_F(DatasetTest, KeepsNames) {
  const DatasetNames names = {{5, "Paris"}, {7, ""}, {~Key{0}, "Æ, \"quoted\""}};
  auto writer = DatasetWriter::Create(Path("x.h5"), SmallInfo());
  ASSERT_TRUE(writer) << writer.error().text();
  ASSERT_TRUE((*writer)->Append(Split::kTrain, MakeBlock(0, 5)).ok());
  ASSERT_TRUE((*writer)->AddNames(names).ok());
  ASSERT_TRUE((*writer)->Finish(SmallInfo()).ok());
  auto reader = DatasetReader::Open(Path("x.h5"));
  ASSERT_TRUE(reader) << reader.error().text();
  EXPECT_EQ(*(*reader)->ReadNames(), names);
  Write(Path("y.h5"));
  EXPECT_TRUE((*DatasetReader::Open(Path("y.h5")))->ReadNames()->empty());
}

TEST_F(DatasetTest, GroupsBelongToTheEvaluationSplits) {
  DatasetInfo info = SmallInfo();
  info.has_group = true;
  info.files = {0, 2, 2};
  auto writer = DatasetWriter::Create(Path("x.h5"), info);
  ASSERT_TRUE(writer) << writer.error().text();
  ASSERT_TRUE((*writer)->Append(Split::kTrain, MakeBlock(0, 5)).ok());
  RowBlock test = MakeBlock(0, 4);
  test.groups = {0, 0, kNoGroup, 1};
  ASSERT_TRUE((*writer)->Append(Split::kTest, test).ok());
  ASSERT_TRUE((*writer)->Finish(info).ok());
  auto reader = DatasetReader::Open(Path("x.h5"));
  ASSERT_TRUE(reader) << reader.error().text();
  EXPECT_TRUE((*reader)->info().has_group);
  EXPECT_EQ((*reader)->info().files, info.files);
  RowBlock block;
  ASSERT_TRUE((*reader)->Read(Split::kTest, 1, 3, false, &block).ok());
  EXPECT_THAT(block.groups, ElementsAre(0, kNoGroup, 1));
  ASSERT_TRUE((*reader)->Read(Split::kTrain, 0, 5, false, &block).ok());
  EXPECT_TRUE(block.groups.empty());
}

// Before groups there were none.
TEST_F(DatasetTest, ADescriptionOfAnEarlierVersionHasNoGroups) {
  std::string text = ToJson(SmallInfo());
  const std::string field = "\"has_group\":false,";
  ASSERT_NE(text.find(field), std::string::npos);
  text.erase(text.find(field), field.size());
  const auto info = DatasetInfoFromJson(text);
  ASSERT_TRUE(info) << info.error().text();
  EXPECT_FALSE(info->has_group);
}

TEST_F(DatasetTest, EqualRowsGiveEqualBytes) {
  Write(Path("x.h5"));
  Write(Path("y.h5"));
  EXPECT_TRUE(*ReadFile(Path("x.h5")) == *ReadFile(Path("y.h5")));
}

TEST_F(DatasetTest, NothingIsLeftWithoutFinish) {
  {
    auto writer = DatasetWriter::Create(Path("x.h5"), SmallInfo());
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->Append(Split::kTrain, MakeBlock(0, 10)).ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
  EXPECT_EQ(DatasetWriter::Create(Path("no/x.h5"), SmallInfo()).error().code(), ErrorCode::kInvalidInput);
}

TEST_F(DatasetTest, DescriptionRoundTrip) {
  const DatasetInfo info = SmallInfo();
  auto copy = DatasetInfoFromJson(ToJson(info));
  ASSERT_TRUE(copy) << copy.error().text();
  EXPECT_EQ(ToJson(*copy), ToJson(info));
  EXPECT_EQ(copy->features[0].deviation, 1.0 / 3);
  EXPECT_EQ(copy->features[0].bin_edges, info.features[0].bin_edges);
  EXPECT_EQ(copy->features[2].name, "bag \"ü\"");
  EXPECT_EQ(copy->ColumnOf(3), 1u);
  EXPECT_EQ(copy->ColumnOf(4), 1u);
  EXPECT_EQ(copy->CountOf(FeatureType::kBag), 2u);
  EXPECT_EQ(copy->tasks[1].PredictionColumns(), 2u);
  for (const char* bad : {"", "{}", "[]", "null", R"({"has_weight":1})"}) {
    EXPECT_EQ(DatasetInfoFromJson(bad).error().code(), ErrorCode::kCorrupt) << bad;
  }
}

// Every way a file can fail its description is the user's input at fault, told with the path.
TEST_F(DatasetTest, RefusesWhatIsNotADataset) {
  struct Case {
    const char* what;
    std::function<void(Hdf5Writer&)> write;
    const char* expected;
  };
  DatasetInfo info = SmallInfo();
  info.has_weight = info.has_id = false;
  info.features.resize(2);
  info.rows[0] = 2;
  const std::uint64_t two_two[] = {2, 2}, two_one[] = {2, 1};
  auto described = [&](Hdf5Writer& file) {
    EXPECT_TRUE(file.SetInteger("/", "format", kDatasetFormat).ok());
    EXPECT_TRUE(file.SetText("/", "description", ToJson(info)).ok());
  };
  const std::vector<float> two(2), four(4);
  const std::vector<Case> cases = {
      {"empty", [](Hdf5Writer&) {}, "format"},
      {"other format", [](Hdf5Writer& file) { (void)file.SetInteger("/", "format", 99); }, "format 99"},
      {"no description", [](Hdf5Writer& file) { (void)file.SetInteger("/", "format", kDatasetFormat); },
       "description"},
      {"no arrays", described, "train/numeric"},
      {"wrong type",
       [&](Hdf5Writer& file) {
         described(file);
         (void)file.WriteAll<double>("train/numeric", two_one, std::vector<double>(2));
       },
       "float64, expected float32"},
      {"wrong shape",
       [&](Hdf5Writer& file) {
         described(file);
         (void)file.WriteAll<float>("train/numeric", two_two, four);
       },
       "train/numeric: does not have the 2 x 1"},
      {"no labels",
       [&](Hdf5Writer& file) {
         described(file);
         (void)file.WriteAll<float>("train/numeric", two_one, two);
         (void)file.WriteAll<Key>("train/categorical", two_one, std::vector<Key>(2));
       },
       "train/label"},
  };
  for (const Case& c : cases) {
    auto file = Hdf5Writer::Create(Path("x.h5"));
    ASSERT_TRUE(file);
    c.write(**file);
    ASSERT_TRUE((*file)->Close().ok());
    auto reader = DatasetReader::Open(Path("x.h5"));
    ASSERT_FALSE(reader) << c.what;
    EXPECT_EQ(reader.error().code(), ErrorCode::kInvalidInput) << c.what;
    EXPECT_THAT(reader.error().text(), HasSubstr(c.expected)) << c.what;
    EXPECT_THAT(reader.error().text(), HasSubstr("x.h5")) << c.what;
  }
  EXPECT_EQ(DatasetReader::Open(Path("absent.h5")).error().code(), ErrorCode::kInvalidInput);
  ASSERT_TRUE(WriteFileAtomically(Path("text.h5"), "a,b\n1,2\n").ok());
  EXPECT_EQ(DatasetReader::Open(Path("text.h5")).error().code(), ErrorCode::kInvalidInput);
}

TEST(Keys, AreApartByFeatureValueAndKind) {
  std::set<Key> keys;
  for (const char* feature : {"a", "b", ""}) {
    for (const char* value : {"", "a", "b", "?", "0"}) keys.insert(CategoryKey(feature, value));
    keys.insert(MissingKey(feature));
    for (int bin = -1; bin < 40; ++bin) keys.insert(BinKey(feature, bin));
  }
  EXPECT_EQ(keys.size(), 3u * (5 + 1 + 41));
  // The keys are part of the file format: they may not change from one version to the next.
  EXPECT_EQ(CategoryKey("city", "Paris"), 0xec75123ddedf7240u);
  EXPECT_EQ(MissingKey("city"), 0xad1a7cdde062abfbu);
  EXPECT_EQ(BinKey("city", 3), 0x547ab8aeb8206998u);
}

TEST(Keys, BinOfCountsTheEdgesNotAbove) {
  const std::vector<float> edges{0, 2, 5};
  EXPECT_EQ(BinOf(edges, -1), 0);
  EXPECT_EQ(BinOf(edges, 0), 1);
  EXPECT_EQ(BinOf(edges, 1.9f), 1);
  EXPECT_EQ(BinOf(edges, 5), 3);
  EXPECT_EQ(BinOf(edges, std::numeric_limits<float>::quiet_NaN()), -1);
  EXPECT_EQ(BinOf({}, 3), 0);
}

}  // namespace
}  // namespace cohort::dataset_test
