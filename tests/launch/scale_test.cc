// `cohort scale`: experiment files and their points, the log that an experiment goes on from, the results' format.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "common/atomic_file.h"
#include "launch/scale/experiment.h"
#include "launch/scale/point_log.h"
#include "launch/scale/results.h"
#include "tests/support/subprocess.h"

namespace cohort::scale_test {
namespace {

using scale::Experiment;
using scale::Figures;
using scale::PointLog;
using scale::ScaleResults;
using scale::Settings;
using scale::Turn;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kGemm = R"([experiment]
name = "small"
job = "gemm"
repetitions = 3
[job]
samples = 5000
rows = 2000
[matrix]
workers = [1, 2, 4]
servers = [1, 2]
batch_per_worker = [512]
[set]
model.compute = "bfloat16"
"cluster.replicas" = 0
model.expert_layers = [16, 8]
)";

Experiment Small(const std::string& text = kGemm) {
  auto experiment = scale::ParseExperiment(text, "small.toml");
  EXPECT_TRUE(experiment) << experiment.error().text();
  return experiment ? *experiment : Experiment();
}
std::string ErrorOf(const std::string& text) {
  const auto experiment = scale::ParseExperiment(text, "small.toml");
  EXPECT_FALSE(experiment);
  if (experiment) return "";
  EXPECT_EQ(experiment.error().code(), ErrorCode::kInvalidInput);
  return experiment.error().text();
}
std::string With(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

const Machine kMachine{"a processor", 2, "0.1.0"};

TEST(ScaleExperiment, EveryCombinationIsAPointAndARun) {
  const Experiment experiment = Small();
  ASSERT_EQ(experiment.points.size(), 6u);
  std::set<std::pair<std::uint32_t, std::uint32_t>> sizes;
  for (const Settings& point : experiment.points) {
    sizes.insert({point.workers, point.servers});
    const auto config = experiment.ConfigOf(point, "/data/x.h5");
    ASSERT_TRUE(config) << config.error().text();
    EXPECT_EQ(config->data, "/data/x.h5");
    EXPECT_EQ(config->cluster.workers, point.workers);
    EXPECT_EQ(config->cluster.servers, point.servers);
    EXPECT_EQ(config->train.batch_size, 512 * point.workers);
    EXPECT_EQ(config->train.consistency, Consistency::kAsp);
    EXPECT_EQ(config->train.epochs, 3u);  // one warm, two measured
    EXPECT_EQ(config->model.kind, "mmoe");
    EXPECT_EQ(config->model.compute, FloatType::kBfloat16);
    EXPECT_EQ(config->model.expert_layers, (std::vector<std::uint32_t>{16, 8}));
  }
  EXPECT_EQ(sizes.size(), 6u);
}

TEST(ScaleExperiment, ARunFileIsAJobAndItsOptionsAreTheUsualOnes) {
  const testing::TemporaryFolder folder;
  folder.Write("run.toml",
               "data = \"d.h5\"\n[train]\nbatch_size = 96\nconsistency = \"ssp\"\n[cluster]\nworkers = 3\n");
  const std::string path =
      folder.Write("e.toml", "[experiment]\nrun = \"run.toml\"\n[matrix]\nservers = [1, 2]\n");
  const auto experiment = scale::LoadExperiment(path);
  ASSERT_TRUE(experiment) << experiment.error().text();
  EXPECT_EQ(experiment->name, "run");
  ASSERT_EQ(experiment->points.size(), 2u);
  for (const Settings& point : experiment->points) {
    EXPECT_EQ(point.workers, 3u);
    EXPECT_EQ(point.GlobalBatch(), 96u);
    EXPECT_EQ(point.consistency, Consistency::kSsp);
    const auto config = experiment->ConfigOf(point, "");
    ASSERT_TRUE(config) << config.error().text();
    EXPECT_EQ(config->data, folder / "d.h5");
  }
}

TEST(ScaleExperiment, WhatIsWrongIsNamedWithItsPlace) {
  EXPECT_THAT(ErrorOf(With(kGemm, "job = \"gemm\"", "job = \"gem\"")),
              AllOf(HasSubstr("small.toml:3:"), HasSubstr("gemm")));
  EXPECT_THAT(ErrorOf(With(kGemm, "job = \"gemm\"", "")), HasSubstr("either job = "));
  EXPECT_THAT(ErrorOf(With(kGemm, "repetitions = 3", "repetitons = 3")),
              HasSubstr("did you mean \"repetitions\""));
  EXPECT_THAT(ErrorOf(With(kGemm, "[1, 2, 4]", "[1, 2.5]")),
              HasSubstr("workers has 2.5; expected whole numbers"));
  EXPECT_THAT(ErrorOf(With(kGemm, "[1, 2, 4]", "[2, 2]")), HasSubstr("workers has 2 twice"));
  EXPECT_THAT(ErrorOf(With(kGemm, "[1, 2, 4]", "[]")), HasSubstr("may not be empty"));
  EXPECT_THAT(ErrorOf(With(kGemm, "[set]", "batch = [64]\n[set]")), HasSubstr("keep one"));
  EXPECT_THAT(ErrorOf(With(kGemm, "[set]", "consistency = [\"asap\"]\n[set]")), HasSubstr("bsp, ssp, asp"));
  EXPECT_THAT(ErrorOf(With(kGemm, "[set]", "[set]\ntrain.epochs = 4")),
              AllOf(HasSubstr("small.toml:13:"), HasSubstr("experiment.epochs")));
  // A point that cannot be is named.
  EXPECT_THAT(ErrorOf(With(kGemm, "[set]", "[set]\nmodel.kind = \"moe\"")),
              AllOf(HasSubstr("the point of 1 worker, 1 server"), HasSubstr("did you mean \"mmoe\"")));
  EXPECT_THAT(ErrorOf(With(kGemm, "[512]", "[500000]")), HasSubstr("the point of 4 workers"));
}

TEST(ScaleExperiment, RepetitionsTakeTurnsInAnOrderOfTheSeed) {
  const Experiment experiment = Small();
  const auto turns = scale::Interleaved(experiment);
  ASSERT_EQ(turns.size(), 18u);
  std::vector<std::vector<std::uint32_t>> rounds(3);
  for (std::size_t i = 0; i < turns.size(); ++i) {
    EXPECT_EQ(turns[i].repetition, i / 6);
    rounds[i / 6].push_back(turns[i].point);
  }
  EXPECT_NE(rounds[0], rounds[1]);
  for (auto& round : rounds) {
    std::sort(round.begin(), round.end());
    EXPECT_EQ(round, (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5}));
  }
}

TEST(ScaleExperiment, TheFingerprintIsOfWhatARepetitionMeasures) {
  const std::string fingerprint = Small().fingerprint;
  EXPECT_EQ(Small(With(kGemm, "repetitions = 3", "repetitions = 5")).fingerprint, fingerprint);
  EXPECT_EQ(Small(With(kGemm, "[1, 2, 4]", "[2, 8]")).fingerprint, fingerprint);
  EXPECT_NE(Small(With(kGemm, "samples = 5000", "samples = 6000")).fingerprint, fingerprint);
  EXPECT_NE(Small(With(kGemm, "bfloat16", "float32")).fingerprint, fingerprint);
  EXPECT_NE(Small(With(kGemm, "repetitions = 3", "epochs = 4")).fingerprint, fingerprint);
}

TEST(ScaleResults, MedianLowestHighestAndTheBaseline) {
  ScaleResults results = ResultsOf(Small(), "measured", kMachine);
  for (const double value : {30.0, 10.0, 20.0, 50.0})
    results.points[5].repetitions.push_back({{"seconds", value}});
  const scale::Spread spread = results.points[5].Of("seconds");
  EXPECT_EQ(spread.median, 25);
  EXPECT_EQ(spread.low, 10);
  EXPECT_EQ(spread.high, 50);
  EXPECT_TRUE(std::isnan(results.points[5].Median("loss")));
  for (std::size_t i = 0; i < results.points.size(); ++i)
    EXPECT_EQ(results.BaselineOf(i).settings, results.points[0].settings);
  results.points[3].settings.embedding_dim = 8;  // nothing else has it
  EXPECT_EQ(results.BaselineOf(3).settings, results.points[3].settings);
}

TEST(ScaleResults, AreReadAsTheyWereWritten) {
  ScaleResults results = ResultsOf(Small(), "simulated", kMachine);
  results.target = scale::Target{"task 1", 0.5};
  results.points[1].settings.consistency = Consistency::kBsp;
  results.points[1].settings.link_mbit = 12.5;
  results.points[1].repetitions = {{{"seconds", 1.25}, {"loss", 0.1}}, {{"seconds", 2}}};
  const std::string text = ToJson(results);
  const auto read = scale::ScaleResultsFromJson(text, "scale.json");
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(ToJson(*read), text);
  EXPECT_EQ(read->points[1].settings, results.points[1].settings);
  EXPECT_EQ(read->points[1].repetitions, results.points[1].repetitions);
  EXPECT_EQ(read->machine, kMachine);
  for (const std::string& bad : {std::string("{}"), std::string("[1"), With(text, "\"bsp\"", "\"bps\""),
                                 With(text, "\"workers\": 1", "\"workers\": -1")}) {
    const auto refused = scale::ScaleResultsFromJson(bad, "scale.json");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kCorrupt);
    EXPECT_THAT(refused.error().text(), HasSubstr("scale.json"));
  }
}

