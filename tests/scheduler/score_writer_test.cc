#include "scheduler/score_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "common/hdf5_file.h"
#include "common/random.h"
#include "tests/support/subprocess.h"

namespace cohort::score_writer_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<TaskInfo> Tasks() {
  TaskInfo binary, multiclass;
  binary.name = "bought";
  multiclass.name = "kind";
  multiclass.type = TaskType::kMulticlass;
  multiclass.classes = {"a", "b,c"};
  return {binary, multiclass};
}

TEST(ScoreWriter, CsvQuotesAndKeepsFloatsExact) {
  testing::TemporaryFolder folder;
  const std::string path = folder / "s.csv";
  auto writer = ScoreWriter::Create(path, Tasks(), true);
  ASSERT_TRUE(writer) << writer.error().text();
  const std::vector<std::string> ids = {"u1", "say \"hi\""};
  const std::vector<std::uint64_t> numbers = {0, 1};
  ASSERT_TRUE((*writer)->Append(ids, numbers, std::vector<float>{0.1f, 0.25f, 0.75f, 1e-8f, 0, 1}).ok());
  EXPECT_FALSE(std::filesystem::exists(path)) << "not under its name before it is whole";
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ(testing::ReadFile(path),
            "id,bought,kind.a,\"kind.b,c\"\nu1,0.1,0.25,0.75\n\"say \"\"hi\"\"\",1e-08,0,1\n");
}

