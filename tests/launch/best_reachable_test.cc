#include "launch/report/best_reachable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "common/dataset.h"

namespace cohort::best_reachable_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Three test customers with a binary and a multiclass task; the third has no activation.
class BestReachableTest : public ::testing::Test {
 protected:
  BestReachableTest()
      : directory_(fs::temp_directory_path() / ("cohort-best-" + std::to_string(::getpid()))) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  ~BestReachableTest() override { fs::remove_all(directory_); }

  void WriteDataset(bool with_ids = true) const {
    DatasetInfo info;
    TaskInfo purchased, activation;
    purchased.name = "purchased";
    purchased.mean = 0.25;
    activation.name = "activation";
    activation.type = TaskType::kMulticlass;
    activation.classes = {"app", "none"};
    activation.class_rates = {0.4, 0.6};
    FeatureInfo age;
    age.name = "age";
    info.features = {age};
    info.tasks = {purchased, activation};
    info.has_id = with_ids;
    info.rows = {0, 0, 3};
    RowBlock block;
    block.rows = 3;
    block.numeric = {20, 30, 40};
    block.labels = {1, 0, 0, 1, 0, std::nanf("")};
    block.input_rows = {0, 1, 2};
    if (with_ids) block.ids = {"c", "a", "b"};
    auto writer = DatasetWriter::Create(dataset(), info);
    ASSERT_TRUE(writer.has_value()) << writer.error().text();
    ASSERT_TRUE((*writer)->Append(Split::kTest, block).ok());
    const Status status = (*writer)->Finish(info);
    ASSERT_TRUE(status.ok()) << status.text();
  }
  void WriteTruth(const std::string& text) const { std::ofstream(directory_ / "expectations.csv") << text; }
  std::string dataset() const { return (directory_ / "d.h5").string(); }

  static constexpr const char* kTruth =
      "id,activation.none,extra,purchased,activation.app\n"
      "a,0.9,x,0.2,0.1\nb,0.5,y,0.1,0.5\nc,0.3,z,0.8,0.7\nd,0.3,z,0.8,0.7\n";
  fs::path directory_;
};

TEST_F(BestReachableTest, MatchesTheTruthByIdAndName) {
  WriteDataset();
  WriteTruth(kTruth);
  for (const fs::path& truth : {directory_, directory_ / "expectations.csv"}) {
    const auto reachable = ComputeBestReachable(dataset(), truth.string());
    ASSERT_TRUE(reachable.has_value()) << reachable.error().text();
    ASSERT_EQ(reachable->best.size(), 1u);  // an empty split has none
    EXPECT_EQ(reachable->best[0].split, "test");
    const auto& best = reachable->best[0].tasks;
    const auto& constant = reachable->constant[0].tasks;
    EXPECT_NEAR(best[0].Value("logloss"), -(std::log(0.8) + std::log(0.8) + std::log(0.9)) / 3, 1e-6);
    EXPECT_NEAR(constant[0].Value("logloss"), -(std::log(0.25) + 2 * std::log(0.75)) / 3, 1e-6);
    EXPECT_NEAR(best[1].Value("logloss"), -(std::log(0.7) + std::log(0.9)) / 2, 1e-6);
    EXPECT_NEAR(constant[1].Value("logloss"), -(std::log(0.4) + std::log(0.6)) / 2, 1e-6);
    EXPECT_EQ(best[1].Value("rows"), 2);

    const auto read = BestReachableFromJson(ToJson(*reachable), "best_reachable.json");
    ASSERT_TRUE(read.has_value()) << read.error().text();
    EXPECT_EQ(ToJson(*read), ToJson(*reachable));
    const auto losses = CompareLosses(reachable->best, *reachable);
    ASSERT_EQ(losses.size(), 2u);
    for (const LossComparison& loss : losses) EXPECT_DOUBLE_EQ(loss.GapClosed(), 1);
    EXPECT_THAT(MetricsTable(reachable->best, "test", &*reachable), HasSubstr("100.0 %"));
    // A task that the truth does not speak of has no gap, and no crash.
    auto other = reachable->best;
    other[0].tasks[0].name = "unknown";
    EXPECT_TRUE(std::isnan(CompareLosses(other, *reachable)[0].GapClosed()));
    EXPECT_THAT(MetricsTable(other, "test", nullptr), HasSubstr("unknown"));
  }
}

