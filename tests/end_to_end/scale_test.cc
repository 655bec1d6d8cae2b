// `cohort scale` with tiny experiments: it goes on where it was stopped, kills what it says, slows what it says, and draws several
// results together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/processes.h"

namespace cohort::scale_end_to_end_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Outcome;
using testing::Program;
using testing::ReadFile;
using testing::RunProgram;
using testing::TemporaryFolder;
using Words = std::vector<std::string>;

constexpr auto kLimit = std::chrono::seconds(300);

std::string Experiment(const std::string& matrix, int repetitions, int samples = 6000, int epochs = 1,
                       const std::string& set = "") {
  return "[experiment]\nname = \"tiny\"\njob = \"gemm\"\nrepetitions = " + std::to_string(repetitions) +
         "\nseed = 8\nepochs = " + std::to_string(epochs) + "\n[job]\nsamples = " + std::to_string(samples) +
         "\nrows = 2000\n[set]\nmodel.expert_layers = [8]\nmodel.tower_layers = [8]\n" + set +
         "[matrix]\nbatch_per_worker = [256]\n" + matrix;
}

Words Command(const std::string& experiment, const std::string& out) {
  return {Program(), "scale", experiment, "--out", out, "--json"};
}

std::size_t Lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

nlohmann::json ResultsOf(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  const auto json = nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(json.is_object()) << outcome.out;
  return json.is_object() ? json : nlohmann::json{{"results", {{"points", nlohmann::json::array()}}}};
}

TEST(Scale, GoesOnWhereItWasStoppedAndDrawsResultsTogether) {
  const TemporaryFolder folder;
  const std::string file = folder.Write("tiny.toml", Experiment("workers = [1, 2]\nservers = [1, 2]\n", 2));
  const std::string out = folder / "out", log = out + "/points.jsonl";
  std::string kept;
  {
    testing::Subprocess first(Command(file, out));
    ASSERT_TRUE(testing::Within(kLimit, [&] { return Lines(ReadFile(log)) >= 3; }));  // two repetitions
    first.Signal(SIGINT);
    const Outcome stopped = first.Wait(kLimit);
    EXPECT_EQ(stopped.exit_code, 1) << stopped.all();
    EXPECT_THAT(stopped.err, AllOf(HasSubstr("interrupt"), HasSubstr("of 8 repetitions"),
                                   HasSubstr("goes on from there")));
    EXPECT_TRUE(testing::ProcessesWith(folder.path()).empty());
    kept = ReadFile(log);
    EXPECT_THAT(ReadFile(out + "/report.html"), HasSubstr("Speed-up"));
  }
  const auto json = ResultsOf(RunProgram(Command(file, out), kLimit));
  const std::string all = ReadFile(log);
  EXPECT_EQ(Lines(all), 9u);
  EXPECT_EQ(all.substr(0, kept.size()), kept);  // nothing was measured again
  EXPECT_EQ(json["status"], "done");
  ASSERT_EQ(json["results"]["points"].size(), 4u);
  for (const auto& point : json["results"]["points"]) {
    const auto& figures = point["figures"];
    EXPECT_EQ(figures["samples_per_second"]["values"].size(), 2u);
    EXPECT_GT(figures["samples_per_second"]["median"].get<double>(), 0);
    EXPECT_GT(figures["run_cpu_s_per_msample"]["low"].get<double>(), 0);
    EXPECT_GT(figures["worker_memory_bytes"]["median"].get<double>(), 1e6);
    EXPECT_EQ(figures["lost_pushes"]["high"], 0.0);
  }
  EXPECT_EQ(nlohmann::json::parse(ReadFile(out + "/scale.json")), json["results"]);

  // Nothing is left to do: no run, the same results.
  const auto again = ResultsOf(RunProgram(Command(file, out), std::chrono::seconds(20)));
  EXPECT_EQ(again, json);
  // Another experiment must not be mixed with it.
  const std::string other =
      folder.Write("other.toml", Experiment("workers = [1, 2]\nservers = [1, 2]\n", 2, 7000));
  const Outcome refused = RunProgram(Command(other, out), kLimit);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("begun with another experiment"));

  std::string simulated = ReadFile(out + "/scale.json");
  simulated.replace(simulated.find("measured"), 8, "simulated");
  std::filesystem::create_directory(folder / "simulated");
  folder.Write("simulated/scale.json", simulated);
  const Outcome drawn = RunProgram({Program(), "scale", "--report", out, folder / "simulated", "--json"});
  EXPECT_EQ(drawn.exit_code, 0) << drawn.all();
  EXPECT_THAT(ReadFile(out + "/report.html"), AllOf(HasSubstr("tiny measured"), HasSubstr("tiny simulated")));
  // Two of one name are told apart.
  std::filesystem::create_directory(folder / "again");
  folder.Write("again/scale.json", simulated);
  const Outcome three =
      RunProgram({Program(), "scale", "--report", out, folder / "simulated", folder / "again", "--json"});
  EXPECT_EQ(three.exit_code, 0) << three.all();
  EXPECT_THAT(
      ReadFile(out + "/report.html"),
      AllOf(HasSubstr("tiny measured"), HasSubstr("/again) simulated"), HasSubstr("/simulated) simulated")));
}

