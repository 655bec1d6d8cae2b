// `cohort scale`: experiment files and their points, the log that an experiment goes on from, the results' format.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "common/atomic_file.h"
#include "launch/report/run_data.h"
#include "launch/scale/experiment.h"
#include "launch/scale/faults.h"
#include "launch/scale/link.h"
#include "launch/scale/point_log.h"
#include "launch/scale/results.h"
#include "launch/scale/run_figures.h"
#include "launch/scale/scale_page.h"
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

TEST(ScaleExperiment, OnlySspHasAStaleness) {
  const auto experiment =
      scale::ParseExperiment(With(kGemm, "workers = [1, 2, 4]\nservers = [1, 2]",
                                  "consistency = [\"bsp\", \"ssp\", \"asp\"]\nstaleness = [0, 3]"),
                             "e.toml");
  ASSERT_TRUE(experiment) << experiment.error().text();
  std::vector<std::string> found;
  for (const Settings& point : experiment->points) {
    found.push_back(scale::ConsistencyOf(point));
    const auto config = experiment->ConfigOf(point, "data.h5");
    ASSERT_TRUE(config) << config.error().text();
    if (point.consistency == Consistency::kSsp) {
      EXPECT_EQ(config->train.staleness, point.staleness);
    }
  }
  EXPECT_EQ(found, (std::vector<std::string>{"bsp", "ssp with staleness 0", "ssp with staleness 3", "asp"}));
}

TEST(ScaleExperiment, BspHasASliceForEveryWorker) {
  const auto experiment = scale::ParseExperiment(
      With(kGemm, "workers = [1, 2, 4]\nservers = [1, 2]", "consistency = [\"bsp\"]\nworkers = [4, 20]"),
      "e.toml");
  ASSERT_TRUE(experiment) << experiment.error().text();
  EXPECT_EQ(experiment->ConfigOf(experiment->points[0], "data.h5")->train.slices, 8u);
  EXPECT_EQ(experiment->ConfigOf(experiment->points[1], "data.h5")->train.slices, 32u);
}

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
               "data = \"d.h5\"\n[train]\nearly_stopping = 2\nbatch_size = 96\nconsistency = "
               "\"ssp\"\n[cluster]\nworkers = 3\n");
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
    EXPECT_EQ(point.staleness, 4u);
    const auto config = experiment->ConfigOf(point, "");
    ASSERT_TRUE(config) << config.error().text();
    EXPECT_EQ(config->data, folder / "d.h5");
    EXPECT_EQ(config->train.early_stopping, 0u);
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
  EXPECT_THAT(ErrorOf(With(kGemm, "[set]", "staleness = [1, 2]\n[set]")), HasSubstr("staleness is of ssp"));
  EXPECT_THAT(ErrorOf(With(kGemm, "[set]", "[set]\ntrain.epochs = 4")),
              AllOf(HasSubstr("small.toml:13:"), HasSubstr("experiment.epochs")));
  // A point that cannot be is named.
  EXPECT_THAT(ErrorOf(With(kGemm, "[set]", "[set]\nmodel.kind = \"moe\"")),
              AllOf(HasSubstr("the point of 1 worker, 1 server"), HasSubstr("did you mean \"mmoe\"")));
  EXPECT_THAT(ErrorOf(With(kGemm, "[512]", "[500000]")), HasSubstr("the point of 4 workers"));
}

TEST(ScaleExperiment, TheExamplesAreExperiments) {
  for (const char* job : {"gemm", "embedding"}) {
    const auto experiment =
        scale::LoadExperiment(std::string(COHORT_SOURCE_DIR) + "/launch/examples/scale/" + job + ".toml");
    ASSERT_TRUE(experiment) << experiment.error().text();
    EXPECT_EQ(experiment->job, job);
    EXPECT_EQ(experiment->points.size(), 9u);
  }
}

TEST(ScaleExperiment, BatchesThatLeasesCutAreWarnedOf) {
  EXPECT_TRUE(scale::WarningsOf(Small()).empty());  // leases have 1024 samples at least
  const auto warnings =
      scale::WarningsOf(Small(With(With(kGemm, "[512]", "[4096]"), "samples = 5000", "samples = 70000")));
  // Leases of 8 blocks for one worker, of 4 for two, of 2 for four, with one server or two.
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_THAT(warnings[0],
              AllOf(HasSubstr("4 workers, 1 server"), HasSubstr("2048 samples"), HasSubstr("131072")));
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
  EXPECT_EQ(results.BaselineOf(5).settings,
            results.points[5].settings);  // the only one that has been measured
  results.points[4].repetitions.push_back({{"seconds", 1.0}});
  EXPECT_EQ(results.BaselineOf(5).settings, results.points[4].settings);
  for (scale::PointResult& point : results.points) point.repetitions.push_back({{"seconds", 1.0}});
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
    EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidInput);
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

