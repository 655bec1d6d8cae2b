// Files that former versions have written stay readable (docs/formats.md): what lies in tests/data/formats/ is read by every
// command that reads such files, and gives the figures beside it. What a later version may write is refused by its number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/hdf5_file.h"
#include "tests/end_to_end/shop_run.h"
#include "tests/support/csv_lines.h"

namespace cohort::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

std::vector<std::string> FormerVersions() {
  std::vector<std::string> versions;
  for (const auto& entry : fs::directory_iterator(std::string(COHORT_SOURCE_DIR) + "/tests/data/formats"))
    versions.push_back(entry.path().filename());
  return versions;
}

class Formats : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string written = std::string(COHORT_SOURCE_DIR) + "/tests/data/formats/" + GetParam();
    const Outcome unpacked = RunProgram({"tar", "-xf", written + "/files.tar.xz", "-C", folder_.path()});
    ASSERT_EQ(unpacked.exit_code, 0) << unpacked.all();
    expected_ = json::parse(ReadFile(written + "/expected.json"));
  }
  std::string operator/(const std::string& name) const { return folder_ / name; }
  Outcome Cohort(Words words) const {
    words.insert(words.begin(), Program());
    return RunProgram(words);
  }
  json JsonOf(Words words) const {
    words.push_back("--json");
    const Outcome outcome = Cohort(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    return json::parse(outcome.out, nullptr, false);
  }
  // A file with one text in it replaced by another.
  void Change(const std::string& file, const std::string& from, const std::string& to) const {
    std::string text = ReadFile(*this / file);
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << file << " has no " << from;
    std::ofstream(*this / file) << text.replace(at, from.size(), to);
  }
  void ExpectRefused(const Words& words, const std::string& why) const {
    const Outcome outcome = Cohort(words);
    EXPECT_NE(outcome.exit_code, 0) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(why));
  }

  TemporaryFolder folder_;
  json expected_;
};

std::string NewestCheckpoint(const std::string& run) {
  std::string newest;
  for (const auto& entry : fs::directory_iterator(run + "/checkpoints"))
    newest = std::max(newest, entry.path().string());
  return newest;
}

TEST_P(Formats, ModelAndCheckpointAreWhole) {
  for (const auto& [name, path] :
       {std::pair("model", *this / "run"), {"checkpoint", NewestCheckpoint(*this / "run")}}) {
    const json found = JsonOf({"verify", path});
    EXPECT_EQ(found["hash"], expected_[name]["hash"]) << name;
    EXPECT_EQ(found["rows"], expected_[name]["rows"]) << name;
  }
}

TEST_P(Formats, AModelIsEvaluatedAsItWas) {
  const json found = JsonOf({"evaluate", *this / "run", "--data", *this / "dataset.h5", "--split", "test"});
  for (const auto& [task, figures] : expected_["test"].items()) {
    for (const auto& [name, figure] : figures.items()) {
      EXPECT_NEAR(found["tasks"][task]["test"][name].get<double>(), figure.get<double>(),
                  1e-4 * std::abs(figure.get<double>()))
          << task << " " << name;
    }
  }
}

TEST_P(Formats, AModelScoresAsItDid) {
  const Outcome outcome = Cohort({"score", *this / "run", "--data", *this / "dataset.h5", "--split", "test",
                                  "--out", *this / "again.csv"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const auto before = CsvLines(ReadFile(*this / "scores.csv")),
             again = CsvLines(ReadFile(*this / "again.csv"));
  ASSERT_EQ(before.size(), again.size());
  ASSERT_EQ(before[0], again[0]);
  for (std::size_t row = 1; row < before.size(); ++row) {
    ASSERT_EQ(before[row][0], again[row][0]);
    for (std::size_t column = 1; column < before[row].size(); ++column) {
      const double value = std::stod(before[row][column]);
      ASSERT_NEAR(std::stod(again[row][column]), value, 1e-4 * std::abs(value) + 1e-6) << before[row][0];
    }
  }
}

TEST_P(Formats, ScoresReportAndReceiptAreRead) {
  for (const Words& words : std::vector<Words>{{"profile", *this / "dataset.h5", "--scores",
                                                *this / "scores.csv", "--out", *this / "profiles.csv"},
                                               {"profile", *this / "dataset.h5", "--scores",
                                                *this / "scores.h5", "--out", *this / "profiles-too.csv"},
                                               {"report", *this / "run", "--out", *this / "report.html"}}) {
    const Outcome outcome = Cohort(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  }
  // Its digest holds; the file that it searched is not here any more.
  const json receipt = JsonOf({"erase", "--verify", *this / "receipt.json", "--user", "u00000030"});
  EXPECT_EQ(receipt["status"], "done");
}

TEST_P(Formats, OfALaterVersionAreRefusedByTheirNumber) {
  auto later = Hdf5Writer::Create(*this / "later.h5");
  ASSERT_TRUE(later && (*later)->SetInteger("/", "format", kDatasetFormat + 1).ok() &&
              (*later)->Close().ok());
  ExpectRefused({"evaluate", *this / "run", "--data", *this / "later.h5"},
                "is a dataset of format " + std::to_string(kDatasetFormat + 1));

  const std::string checkpoint = NewestCheckpoint(*this / "run").substr(folder_.path().size() + 1);
  const std::string format = std::to_string(expected_["checkpoint"]["format"].get<int>());
  Change(checkpoint + "/manifest.json", "\n \"format\": " + format + ",", "\n \"format\": 99,");
  ExpectRefused({"verify", *this / checkpoint}, "format 99, expected 1 to ");

  Change("run/evaluation.json", "{\"format\":1,", "{\"format\":99,");
  ExpectRefused({"report", *this / "run", "--out", *this / "report.html"}, "format 99, expected 1");

  Change("receipt.json", "\"format\": 1,", "\"format\": 99,");
  ExpectRefused({"erase", "--verify", *this / "receipt.json", "--user", "u00000030"},
                "is a receipt of format 99");
}

INSTANTIATE_TEST_SUITE_P(Former, Formats, ::testing::ValuesIn(FormerVersions()),
                         [](const auto& version) { return version.param; });

}  // namespace
}  // namespace cohort::testing