// Of this seed: a worker after 0.35 s of training, and the next one after 11 s. A fast machine trains for 3 s.
TEST(Scale, KillsProcessesOfTheRunsAndCountsTheirRecoveries) {
  const TemporaryFolder folder;
  const std::string file =
      folder.Write("faults.toml", Experiment("workers = [2]\nservers = [2]\nfaults_per_hour = [720]\n", 1,
                                             200000, 7, "cluster.replicas = 1\n"));
  const auto json = ResultsOf(RunProgram(Command(file, folder / "out"), kLimit));
  ASSERT_EQ(json["results"]["points"].size(), 1u);
  const auto& figures = json["results"]["points"][0]["figures"];
  EXPECT_GE(figures["faults"]["median"].get<double>(), 1);
  EXPECT_GE(figures["recoveries"]["median"].get<double>(), 1);
  EXPECT_EQ(figures["lost_pushes"]["median"], 0.0);
}

TEST(Scale, ASlowLinkIsSlowOrRefused) {
  const TemporaryFolder folder;
  const std::string file = folder.Write("link.toml", Experiment("link_mbit = [0, 8]\n", 1));
  const Outcome outcome = RunProgram(Command(file, folder / "out"), kLimit);
  if (outcome.exit_code == 2) {
    EXPECT_THAT(outcome.err, HasSubstr("matrix.link_mbit needs a network namespace"));
    GTEST_SKIP() << outcome.err;
  }
  const auto json = ResultsOf(outcome);
  ASSERT_EQ(json["results"]["points"].size(), 2u);
  const auto& points = json["results"]["points"];
  EXPECT_EQ(points[1]["settings"]["link_mbit"], 8.0);
  const auto median = [&](int point, const char* figure) {
    return points[point]["figures"][figure]["median"].get<double>();
  };
  EXPECT_LT(median(1, "samples_per_second"), median(0, "samples_per_second"));
  // As many bytes as the link lets pass, and no more; the rest of what passes are headers.
  const double rate = (median(1, "worker_bytes_per_msample") + median(1, "server_bytes_per_msample")) / 1e6 *
                      median(1, "samples_per_second");
  EXPECT_LT(rate, 1.1 * 8e6 / 8);
  EXPECT_GT(rate, 0.3 * 8e6 / 8);
}

TEST(Scale, WhatIsWrongIsSaidBeforeAnythingRuns) {
  const TemporaryFolder folder;
  const auto error = [&](const Words& words) {
    const Outcome outcome = RunProgram(words, std::chrono::seconds(20));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    return outcome.err;
  };
  const std::string bad = folder.Write("bad.toml", Experiment("workerz = [1]\n", 1));
  EXPECT_THAT(error(Command(bad, folder / "out")),
              AllOf(HasSubstr("bad.toml:"), HasSubstr("did you mean \"workers\"")));
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  const std::string run = folder.Write("run.toml", "data = \"none.h5\"\n");
  const std::string own = folder.Write("own.toml", "[experiment]\nrun = \"run.toml\"\n");
  EXPECT_THAT(error(Command(own, folder / "out")), AllOf(HasSubstr("the point of"), HasSubstr("none.h5")));
  EXPECT_THAT(error({Program(), "scale", own}), HasSubstr("--out is required"));
  EXPECT_THAT(error({Program(), "scale", "--report", folder.path()}), HasSubstr("scale.json"));
  EXPECT_THAT(error({Program(), "train", own, "--out", folder / "run"}), HasSubstr("an EXPERIMENT.toml"));
}

}  // namespace
}  // namespace cohort::scale_end_to_end_test