// A line of metrics.jsonl of one server process of two shards, and of two workers; `done`: samples of each worker's process.
RunSample Line(double epoch, double samples, double done, double server_cpu, double worker_cpu,
               double pid = 11) {
  RunSample line;
  line.kind = "train";
  line.values = {{"phase", epoch}, {"epoch", epoch}, {"phase_rows", 1000}, {"phase_samples", samples}};
  const auto member = [&](const char* node, double process, double cpu, double bytes) {
    line.members.push_back({node, {{"pid", process}, {"busy_seconds", cpu}, {"bytes_sent", bytes}}, {}});
    if (node[0] == 'w') line.members.back().values["samples"] = done;
  };
  member("shard 0", 10, server_cpu, 100 * done);
  member("shard 1", 10, server_cpu, 50 * done);
  member("worker 0", pid, worker_cpu, 1000 * done);
  member("worker 1", 12, worker_cpu, 1000 * done);
  return line;
}
Experiment Measured(std::uint32_t warm, std::uint32_t epochs) {
  Experiment experiment;
  experiment.warm_epochs = warm;
  experiment.epochs = epochs;
  return experiment;
}

TEST(ScaleFigures, AreOfTheMeasuredEpochs) {
  RunData run;
  run.samples = {Line(0, 900, 450, 5, 50), Line(1, 100, 550, 6, 60), Line(1, 600, 800, 6.5, 62),
                 Line(2, 500, 1250, 7, 64)};
  run.epochs = {{0, 2, 1000, {{"a", 1.0}}, {}},
                {1, 2, 1000, {{"a", 0.75}, {"b", 0.25}}, {}},
                {2, 3, 1000, {{"a", 0.5}, {"b", 0.25}}, {}}};
  run.numbers = {{"cpu_seconds.scheduler", 3},        {"cpu_seconds.worker 0", 66},
                 {"cpu_seconds.worker 1", 66},        {"cpu_seconds.server 0", 9},
                 {"peak_memory_bytes.worker 0", 100}, {"peak_memory_bytes.worker 1", 200},
                 {"peak_memory_bytes.server 0", 50},  {"pushes.lost", 0},
                 {"counts.requests_sent_again", 7}};
  const Figures figures = FiguresOf(run, Measured(1, 2));
  EXPECT_DOUBLE_EQ(figures.at("seconds"), 5);
  EXPECT_DOUBLE_EQ(figures.at("samples_per_second"), 400);
  EXPECT_DOUBLE_EQ(figures.at("loss"), 0.75);
  // From 100 samples of epoch 1 to 500 of epoch 2: 1400. A server's shards are one process.
  EXPECT_NEAR(figures.at("server_cpu_s_per_msample"), 1.0 / 1400 * 1e6, 1e-6);
  EXPECT_NEAR(figures.at("worker_cpu_s_per_msample"), 8.0 / 1400 * 1e6, 1e-6);
  EXPECT_NEAR(figures.at("worker_bytes_per_msample"), 1000 * 1e6, 1e-3);
  EXPECT_NEAR(figures.at("server_bytes_per_msample"), 75 * 1e6, 1e-3);
  EXPECT_NEAR(figures.at("scheduler_cpu_s_per_msample"), 1000, 1e-9);
  EXPECT_NEAR(figures.at("run_cpu_s_per_msample"), 144.0 / 3000 * 1e6, 1e-6);
  EXPECT_NEAR(figures.at("cpu_s_per_msample"), 9.0 / 1400 * 1e6 + 1000, 1e-6);
  EXPECT_EQ(figures.at("worker_memory_bytes"), 200);
  EXPECT_EQ(figures.at("recoveries"), 0);
  EXPECT_EQ(figures.at("retries"), 7);
  EXPECT_FALSE(figures.contains("seconds_to_loss"));
  // One line is none: nothing lies between.
  run.samples.resize(2);
  EXPECT_FALSE(FiguresOf(run, Measured(1, 2)).contains("cpu_s_per_msample"));
}

TEST(ScaleFigures, WorkThatIsDoneTwiceCountsAsCostAndNotAsProgress) {
  RunData run;
  // Worker 0 dies after 200 of the first 400; another process takes its place; of 1400 that they do 400 are done again.
  run.samples = {Line(0, 0, 0, 0, 10), Line(0, 400, 200, 1, 12), Line(0, 200, 250, 2, 13, 21),
                 Line(0, 1000, 600, 3, 15, 21)};
  run.numbers = {{"recoveries.workers_replaced", 1}};
  const Figures figures = FiguresOf(run, Measured(0, 1));
  EXPECT_EQ(figures.at("recoveries"), 1);
  EXPECT_NEAR(figures.at("server_cpu_s_per_msample"), 3.0 / 1000 * 1e6, 1e-6);
  // Worker 1: 5; worker 0: 2 in its first life, 15 in its second.
  EXPECT_NEAR(figures.at("worker_cpu_s_per_msample"), 22.0 / 1000 * 1e6, 1e-6);
}