TEST(ScalePointLog, GoesOnWhereItStopped) {
  const testing::TemporaryFolder folder;
  const Experiment experiment = Small();
  const std::string out = folder / "out", file = out + "/points.jsonl";
  {
    auto log = PointLog::Open(out, experiment, "measured", kMachine);
    ASSERT_TRUE(log) << log.error().text();
    ASSERT_TRUE(log->Append({2, 0}, {{"seconds", 1}}).ok());
    ASSERT_TRUE(log->Append({4, 1}, {{"seconds", 2}}).ok());
    EXPECT_TRUE(log->Has({2, 0}));
    const auto second = PointLog::Open(out, experiment, "measured", kMachine);
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().text(), HasSubstr("another process"));
  }
  std::ofstream(file, std::ios::app) << R"({"repetition":0,"settings":{"wor)";  // killed while writing
  {
    auto log = PointLog::Open(out, experiment, "measured", kMachine);
    ASSERT_TRUE(log) << log.error().text();
    EXPECT_EQ(log->size(), 2u);
    EXPECT_TRUE(log->Has({2, 0}) && log->Has({4, 1}));
    EXPECT_FALSE(log->Has({2, 1}) || log->Has({0, 0}));
    EXPECT_EQ(log->results().points[4].repetitions, (std::vector<Figures>{{{"seconds", 2}}}));
    EXPECT_TRUE(log->other_machine().empty());
    ASSERT_TRUE(log->Append({0, 0}, {{"seconds", 3}}).ok());
  }
  // More repetitions, and other points beside: what is there counts.
  const Experiment wider =
      Small(With(With(kGemm, "repetitions = 3", "repetitions = 9"), "[1, 2, 4]", "[8, 1]"));
  const auto log = PointLog::Open(out, wider, "measured", {"another processor", 4, "0.1.0"});
  ASSERT_TRUE(log) << log.error().text();
  EXPECT_EQ(log->size(), 1u);
  EXPECT_EQ(log->results().points[1].Median("seconds"), 3);  // 1 worker, 1 server
  EXPECT_THAT(log->other_machine(), HasSubstr("a processor, 2 cores"));
}