// A truth with a column `split`: the same id has another expectation in each.
TEST_F(BestReachableTest, ATruthMayBeOfOneSplit) {
  WriteDataset();
  WriteTruth(
      "id,split,purchased,activation.app,activation.none\n"
      "a,valid,0.9,0.9,0.1\na,test,0.2,0.1,0.9\nb,test,0.1,0.5,0.5\nc,test,0.8,0.7,0.3\n");
  const auto reachable = ComputeBestReachable(dataset(), directory_.string());
  ASSERT_TRUE(reachable.has_value()) << reachable.error().text();
  EXPECT_NEAR(reachable->best[0].tasks[0].Value("logloss"),
              -(std::log(0.8) + std::log(0.8) + std::log(0.9)) / 3, 1e-6);
  WriteTruth("id,split,purchased,activation.app,activation.none\na,valid,0.9,0.9,0.1\nc,test,0.9,0.9,0.1\n");
  EXPECT_THAT(ComputeBestReachable(dataset(), directory_.string()).error().text(),
              HasSubstr("no row with the id \"a\""));
}

// Whoever left long ago buys with a probability that no float holds.
TEST_F(BestReachableTest, AProbabilityMayBeTooSmallForAFloat) {
  WriteDataset();
  WriteTruth(
      "id,purchased,activation.app,activation.none\n"
      "a,4.8711629e-46,1.1e-320,1\nb,1e-40,0.5,0.5\nc,0.8,0.7,0.3\n");
  const auto reachable = ComputeBestReachable(dataset(), directory_.string());
  ASSERT_TRUE(reachable.has_value()) << reachable.error().text();
  EXPECT_NEAR(reachable->best[0].tasks[0].Value("logloss"), -std::log(0.8) / 3, 1e-6);
}

TEST_F(BestReachableTest, WhatDoesNotFitIsAnErrorThatNamesThePlace) {
  WriteDataset();
  auto error = [&](const std::string& text) {
    WriteTruth(text);
    const auto result = ComputeBestReachable(dataset(), directory_.string());
    EXPECT_FALSE(result.has_value()) << text;
    return result ? std::string() : result.error().text();
  };
  EXPECT_THAT(error("id,purchased\na,1\n"), HasSubstr("no column \"activation.app\""));
  EXPECT_THAT(error("id,purchased,activation.app,activation.none\na,1,0\n"),
              HasSubstr("line 2: 3 cells, expected 4"));
  EXPECT_THAT(error("id,purchased,activation.app,activation.none\na,1,0,x1\n"),
              HasSubstr("line 2, column activation.none: \"x1\""));
  EXPECT_THAT(error("id,purchased,activation.app,activation.none\na,1,0,1\na,1,0,1\n"), HasSubstr("line 3"));
  EXPECT_THAT(error("id,purchased,activation.app,activation.none\na,1,0,1\n"),
              HasSubstr("no row with the id \"c\""));
  EXPECT_THAT(error(""), HasSubstr("no column \"id\""));
  EXPECT_THAT(ComputeBestReachable(dataset(), "/nowhere").error().text(), HasSubstr("/nowhere"));
  WriteDataset(false);
  EXPECT_THAT(ComputeBestReachable(dataset(), directory_.string()).error().text(), HasSubstr("no ids"));
  for (const char* text : {"", "{", "[]", "{\"best\":1,\"constant\":2}", "{\"best\":{},\"constant\":{}}"}) {
    EXPECT_EQ(BestReachableFromJson(text, "f").error().code(), ErrorCode::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace cohort::best_reachable_test