TEST(ScaleFigures, TheTargetIsMetByAMeanAndNotByOneLuckyLine) {
  RunData run;
  run.epochs = {{0, 10, 1000, {}, {}}, {1, 20, 1000, {}, {}}};
  const auto line = [](double epoch, double samples, double loss) {
    RunSample sample = Line(epoch, samples, 0, 0, 0);
    sample.loss = {{"a", loss}};
    return sample;
  };
  run.samples = {line(0, 500, 0.9), line(0, 520, 0.1), line(0, 1000, 0.7), line(1, 500, 0.4)};
  Experiment experiment = Measured(0, 2);
  experiment.target = scale::Target{"a", 0.5};
  EXPECT_DOUBLE_EQ(FiguresOf(run, experiment).at("seconds_to_loss"), 20);  // all of epoch 0, half of epoch 1
  experiment.target->loss = 0.3;
  EXPECT_FALSE(FiguresOf(run, experiment).contains("seconds_to_loss"));
}

TEST(ScaleFaults, ComeAtTheirRateAndAreTheSeeds) {
  const auto faults = scale::DrawFaults(60, 36'000, 1, 0);
  EXPECT_NEAR(static_cast<double>(faults.size()), 600, 5 * std::sqrt(600));
  double before = 0, who = 0;
  for (const scale::Fault& fault : faults) {
    EXPECT_GE(fault.seconds, before);
    before = fault.seconds, who += fault.who / static_cast<double>(faults.size());
  }
  EXPECT_NEAR(who, 0.5, 0.06);
  EXPECT_EQ(scale::DrawFaults(60, 36'000, 1, 0).front().seconds, faults.front().seconds);
  EXPECT_NE(scale::DrawFaults(60, 36'000, 1, 1).front().seconds, faults.front().seconds);
  EXPECT_TRUE(scale::DrawFaults(0, 36'000, 1, 0).empty());
}

TEST(ScaleLink, SaysWhatItLacksOrWorksInANetworkOfItsOwn) {
  bool alone = false;
  const Status status = scale::OnLink(100, [&] {
    std::ifstream devices("/proc/thread-self/net/dev");
    std::string line, names;
    while (std::getline(devices, line)) names += line.substr(0, line.find(':') + 1);
    alone = names.find("lo:") != std::string::npos && names.find("eth") == std::string::npos;
    return Status(ErrorCode::kCorrupt, "what the work says");
  });
  if (status.code() == ErrorCode::kInvalidInput) {
    EXPECT_FALSE(alone);
    EXPECT_THAT(status.text(), AllOf(HasSubstr("matrix.link_mbit needs"), HasSubstr("root")));
  } else {
    EXPECT_TRUE(alone);
    EXPECT_EQ(status.text(), "what the work says");
  }
}

ScaleResults WithFigures(const std::string& source, double slower) {
  ScaleResults results = ResultsOf(Small(), source, kMachine);
  for (scale::PointResult& point : results.points) {
    for (int i = 0; i < 3; ++i)
      point.repetitions.push_back({{"samples_per_second", 1000.0 * point.settings.workers / slower + i},
                                   {"cpu_s_per_msample", 20.0 + point.settings.servers + i}});
  }
  return results;
}

TEST(ScalePage, DrawsMeasuredAndSimulatedPointsOnTheSamePlots) {
  const std::string one = scale::RenderScalePage({WithFigures("measured", 1)});
  EXPECT_THAT(one, AllOf(HasSubstr("Speed-up"), HasSubstr("Efficiency"), HasSubstr("asp, batch 512 a worker"),
                         HasSubstr("Up to 7 processes share 2 cores"), HasSubstr("class=\"whisker")));
  EXPECT_THAT(one, AllOf(HasSubstr(">1 server<"), HasSubstr(">2 servers<")));
  EXPECT_THAT(one, ::testing::Not(HasSubstr("Memory of a worker")));  // nobody knows it
  const std::string both = scale::RenderScalePage({WithFigures("measured", 1), WithFigures("simulated", 2)});
  EXPECT_THAT(both, AllOf(HasSubstr("2 servers, small measured"), HasSubstr("2 servers, small simulated")));
  for (const std::string& page : {one, both}) {
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_EQ(page.find("nan"), std::string::npos);
  }
  ScaleResults odd = WithFigures("measured", 1);
  odd.name = "<b>";
  EXPECT_EQ(scale::RenderScalePage({odd}).find("<b>, "), std::string::npos);
  EXPECT_THAT(scale::RenderScalePage({ResultsOf(Small(), "measured", kMachine)}), HasSubstr("No repetition"));
}

TEST(ScalePage, TheTableSaysWhatAPointIsOfItsBaseline) {
  const std::string table = scale::ScaleTable(WithFigures("measured", 1));
  std::istringstream lines(table);
  std::string head, first, second;
  std::getline(lines, head), std::getline(lines, first), std::getline(lines, second);
  EXPECT_THAT(head, AllOf(HasSubstr("workers"), HasSubstr("speed-up"), HasSubstr("CPU s per M samples")));
  EXPECT_THAT(first, AllOf(HasSubstr("1.00"), HasSubstr("22.0 (21.0, 23.0)")));
  EXPECT_THAT(second, HasSubstr("2.00"));  // 2 workers, 1 server: twice as fast
}

}  // namespace
}  // namespace cohort::scale_test