TEST(ScoreWriter, AHazardHasAColumnPerPeriod) {
  testing::TemporaryFolder folder;
  TaskInfo task;
  task.name = "left";
  task.type = TaskType::kHazard;
  task.periods = 3;
  auto writer = ScoreWriter::Create(folder / "s.csv", {task}, false);
  ASSERT_TRUE(writer) << writer.error().text();
  const std::vector<std::uint64_t> numbers = {4};
  ASSERT_TRUE((*writer)->Append({}, numbers, std::vector<float>{0.1f, 0.25f, 0.75f}).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ(testing::ReadFile(folder / "s.csv"), "id,left.1,left.2,left.3\n4,0.1,0.25,0.75\n");
}

TEST(ScoreWriter, Hdf5HasOneDatasetPerTask) {
  testing::TemporaryFolder folder;
  const std::string path = folder / "s.h5";
  auto writer = ScoreWriter::Create(path, Tasks(), false);
  ASSERT_TRUE(writer) << writer.error().text();
  const std::vector<std::uint64_t> numbers = {4, 7};
  ASSERT_TRUE((*writer)->Append({}, numbers, std::vector<float>{0.1f, 0.2f, 0.8f, 0.3f, 0.4f, 0.6f}).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  auto reader = Hdf5Reader::Open(path);
  ASSERT_TRUE(reader);
  EXPECT_THAT(*(*reader)->ReadAll<std::uint64_t>("id"), ElementsAre(4, 7));
  EXPECT_THAT(*(*reader)->ReadAll<float>("scores/bought"), ElementsAre(0.1f, 0.3f));
  EXPECT_THAT((*reader)->Shape("scores/kind")->dims, ElementsAre(2, 2));
  EXPECT_THAT(*(*reader)->ReadAll<float>("scores/kind"), ElementsAre(0.2f, 0.8f, 0.4f, 0.6f));
}

TEST(ScoreWriter, UnknownFormatAndAbandonedFiles) {
  testing::TemporaryFolder folder;
  const auto unknown = ScoreWriter::Create(folder / "s.xlsx", Tasks(), true);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().text(), HasSubstr("csv"));
  EXPECT_EQ(unknown.error().exit_code(), 2);
  { auto abandoned = ScoreWriter::Create(folder / "s.csv", Tasks(), true); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// Rows whose numbers are spread over the splits as `split_of` says.
class FakeDataset : public DatasetReader {
 public:
  FakeDataset(std::uint64_t rows, const std::function<int(std::uint64_t)>& split_of) {
    for (std::uint64_t row = 0; row < rows; ++row)
      numbers_[static_cast<std::size_t>(split_of(row))].push_back(row);
    for (std::size_t split = 0; split < kSplitCount; ++split) info_.rows[split] = numbers_[split].size();
  }
  void SetFiles(const std::array<std::uint8_t, kSplitCount>& files) { info_.files = files; }
  const DatasetInfo& info() const override { return info_; }
  Status Read(Split split, std::uint64_t first, std::uint32_t count, bool, RowBlock* block) override {
    const auto& numbers = numbers_[static_cast<std::size_t>(split)];
    block->first_row = first, block->rows = count;
    block->input_rows.assign(numbers.begin() + static_cast<std::ptrdiff_t>(first),
                             numbers.begin() + static_cast<std::ptrdiff_t>(first + count));
    block->ids.clear();
    return {};
  }
  // What the cluster would have predicted: the row's own number.
  SpilledScores Spill(Split split, const std::string& path) const {
    std::string bytes;
    for (const std::uint64_t number : numbers_[static_cast<std::size_t>(split)]) {
      const auto value = static_cast<float>(number);
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
    }
    std::ofstream(path, std::ios::binary) << bytes;
    return {split, path};
  }

 private:
  DatasetInfo info_;
  std::array<std::vector<std::uint64_t>, kSplitCount> numbers_;
};

class Collector : public ScoreWriter {
 public:
  Status Append(std::span<const std::string>, std::span<const std::uint64_t> rows,
                std::span<const float> values) override {
    numbers.insert(numbers.end(), rows.begin(), rows.end());
    predictions.insert(predictions.end(), values.begin(), values.end());
    return {};
  }
  Status Finish() override { return {}; }
  std::vector<std::uint64_t> numbers;
  std::vector<float> predictions;
};

TEST(MergeScores, AllSplitsComeInInputOrder) {
  testing::TemporaryFolder folder;
  const std::vector<std::function<int(std::uint64_t)>> patterns = {
      [](std::uint64_t row) { return static_cast<int>(row % 3); },
      [](std::uint64_t row) { return row < 2500 ? 0 : 2; },
      [](std::uint64_t row) { return static_cast<int>(RandomBits(1, row) % 3); },
  };
  for (const auto& pattern : patterns) {
    FakeDataset dataset(5000, pattern);
    std::vector<SpilledScores> splits;
    for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) {
      splits.push_back(dataset.Spill(split, folder / SplitName(split)));
    }
    Collector collector;
    ASSERT_TRUE(MergeScores(dataset, splits, 1, collector, nullptr).ok());
    std::vector<std::uint64_t> expected(5000);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(collector.numbers, expected);
    EXPECT_EQ(collector.predictions, std::vector<float>(expected.begin(), expected.end()));
  }
}

TEST(MergeScores, FilesOfTheirOwnComeOneAfterTheOther) {
  testing::TemporaryFolder folder;
  FakeDataset dataset(9, [](std::uint64_t row) { return static_cast<int>(row % 3); });
  dataset.SetFiles({0, 2, 2});
  std::vector<SpilledScores> splits;
  for (const Split split : {Split::kTrain, Split::kValid, Split::kTest})
    splits.push_back(dataset.Spill(split, folder / SplitName(split)));
  Collector collector;
  ASSERT_TRUE(MergeScores(dataset, splits, 1, collector, nullptr).ok());
  EXPECT_THAT(collector.numbers, ElementsAre(0, 3, 6, 1, 2, 4, 5, 7, 8));
  EXPECT_THAT(collector.predictions, ElementsAre(0, 3, 6, 1, 2, 4, 5, 7, 8));
}

TEST(MergeScores, AShortSpillIsAnError) {
  testing::TemporaryFolder folder;
  FakeDataset dataset(100, [](std::uint64_t) { return 2; });
  const SpilledScores spill = dataset.Spill(Split::kTest, folder / "test");
  std::filesystem::resize_file(spill.path, 16);
  Collector collector;
  EXPECT_FALSE(MergeScores(dataset, {spill}, 1, collector, nullptr).ok());
}

}  // namespace
}  // namespace cohort::score_writer_test