TEST(ScalePointLog, RefusesAnotherExperimentAndWhatItDidNotWrite) {
  const testing::TemporaryFolder folder;
  const std::string out = folder / "out";
  ASSERT_TRUE(PointLog::Open(out, Small(), "measured", kMachine));
  const auto error = [&](const Experiment& experiment, const char* source) {
    const auto log = PointLog::Open(out, experiment, source, kMachine);
    EXPECT_FALSE(log);
    return log ? "" : std::to_string(log.error().exit_code()) + " " + log.error().text();
  };
  EXPECT_THAT(error(Small(With(kGemm, "samples = 5000", "samples = 6000")), "measured"),
              AllOf(HasSubstr("2 "), HasSubstr("another experiment, \"small\""), HasSubstr("--out")));
  EXPECT_THAT(error(Small(), "simulated"), HasSubstr("is measured, not simulated"));
  std::ofstream(out + "/points.jsonl", std::ios::app) << "{\"repetition\": 0}\n";
  EXPECT_THAT(error(Small(), "measured"), HasSubstr("points.jsonl:2: not what"));
  folder.Write("other.txt", "x");
  const auto foreign = PointLog::Open(folder.path(), Small(), "measured", kMachine);
  ASSERT_FALSE(foreign);
  EXPECT_THAT(foreign.error().text(), HasSubstr("has files"));
}

}  // namespace
}  // namespace cohort::scale_test
